/* video_encoder.c: see video_encoder.h. */
#include "infer/serve/video_encoder.h"

#include <libavcodec/avcodec.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "data/media.h"
#include "infer/serve/openh264.h"
#include "model/audio/encoder.h"

enum { KEY_EVERY = VIDEO_RATE, BITS_LEAST = 100000, LEVEL_3_1_PIXELS = 1280 * 720 };
/* Bits for each pixel with VP8 and NVENC, whose rate control needs a figure: 2 Mbit/s at 928 x 704. */
static const double bits_a_pixel = 0.12;
/* Quality of x264 and of MJPEG: 47 dB on a talking face. */
static const char x264_quality[] = "20";
enum { MJPEG_QUALITY = 4 };

const char *const encoder_names[ENCODER_NAMES + 1] = {"auto",  "libx264",  "h264_nvenc", "libvpx",
                                                      "mjpeg", "openh264", "raw",        NULL};

struct video_encoder {
    enum encoder_name name;
    int height, width;
    AVCodecContext *context; /* NULL: raw, openh264 */
    AVFrame *frame;
    AVPacket *packet;
    struct SwsContext *scaler;
    struct openh264 *openh264;
    unsigned char *noted; /* coded picture with the note that it was made */
    size_t room;
    int since_key; /* pictures since the last key frame */
    int64_t count;
};

static enum video_codec codec_of(enum encoder_name name) {
    if (name == ENCODER_VPX) return CODEC_VP8;
    if (name == ENCODER_MJPEG) return CODEC_MJPEG;
    return name == ENCODER_RAW ? CODEC_RAW : CODEC_H264;
}

enum encoder_name video_encoder_name(const struct video_encoder *e) { return e->name; }

enum video_codec video_encoder_codec(const struct video_encoder *e) { return codec_of(e->name); }

const char *video_encoder_decoder(const struct video_encoder *e) {
    int large = e->height * e->width > LEVEL_3_1_PIXELS;
    switch (codec_of(e->name)) {
    case CODEC_H264:
        return large ? "avc1.42E033" : "avc1.42E01F"; /* constrained baseline, level 5.1 or 3.1 */
    case CODEC_VP8:
        return "vp8";
    default:
        return "";
    }
}

/* ---- libavcodec ---- */

static void set_options(AVCodecContext *c, enum encoder_name name) {
    void *o = c->priv_data;
    if (name == ENCODER_X264) {
        av_opt_set(o, "preset", "ultrafast", 0);
        av_opt_set(o, "tune", "zerolatency", 0);
        av_opt_set(o, "profile", "baseline", 0);
        av_opt_set(o, "crf", x264_quality, 0);
        av_opt_set_int(o, "forced-idr", 1, 0);
    } else if (name == ENCODER_NVENC) {
        av_opt_set(o, "preset", "p4", 0);
        av_opt_set(o, "tune", "ull", 0);
        av_opt_set(o, "rc", "cbr", 0); /* no look-ahead and no second pass, because both hold pictures back */
        av_opt_set(o, "profile", "baseline", 0);
        av_opt_set_int(o, "zerolatency", 1, 0);
        av_opt_set_int(o, "delay", 0, 0);
        av_opt_set_int(o, "forced-idr", 1, 0);
    } else if (name == ENCODER_VPX) {
        av_opt_set(o, "deadline", "realtime", 0);
        av_opt_set_int(o, "cpu-used", 8, 0);
        av_opt_set_int(o, "lag-in-frames", 0, 0);
        av_opt_set_int(o, "auto-alt-ref", 0, 0);
    } else {
        c->flags |= AV_CODEC_FLAG_QSCALE;
        c->global_quality = MJPEG_QUALITY * FF_QP2LAMBDA;
    }
}

static void set_up(struct video_encoder *e) {
    AVCodecContext *c = e->context;
    double bits = bits_a_pixel * e->height * e->width * VIDEO_RATE;
    int full = e->name == ENCODER_MJPEG;
    c->width = e->width;
    c->height = e->height;
    c->pix_fmt = full ? AV_PIX_FMT_YUVJ420P : AV_PIX_FMT_YUV420P;
    c->time_base = (AVRational){1, VIDEO_RATE};
    c->framerate = (AVRational){VIDEO_RATE, 1};
    c->gop_size = KEY_EVERY;
    c->max_b_frames = 0;
    c->thread_count = 1;
    if (e->name == ENCODER_VPX || e->name == ENCODER_NVENC)
        c->bit_rate = bits > BITS_LEAST ? (int64_t)bits : BITS_LEAST;
    c->colorspace = AVCOL_SPC_SMPTE170M;
    c->color_primaries = AVCOL_PRI_SMPTE170M;
    c->color_trc = AVCOL_TRC_SMPTE170M;
    c->color_range = full ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    set_options(c, e->name);
}

static int open_picture(struct video_encoder *e) {
    AVFrame *f = e->frame;
    f->format = e->context->pix_fmt;
    f->width = e->width;
    f->height = e->height;
    if (av_frame_get_buffer(f, 0) < 0) return error_set(ERR_DEVICE, "out of memory for a picture");
    e->scaler = sws_getContext(e->width, e->height, AV_PIX_FMT_RGB24, e->width, e->height, e->context->pix_fmt,
                               SWS_BICUBIC | SWS_ACCURATE_RND, NULL, NULL, NULL);
    if (!e->scaler) return error_set(ERR_DEVICE, "pictures of %d x %d cannot be converted", e->height, e->width);
    const int *matrix = sws_getCoefficients(SWS_CS_ITU601);
    sws_setColorspaceDetails(e->scaler, matrix, 1, matrix, e->name == ENCODER_MJPEG, 0, 1 << 16, 1 << 16);
    return OK;
}

static int open_libav(struct video_encoder *e) {
    av_log_set_level(AV_LOG_QUIET); /* our own error texts say what is wrong */
    const AVCodec *codec = avcodec_find_encoder_by_name(encoder_names[e->name]);
    if (!codec)
        return error_set(ERR_USAGE, "encoder=%s: this machine's libavcodec does not have it", encoder_names[e->name]);
    e->context = avcodec_alloc_context3(codec);
    e->frame = av_frame_alloc();
    e->packet = av_packet_alloc();
    if (!e->context || !e->frame || !e->packet) return error_set(ERR_DEVICE, "out of memory for an encoder");
    set_up(e);
    int refused = avcodec_open2(e->context, codec, NULL);
    if (refused < 0) {
        char why[AV_ERROR_MAX_STRING_SIZE] = "";
        av_strerror(refused, why, sizeof why);
        return error_set(ERR_USAGE, "encoder=%s: does not start here for pictures of %d x %d: %s",
                         encoder_names[e->name], e->height, e->width, why);
    }
    return open_picture(e);
}

static int push_libav(struct video_encoder *e, const unsigned char *rgb, int *key, const unsigned char **bytes,
                      size_t *length) {
    const int stride = 3 * e->width;
    av_packet_unref(e->packet);
    if (av_frame_make_writable(e->frame) < 0) return error_set(ERR_DEVICE, "out of memory for a picture");
    sws_scale(e->scaler, &rgb, &stride, 0, e->height, e->frame->data, e->frame->linesize);
    e->frame->pts = e->count++;
    e->frame->pict_type = *key ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
    e->frame->quality = e->context->global_quality;
    if (avcodec_send_frame(e->context, e->frame) < 0 || avcodec_receive_packet(e->context, e->packet) < 0)
        return error_set(ERR_DEVICE, "encoder %s failed", encoder_names[e->name]);
    *key = !!(e->packet->flags & AV_PKT_FLAG_KEY);
    *bytes = e->packet->data;
    *length = (size_t)e->packet->size;
    return OK;
}

/* Tries the encoder: some drivers hold pictures back, and an encoder that gives none for the first picture is of no use
   here. The picture after the trial is a key frame again. */
static int try_libav(struct video_encoder *e) {
    unsigned char *black = calloc((size_t)e->height * (size_t)e->width, 3);
    const unsigned char *bytes;
    size_t length;
    int key = 1, code = black ? push_libav(e, black, &key, &bytes, &length) : ERR_DEVICE;
    free(black);
    e->since_key = KEY_EVERY;
    return code ? error_set(ERR_USAGE, "encoder=%s: gives no picture for the first", encoder_names[e->name]) : OK;
}

/* ---- the note that a picture was made ---- */

/* Writes the head of the note: in H.264 a message of user data (SEI type 5) under a UUID of ours; in JPEG a comment. */
static size_t note(enum video_codec codec, unsigned char *to) {
    static const char text[] = MADE_NOTE;
    static const unsigned char message[] = {0,    0,    0,    1,    6,    5,    16 + sizeof text - 1,
                                            0x9b, 0x1d, 0x0e, 0x5a, 0x41, 0x77, 0x4c,
                                            0x0b, 0x8f, 0x2e, 0x6d, 0x35, 0xa2, 0xc8,
                                            0x70, 0x14};
    static const unsigned char comment[] = {0xff, 0xfe, 0, 2 + sizeof text - 1};
    size_t head = codec == CODEC_H264 ? sizeof message : sizeof comment, length = sizeof text - 1;
    memcpy(to, codec == CODEC_H264 ? message : comment, head);
    memcpy(to + head, text, length);
    if (codec == CODEC_H264) to[head + length++] = 0x80; /* stop bit of the SEI unit */
    return head + length;
}

/* Puts the note into a key frame; VP8 has no place for one. In a JPEG it comes after the first two bytes. */
static int add_note(struct video_encoder *e, const unsigned char **bytes, size_t *length) {
    enum { NOTE_MAX = 128 };
    enum video_codec codec = codec_of(e->name);
    size_t front = codec == CODEC_MJPEG ? 2 : 0;
    if (codec != CODEC_H264 && codec != CODEC_MJPEG) return OK;
    if (e->room < *length + NOTE_MAX) {
        free(e->noted);
        e->room = 2 * *length + NOTE_MAX;
        e->noted = malloc(e->room);
        if (!e->noted) {
            e->room = 0;
            return error_set(ERR_DEVICE, "out of memory for a picture");
        }
    }
    memcpy(e->noted, *bytes, front);
    size_t at = front + note(codec, e->noted + front);
    memcpy(e->noted + at, *bytes + front, *length - front);
    *length += at - front;
    *bytes = e->noted;
    return OK;
}

/* ---- encoders in general ---- */

static int open_named(struct video_encoder **out, enum encoder_name name, int height, int width) {
    struct video_encoder *e = *out = calloc(1, sizeof *e);
    if (!e) return error_set(ERR_DEVICE, "out of memory for an encoder");
    *e = (struct video_encoder){.name = name, .height = height, .width = width};
    int code = name == ENCODER_RAW        ? OK
               : name == ENCODER_OPENH264 ? openh264_open(&e->openh264, height, width)
                                          : open_libav(e);
    if (!code && name == ENCODER_NVENC) code = try_libav(e);
    if (code) {
        video_encoder_close(e);
        *out = NULL;
    }
    return code;
}

int video_encoder_check(enum encoder_name name, int height, int width) {
    struct video_encoder *encoder = NULL;
    if (name == ENCODER_AUTO) return OK;
    int code = open_named(&encoder, name, height, width);
    video_encoder_close(encoder);
    return code;
}

/* Logs when an encoder that is preferred cannot be had, and when it can again (a GPU's may be in use elsewhere), once
   each. */
static void note_outcome(enum encoder_name name, int code) {
    static atomic_int failed[ENCODER_NAMES];
    if (atomic_exchange(&failed[name], !!code) == !!code) return;
    if (code)
        log_line("event=encoder.passed_over encoder=%s message=\"%s\"", encoder_names[name], error_text());
    else
        log_line("event=encoder.back encoder=%s", encoder_names[name]);
}

/* Opens the first encoder of a codec that works here. */
static int open_any(struct video_encoder **out, enum video_codec codec, int height, int width) {
    static const enum encoder_name order[] = {ENCODER_NVENC, ENCODER_X264,  ENCODER_OPENH264,
                                              ENCODER_VPX,   ENCODER_MJPEG, ENCODER_RAW};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (codec_of(order[i]) != codec) continue;
        int code = open_named(out, order[i], height, width);
        note_outcome(order[i], code);
        if (!code) return OK;
    }
    return error_set(ERR_USAGE, "no encoder for %s here", video_codec_names[codec]);
}

int video_encoder_open(struct video_encoder **encoder, enum encoder_name wish, const int *codecs, int count, int height,
                       int width) {
    *encoder = NULL;
    for (int i = 0; i < count; i++) {
        enum video_codec codec = (enum video_codec)codecs[i];
        if (codec == CODEC_RAW && count > 1) continue;
        if (wish == ENCODER_AUTO ? !open_any(encoder, codec, height, width)
                                 : codec_of(wish) == codec && !open_named(encoder, wish, height, width))
            return OK;
    }
    return error_set(ERR_USAGE, "no codec in common: the server's encoder is %s", encoder_names[wish]);
}

void video_encoder_close(struct video_encoder *e) {
    if (!e) return;
    free(e->noted);
    openh264_close(e->openh264);
    sws_freeContext(e->scaler);
    av_packet_free(&e->packet);
    av_frame_free(&e->frame);
    avcodec_free_context(&e->context);
    free(e);
}

static int push_raw(const struct video_encoder *e, const unsigned char *rgb, int *key, const unsigned char **bytes,
                    size_t *length) {
    *key = 1;
    *bytes = rgb;
    *length = 3 * (size_t)e->height * (size_t)e->width;
    return OK;
}

int video_encoder_push(struct video_encoder *e, const unsigned char *rgb, int *key, const unsigned char **bytes,
                       size_t *length) {
    if (e->since_key >= KEY_EVERY || !e->count) *key = 1;
    int code = e->name == ENCODER_RAW        ? push_raw(e, rgb, key, bytes, length)
               : e->name == ENCODER_OPENH264 ? openh264_push(e->openh264, rgb, key, bytes, length)
                                             : push_libav(e, rgb, key, bytes, length);
    e->since_key = *key ? 1 : e->since_key + 1;
    return code || !*key ? code : add_note(e, bytes, length);
}
