/* pixels.c: turns colours into bytes (kernels.h), as the definition. */
#include "base/pixels.h"

#include <math.h>

#include "kernels/device.h"
#include "kernels/kernels.h"

/* Turns the three colours of one place of a frame into bytes; 1: one of them is not finite. */
static int place_to_bytes(uint8_t *rgb, const real *x, float scale, float shift, long size) {
    int bad = 0;
    for (int c = 0; c < 3; c++) {
        float v = (float)x[c * size], product = scale * v;
        rgb[c] = pixel_byte(product + shift);
        bad |= !isfinite(v);
    }
    return bad;
}

void pixels_to_bytes(uint8_t *rgb, uint8_t *fault, const real *x, real scale, real shift, long frames, long size) {
    KERNEL_SCOPE;
    int bad = 0;
#pragma omp parallel for reduction(| : bad)
    for (long p = 0; p < frames * size; p++)
        bad |= place_to_bytes(rgb + 3 * p, x + (p / size * 3 * size + p % size), (float)scale, (float)shift, size);
    if (bad) *fault = 1;
}
