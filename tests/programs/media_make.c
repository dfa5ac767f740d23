/* media_make.c: not a test but the camera of tests/e2e/media.sh: files with all that makes the world's files differ, by
   libav. Pictures of 64 x 64 with four quadrants, red green / blue white; every second four frames' flash and a beep.
   usage: media_make OUT [key=value ...]; the ending says the container.
     frames=100 pattern=quadrants|disc|patches|bar|shots|face|still codec= sound= rate=48000 channels=1 (0: none)
     orientation=1..8 (EXIF's: in a picture file, or the track's matrix)
     profile=tEXt|zTXt|iTXt (a PNG's orientation in such a text)   aspect=NUM/DEN   transfer=pq|hlg   interlaced=1
     gop=12 (frames from one key frame to the next) alpha=1 (pictures: all of it hidden)   cover=1 (a cover picture
     before the video)   drop=FROM-TO (frames left out) late=SECONDS (of the video)   clock=PPM (the sound's samples
     come too fast, its time stamps are right) order=PPM (PCM in mov: the sound is right, its place among the pictures
     drifts)   piece=960 (samples of PCM written at once)   ends=SECONDS (of the sound)
     opposite=1 (right = -left) */
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "data/media/orientation.h"

enum { FPS = 25, SIDE = 64, FLASH = 4 };

struct wish {
    const char *out, *ending, *pattern, *codec, *sound, *transfer, *profile;
    int frames, rate, channels, orientation, aspect[2], interlaced, alpha, cover, drop[2], opposite, gop;
    double late, clock, order, ends;
    int piece;
};

static void must(int good, const char *what) {
    if (good) return;
    fprintf(stderr, "media_make: cannot %s\n", what);
    exit(3);
}

static const char *value_of(int argc, char **argv, const char *key, const char *fallback) {
    size_t n = strlen(key);
    for (int i = 2; i < argc; i++)
        if (!strncmp(argv[i], key, n) && argv[i][n] == '=') return argv[i] + n + 1;
    return fallback;
}
static double number(int argc, char **argv, const char *key, double fallback) {
    const char *text = value_of(argc, argv, key, NULL);
    return text ? atof(text) : fallback;
}

/* ---- what is filmed ---- */

static void paint(uint8_t *p, int r, int g, int b) {
    p[0] = (uint8_t)r, p[1] = (uint8_t)g, p[2] = (uint8_t)b, p[3] = 255;
}

static void draw_pixel(const struct wish *w, int f, int x, int y, uint8_t *p) {
    int flash = f >= FPS && f % FPS < FLASH, right = x >= SIDE / 2, low = y >= SIDE / 2;
    static const int colours[4][3] = {{220, 20, 20}, {20, 220, 20}, {20, 20, 220}, {220, 220, 220}};
    const int *c = colours[2 * low + right];
    paint(p, c[0], c[1], c[2]);
    if (!strcmp(w->pattern, "disc")) { /* round once its pixels are made square */
        double wide = (double)w->aspect[0] / w->aspect[1], dx = (x - 31.5) * wide, dy = y - 31.5;
        int grey = dx * dx + dy * dy < 20 * 20 ? 235 : 16;
        paint(p, grey, grey, grey);
    } else if (!strcmp(w->pattern, "bar")) { /* moves two pixels a field */
        int at = 4 * f + (w->interlaced && y % 2 ? 2 : 0), grey = x >= at % SIDE && x < at % SIDE + 8 ? 235 : 16;
        paint(p, grey, grey, grey);
    } else if (!strcmp(w->pattern,
                       "shots")) { /* another scene from frame 40 on; the quadrants' flash at 25 is no cut */
        if (f >= 40) paint(p, 40 + 2 * y, 200 - 2 * x, 120);
        if (flash && f < 40) paint(p, 255, 255, 255);
    } else if (
        !strcmp(w->pattern,
                "face")) { /* a white square of 16 pixels that wanders over noise-free grey, its middle at 16 + f / 4 */
        double dx = x + 0.5 - (16 + f * 0.25), dy = y + 0.5 - 32;
        int grey = fabs(dx) <= 8 && fabs(dy) <= 8 ? 235 : 60;
        paint(p, grey, grey, grey);
    } else if (flash && strcmp(w->pattern, "still")) {
        paint(p, 255, 255, 255);
    }
    if (w->alpha) p[3] = 0;
}

/* Seven grey patches as light of 0 .. 1000 cd/m2, coded; the sixth is diffuse white. */
static int coded_patch(const struct wish *w, int x) {
    static const double light[] = {0, 5, 26, 60, 100, 203, 1000};
    double l = light[x * 7 / SIDE], code;
    if (!strcmp(w->transfer, "pq")) {
        double y = pow(l / 10000, 2610. / 16384);
        code = pow((3424. / 4096 + 2413. / 128 * y) / (1 + 2392. / 128 * y), 2523. / 32);
    } else {
        double e = pow(l / 1000, 1 / 1.2), a = 0.17883277, b = 1 - 4 * a, c = 0.5 - a * log(4 * a);
        code = e <= 1. / 12 ? sqrt(3 * e) : a * log(12 * e - b) + c;
    }
    return (int)lrint(64 + 876 * code);
}

static void fill_patches(const struct wish *w, AVFrame *frame) { /* yuv420p10 */
    for (int i = 0; i < 3; i++)
        for (int y = 0; y < (i ? SIDE / 2 : SIDE); y++)
            for (int x = 0; x < (i ? SIDE / 2 : SIDE); x++)
                ((uint16_t *)(void *)(frame->data[i] + y * frame->linesize[i]))[x] =
                    (uint16_t)(i ? 512 : coded_patch(w, x));
}

static void fill_frame(const struct wish *w, int f, AVFrame *frame) {
    static uint8_t rgba[SIDE * SIDE * 4];
    static struct SwsContext *scaler;
    if (w->transfer) {
        fill_patches(w, frame);
        return;
    }
    for (int i = 0; i < SIDE * SIDE; i++) draw_pixel(w, f, i % SIDE, i / SIDE, rgba + 4 * i);
    if (!scaler) {
        scaler = sws_getContext(SIDE, SIDE, AV_PIX_FMT_RGBA, SIDE, SIDE, (enum AVPixelFormat)frame->format,
                                SWS_POINT | SWS_ACCURATE_RND, NULL, NULL, NULL);
        const int *table = sws_getCoefficients(SWS_CS_ITU601);
        int full = frame->format == AV_PIX_FMT_YUVJ420P || frame->format == AV_PIX_FMT_RGBA;
        if (scaler) sws_setColorspaceDetails(scaler, table, 1, table, full, 0, 1 << 16, 1 << 16);
    }
    must(scaler != NULL, "convert");
    sws_scale(scaler, (const uint8_t *const[]){rgba}, (const int[]){4 * SIDE}, 0, SIDE, frame->data, frame->linesize);
}

/* ---- encoding ---- */

struct track {
    AVCodecContext *encoder;
    AVStream *stream;
    AVFrame *frame;
};

static AVFormatContext *file;

static void write_packets(struct track *t, AVFrame *frame, const struct wish *w) {
    AVPacket *packet = av_packet_alloc();
    must(avcodec_send_frame(t->encoder, frame) >= 0, "encode");
    while (avcodec_receive_packet(t->encoder, packet) >= 0) {
        int video = t->encoder->codec_type == AVMEDIA_TYPE_VIDEO;
        int64_t f = packet->pts;
        if (video && !packet->duration) packet->duration = 1;
        if (video) packet->pts += lrint(w->late * FPS), packet->dts += lrint(w->late * FPS);
        av_packet_rescale_ts(packet, t->encoder->time_base, t->stream->time_base);
        packet->stream_index = t->stream->index;
        if (video && f >= w->drop[0] && f < w->drop[1])
            av_packet_unref(packet);
        else
            must(av_interleaved_write_frame(file, packet) >= 0, "write");
    }
    av_packet_free(&packet);
}

static const AVCodec *video_codec(const struct wish *w) {
    static const struct {
        const char *ending, *codec;
    } usual[] = {{"jpg", "mjpeg"},   {"png", "png"},    {"webp", "libwebp"},   {"mp4", "libx264"},
                 {"mov", "libx264"}, {"ts", "libx264"}, {"mpg", "mpeg2video"}, {"webm", "libvpx"},
                 {"mkv", "ffv1"},    {"nut", "ffv1"},   {"avi", "mpeg4"}};
    const char *name = w->codec;
    for (size_t i = 0; !name && i < sizeof usual / sizeof *usual; i++)
        if (!strcmp(usual[i].ending, w->ending)) name = usual[i].codec;
    const AVCodec *codec = name ? avcodec_find_encoder_by_name(name) : NULL;
    must(codec != NULL, "find the encoder");
    return codec;
}

static enum AVPixelFormat pixel_format(const struct wish *w, const AVCodec *codec) {
    if (w->transfer) return AV_PIX_FMT_YUV420P10LE;
    if (!strcmp(codec->name, "mjpeg")) return AV_PIX_FMT_YUVJ420P;
    if (!strcmp(codec->name, "png")) return AV_PIX_FMT_RGBA;
    if (!strcmp(codec->name, "libwebp") && w->alpha) return AV_PIX_FMT_YUVA420P;
    return AV_PIX_FMT_YUV420P;
}

static void open_video(struct track *t, const struct wish *w, const AVCodec *codec) {
    AVCodecContext *e = t->encoder = avcodec_alloc_context3(codec);
    e->width = e->height = SIDE;
    e->pix_fmt = pixel_format(w, codec);
    e->time_base = (AVRational){1, FPS};
    e->framerate = (AVRational){FPS, 1};
    e->gop_size = w->gop;
    e->max_b_frames = 0;
    e->thread_count = 1;
    e->flags |= AV_CODEC_FLAG_QSCALE;
    e->global_quality = 2 * FF_QP2LAMBDA;
    if (w->interlaced) e->flags |= AV_CODEC_FLAG_INTERLACED_DCT | AV_CODEC_FLAG_INTERLACED_ME;
    if (w->aspect[1] && !strcmp(w->pattern, "disc") && !w->cover) e->sample_aspect_ratio = (AVRational){0, 1};
    if (w->transfer) {
        e->color_trc = !strcmp(w->transfer, "pq") ? AVCOL_TRC_SMPTE2084 : AVCOL_TRC_ARIB_STD_B67;
        e->color_primaries = AVCOL_PRI_BT2020;
        e->colorspace = AVCOL_SPC_BT2020_NCL;
    }
    if (file && file->oformat->flags & AVFMT_GLOBALHEADER) e->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    must(avcodec_open2(e, codec, NULL) >= 0, "open the encoder of video");
    t->frame = av_frame_alloc();
    t->frame->format = e->pix_fmt;
    t->frame->width = t->frame->height = SIDE;
    must(av_frame_get_buffer(t->frame, 0) >= 0, "have memory");
    t->frame->interlaced_frame = w->interlaced;
    t->frame->top_field_first = w->interlaced;
}

/* The matrix that turns as EXIF's orientation says. */
static void say_orientation(AVStream *stream, int orientation) {
    struct orientation o = orientation_of_exif(orientation);
    int one = 1 << 16, x = o.flip_x ? -one : one, y = o.flip_y ? -one : one;
    int32_t m[9] = {
        o.transposed ? 0 : x, o.transposed ? y : 0, 0, o.transposed ? x : 0, o.transposed ? 0 : y, 0, 0, 0, 1 << 30};
    uint8_t *data = av_stream_new_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, sizeof m);
    must(data != NULL, "have memory");
    memcpy(data, m, sizeof m);
}

static void add_video(struct track *t, const struct wish *w) {
    open_video(t, w, video_codec(w));
    t->stream = avformat_new_stream(file, NULL);
    avcodec_parameters_from_context(t->stream->codecpar, t->encoder);
    t->stream->time_base = t->encoder->time_base;
    t->stream->avg_frame_rate = t->encoder->framerate;
    if (w->orientation > 1) say_orientation(t->stream, w->orientation);
    if (w->aspect[0] != w->aspect[1])
        t->stream->sample_aspect_ratio = t->stream->codecpar->sample_aspect_ratio =
            (AVRational){w->aspect[0], w->aspect[1]};
}

static void add_sound(struct track *t, const struct wish *w) {
    int bare = !strcmp(w->ending, "mkv") || !strcmp(w->ending, "nut") || !strcmp(w->ending, "mov") ||
               !strcmp(w->ending, "avi");
    const char *name = w->sound                     ? w->sound
                       : bare                       ? "pcm_s16le"
                       : !strcmp(w->ending, "webm") ? "libopus"
                       : !strcmp(w->ending, "mpg")  ? "mp2"
                                                    : "aac";
    const AVCodec *codec = avcodec_find_encoder_by_name(name);
    must(codec != NULL, "find the encoder of sound");
    AVCodecContext *e = t->encoder = avcodec_alloc_context3(codec);
    e->sample_rate = w->rate;
    e->sample_fmt = codec->sample_fmts[0];
    e->bit_rate = 64000 * w->channels;
    e->time_base = (AVRational){1, w->rate};
    av_channel_layout_default(&e->ch_layout, w->channels);
    if (file->oformat->flags & AVFMT_GLOBALHEADER) e->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    must(avcodec_open2(e, codec, NULL) >= 0, "open the encoder of sound");
    t->stream = avformat_new_stream(file, NULL);
    avcodec_parameters_from_context(t->stream->codecpar, e);
    t->stream->time_base = e->time_base;
    t->frame = av_frame_alloc();
    t->frame->format = e->sample_fmt;
    t->frame->nb_samples = e->frame_size ? e->frame_size : w->piece ? w->piece : w->rate / 50;
    t->frame->sample_rate = w->rate;
    av_channel_layout_copy(&t->frame->ch_layout, &e->ch_layout);
    must(av_frame_get_buffer(t->frame, 0) >= 0, "have memory");
}

/* The world at a time: a beep with every flash. */
static double sound_at(double t) {
    double second = t - floor(t);
    return t >= 1 && second < (double)FLASH / FPS ? 0.5 * sin(2 * M_PI * 1000 * second) : 0;
}

static void put_sample(AVFrame *f, int channel, int channels, int at, double v) {
    switch (f->format) {
    case AV_SAMPLE_FMT_FLTP:
        ((float *)(void *)f->data[channel])[at] = (float)v;
        return;
    case AV_SAMPLE_FMT_FLT:
        ((float *)(void *)f->data[0])[at * channels + channel] = (float)v;
        return;
    case AV_SAMPLE_FMT_S16:
        ((int16_t *)(void *)f->data[0])[at * channels + channel] = (int16_t)lrint(32767 * v);
        return;
    case AV_SAMPLE_FMT_S16P:
        ((int16_t *)(void *)f->data[channel])[at] = (int16_t)lrint(32767 * v);
        return;
    default:
        must(0, "make such samples");
    }
}

static void write_sound(struct track *t, const struct wish *w, int64_t *done, double until) {
    double real = w->rate * (1 + w->clock * 1e-6); /* samples a second of the world */
    if (until > w->ends) until = w->ends;
    while ((double)*done / real < until) {
        must(av_frame_make_writable(t->frame) >= 0, "have memory");
        for (int i = 0; i < t->frame->nb_samples; i++)
            for (int c = 0; c < w->channels; c++)
                put_sample(t->frame, c, w->channels, i,
                           sound_at((double)(*done + i) / real) * (w->opposite && c % 2 ? -1 : 1));
        t->frame->pts = lrint((double)*done / real * w->rate * (1 + w->order * 1e-6));
        *done += t->frame->nb_samples;
        write_packets(t, t->frame, w);
    }
}

/* ---- files ---- */

static void add_cover(struct track *cover) {
    struct wish w = {.ending = "png", .pattern = "still", .gop = 1, .aspect = {1, 1}};
    AVFormatContext *whole = file;
    file = NULL;
    open_video(cover, &w, avcodec_find_encoder_by_name("png"));
    file = whole;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            paint(cover->frame->data[0] + y * cover->frame->linesize[0] + 4 * x, 255, 0, 255);
    cover->stream = avformat_new_stream(file, NULL);
    avcodec_parameters_from_context(cover->stream->codecpar, cover->encoder);
    cover->stream->disposition = AV_DISPOSITION_ATTACHED_PIC;
    cover->stream->time_base = (AVRational){1, 90000};
}

static void write_video(const struct wish *w) {
    struct track video = {0}, sound = {0}, cover = {0};
    int64_t samples = 0;
    must(avformat_alloc_output_context2(&file, NULL, NULL, w->out) >= 0, "write this container");
    if (w->cover) add_cover(&cover);
    add_video(&video, w);
    if (w->channels) add_sound(&sound, w);
    char url[1100];
    snprintf(url, sizeof url, "file:%s", w->out);
    must(avio_open(&file->pb, url, AVIO_FLAG_WRITE) >= 0, "create the file");
    must(avformat_write_header(file, NULL) >= 0, "write the head");
    if (w->cover) {
        cover.frame->pts = 0;
        write_packets(&cover, cover.frame, w);
    }
    if (w->channels) write_sound(&sound, w, &samples, w->late);
    for (int f = 0; f < w->frames; f++) {
        must(av_frame_make_writable(video.frame) >= 0, "have memory");
        fill_frame(w, f, video.frame);
        video.frame->pts = f;
        write_packets(&video, video.frame, w);
        if (w->channels) write_sound(&sound, w, &samples, w->late + (double)(f + 1) / FPS);
    }
    write_packets(&video, NULL, w);
    if (w->channels) write_packets(&sound, NULL, w);
    must(av_write_trailer(file) >= 0, "write the end");
    avio_closep(&file->pb);
}

static void put(FILE *out, unsigned long value, int bytes, int big) {
    for (int i = 0; i < bytes; i++) fputc((int)(value >> 8 * (big ? bytes - 1 - i : i)) & 255, out);
}

/* An EXIF block that states the orientation alone, big-endian for odd numbers. */
static size_t exif(unsigned char block[26], int orientation) {
    int big = orientation % 2;
    static const unsigned char one[] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0,
                                        3,   0,   0, 0,  1, 0, 0, 0, 0, 0, 0, 0,    0};
    static const unsigned char two[] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3,
                                        0,   1,   0,  0, 0, 0, 0, 0, 0, 0, 0,    0, 0};
    memcpy(block, big ? one : two, 26);
    block[big ? 19 : 18] = (unsigned char)orientation;
    return 26;
}

static unsigned long sum_of(const unsigned char *bytes, size_t n) { /* PNG's CRC-32 */
    unsigned long crc = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return crc ^ 0xffffffff;
}

/* EXIF as a PNG's text of that chunk's form, into [1024]; its length. */
static size_t profile(unsigned char *chunk, const char *form, const unsigned char *block, size_t n) {
    char text[512];
    size_t used = (size_t)snprintf(text, sizeof text, "\nexif\n%8zu\n", n + 6);
    used += (size_t)snprintf(text + used, sizeof text - used, "457869660000");
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, i % 30 == 20 ? "\n%02X" : "%02x", block[i]);
    static const char name[] = "Raw profile type exif";
    size_t at = 4 + sizeof name;
    memcpy(chunk, form, 4);
    memcpy(chunk + 4, name, sizeof name);
    int packed = strcmp(form, "tEXt") != 0;
    if (!strcmp(form, "zTXt")) chunk[at++] = 0;
    if (!strcmp(form, "iTXt")) {
        memcpy(chunk + at, "\1\0en\0\0", 6);
        at += 6;
    }
    uLongf room = 512;
    if (packed)
        must(compress(chunk + at, &room, (const unsigned char *)text, used) == Z_OK, "pack");
    else
        memcpy(chunk + at, text, room = used);
    return at + room;
}

static void write_picture(const struct wish *w) {
    struct track t = {0};
    open_video(&t, w, video_codec(w));
    fill_frame(w, 0, t.frame);
    t.frame->pts = 0;
    AVPacket *p = av_packet_alloc();
    must(avcodec_send_frame(t.encoder, t.frame) >= 0 && avcodec_send_frame(t.encoder, NULL) >= 0 &&
             avcodec_receive_packet(t.encoder, p) >= 0,
         "encode");
    unsigned char block[26], chunk[1024] = "eXIf";
    size_t n = exif(block, w->orientation), length = 4 + n;
    memcpy(chunk + 4, block, n);
    if (w->profile) length = profile(chunk, w->profile, block, n);
    FILE *out = fopen(w->out, "wb");
    must(out != NULL, "create the file");
    size_t head = 0;
    if (w->orientation > 1 && !strcmp(w->ending, "jpg")) {
        head = 2;
        fwrite(p->data, 1, head, out);
        put(out, 0xffe1, 2, 1), put(out, 8 + n, 2, 1);
        fwrite("Exif\0\0", 1, 6, out), fwrite(block, 1, n, out);
    } else if (w->orientation > 1 && !strcmp(w->ending, "png")) {
        head = 8 + 25;
        fwrite(p->data, 1, head, out);
        put(out, length - 4, 4, 1), fwrite(chunk, 1, length, out), put(out, sum_of(chunk, length), 4, 1);
    } else if (w->orientation > 1) { /* WebP: the extended form */
        unsigned long picture = (unsigned long)p->size - 12;
        fwrite("RIFF", 1, 4, out), put(out, 4 + 18 + picture + 8 + n, 4, 0), fwrite("WEBPVP8X", 1, 8, out);
        put(out, 10, 4, 0), put(out, 8, 4, 0), put(out, SIDE - 1, 3, 0), put(out, SIDE - 1, 3, 0);
        fwrite(p->data + 12, 1, picture, out);
        fwrite("EXIF", 1, 4, out), put(out, n, 4, 0), fwrite(block, 1, n, out);
        head = (size_t)p->size;
    }
    fwrite(p->data + head, 1, (size_t)p->size - head, out);
    must(!fclose(out), "write");
}

int main(int argc, char **argv) {
    must(argc > 1, "know what to make");
    const char *dot = strrchr(argv[1], '.'), *aspect = value_of(argc, argv, "aspect", "1/1"),
               *drop = value_of(argc, argv, "drop", "0-0");
    struct wish w = {.out = argv[1],
                     .ending = dot ? dot + 1 : "",
                     .pattern = value_of(argc, argv, "pattern", "quadrants"),
                     .codec = value_of(argc, argv, "codec", NULL),
                     .sound = value_of(argc, argv, "sound", NULL),
                     .transfer = value_of(argc, argv, "transfer", NULL),
                     .frames = (int)number(argc, argv, "frames", 100),
                     .rate = (int)number(argc, argv, "rate", 48000),
                     .channels = (int)number(argc, argv, "channels", 1),
                     .orientation = (int)number(argc, argv, "orientation", 1),
                     .interlaced = (int)number(argc, argv, "interlaced", 0),
                     .alpha = (int)number(argc, argv, "alpha", 0),
                     .cover = (int)number(argc, argv, "cover", 0),
                     .opposite = (int)number(argc, argv, "opposite", 0),
                     .gop = (int)number(argc, argv, "gop", 12),
                     .late = number(argc, argv, "late", 0),
                     .profile = value_of(argc, argv, "profile", NULL),
                     .clock = number(argc, argv, "clock", 0),
                     .order = number(argc, argv, "order", 0),
                     .ends = number(argc, argv, "ends", 1e9),
                     .piece = (int)number(argc, argv, "piece", 0)};
    sscanf(aspect, "%d/%d", &w.aspect[0], &w.aspect[1]);
    sscanf(drop, "%d-%d", &w.drop[0], &w.drop[1]);
    av_log_set_level(AV_LOG_QUIET);
    if (!strcmp(w.ending, "jpg") || !strcmp(w.ending, "png") || !strcmp(w.ending, "webp"))
        write_picture(&w);
    else
        write_video(&w);
    return 0;
}
