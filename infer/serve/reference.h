/* reference.h: turns a reference picture that a client sent, PNG or JPEG of bounded size, into the student's pixels. */
#ifndef INFER_SERVE_REFERENCE_H
#define INFER_SERVE_REFERENCE_H

#include <stddef.h>

enum { REFERENCE_BYTES_MAX = 8 << 20, REFERENCE_SIDE_MAX = 4096 };
/* Checks a picture by its header, without decoding it. ERR_INPUT: neither PNG nor JPEG, damaged, or larger than
   REFERENCE_SIDE_MAX. */
int reference_check(const unsigned char *bytes, size_t length, int *height, int *width);
/* Decodes a checked picture, scaled and cropped as image_read does it: planar [3, height, width] in [-1, 1]. */
int reference_read(const unsigned char *bytes, size_t length, int height, int width, float *picture);

#endif
