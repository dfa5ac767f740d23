/* video_writer.c: writes pictures and sound into video files, of the kind that the name's ending says. See media.h. */
#include "data/media.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fileio.h"
#include "base/media_rates.h"
#include "base/pixels.h"

enum { BITS_A_CHANNEL = 64000, SIDE_MAX = 8192, PLAIN_PIECE = AUDIO_SAMPLES_PER_FRAME };

/* The kinds of file. Matroska cannot state the silence that an AAC encoder begins with, so its sound is FLAC. Bit rates
   are high for the small pictures, so that one sees what the model drew and not the encoder's faults. */
struct option_text {
    const char *name, *value;
};
static const struct kind {
    const char *ending, *format, *video, *sound; /* libav's names; sound NULL: the kind has no sound */
    enum AVPixelFormat pixels;
    struct option_text options[5]; /* options of the video encoder, up to one without a name */
} kinds[] = {
    {"mp4", "mp4", "libx264", "aac", AV_PIX_FMT_YUV420P, {{"preset", "veryfast"}, {"crf", "15"}}},
    {"m4v", "mp4", "libx264", "aac", AV_PIX_FMT_YUV420P, {{"preset", "veryfast"}, {"crf", "15"}}},
    {"mov", "mov", "libx264", "aac", AV_PIX_FMT_YUV420P, {{"preset", "veryfast"}, {"crf", "15"}}},
    {"mkv", "matroska", "libx264", "flac", AV_PIX_FMT_YUV420P, {{"preset", "veryfast"}, {"crf", "15"}}},
    {"webm",
     "webm",
     "libvpx-vp9",
     "libopus",
     AV_PIX_FMT_YUV420P,
     {{"deadline", "realtime"}, {"cpu-used", "6"}, {"crf", "20"}, {"b", "0"}}},
    {"avi", "avi", "mpeg4", "pcm_s16le", AV_PIX_FMT_YUV420P, {{"flags", "+qscale"}, {"global_quality", "236"}}},
    {"gif", "gif", "gif", NULL, AV_PIX_FMT_RGB8, {{NULL, NULL}}},
};

static const struct kind *kind_of(const char *path) {
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    for (size_t i = 0; dot && (!slash || dot > slash) && i < sizeof kinds / sizeof *kinds; i++)
        if (!strcasecmp(dot + 1, kinds[i].ending)) return &kinds[i];
    return NULL;
}

struct output {
    AVCodecContext *encoder;
    AVStream *stream;
    AVFrame *frame;
    int64_t pts;
};
struct video_writer {
    char path[FILE_PATH_MAX], temporary[FILE_PATH_MAX + 8];
    const struct kind *kind;
    AVFormatContext *format;
    AVPacket *packet;
    struct output video, sound; /* sound.encoder NULL: none */
    struct SwsContext *scaler;
    uint8_t *rgb;
    int height, width, channels;
    int silent;       /* 1: sound is pushed, but this kind of file has none */
    int room, filled; /* samples that sound.frame holds when full; that it holds now */
};

static int broken(const struct video_writer *w, const char *what) {
    return error_set(ERR_INPUT, "%s: cannot %s (disk full?)", w->path, what);
}

/* Sends a frame (NULL: the end) to an encoder and writes what comes out to the file. */
static int encode(struct video_writer *w, struct output *out, AVFrame *frame) {
    if (avcodec_send_frame(out->encoder, frame) < 0) return broken(w, "be encoded");
    for (;;) {
        int result = avcodec_receive_packet(out->encoder, w->packet);
        if (result == AVERROR(EAGAIN) || result == AVERROR_EOF) return OK;
        if (result < 0) return broken(w, "be encoded");
        if (out == &w->video) w->packet->duration = 1;
        av_packet_rescale_ts(w->packet, out->encoder->time_base, out->stream->time_base);
        w->packet->stream_index = out->stream->index;
        if (av_interleaved_write_frame(w->format, w->packet) < 0) return broken(w, "be written");
    }
}

/* Adds a stream to the container, with its encoder ready to be set up. */
static int add_stream(struct video_writer *w, struct output *out, const char *name) {
    const AVCodec *codec = avcodec_find_encoder_by_name(name);
    if (!codec) return error_set(ERR_DEVICE, "%s: libav has no encoder %s here", w->path, name);
    out->encoder = avcodec_alloc_context3(codec);
    out->stream = avformat_new_stream(w->format, NULL);
    out->frame = av_frame_alloc();
    if (!out->encoder || !out->stream || !out->frame) return error_set(ERR_DEVICE, "%s: out of memory", w->path);
    if (w->format->oformat->flags & AVFMT_GLOBALHEADER) out->encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    return OK;
}

static int open_encoder(struct video_writer *w, struct output *out, const struct option_text *options) {
    AVDictionary *all = NULL;
    for (; options && options->name; options++) av_dict_set(&all, options->name, options->value, 0);
    int bad = avcodec_open2(out->encoder, NULL, &all) < 0;
    av_dict_free(&all);
    if (bad) return error_set(ERR_DEVICE, "%s: its encoder fails", w->path);
    out->stream->time_base = out->encoder->time_base;
    if (avcodec_parameters_from_context(out->stream->codecpar, out->encoder) < 0)
        return error_set(ERR_DEVICE, "%s: out of memory", w->path);
    return OK;
}

/* Declares the colours of the pictures in the file: BT.601, unless the kind stores RGB. */
static void say_colours(AVCodecContext *e) {
    e->colorspace = AVCOL_SPC_SMPTE170M;
    e->color_primaries = AVCOL_PRI_SMPTE170M;
    e->color_trc = AVCOL_TRC_SMPTE170M;
    e->color_range = AVCOL_RANGE_MPEG;
}

static int make_scaler(struct video_writer *w) {
    int to_rgb = w->kind->pixels == AV_PIX_FMT_RGB8;
    w->rgb = malloc(3 * (size_t)w->height * w->width);
    w->scaler = sws_alloc_context();
    if (!w->rgb || !w->scaler) return error_set(ERR_DEVICE, "%s: out of memory", w->path);
    av_opt_set_int(w->scaler, "srcw", w->width, 0);
    av_opt_set_int(w->scaler, "srch", w->height, 0);
    av_opt_set_int(w->scaler, "src_format", AV_PIX_FMT_RGB24, 0);
    av_opt_set_int(w->scaler, "dstw", w->width, 0);
    av_opt_set_int(w->scaler, "dsth", w->height, 0);
    av_opt_set_int(w->scaler, "dst_format", w->kind->pixels, 0);
    av_opt_set_int(w->scaler, "sws_flags",
                   SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INP | (to_rgb ? SWS_FULL_CHR_H_INT : 0), 0);
    if (to_rgb) av_opt_set(w->scaler, "sws_dither", "ed", 0); /* 256 colours */
    if (sws_init_context(w->scaler, NULL, NULL) < 0)
        return error_set(ERR_DEVICE, "%s: its pictures cannot be converted", w->path);
    if (!to_rgb)
        sws_setColorspaceDetails(w->scaler, sws_getCoefficients(SWS_CS_ITU601), 1, sws_getCoefficients(SWS_CS_ITU601),
                                 0, 0, 1 << 16, 1 << 16);
    return OK;
}

static int add_video(struct video_writer *w) {
    TRY(add_stream(w, &w->video, w->kind->video));
    AVCodecContext *e = w->video.encoder;
    e->width = w->width;
    e->height = w->height;
    e->pix_fmt = w->kind->pixels;
    e->time_base = (AVRational){1, VIDEO_RATE};
    e->framerate = (AVRational){VIDEO_RATE, 1};
    e->gop_size = 2 * VIDEO_RATE;
    e->thread_count = 1;
    if (w->kind->pixels == AV_PIX_FMT_YUV420P) say_colours(e);
    TRY(open_encoder(w, &w->video, w->kind->options));
    AVFrame *f = w->video.frame;
    f->format = e->pix_fmt;
    f->width = w->width;
    f->height = w->height;
    if (av_frame_get_buffer(f, 0) < 0) return error_set(ERR_DEVICE, "%s: out of memory", w->path);
    return make_scaler(w);
}

static int add_sound(struct video_writer *w) {
    TRY(add_stream(w, &w->sound, w->kind->sound));
    AVCodecContext *e = w->sound.encoder;
    e->sample_rate = AUDIO_RATE;
    e->sample_fmt = e->codec->sample_fmts[0];
    e->bit_rate = BITS_A_CHANNEL * w->channels;
    e->time_base = (AVRational){1, AUDIO_RATE};
    av_channel_layout_default(&e->ch_layout, w->channels);
    TRY(open_encoder(w, &w->sound, NULL));
    AVFrame *f = w->sound.frame;
    f->format = e->sample_fmt;
    f->nb_samples = w->room = e->frame_size ? e->frame_size : PLAIN_PIECE;
    f->sample_rate = AUDIO_RATE;
    if (av_channel_layout_copy(&f->ch_layout, &e->ch_layout) < 0 || av_frame_get_buffer(f, 0) < 0)
        return error_set(ERR_DEVICE, "%s: out of memory", w->path);
    return OK;
}

static int open_file(struct video_writer *w) {
    av_log_set_level(AV_LOG_QUIET);
    char url[sizeof w->temporary + 8];
    snprintf(url, sizeof url, "file:%s", w->temporary);
    if (avformat_alloc_output_context2(&w->format, NULL, w->kind->format, url) < 0 || !(w->packet = av_packet_alloc()))
        return error_set(ERR_DEVICE, "%s: out of memory", w->path);
    TRY(add_video(w));
    if (w->channels) TRY(add_sound(w));
    if (avio_open(&w->format->pb, url, AVIO_FLAG_WRITE) < 0) {
        *w->temporary = 0;
        return error_set(ERR_INPUT, "%s: cannot be created", w->path);
    }
    av_dict_set(&w->format->metadata, "comment", MADE_NOTE, 0);
    AVDictionary *options = NULL;
    if (!strcmp(w->kind->format, "mp4"))
        av_dict_set(&options, "movflags", "+faststart", 0); /* so that it plays while it loads */
    int bad = avformat_write_header(w->format, &options) < 0;
    av_dict_free(&options);
    return bad ? broken(w, "be written") : OK;
}

int video_create(struct video_writer **out, const char *path, int height, int width, int audio_channels) {
    *out = NULL;
    if (height < 2 || width < 2 || height % 2 || width % 2 || height > SIDE_MAX || width > SIDE_MAX)
        return error_set(ERR_USAGE, "%s: a video needs even sides, not %d x %d", path, height, width);
    if (audio_channels < 0 || audio_channels > 2)
        return error_set(ERR_USAGE, "%s: %d sound channels", path, audio_channels);
    TRY(file_not_folder(path));
    if (!kind_of(path))
        return error_set(ERR_USAGE, "%s: a video's name ends in .mp4, .m4v, .mov, .mkv, .webm, .avi or .gif", path);
    struct video_writer *w = calloc(1, sizeof *w);
    if (!w) return error_set(ERR_DEVICE, "%s: out of memory", path);
    w->height = height;
    w->width = width;
    w->kind = kind_of(path);
    w->channels = w->kind->sound ? audio_channels : 0;
    w->silent = audio_channels && !w->channels;
    int code = OK;
    if (snprintf(w->path, sizeof w->path, "%s", path) >= (int)sizeof w->path)
        code = error_set(ERR_USAGE, "%.60s...: the path is too long", path);
    else
        snprintf(w->temporary, sizeof w->temporary, "%s.tmp", path);
    if (!code) code = open_file(w);
    if (code) {
        video_discard(w);
        return code;
    }
    *out = w;
    return OK;
}

int video_write_rgb(struct video_writer *w, const unsigned char *rgb) {
    AVFrame *f = w->video.frame;
    if (av_frame_make_writable(f) < 0) return error_set(ERR_DEVICE, "%s: out of memory", w->path);
    const uint8_t *from[] = {rgb};
    const int stride[] = {3 * w->width};
    sws_scale(w->scaler, from, stride, 0, w->height, f->data, f->linesize);
    f->pts = w->video.pts++;
    return encode(w, &w->video, f);
}

int video_write(struct video_writer *w, const float *frame) {
    rgb_from_planar(w->rgb, frame, (size_t)w->height * (size_t)w->width);
    return video_write_rgb(w, w->rgb);
}

/* Encodes the samples gathered so far: a whole frame, or the last. */
static int flush_sound(struct video_writer *w) {
    AVFrame *f = w->sound.frame;
    f->nb_samples = w->filled;
    f->pts = w->sound.pts;
    w->sound.pts += w->filled;
    w->filled = 0;
    int code = encode(w, &w->sound, f);
    f->nb_samples = w->room;
    return code;
}

/* Stores a value of channel c as sample w->filled of the frame, in the encoder's format. */
static void put_sample(struct video_writer *w, int c, float value) {
    AVFrame *f = w->sound.frame;
    float v = value >= -1 ? value <= 1 ? value : 1 : value < -1 ? -1 : 0; /* NaN becomes silence */
    int at = w->filled * w->channels + c;
    if (f->format == AV_SAMPLE_FMT_FLTP)
        ((float *)(void *)f->data[c])[w->filled] = v;
    else if (f->format == AV_SAMPLE_FMT_FLT)
        ((float *)(void *)f->data[0])[at] = v;
    else
        ((int16_t *)(void *)f->data[0])[at] = (int16_t)lrintf(v * 32767);
}

int video_write_audio(struct video_writer *w, const float *pcm, long samples) {
    if (w->silent) return OK;
    if (!w->channels) return error_set(ERR_USAGE, "%s: was not created for sound", w->path);
    for (long i = 0; i < samples; i++) {
        if (!w->filled && av_frame_make_writable(w->sound.frame) < 0)
            return error_set(ERR_DEVICE, "%s: out of memory", w->path);
        for (int c = 0; c < w->channels; c++) put_sample(w, c, pcm[i * w->channels + c]);
        if (++w->filled == w->room) TRY(flush_sound(w));
    }
    return OK;
}

int video_finish(struct video_writer *w) {
    int code = OK;
    if (w->channels && w->filled) code = flush_sound(w);
    if (!code) code = encode(w, &w->video, NULL);
    if (!code && w->channels) code = encode(w, &w->sound, NULL);
    if (!code && av_write_trailer(w->format) < 0) code = broken(w, "be written");
    if (!code && avio_closep(&w->format->pb) < 0) code = broken(w, "be written");
    if (!code) {
        code = file_replace(w->temporary, w->path);
        *w->temporary = 0;
    }
    video_discard(w);
    return code;
}

void video_discard(struct video_writer *w) {
    if (!w) return;
    if (w->format && w->format->pb) avio_closep(&w->format->pb);
    if (*w->temporary) unlink(w->temporary);
    struct output *outputs[] = {&w->video, &w->sound};
    for (int i = 0; i < 2; i++) {
        avcodec_free_context(&outputs[i]->encoder);
        av_frame_free(&outputs[i]->frame);
    }
    av_packet_free(&w->packet);
    avformat_free_context(w->format);
    sws_freeContext(w->scaler);
    free(w->rgb);
    free(w);
}
