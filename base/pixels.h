/* pixels.h: colours of 8 bits from numbers in [-1, 1]: the one rule by which every picture leaves this toolkit. */
#ifndef BASE_PIXELS_H
#define BASE_PIXELS_H

#include <stddef.h>

/* (v + 1) 127.5 + 0.5, each operation rounded in float, without its fraction, held within 0 .. 255; what is no number
   is 0. So -1 is 0, 1 is 255, and a byte's own number, byte/127.5 - 1, is that byte again. */
static inline unsigned char pixel_byte(float v) {
    float sum = v + 1; /* in statements of their own, so that no compiler joins product and sum */
    float product = sum * 127.5f;
    float at = product + 0.5f;
    return (unsigned char)(!(at > 0) ? 0 : at > 255 ? 255 : at);
}

/* rgb [places, 3] from a frame's planes [3, places]. */
void rgb_from_planar(unsigned char *rgb, const float *frame, size_t places);

#endif
