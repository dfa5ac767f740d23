/* video_reader.c: reads pictures out of files: video at 25 frames a second, still images. See media.h. Output frame k
   is the picture shown at (k + 1/2) / 25 s, so that sources of 25 fps with uneven clocks keep every frame, and others
   lose or repeat as few as possible. For a source of 25 fps these moments move with its first picture, by at most half
   a frame, so that they do not fall where frames begin. A picture lasts at most HOLD, or one and a half frames of its
   own rate; frames beyond that count as missing. */
#include "data/media.h"

#include <libavutil/display.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/media_rates.h"
#include "data/media/hdr.h"
#include "data/media/media_source.h"
#include "data/media/picture_converter.h"
#include "data/media/picture_filter.h"

enum { SIDE_MAX = 8192, GAP_MAX = 10 /* seconds */ };
static const double FRAME_SECONDS = 1. / VIDEO_RATE, HOLD = 3.5 / VIDEO_RATE, LATE = 1.5 / VIDEO_RATE, SLOWEST = 1;

struct video_reader {
    struct media_source source;
    struct picture_converter converter;
    struct video_crop crop;
    const struct video_face *faces; /* NULL: the window does not follow a face */
    long face_count;
    struct picture_filter *filter; /* NULL: none */
    int filtering, drained;        /* 1: there was an interlaced frame; 1: the filter knows that no more come */
    AVFrame *shown, *next;         /* the picture shown now; the one after it */
    int has_shown, has_next, ended;
    int64_t count;     /* frames delivered */
    double phase;      /* shift of our frames' moments, seconds */
    int64_t shown_end; /* end of `shown`, once it is the last picture */
    int missing, traits;
    float *pixels; /* pixels of `shown`, if `converted` is 1 */
    int converted;
};

/* ---- opening ---- */

static int has_dolby_profile_5(const AVStream *stream) {
    enum { PROFILE = 2, ALONE = 5 }; /* AVDOVIDecoderConfigurationRecord.dv_profile */
    size_t size = 0;
    const uint8_t *record = av_stream_get_side_data(stream, AV_PKT_DATA_DOVI_CONF, &size);
    return record && size > PROFILE && record[PROFILE] == ALONE;
}

int video_open_crop(struct video_reader **out, const char *path, int height, int width, const struct video_crop *crop) {
    *out = NULL;
    if (height < 1 || width < 1 || height > SIDE_MAX || width > SIDE_MAX)
        return error_set(ERR_USAGE, "pictures of %d x %d pixels", height, width);
    if (crop->size < 0 || crop->size > 1 || crop->x < 0 || crop->x > 1 || crop->y < 0 || crop->y > 1)
        return error_set(ERR_USAGE, "crop %g, %g, %g: fractions of the picture are 0 to 1", crop->x, crop->y,
                         crop->size);
    struct video_reader *r = calloc(1, sizeof *r);
    if (!r) return error_set(ERR_DEVICE, "%s: out of memory", path);
    r->converter = (struct picture_converter){.path = r->source.path, .height = height, .width = width};
    r->crop = *crop;
    int code = media_open(&r->source, path, AVMEDIA_TYPE_VIDEO, 0);
    if (!code && has_dolby_profile_5(r->source.stream))
        code = error_set(ERR_INPUT, "%s: is HDR (Dolby Vision profile 5), which cannot be converted", path);
    if (!code) {
        r->shown = av_frame_alloc();
        r->next = av_frame_alloc();
        r->pixels = malloc(3 * sizeof(float) * (size_t)height * (size_t)width);
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

void video_tone_map(struct video_reader *r) { r->converter.tone_mapped = 1; }
void video_filter(struct video_reader *r, struct picture_filter *filter) { r->filter = filter; }
void video_vary(struct video_reader *r, const struct picture_view *view) { r->converter.view = *view; }
void video_follow(struct video_reader *r, const struct video_face *faces, long count) {
    r->faces = faces;
    r->face_count = count;
}
int video_missing(const struct video_reader *r) { return r->missing; }
int video_traits(const struct video_reader *r) { return r->traits; }

/* ---- frames ---- */

/* Returns the orientation: the track's; else the frame's own, which cameras write into the stream; else EXIF's in a
   picture file. */
static struct orientation orientation_of(const struct video_reader *r, const AVFrame *frame) {
    size_t size = 0;
    const uint8_t *track = av_stream_get_side_data(r->source.stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    const AVFrameSideData *own = av_frame_get_side_data(frame, AV_FRAME_DATA_DISPLAYMATRIX);
    int32_t matrix[9];
    if (track && size >= sizeof matrix) {
        memcpy(matrix, track, sizeof matrix);
        return orientation_of_matrix(matrix);
    }
    if (r->source.picture_number > 1 || !own || own->size < sizeof matrix)
        return orientation_of_exif(r->source.picture_number);
    memcpy(matrix, own->data, sizeof matrix);
    return orientation_of_matrix(matrix);
}

/* Returns width over height of a stored pixel, as the container states it, else as the stream does. */
static double pixel_aspect(const struct video_reader *r, AVFrame *frame) {
    AVRational aspect = av_guess_sample_aspect_ratio(r->source.format, r->source.stream, frame);
    double value = aspect.num > 0 && aspect.den > 0 ? av_q2d(aspect) : 1;
    return value < 0.1 || value > 10 ? 1 : value;
}

static int convert(struct video_reader *r, float *pixels) {
    static const struct video_face nobody = {0, 0, 0};
    AVFrame *frame = r->shown;
    const struct video_face *face = r->faces && r->count < r->face_count ? &r->faces[r->count] : &nobody;
    r->converter.orientation = orientation_of(r, frame);
    if (r->faces && face->height > 0)
        return picture_convert_face(&r->converter, frame, pixel_aspect(r, frame), face, pixels);
    return picture_convert(&r->converter, frame, pixel_aspect(r, frame), &r->crop, pixels);
}

/* Gets the next frame from the decoder, or from the filter once there was an interlaced one. Returns 1; 0 at the end;
   negative: -(error code). */
static int next_picture(struct video_reader *r, AVFrame *frame) {
    for (;;) {
        int result = r->filtering ? r->filter->pull(r->filter, frame) : 0;
        if (result || r->drained) return result < 0 ? -error_context(-result, "%s", r->source.path) : result;
        result = media_next(&r->source, frame);
        if (result < 0 || (!result && !r->filtering)) return result;
        if (result && frame->interlaced_frame) r->traits |= VIDEO_INTERLACED;
        if (result && r->filter && frame->interlaced_frame) r->filtering = 1;
        if (!r->filtering) return 1;
        r->drained = !result;
        int code = r->filter->push(r->filter, result ? frame : NULL, r->source.stream->time_base);
        if (code) return -error_context(code, "%s", r->source.path);
    }
}

/* Fills r->next, unless the file is at its end. */
static int advance(struct video_reader *r) {
    if (r->has_next || r->ended) return OK;
    int64_t before = r->source.end;
    int result = next_picture(r, r->next);
    if (result < 0) return -result;
    r->has_next = result;
    r->ended = !result;
    if (result && hdr_kind(r->next)) r->traits |= VIDEO_HDR;
    if (result && r->has_shown &&
        av_compare_ts(r->next->pts - before, r->source.stream->time_base, GAP_MAX, (AVRational){1, 1}) > 0)
        return error_set(ERR_INPUT, "%s: its clock jumps by more than %d seconds", r->source.path, GAP_MAX);
    if (r->ended) r->shown_end = r->source.end;
    return OK;
}

/* Whether the file has no picture for this moment (in seconds), so that the one shown only stands in. */
static int is_missing(const struct video_reader *r, double moment) {
    double begin = (double)r->shown->pts * av_q2d(r->source.stream->time_base);
    AVRational rate = r->source.stream->avg_frame_rate;
    double own = rate.num > 0 && rate.den > 0 ? fmin(1 / av_q2d(rate), SLOWEST) : FRAME_SECONDS;
    if (begin - moment > LATE || moment - begin > fmax(HOLD, 1.5 * own)) return 1;
    if (r->shown->flags & AV_FRAME_FLAG_CORRUPT || r->shown->decode_error_flags) return 1;
    return r->faces && (r->count >= r->face_count || !(r->faces[r->count].height > 0));
}

/* Returns the shift of our frames' moments: where the first picture of a source of our own rate lies between two of
   them. */
static double find_phase(const struct video_reader *r, const AVFrame *first) {
    double frames = (double)first->pts * av_q2d(r->source.stream->time_base) / FRAME_SECONDS;
    AVRational rate = r->source.stream->avg_frame_rate;
    int ours = rate.den > 0 && fabs(av_q2d(rate) * FRAME_SECONDS - 1) < 1e-3;
    return ours ? (frames - floor(frames + 0.5)) * FRAME_SECONDS : 0;
}

int video_read(struct video_reader *r, float *frame) {
    const double unit = av_q2d(r->source.stream->time_base), tick = 1e-6;
    int code = advance(r);
    if (!code && r->has_next && !r->has_shown) r->phase = find_phase(r, r->next);
    double moment = ((double)r->count + 0.5) * FRAME_SECONDS + r->phase;
    /* the first picture is shown from the start, whatever its time */
    while (!code && r->has_next && (!r->has_shown || (double)r->next->pts * unit <= moment + tick)) {
        AVFrame *swap = r->shown;
        r->shown = r->next;
        r->next = swap;
        r->has_shown = 1;
        r->has_next = r->converted = 0;
        av_frame_unref(r->next);
        code = advance(r);
    }
    if (code) return -code;
    if (!r->has_shown || (r->ended && !r->has_next && (double)r->shown_end * unit <= moment + tick && r->count))
        return 0;
    r->missing = is_missing(r, moment);
    if (!r->converted || r->faces) {
        code = convert(r, r->pixels);
        if (code) return -code;
        r->converted = 1;
    }
    memcpy(frame, r->pixels, 3 * sizeof(float) * (size_t)r->converter.height * (size_t)r->converter.width);
    r->count++;
    return 1;
}

void video_close(struct video_reader *r) {
    if (!r) return;
    media_close(&r->source);
    if (r->filter) r->filter->close(r->filter);
    av_frame_free(&r->shown);
    av_frame_free(&r->next);
    picture_converter_close(&r->converter);
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
