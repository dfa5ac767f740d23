/* faces.h: where the person that is meant is in the picture, from a file of any face tracker beside the clip:
   NAME.box.csv for NAME.mp4. A first row names the columns: `frame` (of 25 a second, from 0) or `time` (seconds), and
   `left`, `top` with `width`, `height` or `right`, `bottom` (also x, y, w, h; x1, y1, x2, y2) in pixels of the picture
   upright, as it is stored in size. A frame has one box: which of several people is meant is the file's to say. */
#ifndef TOOLS_PREPARE_FACES_H
#define TOOLS_PREPARE_FACES_H

#include "data/media.h"

/* The box file of a video in path (size bytes); 0 when there is none. */
int faces_find(const char *video, char *path, int size);
/* A window a frame, malloc'd: its middle the box's, its height `size` times the box's, smoothed over a second but for
   jumps of half a box, which are cuts. Gaps of up to half a second are filled, and the ends reach as far; elsewhere
   the height is 0. ERR_INPUT: "PATH:LINE: ..". */
int faces_read(const char *path, double size, struct video_face **faces, long *count);

#endif
