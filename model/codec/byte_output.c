/* byte_output.c: see byte_output.h. */
#include "model/codec/byte_output.h"

#include "base/error.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "model/codec/internal.h"

void byte_output_layout(struct byte_output *o, struct arena *arena, int frames, int height, int width) {
    o->places = (long)height * width;
    o->rgb = ARENA_TAKE(arena, "decoder: pictures of 8 bits", uint8_t, 3 * frames * o->places);
    o->fault = ARENA_TAKE(arena, "decoder: pictures of 8 bits", uint8_t, 1);
}

void byte_output_begin(const struct byte_output *o) { mem_zero(o->fault, 1); }

void byte_output_frames(const struct byte_output *o, unsigned char *rgb, const real *pixels, real scale, real shift,
                        int frames) {
    pixels_to_bytes(o->rgb, o->fault, pixels, scale, shift, frames, o->places);
    mem_download(rgb, o->rgb, 3 * (size_t)frames * (size_t)o->places);
}

int byte_output_end(const struct byte_output *o) {
    uint8_t fault = 0;
    mem_download(&fault, o->fault, 1);
    return fault ? codec_not_finite() : OK;
}
