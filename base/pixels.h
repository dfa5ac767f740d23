/* pixels.h: turns numbers in [-1, 1] into colours of 8 bits, by the one rule for all pictures that
   leave this toolkit. */
#ifndef BASE_PIXELS_H
#define BASE_PIXELS_H

#include <stddef.h>

/* The byte of v: (v + 1) 127.5 + 0.5, each operation rounded in float, cut to a whole number and held within 0 .. 255;
   a NaN gives 0. So -1 gives 0, 1 gives 255, and byte / 127.5 - 1 gives that byte again. */
static inline unsigned char pixel_byte(float v) {
    float sum = v + 1; /* statements of their own, so that no compiler fuses product and sum */
    float product = sum * 127.5f;
    float at = product + 0.5f;
    return (unsigned char)(!(at > 0) ? 0 : at > 255 ? 255 : at);
}

/* Writes rgb [places, 3] from the planes [3, places] of a frame. */
void rgb_from_planar(unsigned char *rgb, const float *frame, size_t places);

#endif
