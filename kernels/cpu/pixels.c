/* pixels.c: turns colours into bytes. A task is a piece of a frame: the bytes of each plane are made
   first, then woven into pixels. */
#include <stdint.h>

#include "base/pixels.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

enum { PIECE = 1024 };

/* Makes the bytes of a plane; returns 0 when all of its numbers are finite. */
static int plane_to_bytes(uint8_t *to, const real *x, float scale, float shift, long n) {
    int bad = 0;
#pragma omp simd reduction(| : bad)
    for (long i = 0; i < n; i++) {
        float v = (float)x[i], product = scale * v;
        to[i] = pixel_byte(product + shift);
        bad |= v - v != 0; /* true for infinities and NaN */
    }
    return bad;
}

void pixels_to_bytes(uint8_t *rgb, uint8_t *fault, const real *x, real scale, real shift, long frames, long size) {
    KERNEL_SCOPE;
    long pieces = (size + PIECE - 1) / PIECE;
    int bad = 0;
#pragma omp parallel for reduction(| : bad)
    for (long k = 0; k < frames * pieces; k++) {
        long frame = k / pieces, first = k % pieces * PIECE, n = size - first < PIECE ? size - first : PIECE;
        const real *from = x + frame * 3 * size + first;
        uint8_t plane[3][PIECE], *to = rgb + 3 * (frame * size + first);
        for (int c = 0; c < 3; c++) bad |= plane_to_bytes(plane[c], from + c * size, (float)scale, (float)shift, n);
        for (long i = 0; i < n; i++)
            for (int c = 0; c < 3; c++) to[3 * i + c] = plane[c][i];
    }
    if (bad) *fault = 1;
}
