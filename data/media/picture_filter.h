/* picture_filter.h: what may stand between decoder and reader. Its makers link what the programs of the lean floor
   must not (data/media/deinterlace.h), so the reader knows it by its functions alone. */
#ifndef DATA_PICTURE_FILTER_H
#define DATA_PICTURE_FILTER_H

#include <libavutil/frame.h>
#include <libavutil/rational.h>

struct picture_filter {
    /* Takes a frame, whose pixels it keeps (NULL: there are no more). time_base: the unit of its pts. OK or an error
       code. */
    int (*push)(struct picture_filter *filter, AVFrame *frame, AVRational time_base);
    /* The next frame, pts in the same unit: 1; 0: it wants another, or after the last one is empty; negative: -(error
       code). */
    int (*pull)(struct picture_filter *filter, AVFrame *frame);
    void (*close)(struct picture_filter *filter);
};

#endif
