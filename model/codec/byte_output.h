/* byte_output.h: frames that a decoder leaves on the device become bytes there (kernels.h: pixels_to_bytes), and reach
   the host as such: a quarter of what float pixels would move. One output a stream; its memory is the arena's. */
#ifndef MODEL_CODEC_BYTE_OUTPUT_H
#define MODEL_CODEC_BYTE_OUTPUT_H

#include <stdint.h>
#include "kernels/arena.h"
#include "kernels/types.h"

struct byte_output {
    uint8_t *rgb, *fault; /* device: [frames, places, 3]; [1] */
    long places;          /* height x width */
};
/* Room for that many frames, as a stage of planning or for good (arena.h). */
void byte_output_layout(struct byte_output *output, struct arena *arena, int frames, int height, int width);
/* Before a decoder's first frames of a call. */
void byte_output_begin(const struct byte_output *output);
/* Frames [frames, 3, height, width] on the device, at most as many as there is room for, to host memory [frames,
   height, width, 3]. scale, shift: what makes of them colours in [-1, 1]. The host may read them on return. */
void byte_output_frames(const struct byte_output *output, unsigned char *rgb, const real *pixels, real scale,
                        real shift, int frames);
/* After its last ones: ERR_NUMERIC where a number of all these frames was not finite. */
int byte_output_end(const struct byte_output *output);

#endif
