/* orientation.h: how a stored picture must be turned and mirrored for viewing: the eight orientations of EXIF (tag
   0x0112 of JPEG, PNG, WebP and TIFF; CIPA DC-008) and the display matrix of a track (ISO/IEC 14496-12, 6.2.2). */
#ifndef DATA_ORIENTATION_H
#define DATA_ORIENTATION_H

#include <stddef.h>
#include <stdint.h>

/* Pixel (x, y) of the upright picture is the stored pixel (x, y), with x and y exchanged if `transposed`; a flip first
   counts the upright picture's x (or y) from its other end. */
struct orientation {
    int transposed, flip_x, flip_y;
};
/* Returns the orientation of EXIF's number, 1 to 8; upright for any other. */
struct orientation orientation_of_exif(int number);
/* Returns the one of the eight that is nearest to a display matrix of nine 16.16 fixed-point numbers. */
struct orientation orientation_of_matrix(const int32_t matrix[9]);
/* Returns the number that a whole picture file in memory states (a PNG in its own chunk or in a text); 1, upright,
   where it states none or is damaged. */
int exif_orientation(const unsigned char *bytes, size_t length);

#endif
