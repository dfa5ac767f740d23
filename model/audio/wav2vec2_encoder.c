/* wav2vec2_encoder.c: runs wav2vec2 while the sound comes, window by window. See encoder.h and recipe.h.
   Features of video frames are made in passes that end at fixed frames: pass 0 before frame `first`, each later one
   `stride` frames further. first = 3 mod stride (stride itself when that is 0), because a chunk of 4 C video frames is
   asked for together with two frames beyond it, up to frame 4 C i + 2: with stride 4 C a chunk then waits for nothing
   but the look-ahead. A pass over video frames begin .. end - 1
     1. waits for the samples up to video frame end + lookahead, and for nothing else;
     2. merges the new samples into the mean and variance of the signal, and the first convolution's outputs over them
        into those of its channels: every sample counts alike for `horizon` seconds, and from there on the past fades;
     3. makes the features of the new samples, once and for all, by the statistics as they now are;
     4. runs the transformer over the features of the video frames begin - context .. end + lookahead - 1 and takes
        begin .. end - 1 of the hidden states.
   So the work and the memory of a pass are bounded. Features depend on where the passes end and not on how the samples
   were pushed, and the same samples give the same bits. A whole clip's features differ, because it knows the statistics
   from its start, the past beyond the context and the future beyond the look-ahead.
   At 25 frames a second and 320 samples a feature, video frame f is feature 2 f exactly: resampling picks rows. */
#include "model/audio/encoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "model/audio/internal.h"
#include "model/params/transfer.h"

enum { PASS_PHASE = 3 };

struct stream {
    const struct wav2vec2 *net;
    const struct params *params;
    int state[WAV2VEC2_STATES_MAX], count, mean, before;
    long context, stride, lookahead, horizon; /* video frames; horizon: samples */
    long step;                                /* features of a video frame */
    struct arena arena;
    struct wav2vec2_buffers buffers;
    real *features[2], *picked, *tapped; /* [window, C] twice; [window, C]; [count, stride, dim] */
    int side;                            /* index of the current one of features[2] */
    long feature_first, feature_end;     /* features that it holds: feature_first .. feature_end - 1 */
    long end;                            /* video frames finished so far */
    long heard, rows;                    /* samples, and rows of the first convolution, measured so far */
    float *states, *out;                 /* host: [count, stride, dim]; [stride, encoder dim] */
    long out_first, out_count;           /* rows of `out` that the caller has not had yet */
    float *pcm;                          /* host, samples from pcm_first on */
    long pcm_first, held, capacity;
    long samples; /* samples pushed; what follows is silence */
    long due;     /* video frames in all, known at the flush; -1: not flushed */
};

static long smaller(long a, long b) { return a < b ? a : b; }
static long larger(long a, long b) { return a > b ? a : b; }

static long next_end(const struct stream *s) {
    if (s->end) return s->end + s->stride;
    return PASS_PHASE % s->stride ? PASS_PHASE % s->stride : s->stride;
}

/* Number of samples that the pass up to video frame `end` waits for. */
static long samples_for(const struct stream *s, long end) { return AUDIO_SAMPLES_PER_FRAME * (end + s->lookahead); }

/* ---- one pass ---- */

static const float *sample_at(const struct stream *s, long sample) { return s->pcm + (sample - s->pcm_first); }

/* Weight of the last n of `total` things, when no more than `horizon` are remembered. */
static double share(long n, long total, long horizon) {
    double w = (double)n / (double)smaller(total, horizon);
    return w < 1 ? w : 1;
}

/* Step 2, for the samples up to `until`; silence behind the end of the sound does not count. */
static void measure(struct stream *s, long until) {
    const struct wav2vec2_config *c = &s->net->config;
    until = smaller(until, s->samples);
    long n = until - s->heard, kernel = c->conv_kernel[0], stride = c->conv_stride[0];
    if (n <= 0) return;
    wav2vec2_take(&s->buffers, sample_at(s, s->heard), n);
    s->heard = until;
    wav2vec2_measure_signal(&s->buffers, n, share(n, s->heard, s->horizon));
    long all = until < kernel ? 0 : (until - kernel) / stride + 1, rows = all - s->rows;
    if (rows <= 0) return;
    long from = s->rows * stride, length = (rows - 1) * stride + kernel;
    wav2vec2_take(&s->buffers, sample_at(s, from), length);
    s->rows = all;
    wav2vec2_measure_first(s->net, s->params, &s->buffers, length, rows, share(rows, all, s->horizon / stride));
}

/* Step 3: copies the window's features from `first` on to the other of features[2], and appends new ones up to
   `end`. */
static void make_features(struct stream *s, long first, long end) {
    long C = s->net->config.conv_dim[s->net->config.convs - 1], kept = s->feature_end - first;
    const real *from = s->features[s->side] + (first - s->feature_first) * C;
    real *to = s->features[s->side ^= 1];
    if (kept > 0) mem_copy(to, from, sizeof *to * (size_t)(kept * C));
    long n = end - s->feature_end;
    wav2vec2_take(&s->buffers, sample_at(s, s->feature_end * s->net->hop), wav2vec2_samples(s->net, n));
    wav2vec2_features(s->net, s->params, &s->buffers, n, to + kept * C);
    s->feature_first = first;
    s->feature_end = end;
}

/* Step 4: hidden states of video frames begin .. end - 1. */
static void transform(struct stream *s, long begin, long end) {
    long C = s->net->config.conv_dim[s->net->config.convs - 1], n = s->feature_end - s->feature_first;
    struct wav2vec2_tap tap = {.state = s->state, .count = s->count, .rows = end - begin, .out = s->tapped};
    if (s->before) {
        long first = s->feature_first / s->step, last = smaller(end + s->lookahead, (s->feature_end - 1) / s->step + 1);
        interpolate_rows(s->picked, s->features[s->side], n, last - first, C, 0, (double)s->step);
        tap.first = (double)(begin - first);
        tap.step = 1;
        wav2vec2_transform(s->net, s->params, &s->buffers, s->picked, last - first, &tap);
    } else {
        tap.first = (double)(begin * s->step - s->feature_first);
        tap.step = (double)s->step;
        wav2vec2_transform(s->net, s->params, &s->buffers, s->features[s->side], n, &tap);
    }
    long dim = s->net->config.dim;
    transfer_from_real(s->states, s->tapped, s->count * tap.rows * dim);
    audio_join_states(s->out, s->states, s->count, s->mean, tap.rows, dim);
    s->out_first = 0;
    s->out_count = tap.rows;
}

/* Drops samples that no later pass reads. */
static void drop_samples(struct stream *s) {
    long keep = s->feature_end * s->net->hop;
    if (s->due < 0 || s->heard < s->samples) keep = smaller(keep, s->rows * s->net->config.conv_stride[0]);
    long drop = keep - s->pcm_first;
    memmove(s->pcm, s->pcm + drop, sizeof *s->pcm * (size_t)(s->held - drop));
    s->pcm_first += drop;
    s->held -= drop;
}

static int run_pass(struct stream *s) {
    long begin = s->end, end = next_end(s), until = samples_for(s, end);
    measure(s, until);
    make_features(s, larger(0, (begin - s->context) * s->step), wav2vec2_frames(s->net, until));
    transform(s, begin, end);
    s->end = end;
    drop_samples(s);
    return device_sync();
}

/* ---- the interface ---- */

static void stream_reset(struct audio_encoder *encoder) {
    struct stream *s = encoder->state;
    real_fill(s->buffers.mean, 0, 1);
    real_fill(s->buffers.variance, 1, 1);
    real_fill(s->buffers.first_mean, 0, s->net->config.conv_dim[0]);
    real_fill(s->buffers.first_variance, 1, s->net->config.conv_dim[0]);
    s->feature_first = s->feature_end = s->end = s->heard = s->rows = 0;
    s->out_first = s->out_count = s->pcm_first = s->held = s->samples = 0;
    s->due = -1;
}

static void stream_close(struct audio_encoder *encoder) {
    struct stream *s = encoder->state;
    arena_free(&s->arena);
    free(s->states);
    free(s->out);
    free(s->pcm);
    free(s);
}

/* Writes what the last pass left, then runs passes while there is room and sound. Returns frames written or -(error
   code). */
static int drain(struct audio_encoder *encoder, float *features, int capacity) {
    struct stream *s = encoder->state;
    int given = 0;
    for (;;) {
        long n = smaller(s->out_count, capacity - given);
        if (n > 0)
            memcpy(features + (long)given * encoder->dim, s->out + s->out_first * encoder->dim,
                   sizeof *features * (size_t)(n * encoder->dim));
        s->out_first += n;
        s->out_count -= n;
        given += (int)n;
        if (given == capacity || s->pcm_first + s->held < samples_for(s, next_end(s))) return given;
        if (s->due >= 0 && s->end >= s->due) return given;
        int code = run_pass(s);
        if (code) return -code;
        if (s->due >= 0 && s->end > s->due) s->out_count -= s->end - s->due;
    }
}

/* Makes room for `more` samples behind those held. */
static int reserve(struct stream *s, long more) {
    if (s->held + more <= s->capacity) return OK;
    long capacity = 2 * (s->held + more);
    float *grown = realloc(s->pcm, sizeof *grown * (size_t)capacity);
    if (!grown) return error_set(ERR_DEVICE, "audio encoder: out of memory");
    s->pcm = grown;
    s->capacity = capacity;
    return OK;
}

static int stream_push(struct audio_encoder *encoder, const float *pcm, long samples, float *features, int capacity) {
    struct stream *s = encoder->state;
    int given = drain(encoder, features, capacity);
    while (samples > 0 && given >= 0) {
        long take = s->capacity - s->held;
        if (take < samples && given == capacity) { /* no room for more features: keep the other samples */
            int code = reserve(s, samples);
            if (code) return -code;
            take = samples;
        }
        take = smaller(take, samples);
        for (long i = 0; i < take; i++) s->pcm[s->held + i] = audio_sample(pcm[i]);
        s->held += take;
        s->samples += take;
        pcm += take;
        samples -= take;
        int more = drain(encoder, features + (long)given * encoder->dim, capacity - given);
        given = more < 0 ? more : given + more;
    }
    return given;
}

static int stream_flush(struct audio_encoder *encoder, float *features, int capacity) {
    struct stream *s = encoder->state;
    if (s->due < 0) {
        long due = (s->samples + AUDIO_SAMPLES_PER_FRAME - 1) / AUDIO_SAMPLES_PER_FRAME;
        long end = s->end ? s->end : next_end(s);
        while (end < due) end += s->stride;
        long silence = samples_for(s, end) - s->pcm_first - s->held;
        if (silence > 0) {
            int code = reserve(s, silence);
            if (code) return -code;
            memset(s->pcm + s->held, 0, sizeof *s->pcm * (size_t)silence);
            s->held += silence;
        }
        s->due = due;
    }
    return drain(encoder, features, capacity);
}

static const struct audio_operations stream_operations = {stream_close, stream_reset, stream_push, stream_flush};

/* ---- opening ---- */

static int check(const struct wav2vec2 *net, const struct stream *s) {
    if (net->reach < net->hop)
        return error_set(
            ERR_USAGE,
            "wav2vec2: a feature every %d samples sees only %d of them; an encoder with such gaps cannot be streamed",
            net->hop, net->reach);
    if (AUDIO_SAMPLES_PER_FRAME % net->hop)
        return error_set(ERR_USAGE, "wav2vec2: a feature every %d samples; %d must be a multiple of it to stream",
                         net->hop, AUDIO_SAMPLES_PER_FRAME);
    if (!wav2vec2_frames(net, samples_for(s, next_end(s))))
        return error_set(ERR_USAGE, "wav2vec2: a feature sees %d samples: stride and lookahead are too short to stream",
                         net->reach);
    return OK;
}

static void layout(struct stream *s) {
    long C = s->net->config.conv_dim[s->net->config.convs - 1], wide = larger(s->stride, PASS_PHASE % s->stride);
    long window = s->step * (s->context + wide + s->lookahead);
    long block = larger(s->step * s->stride, wav2vec2_frames(s->net, samples_for(s, next_end(s)))) + 1;
    for (int k = 0; k < 2; k++) s->features[k] = ARENA_TAKE(&s->arena, "features", real, window * C);
    s->picked = s->before ? ARENA_TAKE(&s->arena, "features picked", real, window / s->step * C) : NULL;
    s->tapped = ARENA_TAKE(&s->arena, "hidden states", real, s->count * wide * s->net->config.dim);
    wav2vec2_layout(&s->buffers, s->net, block, s->before ? window / s->step : window, &s->arena);
}

/* Sets what a stream of this recipe is, and plans its memory. */
static int plan(struct stream *s, const struct wav2vec2 *net, const struct audio_recipe *recipe) {
    s->net = net;
    s->context = recipe->context;
    s->stride = recipe->stride;
    s->lookahead = recipe->lookahead;
    s->horizon = lround(recipe->horizon * AUDIO_RATE);
    s->before = recipe->resample == AUDIO_BEFORE;
    s->step = AUDIO_SAMPLES_PER_FRAME / net->hop;
    TRY(check(net, s));
    TRY(audio_states(recipe->states, net->config.layers, s->state, WAV2VEC2_STATES_MAX, &s->count, &s->mean));
    arena_begin(&s->arena, "speech encoder");
    layout(s);
    return OK;
}

int audio_encoder_plan_wav2vec2(const struct wav2vec2 *net, const struct audio_recipe *recipe,
                                struct memory_plan *memory) {
    struct stream s = {0};
    if (recipe->mode == AUDIO_WHOLE) return OK; /* its memory depends on the clip */
    int code = plan(&s, net, recipe);
    if (!code) memory_plan_arena(memory, &s.arena);
    arena_free(&s.arena);
    return code;
}

static int allocate(struct stream *s, int dim) {
    TRY(arena_commit(&s->arena));
    layout(s);
    s->capacity =
        wav2vec2_samples(s->net, s->buffers.block) + 2 * AUDIO_SAMPLES_PER_FRAME * (s->stride + s->lookahead + 1);
    s->pcm = malloc(sizeof *s->pcm * (size_t)s->capacity);
    s->states = malloc(sizeof *s->states * (size_t)s->count * (size_t)s->stride * (size_t)s->net->config.dim);
    s->out = malloc(sizeof *s->out * (size_t)s->stride * (size_t)dim);
    return s->pcm && s->states && s->out ? OK : error_set(ERR_DEVICE, "audio encoder: out of memory");
}

int audio_wav2vec2_open(struct audio_encoder *encoder, const struct wav2vec2 *net, const struct params *params,
                        const struct audio_recipe *recipe) {
    struct stream *s = calloc(1, sizeof *s);
    if (!s) return error_set(ERR_DEVICE, "audio encoder: out of memory");
    encoder->operations = &stream_operations;
    encoder->state = s;
    s->params = params;
    TRY(plan(s, net, recipe));
    encoder->dim = s->mean ? net->config.dim : s->count * net->config.dim;
    encoder->lookahead = (int)(AUDIO_SAMPLES_PER_FRAME * (s->stride - 1 + s->lookahead));
    TRY(allocate(s, encoder->dim));
    audio_encoder_reset(encoder);
    return device_sync();
}
