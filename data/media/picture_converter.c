/* picture_converter.c: see picture_converter.h. */
#include "data/media/picture_converter.h"

#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <math.h>
#include <string.h>
#include "base/error.h"
#include "data/media/hdr.h"

enum { SIDE_MAX = 16384, PIXELS_MAX = 1 << 26, TAPS_MAX = 256, WHITE = 255 };

/* The upright picture's size, in stored pixels. */
struct seen {
    double height, width;
    double stretch_x, stretch_y; /* stretch of an upright pixel */
};
static struct seen seen_size(const struct picture_converter *c, const AVFrame *frame, double aspect) {
    if (c->orientation.transposed) return (struct seen){frame->width * aspect, frame->height, 1, aspect};
    return (struct seen){frame->height, frame->width * aspect, aspect, 1};
}

/* ---- what is scaled ---- */

/* Sets the matrix and range of the picture's colours. */
static void set_colours(struct SwsContext *scaler, const AVFrame *frame) {
    int matrix = frame->colorspace == AVCOL_SPC_UNSPECIFIED || frame->colorspace == AVCOL_SPC_RGB
                     ? (frame->height >= 720 ? SWS_CS_ITU709 : SWS_CS_ITU601)
                     : (int)frame->colorspace;
    int full = frame->color_range == AVCOL_RANGE_JPEG;
    int *table, *to_table, old_full, to_full, brightness, contrast, saturation;
    if (sws_getColorspaceDetails(scaler, &table, &old_full, &to_table, &to_full, &brightness, &contrast, &saturation) >=
        0)
        sws_setColorspaceDetails(scaler, sws_getCoefficients(matrix), full || old_full, to_table, to_full, brightness,
                                 contrast, saturation);
}

static int has_transparency(const AVFrame *frame) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get((enum AVPixelFormat)frame->format);
    return d && d->flags & AV_PIX_FMT_FLAG_ALPHA;
}

static int make_plain(struct picture_converter *c, const AVFrame *frame) {
    if (!c->plain) c->plain = av_frame_alloc();
    if (!c->plain) return error_set(ERR_DEVICE, "%s: out of memory", c->path);
    av_frame_unref(c->plain);
    c->plain->format = AV_PIX_FMT_RGBA;
    c->plain->width = frame->width;
    c->plain->height = frame->height;
    if (av_frame_get_buffer(c->plain, 0) < 0) return error_set(ERR_DEVICE, "%s: out of memory", c->path);
    c->plain->colorspace = AVCOL_SPC_RGB;
    c->plain->color_range = AVCOL_RANGE_JPEG;
    return OK;
}

/* Lays the picture over white before it is scaled, so that colours under full transparency do not show at edges. */
static int flatten(struct picture_converter *c, const AVFrame *frame) {
    TRY(make_plain(c, frame));
    c->flattener = sws_getCachedContext(c->flattener, frame->width, frame->height, (enum AVPixelFormat)frame->format,
                                        frame->width, frame->height, AV_PIX_FMT_RGBA,
                                        SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT, NULL, NULL, NULL);
    if (!c->flattener) return error_set(ERR_INPUT, "%s: its transparent pictures cannot be converted", c->path);
    set_colours(c->flattener, frame);
    AVFrame *to = c->plain;
    if (sws_scale(c->flattener, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, to->data,
                  to->linesize) < 0)
        return error_set(ERR_INPUT, "%s: a picture cannot be converted", c->path);
    for (int y = 0; y < to->height; y++)
        for (int x = 0; x < to->width; x++) {
            uint8_t *p = to->data[0] + (ptrdiff_t)y * to->linesize[0] + 4 * x;
            for (int k = 0; k < 3; k++) p[k] = (uint8_t)((p[k] * p[3] + WHITE * (255 - p[3]) + 127) / 255);
            p[3] = 255;
        }
    to->format = AV_PIX_FMT_RGB0;
    return OK;
}

/* Makes `field` the first field of an interlaced picture: every second line. */
static void take_field(AVFrame *field, const AVFrame *frame) {
    memcpy(field->data, frame->data, sizeof field->data);
    for (int i = 0; i < 4 && field->data[i]; i++) {
        if (!frame->top_field_first) field->data[i] += frame->linesize[i];
        field->linesize[i] = 2 * frame->linesize[i];
    }
    field->height = frame->height / 4 * 2; /* even, so that lines of colour are whole */
}

static int is_interlaced(const AVFrame *frame) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get((enum AVPixelFormat)frame->format);
    return frame->interlaced_frame && frame->height >= 4 && d && !(d->flags & (AV_PIX_FMT_FLAG_PAL));
}

/* ---- geometry ---- */

/* A window in the upright picture. */
struct window {
    double left, top, wide, high;
};
/* Moves and scales a window as the converter's view says, then moves and shrinks it to lie inside the picture, because
   nothing is known beyond an edge. */
static void place_window(const struct picture_converter *c, const struct seen *seen, struct window *w) {
    double middle_x = w->left + w->wide / 2, middle_y = w->top + w->high / 2;
    w->high *= exp(-c->view.zoom);
    w->wide *= exp(-c->view.zoom);
    double shrink = fmin(1, fmin(seen->width / w->wide, seen->height / w->high));
    w->wide *= shrink;
    w->high *= shrink;
    middle_x -= c->view.x * w->high;
    middle_y -= c->view.y * w->high;
    w->left = fmin(fmax(middle_x - w->wide / 2, 0), seen->width - w->wide);
    w->top = fmin(fmax(middle_y - w->high / 2, 0), seen->height - w->high);
}

/* Computes the part of the picture that is wanted and the scaling that fits it, all in the upright picture. */
static int plan_geometry(struct picture_converter *c, const AVFrame *frame, double aspect,
                         const struct video_crop *crop) {
    struct seen seen = seen_size(c, frame, aspect);
    double shape = (double)c->width / c->height;
    double high = crop->size > 0 ? crop->size * seen.height : fmin(seen.height, seen.width / shape);
    double middle_x = crop->size > 0 ? crop->x : 0.5, middle_y = crop->size > 0 ? crop->y : 0.5;
    struct window w = {.left = middle_x * seen.width - high * shape / 2,
                       .top = middle_y * seen.height - high / 2,
                       .wide = high * shape,
                       .high = high};
    place_window(c, &seen, &w);
    double scale = c->height / w.high, all_width = seen.width * scale, all_height = seen.height * scale;
    if (!(all_width <= SIDE_MAX && all_height <= SIDE_MAX && all_width * all_height <= PIXELS_MAX))
        return error_set(ERR_INPUT, "%s: a window of %d x %d is too small a part of a picture of %d x %d", c->path,
                         (int)w.wide, (int)w.high, frame->width, frame->height);
    int columns = (int)fmax(lround(all_width), c->width), rows = (int)fmax(lround(all_height), c->height);
    c->left = (int)fmin(lround(w.left * scale), columns - c->width);
    c->top = (int)fmin(lround(w.top * scale), rows - c->height);
    c->scaled_width = c->orientation.transposed ? rows : columns;
    c->scaled_height = c->orientation.transposed ? columns : rows;
    return OK;
}

/* Makes the scaler for pictures of this kind, to c->scaled_width x c->scaled_height, with 8 bits a colour, or 16 for
   HDR. */
static int make_scaler(struct picture_converter *c, const AVFrame *frame) {
    enum AVPixelFormat to = c->hdr ? AV_PIX_FMT_RGB48 : AV_PIX_FMT_RGB24;
    sws_freeContext(c->scaler);
    c->scaler = NULL;
    av_freep(&c->scaled[0]);
    if (av_image_alloc(c->scaled, c->stride, c->scaled_width, c->scaled_height, to, 64) < 0)
        return error_set(ERR_DEVICE, "%s: out of memory", c->path);
    int flags = (c->scaled_width < frame->width ? SWS_AREA : SWS_BICUBIC) | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT;
    c->scaler = sws_getContext(frame->width, frame->height, (enum AVPixelFormat)frame->format, c->scaled_width,
                               c->scaled_height, to, flags, NULL, NULL, NULL);
    if (!c->scaler) return error_set(ERR_DEVICE, "%s: its pictures cannot be scaled", c->path);
    set_colours(c->scaler, frame);
    return OK;
}

/* Prepares the scaler. crop NULL: the whole picture at its own size. */
static int prepare_scaler(struct picture_converter *c, const AVFrame *frame, double aspect,
                          const struct video_crop *crop) {
    int hdr = hdr_kind(frame) != NULL;
    if (c->scaler && frame->width == c->from_width && frame->height == c->from_height &&
        frame->format == c->from_format && aspect == c->from_aspect && c->whole == !crop && hdr == (c->hdr != NULL))
        return OK;
    if (frame->width < 1 || frame->height < 1 || frame->width > SIDE_MAX || frame->height > SIDE_MAX ||
        !sws_isSupportedInput((enum AVPixelFormat)frame->format))
        return error_set(ERR_INPUT, "%s: pictures of %d x %d of a kind that cannot be converted", c->path, frame->width,
                         frame->height);
    c->scaled_width = frame->width;
    c->scaled_height = frame->height;
    if (crop) TRY(plan_geometry(c, frame, aspect, crop));
    hdr_map_free(c->hdr);
    c->hdr = hdr ? hdr_map_make(frame) : NULL;
    if (hdr && !c->hdr) return error_set(ERR_DEVICE, "%s: out of memory", c->path);
    TRY(make_scaler(c, frame));
    c->from_width = frame->width;
    c->from_height = frame->height;
    c->from_format = frame->format;
    c->from_aspect = aspect;
    c->whole = !crop;
    return OK;
}

/* ---- pixels ---- */

/* Reads a scaled pixel at a place of the stored picture, in [-1, 1]. */
static void pixel_at(const struct picture_converter *c, int row, int column, float rgb[3]) {
    const uint8_t *line = c->scaled[0] + (ptrdiff_t)row * c->stride[0];
    if (c->hdr) {
        hdr_map_pixel(c->hdr, (const uint16_t *)(const void *)line + 3 * column, rgb);
        for (int k = 0; k < 3; k++) rgb[k] = 2 * rgb[k] - 1;
    } else {
        for (int k = 0; k < 3; k++) rgb[k] = line[3 * column + k] / 127.5f - 1;
    }
}

/* Scales the picture, or the field or flattened copy that stands for it. */
static int scale(struct picture_converter *c, const AVFrame *frame, double aspect, const struct video_crop *crop) {
    AVFrame field = *frame; /* uses the same pixels without a reference */
    const char *hdr = hdr_kind(frame);
    if (hdr && !c->tone_mapped)
        return error_set(ERR_INPUT, "%s: is HDR (%s): give an ordinary (SDR) picture, or prepare it", c->path, hdr);
    if (has_transparency(frame)) {
        TRY(flatten(c, frame));
        field = *c->plain;
    } else if (is_interlaced(frame)) {
        take_field(&field, frame);
        aspect *= (double)field.height / frame->height;
    }
    TRY(prepare_scaler(c, &field, aspect, crop));
    if (sws_scale(c->scaler, (const uint8_t *const *)field.data, field.linesize, 0, field.height, c->scaled,
                  c->stride) < 0)
        return error_set(ERR_INPUT, "%s: a picture cannot be converted", c->path);
    return OK;
}

int picture_convert(struct picture_converter *c, const AVFrame *frame, double aspect, const struct video_crop *crop,
                    float *pixels) {
    TRY(scale(c, frame, aspect, crop));
    const struct orientation o = c->orientation;
    size_t plane = (size_t)c->height * (size_t)c->width;
    int along_x = o.transposed ? c->scaled_height : c->scaled_width;
    int along_y = o.transposed ? c->scaled_width : c->scaled_height;
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++) {
            int u = x + c->left, v = y + c->top;
            if (o.flip_x) u = along_x - 1 - u;
            if (o.flip_y) v = along_y - 1 - v;
            float rgb[3];
            pixel_at(c, o.transposed ? u : v, o.transposed ? v : u, rgb);
            for (size_t k = 0; k < 3; k++) pixels[k * plane + (size_t)y * (size_t)c->width + (size_t)x] = rgb[k];
        }
    picture_view_colour(&c->view, pixels, plane);
    return OK;
}

/* ---- a window that moves ---- */

/* Weights, along one axis, of the stored pixels that make one of ours: a triangle as wide as two of our pixels or two
   stored ones, whichever is wider. Beyond the picture its edge is repeated. */
struct taps {
    int first, count;
    float weight[TAPS_MAX];
};
static void find_taps(struct taps *taps, double middle, double step) {
    double radius = fmax(step, 1), sum = 0;
    taps->first = (int)ceil(middle - radius);
    taps->count = (int)floor(middle + radius) - taps->first + 1;
    if (taps->count > TAPS_MAX) taps->count = TAPS_MAX;
    if (taps->count < 1) taps->count = 1;
    for (int i = 0; i < taps->count; i++) {
        double weight = fmax(1 - fabs(taps->first + i - middle) / radius, 1e-9);
        taps->weight[i] = (float)weight;
        sum += weight;
    }
    for (int i = 0; i < taps->count; i++) taps->weight[i] /= (float)sum;
}
static int inside(int at, int length) { return at < 0 ? 0 : at >= length ? length - 1 : at; }

/* Sums up one of our pixels from those that its taps name. */
static void gather(const struct picture_converter *c, const struct taps *along_x, const struct taps *along_y,
                   float rgb[3]) {
    const struct orientation o = c->orientation;
    const struct taps *columns = o.transposed ? along_y : along_x, *rows = o.transposed ? along_x : along_y;
    memset(rgb, 0, 3 * sizeof *rgb);
    for (int i = 0; i < rows->count; i++)
        for (int j = 0; j < columns->count; j++) {
            float one[3], weight = rows->weight[i] * columns->weight[j];
            pixel_at(c, inside(rows->first + i, c->scaled_height), inside(columns->first + j, c->scaled_width), one);
            for (int k = 0; k < 3; k++) rgb[k] += weight * one[k];
        }
}

int picture_convert_face(struct picture_converter *c, const AVFrame *frame, double aspect,
                         const struct video_face *face, float *pixels) {
    TRY(scale(c, frame, aspect, NULL));
    const struct orientation o = c->orientation;
    struct seen seen = seen_size(c, frame, aspect);
    double high = face->height * seen.stretch_y, wide = high * c->width / c->height;
    struct window w = {face->x * seen.stretch_x - wide / 2, face->y * seen.stretch_y - high / 2, wide, high};
    place_window(c, &seen, &w);
    int columns = o.transposed ? c->scaled_height : c->scaled_width; /* upright, in scaled pixels */
    int rows = o.transposed ? c->scaled_width : c->scaled_height;
    double step_x = w.wide / seen.width * columns / c->width, step_y = w.high / seen.height * rows / c->height;
    double from_x = w.left / seen.width * columns, from_y = w.top / seen.height * rows;
    size_t plane = (size_t)c->height * (size_t)c->width;
    if (step_x * 2 > TAPS_MAX - 2 || step_y * 2 > TAPS_MAX - 2)
        return error_set(ERR_INPUT, "%s: a picture of %d x %d is too large for a window of %d x %d", c->path,
                         frame->width, frame->height, c->width, c->height);
    for (int y = 0; y < c->height; y++) {
        struct taps along_y, along_x;
        double v = from_y + (y + 0.5) * step_y - 0.5;
        find_taps(&along_y, o.flip_y ? rows - 1 - v : v, step_y);
        for (int x = 0; x < c->width; x++) {
            double u = from_x + (x + 0.5) * step_x - 0.5;
            float rgb[3];
            find_taps(&along_x, o.flip_x ? columns - 1 - u : u, step_x);
            gather(c, &along_x, &along_y, rgb);
            for (size_t k = 0; k < 3; k++) pixels[k * plane + (size_t)y * (size_t)c->width + (size_t)x] = rgb[k];
        }
    }
    picture_view_colour(&c->view, pixels, plane);
    return OK;
}

void picture_converter_close(struct picture_converter *c) {
    av_frame_free(&c->plain);
    sws_freeContext(c->flattener);
    sws_freeContext(c->scaler);
    av_freep(&c->scaled[0]);
    hdr_map_free(c->hdr);
}
