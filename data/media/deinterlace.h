/* deinterlace.h: whole pictures from interlaced ones, by libavfilter's bwdif: one a frame, the other field's lines
   made up from neighbours in time and place. Linked by prepare and what compares with its data alone. */
#ifndef DATA_DEINTERLACE_H
#define DATA_DEINTERLACE_H

#include "data/media/picture_filter.h"

struct picture_filter *deinterlace_make(void); /* NULL: out of memory */

#endif
