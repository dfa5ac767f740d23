/* pixels.c: see pixels.h. */
#include "base/pixels.h"

void rgb_from_planar(unsigned char *rgb, const float *frame, size_t places) {
    for (int c = 0; c < 3; c++)
        for (size_t i = 0; i < places; i++) rgb[3 * i + (size_t)c] = pixel_byte(frame[(size_t)c * places + i]);
}
