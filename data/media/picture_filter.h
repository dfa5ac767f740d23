/* picture_filter.h: a filter between decoder and reader, known by its functions only: its implementation
   (data/media/deinterlace.h) needs a library that lean programs must not link. */
#ifndef DATA_PICTURE_FILTER_H
#define DATA_PICTURE_FILTER_H

#include <libavutil/frame.h>
#include <libavutil/rational.h>

struct picture_filter {
    /* Takes a frame and keeps its pixels (NULL: there are no more frames). time_base: the unit of its pts. Returns OK
       or an error code. */
    int (*push)(struct picture_filter *filter, AVFrame *frame, AVRational time_base);
    /* Returns the next frame, with pts in the same unit: 1; 0: the filter needs another frame first, or is empty after
       the last; negative: -(error code). */
    int (*pull)(struct picture_filter *filter, AVFrame *frame);
    void (*close)(struct picture_filter *filter);
};

#endif
