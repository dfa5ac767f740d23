/* deinterlace.h: makes whole pictures from interlaced ones by libavfilter's bwdif: one for each frame, with the second
   field's lines interpolated from neighbours in time and place. Only prepare and programs that compare with its data
   link it. */
#ifndef DATA_DEINTERLACE_H
#define DATA_DEINTERLACE_H

#include "data/media/picture_filter.h"

struct picture_filter *deinterlace_make(void); /* NULL: out of memory */

#endif
