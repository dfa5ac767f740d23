/* media_source.c: see media_source.h. */
#include "data/media/media_source.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/foreign.h"
#include "base/interrupt.h"
#include "data/media/matroska_size.h"
#include "data/media/orientation.h"
#include "data/media/wav_head.h"

enum { ERRORS_MAX = 20, LOST_MAX = 5000, STREAMS_MAX = 64, PIPE_PIECE = 4096 };

static int stop_asked(void *user) {
    (void)user;
    return interrupt_requested();
}

/* Lets libav read from a byte source. */
static int read_bytes(void *user, uint8_t *bytes, int want) {
    long n = byte_source_read(user, bytes, (size_t)want);
    return n > 0 ? (int)n : n == 0 ? AVERROR_EOF : AVERROR(EIO);
}

/* Prepares a container for bytes that come once; libav recognises it by its contents, because there is no file name. */
static int give_bytes(struct media_source *s) {
    unsigned char *buffer = av_malloc(PIPE_PIECE);
    if (buffer) s->format->pb = avio_alloc_context(buffer, PIPE_PIECE, 0, s->bytes, read_bytes, NULL, NULL);
    if (!s->format->pb) av_free(buffer);
    return s->format->pb ? OK : error_set(ERR_DEVICE, "%s: out of memory", s->path);
}

/* Returns the container's format, with the options that it needs, where we recognise it from the bytes ourselves; NULL:
   libav must find out. */
static const AVInputFormat *known_format(struct media_source *s, AVDictionary **options) {
    struct wav_head head;
    if (!s->bytes || !wav_head_take(&head, s->bytes)) return NULL;
    av_dict_set_int(options, "sample_rate", head.rate, 0);
    av_dict_set_int(options, "channels", head.channels, 0);
    return av_find_input_format(head.samples);
}

/* Opens the container and reads what it says about its streams. */
static int open_format(struct media_source *s) {
    char url[sizeof s->path + 8];
    /* first, because some of libav's readers accept nearly anything */
    if (foreign_refuse(s->path, FOREIGN_MEDIA, "video, sound or a picture")) return ERR_INPUT;
    snprintf(url, sizeof url, "file:%s", s->path);
    av_log_set_level(AV_LOG_QUIET); /* our own error text says what is wrong */
    if (!(s->format = avformat_alloc_context())) return error_set(ERR_DEVICE, "%s: out of memory", s->path);
    s->format->interrupt_callback.callback = stop_asked;
    if (s->bytes) TRY(give_bytes(s));
    AVIOContext *own = s->format->pb;
    AVDictionary *options = NULL;
    av_dict_set(&options, "protocol_whitelist", "file", 0);
    av_dict_set(&options, "pattern_type", "none", 0); /* a%d.png is a plain name */
    if (s->untrimmed) av_dict_set(&options, "advanced_editlist", "0", 0);
    const AVInputFormat *known = known_format(s, &options);
    int result = avformat_open_input(&s->format, s->bytes ? NULL : url, known, &options); /* frees format on failure */
    int stopped = interrupt_requested();
    av_dict_free(&options);
    if (result < 0) {
        char why[AV_ERROR_MAX_STRING_SIZE];
        av_strerror(result, why, sizeof why);
        if (own) av_freep(&own->buffer);
        avio_context_free(&own);
        return error_set(
            ERR_INPUT, stopped ? "%s: interrupted while it was waited for" : "%s: cannot be read as video or sound: %s",
            s->path, why);
    }
    if (stopped) return error_set(ERR_INPUT, "%s: interrupted while it was waited for", s->path);
    if (!strcmp(s->format->iformat->name, "tty")) /* libav would draw any text file as a terminal */
        return error_set(ERR_INPUT, "%s: is text, not video or sound", s->path);
    if (known) return OK; /* bare samples need no look ahead, for which libav would wait two seconds */
    if (avformat_find_stream_info(s->format, NULL) < 0 || s->format->nb_streams > STREAMS_MAX)
        return error_set(ERR_INPUT, "%s: its streams cannot be recognised", s->path);
    return OK;
}

static int is_cover(const AVStream *stream) {
    return (stream->disposition & (AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS)) != 0;
}

/* Chooses the stream as libav does, except that a cover picture does not count. Negative: there is none. */
static int choose_stream(const struct media_source *s, enum AVMediaType type, const AVCodec **codec) {
    int index = av_find_best_stream(s->format, type, -1, -1, codec, 0);
    if (index < 0 || !is_cover(s->format->streams[index])) return index;
    for (unsigned i = 0; i < s->format->nb_streams; i++) {
        const AVStream *stream = s->format->streams[i];
        if (stream->codecpar->codec_type != type || is_cover(stream)) continue;
        *codec = avcodec_find_decoder(stream->codecpar->codec_id);
        if (*codec) return (int)i;
    }
    return AVERROR_STREAM_NOT_FOUND;
}

static int open_decoder(struct media_source *s, const AVCodec *codec, const char *kind) {
    s->decoder = avcodec_alloc_context3(codec);
    s->packet = av_packet_alloc();
    if (!s->decoder || !s->packet) return error_set(ERR_DEVICE, "%s: out of memory", s->path);
    s->decoder->thread_count = 1;
    s->decoder->pkt_timebase = s->stream->time_base;
    if (avcodec_parameters_to_context(s->decoder, s->stream->codecpar) < 0 ||
        avcodec_open2(s->decoder, codec, NULL) < 0)
        return error_set(ERR_INPUT, "%s: its %s cannot be decoded", s->path, kind);
    return OK;
}

/* Discards the packets of other streams, unless this stream's duration is not known, where they tell how far the file
   goes. */
static void discard_others(struct media_source *s) {
    for (unsigned i = 0; i < s->format->nb_streams; i++)
        if (s->format->streams[i] != s->stream && s->stream->duration != AV_NOPTS_VALUE)
            s->format->streams[i]->discard = AVDISCARD_ALL;
}

static int open_stream(struct media_source *s, enum AVMediaType type, int optional) {
    const char *kind = type == AVMEDIA_TYPE_VIDEO ? "video" : "sound";
    const AVCodec *codec = NULL;
    s->picture_number = 1;
    TRY(open_format(s));
    int index = choose_stream(s, type, &codec);
    if (index == AVERROR_STREAM_NOT_FOUND && optional) {
        media_close(s);
        return OK;
    }
    if (index < 0) return error_set(ERR_INPUT, "%s: has no %s that can be decoded", s->path, kind);
    s->stream = s->format->streams[index];
    discard_others(s);
    TRY(open_decoder(s, codec, kind));
    if (s->format->start_time != AV_NOPTS_VALUE)
        s->origin = av_rescale_q(s->format->start_time, AV_TIME_BASE_Q, s->stream->time_base);
    else if (s->stream->start_time != AV_NOPTS_VALUE)
        s->origin = s->stream->start_time;
    return OK;
}

int media_open_bytes(struct media_source *s, struct byte_source *bytes, enum AVMediaType type) {
    memset(s, 0, sizeof *s);
    snprintf(s->path, sizeof s->path, "%s", bytes->name);
    s->bytes = malloc(sizeof *s->bytes);
    if (!s->bytes) {
        byte_source_close(bytes);
        return error_set(ERR_DEVICE, "%s: out of memory", s->path);
    }
    *s->bytes = *bytes;
    int code = open_stream(s, type, 0);
    if (code) media_close(s);
    return code;
}

int media_open(struct media_source *s, const char *path, enum AVMediaType type, int optional) {
    memset(s, 0, sizeof *s);
    if (snprintf(s->path, sizeof s->path, "%s", path) >= (int)sizeof s->path)
        return error_set(ERR_INPUT, "%.60s...: the path is too long", path);
    if (byte_source_wanted(path)) {
        struct byte_source bytes;
        TRY(byte_source_open(&bytes, path));
        return media_open_bytes(s, &bytes, type);
    }
    int code = open_stream(s, type, optional);
    if (code) media_close(s);
    return code;
}

int media_open_untrimmed(struct media_source *s, const char *path, enum AVMediaType type) {
    memset(s, 0, sizeof *s);
    snprintf(s->path, sizeof s->path, "%s", path);
    s->untrimmed = 1;
    int code = open_stream(s, type, 0);
    if (code) media_close(s);
    return code;
}

/* Returns the duration of a decoded frame, in units of the stream. */
static int64_t duration_of(const struct media_source *s, const AVFrame *frame) {
    if (frame->nb_samples && frame->sample_rate > 0)
        return av_rescale_q(frame->nb_samples, (AVRational){1, frame->sample_rate}, s->stream->time_base);
    if (frame->pkt_duration > 0) return frame->pkt_duration;
    AVRational rate = s->stream->avg_frame_rate;
    return rate.num > 0 && rate.den > 0 ? av_rescale_q(1, av_inv_q(rate), s->stream->time_base) : 0;
}

/* Returns the length that the file states, in seconds from its time 0 (0: it states none), and in *kept how far it
   goes. A stream's stated length is compared with its frames, the whole file's with the packets of all streams. */
static double promise(const struct media_source *s, double *kept) {
    *kept = (double)s->end * av_q2d(s->stream->time_base);
    if (s->stream->duration != AV_NOPTS_VALUE) return (double)s->stream->duration * av_q2d(s->stream->time_base);
    *kept = fmax(*kept, s->heard_of);
    int stated = s->format->duration_estimation_method == AVFMT_DURATION_FROM_STREAM;
    return stated && s->format->duration > 0 ? (double)s->format->duration / AV_TIME_BASE : 0;
}

/* Checks at the end of a file that it is as long as it states. */
static int finish(const struct media_source *s) {
    double kept, promised = promise(s, &kept);
    if (interrupt_requested()) return 0;
    if (!s->frames) return -error_set(ERR_INPUT, "%s: nothing in it could be decoded", s->path);
    if (promised > 0 && kept < 0.9 * promised - 0.1)
        return -error_set(ERR_INPUT, "%s: is cut off or damaged: %.1f of %.1f seconds could be read", s->path, kept,
                          promised);
    uint64_t have, all;
    if (!s->bytes && matroska_is_cut(s->path, &have, &all))
        return -error_set(ERR_INPUT, "%s: is cut off: %llu of %llu bytes are there", s->path, (unsigned long long)have,
                          (unsigned long long)all);
    return 0;
}

/* Counts what could not be decoded; an error beyond a limit. Before the first frame the limit is another one, because a
   file cut between key frames begins with such packets. */
static int count_error(struct media_source *s, const char *what) {
    if (!s->frames ? ++s->lost <= LOST_MAX : ++s->errors <= ERRORS_MAX) return 0;
    return -error_set(ERR_INPUT, "%s: is damaged: more than %d %s cannot be decoded", s->path,
                      s->frames ? ERRORS_MAX : LOST_MAX, what);
}

/* Notes how far the file goes, by this packet. */
static void note_packet(struct media_source *s) {
    const AVPacket *p = s->packet;
    const AVStream *stream = s->format->streams[p->stream_index];
    if (p->pts == AV_NOPTS_VALUE) return;
    double start = s->format->start_time == AV_NOPTS_VALUE ? 0 : (double)s->format->start_time / AV_TIME_BASE;
    s->heard_of = fmax(s->heard_of, (double)(p->pts + p->duration) * av_q2d(stream->time_base) - start);
}

/* Gives the decoder its next packet, or tells it that there are no more. */
static int feed(struct media_source *s) {
    for (;;) {
        int result = av_read_frame(s->format, s->packet);
        if (result == AVERROR_EOF || (result < 0 && interrupt_requested())) {
            s->draining = 1;
            avcodec_send_packet(s->decoder, NULL);
            return 1;
        }
        if (result < 0) return -error_set(ERR_INPUT, "%s: is damaged after %d frames", s->path, s->frames);
        int ours = s->packet->stream_index == s->stream->index;
        note_packet(s);
        if (ours && !s->frames && s->decoder->codec_type == AVMEDIA_TYPE_VIDEO)
            s->picture_number = exif_orientation(s->packet->data, (size_t)s->packet->size);
        result = ours ? avcodec_send_packet(s->decoder, s->packet) : 0;
        av_packet_unref(s->packet);
        if (result < 0 && (result = count_error(s, "packets")) < 0) return result;
        if (ours && result >= 0) return 1;
    }
}

int media_next(struct media_source *s, AVFrame *frame) {
    for (;;) {
        int result = avcodec_receive_frame(s->decoder, frame);
        if (result >= 0) break;
        if (result == AVERROR_EOF) return finish(s);
        if (result != AVERROR(EAGAIN) && (result = count_error(s, "frames")) < 0) return result;
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
    AVIOContext *own = s->bytes && s->format ? s->format->pb : NULL;
    av_packet_free(&s->packet);
    avcodec_free_context(&s->decoder);
    avformat_close_input(&s->format);
    if (own) av_freep(&own->buffer);
    avio_context_free(&own);
    if (s->bytes) byte_source_close(s->bytes);
    free(s->bytes);
    s->bytes = NULL;
    s->stream = NULL;
}
