/* byte_output.h: converts frames that a decoder leaves on the device to bytes there (kernels.h: pixels_to_bytes) and
   copies those to the host: a quarter of what float pixels would move. Each stream has one; its memory is the
   arena's. */
#ifndef MODEL_CODEC_BYTE_OUTPUT_H
#define MODEL_CODEC_BYTE_OUTPUT_H

#include <stdint.h>
#include "kernels/arena.h"
#include "kernels/types.h"

struct byte_output {
    uint8_t *rgb, *fault; /* device [frames, places, 3]; [1], not 0 after a number that is not finite */
    long places;          /* height x width */
};
/* Takes memory for `frames` frames (arena.h: called while planning and once more). */
void byte_output_layout(struct byte_output *output, struct arena *arena, int frames, int height, int width);
/* Starts a call of the decoder; call it before its first frames. */
void byte_output_begin(const struct byte_output *output);
/* Converts frames [frames, 3, height, width] on the device, at most as many as laid out, to host memory [frames,
   height, width, 3], which the host may read on return. pixel * scale + shift is the colour in [-1, 1]. */
void byte_output_frames(const struct byte_output *output, unsigned char *rgb, const real *pixels, real scale,
                        real shift, int frames);
/* Ends the call, after its last frames. ERR_NUMERIC: a number in one of its frames was not finite. */
int byte_output_end(const struct byte_output *output);

#endif
