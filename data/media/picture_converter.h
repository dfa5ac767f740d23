/* picture_converter.h: a decoder's picture to planar floats of the size wanted: turned upright, its pixels made
   square, scaled and cropped; of an interlaced picture one field; what is transparent lies over white; HDR is
   tone-mapped or refused. */
#ifndef DATA_PICTURE_CONVERTER_H
#define DATA_PICTURE_CONVERTER_H

#include <libavutil/frame.h>
#include <libswscale/swscale.h>

#include "data/media.h"
#include "data/media/orientation.h"
#include "data/picture_view.h"

struct picture_converter {
    /* set by the owner */
    const char *path;  /* for messages */
    int height, width; /* of the pictures made */
    struct orientation orientation;
    int tone_mapped;          /* HDR is taken; 0: refused */
    struct picture_view view; /* how the window's picture is varied, as far as the stored one reaches */
    /* its own */
    AVFrame *plain; /* what is scaled: the picture without transparency */
    struct SwsContext *flattener, *scaler;
    int from_width, from_height, from_format, whole; /* what the scaler was made for */
    double from_aspect;
    int scaled_width, scaled_height, left, top; /* as stored; our window in it, as seen */
    uint8_t *scaled[4];
    int stride[4];
    struct hdr_map *hdr; /* NULL: an ordinary picture */
};
/* pixels: planar [3, height, width] in [-1, 1]. crop: fractions of the picture as seen (video_crop in media.h).
   aspect: width over height of a stored pixel. */
int picture_convert(struct picture_converter *converter, const AVFrame *frame, double aspect,
                    const struct video_crop *crop, float *pixels);
/* The window of which `face` is the middle and the height, in pixels of the picture upright: placed to the fraction of
   a pixel, so that it moves smoothly. */
int picture_convert_face(struct picture_converter *converter, const AVFrame *frame, double aspect,
                         const struct video_face *face, float *pixels);
void picture_converter_close(struct picture_converter *converter);

#endif
