/* orientation.h: how a stored picture is turned and mirrored to be seen: the eight orientations of EXIF (tag 0x0112 of
   JPEG, PNG, WebP and TIFF; CIPA DC-008) and the display matrix of a track (ISO/IEC 14496-12, 6.2.2). */
#ifndef DATA_ORIENTATION_H
#define DATA_ORIENTATION_H

#include <stddef.h>
#include <stdint.h>

/* The seen picture's pixel (x, y) is the stored one's (x, y), with x and y exchanged when `transposed`; a flip then
   counts the seen picture's x (or y) from its other end. */
struct orientation {
    int transposed, flip_x, flip_y;
};
/* EXIF's number, 1 to 8; any other: upright. */
struct orientation orientation_of_exif(int number);
/* A display matrix of nine 16.16 fixed-point numbers: the nearest of the eight. */
struct orientation orientation_of_matrix(const int32_t matrix[9]);
/* The orientation that a whole picture file in memory states, PNG's in its own chunk or in a text; 1 (upright) where it
   states none or is damaged. */
int exif_orientation(const unsigned char *bytes, size_t length);

#endif
