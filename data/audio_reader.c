/* audio_reader.c: sound out of files at 16 kHz, and into wav files. See media.h.
   Sample 0 belongs to time 0 of the file: a stream that starts later is padded with silence, one that starts earlier
   cut, and holes in it (lost packets) are filled, so that sound stays with the picture. */
#include "data/media.h"

#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fileio.h"
#include "base/media_rates.h"
#include "data/media_source.h"

enum { SLACK = AUDIO_RATE / 10, HOLE_MAX = 60 * AUDIO_RATE, CHANNELS_MAX = 64 };
/* Full scale is 1; floats that hold 16- or 24-bit numbers unscaled stay below this, and powers of it stay finite. */
static const float SAMPLE_MAX = 1e8f;

struct audio_reader {
    struct media_source source;
    int want_channels; /* 1, 2; 0: as many as the file has */
    int channels;      /* what the resampler gives; 1 for mono files whatever is wanted */
    AVFrame *frame;
    struct SwrContext *resampler;
    AVChannelLayout from_layout;
    int from_rate, from_format;
    float *buffer; /* [.., channels] resampled and not given out yet */
    long held, used, capacity;
    int64_t produced; /* sample frames put in the buffer so far */
    int64_t cut;      /* sample frames still to be dropped */
    int ended;
};

/* The resampler for frames like this one. Sound that changes its layout in the middle is mixed to the first one's. */
static int prepare_resampler(struct audio_reader *r, const AVFrame *frame) {
    if (r->resampler && frame->sample_rate == r->from_rate && frame->format == r->from_format &&
        !av_channel_layout_compare(&frame->ch_layout, &r->from_layout))
        return OK;
    int channels = frame->ch_layout.nb_channels;
    if (channels < 1 || channels > CHANNELS_MAX || frame->sample_rate < 100 || frame->sample_rate > 10000000)
        return error_set(ERR_INPUT, "%s: sound of %d channels at %d Hz", r->source.path, channels, frame->sample_rate);
    AVChannelLayout from = {0}, to = {0};
    if (frame->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
        av_channel_layout_default(&from, channels);
    else
        av_channel_layout_copy(&from, &frame->ch_layout);
    if (!r->channels) r->channels = channels == 1 || !r->want_channels ? channels : r->want_channels;
    if (r->channels == channels)
        av_channel_layout_copy(&to, &from);
    else
        av_channel_layout_default(&to, r->channels);
    swr_free(&r->resampler);
    int bad = swr_alloc_set_opts2(&r->resampler, &to, AV_SAMPLE_FMT_FLT, AUDIO_RATE, &from,
                                  (enum AVSampleFormat)frame->format, frame->sample_rate, 0, NULL) < 0;
    if (!bad) av_opt_set_double(r->resampler, "rematrix_maxval", 1, 0); /* a mix never clips */
    bad = bad || swr_init(r->resampler) < 0;
    av_channel_layout_uninit(&from);
    av_channel_layout_uninit(&to);
    if (bad) return error_set(ERR_INPUT, "%s: its sound cannot be converted", r->source.path);
    av_channel_layout_uninit(&r->from_layout);
    av_channel_layout_copy(&r->from_layout, &frame->ch_layout);
    r->from_rate = frame->sample_rate;
    r->from_format = frame->format;
    return OK;
}

/* Room for n more sample frames behind those held. */
static float *reserve(struct audio_reader *r, long n) {
    if (r->used) {
        memmove(r->buffer, r->buffer + r->used * r->channels,
                sizeof(float) * (size_t)((r->held - r->used) * r->channels));
        r->held -= r->used;
        r->used = 0;
    }
    if (r->held + n > r->capacity) {
        long capacity = 2 * (r->held + n);
        float *buffer = realloc(r->buffer, sizeof(float) * (size_t)(capacity * r->channels));
        if (!buffer) {
            error_set(ERR_DEVICE, "%s: out of memory", r->source.path);
            return NULL;
        }
        r->buffer = buffer;
        r->capacity = capacity;
    }
    return r->buffer + r->held * r->channels;
}

/* Silence for a hole before the frame, or a cut where it overlaps what was there. */
static int keep_time(struct audio_reader *r, const AVFrame *frame) {
    int64_t due = av_rescale_q(frame->pts, r->source.stream->time_base, (AVRational){1, AUDIO_RATE});
    int64_t ahead = r->produced - r->cut + swr_get_delay(r->resampler, AUDIO_RATE), hole = due - ahead;
    int first = !r->produced && !r->cut;
    if (!first && hole < SLACK && hole > -SLACK) return OK;
    if (hole > HOLE_MAX || hole < -HOLE_MAX)
        return error_set(ERR_INPUT, "%s: the clock of its sound jumps by %.0f seconds", r->source.path,
                         (double)hole / AUDIO_RATE);
    if (hole <= 0) {
        r->cut -= hole;
        return OK;
    }
    float *to = reserve(r, (long)hole);
    if (!to) return ERR_DEVICE;
    memset(to, 0, sizeof(float) * (size_t)(hole * r->channels));
    r->held += (long)hole;
    r->produced += hole;
    return OK;
}

/* Resamples a frame (NULL: what the resampler still holds) to the end of the buffer. */
static int resample(struct audio_reader *r, const AVFrame *frame) {
    int most = swr_get_out_samples(r->resampler, frame ? frame->nb_samples : 0);
    if (most <= 0) return OK;
    float *to = reserve(r, most);
    if (!to) return ERR_DEVICE;
    int n = swr_convert(r->resampler, (uint8_t **)&to, most, frame ? (const uint8_t **)frame->extended_data : NULL,
                        frame ? frame->nb_samples : 0);
    if (n < 0) return error_set(ERR_INPUT, "%s: its sound cannot be converted", r->source.path);
    int64_t dropped = r->cut < n ? r->cut : n;
    r->cut -= dropped;
    r->produced += n - dropped;
    memmove(to, to + dropped * r->channels, sizeof(float) * (size_t)((n - dropped) * r->channels));
    for (int64_t i = 0; i < (n - dropped) * r->channels; i++)
        if (!(fabsf(to[i]) <= SAMPLE_MAX))
            return error_set(ERR_INPUT, "%s: a sample of its sound, at %.3f s, is %g: no sound", r->source.path,
                             (double)(r->produced - n + dropped + i / r->channels) / AUDIO_RATE, (double)to[i]);
    r->held += (long)(n - dropped);
    return OK;
}

/* More samples in the buffer, or r->ended. */
static int refill(struct audio_reader *r) {
    int result = media_next(&r->source, r->frame);
    if (result < 0) return -result;
    if (!result) {
        r->ended = 1;
        return r->resampler ? resample(r, NULL) : OK;
    }
    int code = prepare_resampler(r, r->frame);
    if (!code) code = keep_time(r, r->frame);
    if (!code) code = resample(r, r->frame);
    av_frame_unref(r->frame);
    return code;
}

/* *out is NULL, and the result OK, for a file without sound when that is allowed. */
static int open_reader(struct audio_reader **out, const char *path, int want_channels, int optional) {
    *out = NULL;
    struct audio_reader *r = calloc(1, sizeof *r);
    if (!r) return error_set(ERR_DEVICE, "%s: out of memory", path);
    r->want_channels = want_channels;
    int code = media_open(&r->source, path, AVMEDIA_TYPE_AUDIO, optional);
    if (code || !r->source.format) {
        free(r);
        return code;
    }
    r->frame = av_frame_alloc();
    if (!r->frame) {
        audio_close(r);
        return error_set(ERR_DEVICE, "%s: out of memory", path);
    }
    *out = r;
    return OK;
}

int audio_open(struct audio_reader **reader, const char *path, int channels) {
    if (channels < 1 || channels > 2) return error_set(ERR_USAGE, "%s: %d sound channels wanted", path, channels);
    return open_reader(reader, path, channels, 0);
}

/* As audio_next, in the reader's own number of channels. */
static long next_native(struct audio_reader *r, float *pcm, long want) {
    long got = 0;
    while (got < want) {
        long n = r->held - r->used;
        if (!n) {
            if (r->ended) break;
            int code = refill(r);
            if (code) return -code;
            continue;
        }
        if (n > want - got) n = want - got;
        memcpy(pcm + got * r->channels, r->buffer + r->used * r->channels, sizeof(float) * (size_t)(n * r->channels));
        r->used += n;
        got += n;
    }
    return got;
}

long audio_next(struct audio_reader *r, float *pcm, long want) {
    long got = next_native(r, pcm, want);
    if (got > 0 && r->channels < r->want_channels) /* mono for both, from the end so that it can be done in place */
        for (long i = got - 1; i >= 0; i--) pcm[2 * i] = pcm[2 * i + 1] = pcm[i];
    return got;
}

void audio_close(struct audio_reader *r) {
    if (!r) return;
    media_close(&r->source);
    av_frame_free(&r->frame);
    swr_free(&r->resampler);
    av_channel_layout_uninit(&r->from_layout);
    free(r->buffer);
    free(r);
}

int audio_channels(const char *path, int *channels) {
    struct media_source source;
    *channels = 0;
    TRY(media_open(&source, path, AVMEDIA_TYPE_AUDIO, 1));
    if (source.format) *channels = source.stream->codecpar->ch_layout.nb_channels;
    media_close(&source);
    return OK;
}

/* The samples of one channel of all that a reader gives. */
static int collect(struct audio_reader *r, int channel, float **pcm, long *samples) {
    enum { PIECE = AUDIO_RATE };
    float *piece = NULL;
    long n, count = 0, capacity = 0;
    do {
        if (!piece) { /* the first piece tells the number of channels */
            int code = refill(r);
            if (code) return code;
            if (!r->ended && !r->held) continue;
            if (r->channels && channel >= r->channels)
                return error_set(ERR_INPUT, "%s: has %d sound channels, not a channel %d", r->source.path, r->channels,
                                 channel);
            piece = malloc(sizeof(float) * PIECE * (size_t)(r->channels ? r->channels : 1));
            if (!piece) return error_set(ERR_DEVICE, "%s: out of memory", r->source.path);
        }
        n = next_native(r, piece, PIECE);
        if (n > 0 && count + n > capacity) {
            capacity = 2 * (count + n);
            float *grown = realloc(*pcm, sizeof(float) * (size_t)capacity);
            if (!grown) n = -error_set(ERR_DEVICE, "%s: out of memory", r->source.path);
            if (grown) *pcm = grown;
        }
        for (long i = 0; i < n; i++) (*pcm)[count++] = piece[i * r->channels + channel];
    } while (!piece || n > 0);
    free(piece);
    *samples = count;
    return n < 0 ? (int)-n : OK;
}

int audio_read(const char *path, int channel, float **pcm, long *samples) {
    struct audio_reader *r;
    *pcm = NULL;
    *samples = 0;
    TRY(open_reader(&r, path, channel < 0 ? 1 : 0, 1));
    if (!r) return OK;
    int code = collect(r, channel < 0 ? 0 : channel, pcm, samples);
    audio_close(r);
    if (code || !*samples) {
        free(*pcm);
        *pcm = NULL;
        *samples = 0;
    }
    return code;
}

static void put_little(unsigned char *to, unsigned long value, int bytes) {
    for (int i = 0; i < bytes; i++) to[i] = (unsigned char)(value >> 8 * i);
}

int audio_write_wav(const char *path, const float *pcm, long samples, int channels) {
    if (channels < 1 || samples < 0 || samples > 0x7fffff00L / (2 * channels))
        return error_set(ERR_USAGE, "%s: a wav file cannot hold %ld samples of %d channels", path, samples, channels);
    struct file_writer w;
    unsigned long bytes = 2UL * (unsigned long)samples * (unsigned long)channels;
    unsigned char head[44] = "RIFF....WAVEfmt ....";
    put_little(head + 4, 36 + bytes, 4);
    put_little(head + 16, 16, 4);
    put_little(head + 20, 1, 2); /* integers */
    put_little(head + 22, (unsigned long)channels, 2);
    put_little(head + 24, AUDIO_RATE, 4);
    put_little(head + 28, 2UL * AUDIO_RATE * (unsigned long)channels, 4);
    put_little(head + 32, 2UL * (unsigned long)channels, 2);
    put_little(head + 34, 16, 2);
    memcpy(head + 36, "data", 4);
    put_little(head + 40, bytes, 4);
    TRY(file_create(&w, path));
    fwrite(head, 1, sizeof head, w.file);
    for (long i = 0; i < samples * channels; i++) {
        float v = pcm[i] < 1 ? pcm[i] > -1 ? pcm[i] : -1 : 1;
        unsigned char two[2];
        put_little(two, (unsigned long)lrintf(v == v ? v * 32767 : 0), 2);
        fwrite(two, 1, 2, w.file);
    }
    return file_commit(&w);
}
