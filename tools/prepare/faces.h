/* faces.h: reads where the person to be learnt is in the picture, from a file of any face tracker beside the clip:
   NAME.box.csv for NAME.mp4. A first row names the columns: `frame` (25 a second, from 0) or `time` (seconds), and
   `left`, `top` with `width`, `height` or `right`, `bottom` (also x, y, w, h; x1, y1, x2, y2), in pixels of the picture
   as stored, turned upright. A frame has one box: the file decides which of several people is meant. */
#ifndef TOOLS_PREPARE_FACES_H
#define TOOLS_PREPARE_FACES_H

#include "data/media.h"

/* Finds the box file of a video: its path (size bytes); returns 0 when there is none. */
int faces_find(const char *video, char *path, int size);
/* Reads a window for every frame, malloc'd: its middle is the box's, its height `size` times the box's. Windows are
   smoothed over a second, except across jumps of half a box, which are cuts. Gaps of up to half a second are filled,
   and the first and last window hold for as long; elsewhere the height is 0. ERR_INPUT: "PATH:LINE: ..". */
int faces_read(const char *path, double size, struct video_face **faces, long *count);

#endif
