/* media_source.c: see media_source.h. */
#include "data/media_source.h"

#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "base/foreign.h"
#include "data/matroska_size.h"

enum { ERRORS_MAX = 20, STREAMS_MAX = 64 };

/* Opens the container and looks at its streams. */
static int open_format(struct media_source *s) {
    char url[sizeof s->path + 8];
    /* before libav tries what it knows: a few of its readers take nearly anything */
    if (foreign_refuse(s->path, FOREIGN_MEDIA, "video, sound or a picture")) return ERR_INPUT;
    snprintf(url, sizeof url, "file:%s", s->path);
    av_log_set_level(AV_LOG_QUIET); /* what is wrong is said by our own error text */
    AVDictionary *options = NULL;
    av_dict_set(&options, "protocol_whitelist", "file", 0);
    int result = avformat_open_input(&s->format, url, NULL, &options);
    av_dict_free(&options);
    if (result < 0) {
        char why[AV_ERROR_MAX_STRING_SIZE];
        av_strerror(result, why, sizeof why);
        return error_set(ERR_INPUT, "%s: cannot be read as video or sound: %s", s->path, why);
    }
    if (!strcmp(s->format->iformat->name, "tty")) /* libav would draw any text file as a terminal */
        return error_set(ERR_INPUT, "%s: is text, not video or sound", s->path);
    if (avformat_find_stream_info(s->format, NULL) < 0 || s->format->nb_streams > STREAMS_MAX)
        return error_set(ERR_INPUT, "%s: its streams cannot be made out", s->path);
    return OK;
}

int media_open(struct media_source *s, const char *path, enum AVMediaType type, int optional) {
    memset(s, 0, sizeof *s);
    const char *kind = type == AVMEDIA_TYPE_VIDEO ? "video" : "sound";
    if (snprintf(s->path, sizeof s->path, "%s", path) >= (int)sizeof s->path)
        return error_set(ERR_INPUT, "%.60s...: the path is too long", path);
    int code = open_format(s);
    const AVCodec *codec = NULL;
    int index = code ? -1 : av_find_best_stream(s->format, type, -1, -1, &codec, 0);
    if (!code && index == AVERROR_STREAM_NOT_FOUND && optional) {
        media_close(s);
        return OK;
    }
    if (!code && index < 0) code = error_set(ERR_INPUT, "%s: has no %s that can be decoded", path, kind);
    if (!code) {
        s->stream = s->format->streams[index];
        for (unsigned i = 0; i < s->format->nb_streams; i++)
            if ((int)i != index) s->format->streams[i]->discard = AVDISCARD_ALL;
        s->decoder = avcodec_alloc_context3(codec);
        s->packet = av_packet_alloc();
        if (!s->decoder || !s->packet) code = error_set(ERR_DEVICE, "%s: out of memory", path);
    }
    if (!code) {
        s->decoder->thread_count = 1;
        s->decoder->pkt_timebase = s->stream->time_base;
        if (avcodec_parameters_to_context(s->decoder, s->stream->codecpar) < 0 ||
            avcodec_open2(s->decoder, codec, NULL) < 0)
            code = error_set(ERR_INPUT, "%s: its %s cannot be decoded", path, kind);
    }
    if (code) {
        media_close(s);
        return code;
    }
    if (s->format->start_time != AV_NOPTS_VALUE)
        s->origin = av_rescale_q(s->format->start_time, AV_TIME_BASE_Q, s->stream->time_base);
    else if (s->stream->start_time != AV_NOPTS_VALUE)
        s->origin = s->stream->start_time;
    return OK;
}

/* How long a decoded frame lasts, in units of the stream. */
static int64_t duration_of(const struct media_source *s, const AVFrame *frame) {
    if (frame->nb_samples && frame->sample_rate > 0)
        return av_rescale_q(frame->nb_samples, (AVRational){1, frame->sample_rate}, s->stream->time_base);
    if (frame->pkt_duration > 0) return frame->pkt_duration;
    AVRational rate = s->stream->avg_frame_rate;
    return rate.num > 0 && rate.den > 0 ? av_rescale_q(1, av_inv_q(rate), s->stream->time_base) : 0;
}

/* At the end of the file: was that all that it promised? */
static int finish(const struct media_source *s) {
    if (!s->frames) return -error_set(ERR_INPUT, "%s: nothing in it could be decoded", s->path);
    double unit = av_q2d(s->stream->time_base), promised = (double)s->stream->duration * unit,
           got = (double)s->end * unit;
    if (s->stream->duration != AV_NOPTS_VALUE && got < 0.9 * promised - 0.1)
        return -error_set(ERR_INPUT, "%s: is cut off or damaged: %.1f of %.1f seconds could be read", s->path, got,
                          promised);
    uint64_t have, all;
    if (matroska_is_cut(s->path, &have, &all))
        return -error_set(ERR_INPUT, "%s: is cut off: %llu of %llu bytes are there", s->path, (unsigned long long)have,
                          (unsigned long long)all);
    return 0;
}

/* Gives the decoder its next packet, or the word that there are no more. */
static int feed(struct media_source *s) {
    for (;;) {
        int result = av_read_frame(s->format, s->packet);
        if (result < 0 && result != AVERROR_EOF)
            return -error_set(ERR_INPUT, "%s: is damaged after %d frames", s->path, s->frames);
        if (result == AVERROR_EOF) {
            s->draining = 1;
            avcodec_send_packet(s->decoder, NULL);
            return 1;
        }
        int ours = s->packet->stream_index == s->stream->index;
        result = ours ? avcodec_send_packet(s->decoder, s->packet) : 0;
        av_packet_unref(s->packet);
        if (result < 0 && ++s->errors > ERRORS_MAX)
            return -error_set(ERR_INPUT, "%s: is damaged: more than %d packets cannot be decoded", s->path, ERRORS_MAX);
        if (ours && result >= 0) return 1;
    }
}

int media_next(struct media_source *s, AVFrame *frame) {
    for (;;) {
        int result = avcodec_receive_frame(s->decoder, frame);
        if (result >= 0) break;
        if (result == AVERROR_EOF) return finish(s);
        if (result != AVERROR(EAGAIN) && ++s->errors > ERRORS_MAX)
            return -error_set(ERR_INPUT, "%s: is damaged: more than %d frames cannot be decoded", s->path, ERRORS_MAX);
        if (s->draining) {
            if (result == AVERROR(EAGAIN)) return finish(s);
            continue;
        }
        if ((result = feed(s)) < 0) return result;
    }
    int64_t pts = frame->best_effort_timestamp;
    frame->pts = pts == AV_NOPTS_VALUE ? s->end : pts - s->origin;
    s->end = frame->pts + duration_of(s, frame);
    s->frames++;
    return 1;
}

void media_close(struct media_source *s) {
    av_packet_free(&s->packet);
    avcodec_free_context(&s->decoder);
    avformat_close_input(&s->format);
    s->stream = NULL;
}
