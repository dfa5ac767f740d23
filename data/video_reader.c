/* video_reader.c: pictures out of files: video at 25 frames a second, still images. See media.h.
   Output frame k is the one on show at (k + 1/2) / 25 s, so that sources of 25 fps with uneven clocks keep every frame and
   others lose or repeat the fewest. */
#include "data/media.h"

#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "data/media_source.h"

enum { SIDE_MAX = 16384, PIXELS_MAX = 1 << 26, GAP_MAX = 10 /* seconds */ };

struct video_reader {
    struct media_source source;
    int height, width;
    struct video_crop crop;
    AVFrame *shown, *next; /* on show now; the one after it */
    int has_shown, has_next, ended;
    int64_t count;     /* frames given out */
    int64_t shown_end; /* where `shown` ends, once it is the last */
    /* from the decoder's picture to ours */
    struct SwsContext *scaler;
    int from_width, from_height, from_format;
    int turn;                                   /* clockwise quarter turns */
    int scaled_width, scaled_height, left, top; /* as stored; of our window, as seen */
    uint8_t *scaled[4];
    int stride[4];
    float *pixels; /* of `shown`, when converted is set */
    int converted;
};

/* Which part of the picture we want, and the scaling that fits it. All in the picture as seen, after turning. */
static int plan_geometry(struct video_reader *r, const AVFrame *frame) {
    double sar = frame->sample_aspect_ratio.num > 0 && frame->sample_aspect_ratio.den > 0
                     ? av_q2d(frame->sample_aspect_ratio)
                     : 1;
    if (sar < 0.1 || sar > 10) sar = 1;
    double seen_width = r->turn % 2 ? frame->height : frame->width * sar;
    double seen_height = r->turn % 2 ? frame->width * sar : frame->height;
    double aspect = (double)r->width / r->height, high, wide, x, y;
    if (r->crop.size > 0) {
        high = r->crop.size * seen_height;
        wide = high * aspect;
        x = r->crop.x * seen_width - wide / 2;
        y = r->crop.y * seen_height - high / 2;
    } else {
        high = fmin(seen_height, seen_width / aspect);
        wide = high * aspect;
        x = (seen_width - wide) / 2;
        y = (seen_height - high) / 2;
    }
    if (wide > seen_width + 1e-6 || high > seen_height + 1e-6) {
        double shrink = fmin(seen_width / wide, seen_height / high);
        x += wide * (1 - shrink) / 2;
        y += high * (1 - shrink) / 2;
        wide *= shrink;
        high *= shrink;
    }
    x = fmin(fmax(x, 0), seen_width - wide);
    y = fmin(fmax(y, 0), seen_height - high);
    double scale = r->height / high;
    double all_width = seen_width * scale, all_height = seen_height * scale;
    if (!(all_width <= SIDE_MAX && all_height <= SIDE_MAX && all_width * all_height <= PIXELS_MAX))
        return error_set(ERR_INPUT, "%s: a window of %d x %d is too small a part of a picture of %d x %d",
                         r->source.path, (int)wide, (int)high, frame->width, frame->height);
    int w = (int)fmax(lround(all_width), r->width), h = (int)fmax(lround(all_height), r->height);
    r->left = (int)fmin(lround(x * scale), w - r->width);
    r->top = (int)fmin(lround(y * scale), h - r->height);
    r->scaled_width = r->turn % 2 ? h : w;
    r->scaled_height = r->turn % 2 ? w : h;
    return OK;
}

/* The scaler for pictures like this one. */
static int prepare_scaler(struct video_reader *r, const AVFrame *frame) {
    if (r->scaler && frame->width == r->from_width && frame->height == r->from_height &&
        frame->format == r->from_format)
        return OK;
    if (frame->width < 1 || frame->height < 1 || frame->width > SIDE_MAX || frame->height > SIDE_MAX ||
        !sws_isSupportedInput((enum AVPixelFormat)frame->format))
        return error_set(ERR_INPUT, "%s: pictures of %d x %d of a kind that cannot be converted", r->source.path,
                         frame->width, frame->height);
    sws_freeContext(r->scaler);
    r->scaler = NULL;
    av_freep(&r->scaled[0]);
    TRY(plan_geometry(r, frame));
    if (av_image_alloc(r->scaled, r->stride, r->scaled_width, r->scaled_height, AV_PIX_FMT_RGB24, 64) < 0)
        return error_set(ERR_DEVICE, "%s: out of memory", r->source.path);
    int flags = (r->scaled_width < frame->width ? SWS_AREA : SWS_BICUBIC) | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT;
    r->scaler = sws_getContext(frame->width, frame->height, (enum AVPixelFormat)frame->format, r->scaled_width,
                               r->scaled_height, AV_PIX_FMT_RGB24, flags, NULL, NULL, NULL);
    if (!r->scaler) return error_set(ERR_DEVICE, "%s: its pictures cannot be scaled", r->source.path);
    int matrix = frame->colorspace == AVCOL_SPC_UNSPECIFIED || frame->colorspace == AVCOL_SPC_RGB
                     ? (frame->height >= 720 ? SWS_CS_ITU709 : SWS_CS_ITU601)
                     : (int)frame->colorspace;
    int full = frame->color_range == AVCOL_RANGE_JPEG;
    int *table, old_full, to_full, brightness, contrast, saturation;
    int *to_table;
    if (sws_getColorspaceDetails(r->scaler, &table, &old_full, &to_table, &to_full, &brightness, &contrast,
                                 &saturation) >= 0)
        sws_setColorspaceDetails(r->scaler, sws_getCoefficients(matrix), full || old_full, to_table, to_full,
                                 brightness, contrast, saturation);
    r->from_width = frame->width;
    r->from_height = frame->height;
    r->from_format = frame->format;
    return OK;
}

/* Scales, turns, crops: the decoder's picture to planar floats. */
static int convert(struct video_reader *r, const AVFrame *frame, float *pixels) {
    TRY(prepare_scaler(r, frame));
    if (sws_scale(r->scaler, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, r->scaled,
                  r->stride) < 0)
        return error_set(ERR_INPUT, "%s: a picture cannot be converted", r->source.path);
    size_t plane = (size_t)r->height * r->width;
    for (int y = 0; y < r->height; y++)
        for (int x = 0; x < r->width; x++) {
            int u = x + r->left, v = y + r->top, column = u, row = v;
            if (r->turn == 1) column = v, row = r->scaled_height - 1 - u;
            if (r->turn == 2) column = r->scaled_width - 1 - u, row = r->scaled_height - 1 - v;
            if (r->turn == 3) column = r->scaled_width - 1 - v, row = u;
            const uint8_t *from = r->scaled[0] + (size_t)row * r->stride[0] + 3 * (size_t)column;
            for (int c = 0; c < 3; c++) pixels[c * plane + (size_t)y * r->width + x] = from[c] / 127.5f - 1;
        }
    return OK;
}

/* Quarter turns that a phone's video asks for. */
static int quarter_turns(const AVStream *stream) {
    size_t size = 0;
    const uint8_t *matrix = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    if (!matrix || size < 9 * sizeof(int32_t)) return 0;
    double angle = av_display_rotation_get((const int32_t *)matrix);
    return isfinite(angle) ? ((int)lround(-angle / 90) % 4 + 4) % 4 : 0;
}

int video_open_crop(struct video_reader **out, const char *path, int height, int width, const struct video_crop *crop) {
    *out = NULL;
    if (height < 1 || width < 1 || height > SIDE_MAX / 2 || width > SIDE_MAX / 2)
        return error_set(ERR_USAGE, "pictures of %d x %d pixels", height, width);
    if (crop->size < 0 || crop->size > 1 || crop->x < 0 || crop->x > 1 || crop->y < 0 || crop->y > 1)
        return error_set(ERR_USAGE, "crop %g, %g, %g: fractions of the picture are 0 to 1", crop->x, crop->y,
                         crop->size);
    struct video_reader *r = calloc(1, sizeof *r);
    if (!r) return error_set(ERR_DEVICE, "%s: out of memory", path);
    r->height = height;
    r->width = width;
    r->crop = *crop;
    int code = media_open(&r->source, path, AVMEDIA_TYPE_VIDEO, 0);
    if (!code) {
        r->turn = quarter_turns(r->source.stream);
        r->shown = av_frame_alloc();
        r->next = av_frame_alloc();
        r->pixels = malloc(3 * sizeof(float) * (size_t)height * width);
        if (!r->shown || !r->next || !r->pixels) code = error_set(ERR_DEVICE, "%s: out of memory", path);
    }
    if (code) {
        video_close(r);
        return code;
    }
    *out = r;
    return OK;
}

int video_open(struct video_reader **reader, const char *path, int height, int width) {
    return video_open_crop(reader, path, height, width, &(struct video_crop){0});
}

/* Fills r->next, unless the file is at its end. */
static int advance(struct video_reader *r) {
    if (r->has_next || r->ended) return OK;
    int64_t before = r->source.end;
    int result = media_next(&r->source, r->next);
    if (result < 0) return -result;
    r->has_next = result;
    r->ended = !result;
    if (result && r->has_shown &&
        av_compare_ts(r->next->pts - before, r->source.stream->time_base, GAP_MAX, (AVRational){1, 1}) > 0)
        return error_set(ERR_INPUT, "%s: its clock jumps by more than %d seconds", r->source.path, GAP_MAX);
    if (r->ended) r->shown_end = r->source.end;
    return OK;
}

int video_read(struct video_reader *r, float *frame) {
    const AVRational unit = r->source.stream->time_base, half = {1, 50};
    int64_t moment = 2 * r->count + 1; /* in half frames */
    int code = advance(r);
    /* the first picture is on show from the start, whatever its time */
    while (!code && r->has_next && (!r->has_shown || av_compare_ts(r->next->pts, unit, moment, half) <= 0)) {
        AVFrame *swap = r->shown;
        r->shown = r->next;
        r->next = swap;
        r->has_shown = 1;
        r->has_next = r->converted = 0;
        av_frame_unref(r->next);
        code = advance(r);
    }
    if (code) return -code;
    if (!r->has_shown || (r->ended && !r->has_next && av_compare_ts(r->shown_end, unit, moment, half) <= 0 && r->count))
        return 0;
    if (!r->converted) {
        code = convert(r, r->shown, r->pixels);
        if (code) return -code;
        r->converted = 1;
    }
    memcpy(frame, r->pixels, 3 * sizeof(float) * (size_t)r->height * r->width);
    r->count++;
    return 1;
}

void video_close(struct video_reader *r) {
    if (!r) return;
    media_close(&r->source);
    av_frame_free(&r->shown);
    av_frame_free(&r->next);
    sws_freeContext(r->scaler);
    av_freep(&r->scaled[0]);
    free(r->pixels);
    free(r);
}

int image_read(const char *path, int height, int width, float *frame) {
    struct video_reader *reader;
    TRY(video_open(&reader, path, height, width));
    int result = video_read(reader, frame);
    video_close(reader);
    if (result < 0) return -result;
    return result ? OK : error_set(ERR_INPUT, "%s: holds no picture", path);
}
