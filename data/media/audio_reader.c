/* audio_reader.c: reads sound out of files at 16 kHz. See media.h. Sample 0 belongs to time 0 of the file: a stream
   that starts later is padded with silence, one that starts earlier is cut, gaps (lost packets) are filled, and a clock
   that is wrong is followed (data/media/sound_clock.h), so that sound stays with the picture. */
#include "data/media.h"

#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/media_rates.h"
#include "data/media/interleaving.h"
#include "data/media/media_source.h"
#include "data/media/sound_clock.h"

enum { SLACK = AUDIO_RATE / 10, HOLE_MAX = 60 * AUDIO_RATE, CHANNELS_MAX = 64 };
/* Largest sample accepted; full scale is 1. Floats that hold 16- or 24-bit numbers unscaled stay below it, and its
   powers stay finite. */
static const float SAMPLE_MAX = 1e8f;

/* Whether two channels must be added or subtracted: those that are each other's opposite would cancel in a sum. */
struct polarity {
    double left, right, both; /* sums of squares and of products of the recent sound, without its offset */
    float before[2], passed[2];
    int opposite;
};

struct audio_reader {
    struct media_source source;
    int native;   /* channels that the resampler makes */
    int channels; /* channels that are delivered: native, or 1, mixed of two */
    struct polarity polarity;
    AVFrame *frame;
    struct SwrContext *resampler;
    AVChannelLayout from_layout;
    int from_rate, from_format;
    float *piece; /* [piece_room, native] the resampler's output */
    long piece_room;
    struct sound_clock clock;
    double drift;  /* drift by the file's order (interleaving.h), as a fraction; 0: none */
    int64_t first; /* time stamp of the first frame, in output samples */
    float *buffer; /* [.., channels] samples that are ready and not delivered yet */
    long held, used, capacity;
    int64_t pushed; /* sample frames given to the clock */
    int64_t cut;    /* sample frames still to be dropped */
    int started, ended;
};

/* Prepares the resampler for frames of this kind. Sound that changes its layout in the middle is mixed to the first
   layout. */
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
    if (r->native == channels)
        av_channel_layout_copy(&to, &from);
    else
        av_channel_layout_default(&to, r->native);
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

/* ---- mixing ---- */

/* Adds n frames of two channels to the judgement, which covers about the last ten seconds. */
static void judge_polarity(struct polarity *p, const float *pcm, long n) {
    enum { RECENT = 10 * AUDIO_RATE };
    const float pass = 0.995f; /* a high-pass of 13 Hz */
    double fade = exp(-(double)n / RECENT);
    p->left *= fade, p->right *= fade, p->both *= fade;
    for (long i = 0; i < n; i++) {
        for (int k = 0; k < 2; k++) {
            p->passed[k] = pcm[2 * i + k] - p->before[k] + pass * p->passed[k];
            p->before[k] = pcm[2 * i + k];
        }
        p->left += (double)p->passed[0] * p->passed[0];
        p->right += (double)p->passed[1] * p->passed[1];
        p->both += (double)p->passed[0] * p->passed[1];
    }
    if (p->both < -0.5 * sqrt(p->left * p->right)) p->opposite = 1;
    if (p->both > 0) p->opposite = 0;
}

/* Mixes two channels, in place, to their mean, or to half their difference where one is the opposite of the other. */
static void mix(struct audio_reader *r, float *pcm, long n) {
    judge_polarity(&r->polarity, pcm, n);
    float sign = r->polarity.opposite ? -0.5f : 0.5f;
    for (long i = 0; i < n; i++) pcm[i] = 0.5f * pcm[2 * i] + sign * pcm[2 * i + 1];
}

/* ---- time ---- */

static int out_of_memory(const struct audio_reader *r) {
    return error_set(ERR_DEVICE, "%s: out of memory", r->source.path);
}

/* Appends the clock's output to the buffer. */
static int take(struct audio_reader *r, int last) {
    for (;;) {
        if (r->used) {
            memmove(r->buffer, r->buffer + r->used * r->channels,
                    sizeof(float) * (size_t)((r->held - r->used) * r->channels));
            r->held -= r->used;
            r->used = 0;
        }
        long room = r->capacity - r->held;
        long got = sound_clock_pull(&r->clock, r->buffer + r->held * r->channels, room, last);
        r->held += got;
        if (got < room) return OK;
        long capacity = 2 * (r->capacity + AUDIO_RATE);
        float *buffer = realloc(r->buffer, sizeof(float) * (size_t)(capacity * r->channels));
        if (!buffer) return out_of_memory(r);
        r->buffer = buffer;
        r->capacity = capacity;
    }
}

static int push_silence(struct audio_reader *r, long n) {
    static const float silence[AUDIO_RATE];
    for (long chunk; n > 0; n -= chunk) {
        chunk = AUDIO_RATE / r->channels < n ? AUDIO_RATE / r->channels : n;
        TRY(sound_clock_push(&r->clock, silence, chunk));
        TRY(take(r, 0));
        r->pushed += chunk;
    }
    return OK;
}

/* Compares the frame's time with the samples so far: a drifting clock is followed, a gap becomes silence, an overlap is
   cut. */
static int keep_time(struct audio_reader *r, const AVFrame *frame) {
    int64_t due = av_rescale_q(frame->pts, r->source.stream->time_base, (AVRational){1, AUDIO_RATE});
    if (!r->started) r->first = due;
    due += llrint((double)(due - r->first) * r->drift);
    int64_t index = r->pushed - r->cut + swr_get_delay(r->resampler, AUDIO_RATE);
    double apart = r->started ? sound_clock_check(&r->clock, (double)index, (double)due) : (double)due;
    if (r->started && fabs(apart) < SLACK) return OK;
    if (fabs(apart) > HOLE_MAX)
        return error_set(ERR_INPUT, "%s: the clock of its sound jumps by %.0f seconds", r->source.path,
                         apart / AUDIO_RATE);
    r->started = 1;
    r->clock.step = 1;
    long hole = lround(apart);
    if (hole > 0) return push_silence(r, hole);
    r->cut -= hole;
    return OK;
}

/* Resamples a frame (NULL: what the resampler still holds) and appends it to the buffer. */
static int resample(struct audio_reader *r, const AVFrame *frame) {
    int most = swr_get_out_samples(r->resampler, frame ? frame->nb_samples : 0);
    if (most <= 0) return OK;
    if (most > r->piece_room) {
        free(r->piece);
        r->piece_room = 2 * (long)most;
        r->piece = malloc(sizeof(float) * (size_t)(r->piece_room * r->native));
        if (!r->piece) return out_of_memory(r);
    }
    float *to = r->piece;
    int n = swr_convert(r->resampler, (uint8_t **)&to, most, frame ? (const uint8_t **)frame->extended_data : NULL,
                        frame ? frame->nb_samples : 0);
    if (n < 0) return error_set(ERR_INPUT, "%s: its sound cannot be converted", r->source.path);
    int64_t dropped = r->cut < n ? r->cut : n;
    r->cut -= dropped;
    n -= (int)dropped;
    to += dropped * r->native;
    for (long i = 0; i < (long)n * r->native; i++)
        if (!(fabsf(to[i]) <= SAMPLE_MAX))
            return error_set(ERR_INPUT, "%s: a sample of its sound, at %.3f s, is %g: no sound", r->source.path,
                             (double)(r->pushed + i / r->native) / AUDIO_RATE, (double)to[i]);
    if (r->channels < r->native) mix(r, to, n);
    r->pushed += n;
    TRY(sound_clock_push(&r->clock, to, n));
    return take(r, 0);
}

/* Puts more samples into the buffer, or sets r->ended. */
static int refill(struct audio_reader *r) {
    int result = media_next(&r->source, r->frame);
    if (result < 0) return -result;
    if (!result) {
        r->ended = 1;
        if (r->resampler) TRY(resample(r, NULL));
        return take(r, 1);
    }
    int code = prepare_resampler(r, r->frame);
    if (!code) code = keep_time(r, r->frame);
    if (!code) code = resample(r, r->frame);
    av_frame_unref(r->frame);
    return code;
}

/* ---- opening ---- */

enum channel_wish { WISH_MIX, WISH_PARTIES, WISH_ALL };

/* Decides on the channels by what the file states. */
static int start(struct audio_reader *r, enum channel_wish wish) {
    int there = r->source.stream->codecpar->ch_layout.nb_channels;
    if (there > CHANNELS_MAX) return error_set(ERR_INPUT, "%s: sound of %d channels", r->source.path, there);
    r->native = there < 1 ? 1 : there <= 2 || wish == WISH_ALL ? there : 1; /* libav mixes more than two */
    r->channels = wish == WISH_MIX ? 1 : r->native;
    sound_clock_open(&r->clock, r->channels);
    r->frame = av_frame_alloc();
    return r->frame ? OK : out_of_memory(r);
}

/* Finds out whether the container's order says that the clock is wrong. Sound that came too fast is longer than the
   pictures, but its writer's edit list, made by the right times, ends with them. So such a file is examined without its
   edit list, and read that way if its whole length confirms the drift. */
static void find_drift(struct audio_reader *r) {
    struct media_source whole;
    int doubtful;
    r->drift = interleaved_drift(r->source.format, r->source.stream, &doubtful);
    if (!doubtful || media_open_untrimmed(&whole, r->source.path, AVMEDIA_TYPE_AUDIO)) return;
    r->drift = interleaved_drift(whole.format, whole.stream, &doubtful);
    media_close(r->drift ? &r->source : &whole);
    if (r->drift) r->source = whole;
}

/* Opens a reader on `bytes`, or on the file `path` if bytes is NULL. optional 1: a file without sound gives *out
   NULL. */
static int open_reader(struct audio_reader **out, const char *path, struct byte_source *bytes, enum channel_wish wish,
                       int optional) {
    *out = NULL;
    struct audio_reader *r = calloc(1, sizeof *r);
    if (!r) return error_set(ERR_DEVICE, "%s: out of memory", path);
    int code = bytes ? media_open_bytes(&r->source, bytes, AVMEDIA_TYPE_AUDIO)
                     : media_open(&r->source, path, AVMEDIA_TYPE_AUDIO, optional);
    if (code || !r->source.format) {
        free(r);
        return code;
    }
    find_drift(r);
    code = start(r, wish);
    if (code) {
        audio_close(r);
        return code;
    }
    *out = r;
    return OK;
}

int audio_open(struct audio_reader **reader, const char *path, enum audio_parties parties) {
    return open_reader(reader, path, NULL, parties == AUDIO_PARTIES ? WISH_PARTIES : WISH_MIX, 0);
}

int audio_open_bytes(struct audio_reader **reader, struct byte_source *bytes, enum audio_parties parties) {
    return open_reader(reader, bytes->name, bytes, parties == AUDIO_PARTIES ? WISH_PARTIES : WISH_MIX, 0);
}

int audio_reader_channels(const struct audio_reader *r) { return r->channels; }

long audio_next(struct audio_reader *r, float *pcm, long want) {
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

void audio_close(struct audio_reader *r) {
    if (!r) return;
    media_close(&r->source);
    av_frame_free(&r->frame);
    swr_free(&r->resampler);
    av_channel_layout_uninit(&r->from_layout);
    sound_clock_close(&r->clock);
    free(r->piece);
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

/* ---- whole files ---- */

/* Collects all samples of one channel. */
static int collect(struct audio_reader *r, int channel, float **pcm, long *samples) {
    long n, count = 0, capacity = 0;
    float *piece = malloc(sizeof(float) * AUDIO_RATE * (size_t)r->channels);
    if (!piece) return out_of_memory(r);
    while ((n = audio_next(r, piece, AUDIO_RATE)) > 0) {
        if (count + n > capacity) {
            capacity = 2 * (count + n);
            float *grown = realloc(*pcm, sizeof(float) * (size_t)capacity);
            if (!grown) {
                n = -out_of_memory(r);
                break;
            }
            *pcm = grown;
        }
        for (long i = 0; i < n; i++) (*pcm)[count++] = piece[i * r->channels + channel];
    }
    free(piece);
    *samples = count;
    return n < 0 ? (int)-n : OK;
}

int audio_read(const char *path, int channel, float **pcm, long *samples) {
    struct audio_reader *r;
    *pcm = NULL;
    *samples = 0;
    TRY(open_reader(&r, path, NULL, channel < 0 ? WISH_MIX : WISH_ALL, 1));
    if (!r) return OK;
    int code = channel < r->channels ? OK
                                     : error_set(ERR_INPUT, "%s: has %d sound channels, not a channel %d",
                                                 r->source.path, r->channels, channel);
    if (!code) code = collect(r, channel < 0 ? 0 : channel, pcm, samples);
    audio_close(r);
    if (code || !*samples) {
        free(*pcm);
        *pcm = NULL;
        *samples = 0;
    }
    return code;
}
