/* picture_converter.h: converts a decoder's picture to planar floats of the size wanted: turned upright, with square
   pixels, scaled and cropped. Of an interlaced picture one field is used; transparent pictures are laid over white; HDR
   is tone-mapped or refused. */
#ifndef DATA_PICTURE_CONVERTER_H
#define DATA_PICTURE_CONVERTER_H

#include <libavutil/frame.h>
#include <libswscale/swscale.h>

#include "data/media.h"
#include "data/media/orientation.h"
#include "data/picture_view.h"

struct picture_converter {
    /* Set by the owner: */
    const char *path;  /* file's name in messages */
    int height, width; /* size of the pictures made */
    struct orientation orientation;
    int tone_mapped;          /* 1: HDR is tone-mapped; 0: refused */
    struct picture_view view; /* variation of the window, as far as the stored picture reaches */
    /* The converter's own: */
    AVFrame *plain; /* the picture without transparency, which is scaled */
    struct SwsContext *flattener, *scaler;
    int from_width, from_height, from_format, whole; /* kind of picture that the scaler was made for */
    double from_aspect;
    int scaled_width, scaled_height, left, top; /* scaled size, as stored; our window in it, upright */
    uint8_t *scaled[4];
    int stride[4];
    struct hdr_map *hdr; /* tables for HDR; NULL: an ordinary picture */
};
/* Converts a frame to pixels, planar [3, height, width] in [-1, 1]. crop: fractions of the upright picture (video_crop
   in media.h). aspect: width over height of a stored pixel. */
int picture_convert(struct picture_converter *converter, const AVFrame *frame, double aspect,
                    const struct video_crop *crop, float *pixels);
/* Converts the window that has face's middle and height, in pixels of the upright picture. It is placed to fractions of
   a pixel, so that it moves smoothly. */
int picture_convert_face(struct picture_converter *converter, const AVFrame *frame, double aspect,
                         const struct video_face *face, float *pixels);
void picture_converter_close(struct picture_converter *converter);

#endif
