/* bench_dit.c: the transformer at full width, as a training block and as a live stream, against this device's measured limits.
   Operations: those of a block at the width of the 5B network over 21 latent frames of 928 x 704 pixels, each against the
   limits. Training: one block (with embeddings and head) of dim 3072, forward and forward + backward, over 21 latent frames of
   928 x 704 and of 480 x 832 pixels; with deterministic=yes that alone, by algorithms that always add in the same order.
   Streaming: a chunk of 3 latent frames of 928 x 704 through all 30 layers in 3 passes over a history of 10 frames, the
   cache's rotation included, with random weights made on the device, its passes queued as they are and as recordings
   (kernels/recordings.h); the light decoder's part of a chunk, at its full size; both on two streams, where a chunk is decoded
   beside the next one's passes; the first frame's delay in parts. Real-time factor: a chunk's time over the 0.48 s that it
   shows. Operations are counted by dit_flops; a backward counts twice its forward. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/philox.h"
#include "kernels/arena.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/workspace.h"
#include "model/codec/light_decoder.h"
#include "model/dit/rollout.h"
#include "tools/bench/operations.h"

/* Long enough for every pass of the steady state to have been recorded: the history is whole after 3 chunks, its ring comes
   round every 3, and a pass is recorded when it is met again. */
enum { CHUNK = 3, WARM_CHUNKS = 10, PIPELINED = 12, SLOTS = 2 };
static const double CHUNK_SECONDS = 4.0 * CHUNK / 25;

static struct dit_config full_config(int height, int width, int layers) {
    return (struct dit_config){.dim = 3072,
                               .ffn_dim = 14336,
                               .heads = 24,
                               .layers = layers,
                               .in_channels = 48,
                               .out_channels = 48,
                               .height = height,
                               .width = width,
                               .freq_dim = 256,
                               .text_len = 512,
                               .text_dim = 4096,
                               .audio_dim = 768,
                               .audio_tokens = 16,
                               .audio_width = 768,
                               .audio_hidden = 512,
                               .audio_every = 2,
                               .rope_theta_t = 10000,
                               .rope_theta_hw = 10000,
                               .eps = 1e-6};
}

/* The same shape, small: sizes a sixteenth. */
static struct dit_config tiny_config(struct dit_config c) {
    c.dim /= 32, c.ffn_dim /= 32, c.heads = 3;
    c.height = c.height / 8 * 2, c.width = c.width / 8 * 2;
    c.text_len = 16, c.text_dim = 64, c.audio_dim = 32, c.audio_width = 48, c.audio_hidden = 32;
    if (c.layers > 2) c.layers = 2;
    return c;
}

/* Random weights on the device, a slice at a time. */
static int random_weights(struct params *params, const struct param_table *table, int grads) {
    elem *weights = device_alloc(table->total * sizeof *weights);
    real *slice = device_alloc(param_largest_slice(table, 0) * sizeof *slice);
    *params = (struct params){.table = table, .weights = weights};
    if (grads) params->grads = device_alloc(table->total * sizeof *params->grads);
    if (!weights || !slice || (grads && !params->grads))
        return error_set(ERR_DEVICE, "out of memory for %.1f GB of weights",
                         1e-9 * (double)(table->total * sizeof *weights));
    for (int s = 0; s < table->slices; s++) {
        params_initialise_slice(slice, table, s, 1);
        elem_from_real(weights + table->slice_offset[s], slice, (long)param_slice_size(table, s));
    }
    int code = device_sync();
    device_free(slice);
    if (grads) mem_zero(params->grads, table->total * sizeof *params->grads);
    return code;
}

static void free_weights(struct params *params) {
    device_free(params->weights);
    device_free(params->grads);
}

/* ---- inputs ---- */

struct inputs {
    real *latents, *velocity, *t;
    elem *text, *audio[AUDIO_STREAMS];
};

static real *random_reals(int number, long n) {
    real *p = device_alloc((size_t)n * sizeof *p);
    if (p) random_init(p, 2, number, 1, n);
    return p;
}
static elem *random_elems(int number, long n) {
    real *values = random_reals(number, n);
    elem *p = device_alloc((size_t)n * sizeof *p);
    if (p && values) elem_from_real(p, values, n);
    device_sync();
    device_free(values);
    return p;
}

static int inputs_open(struct inputs *in, const struct dit_config *c, int frames) {
    long clip = (long)frames * c->in_channels * c->height * c->width;
    in->latents = random_reals(1, clip);
    in->velocity = random_reals(2, clip);
    in->t = device_alloc((size_t)frames * sizeof *in->t);
    in->text = random_elems(3, (long)c->text_len * c->text_dim);
    for (int s = 0; s < AUDIO_STREAMS; s++)
        in->audio[s] = random_elems(4 + s, (long)frames * AUDIO_WINDOW * c->audio_dim);
    if (!in->latents || !in->velocity || !in->t || !in->text || !in->audio[0] || !in->audio[1])
        return error_set(ERR_DEVICE, "out of memory for a clip");
    real_fill(in->t, 500, frames);
    return device_sync();
}

static void inputs_close(struct inputs *in) {
    device_free(in->latents);
    device_free(in->velocity);
    device_free(in->t);
    device_free(in->text);
    for (int s = 0; s < AUDIO_STREAMS; s++) device_free(in->audio[s]);
}

/* ---- a training block ---- */

static int acts_open(struct dit_acts **acts, struct arena *arena, const struct dit *net, int frames) {
    arena_begin(arena, "block");
    TRY(dit_acts_layout(acts, net, 1, frames, DIT_SAVE_ALL, arena));
    dit_acts_free(*acts);
    TRY(arena_commit(arena));
    return dit_acts_layout(acts, net, 1, frames, DIT_SAVE_ALL, arena);
}

static int run_block(const struct limits *l, const struct dit *net, const struct params *params, const char *name,
                     int frames) {
    struct inputs inputs = {0};
    struct arena arena;
    struct dit_acts *acts = NULL;
    int *positions = calloc((size_t)frames, sizeof *positions), code = OK;
    if (!positions) return error_set(ERR_DEVICE, "out of memory");
    for (int i = 0; i < frames; i++) positions[i] = i;
    memset(&arena, 0, sizeof arena);
    code = inputs_open(&inputs, &net->config, frames);
    if (!code) code = acts_open(&acts, &arena, net, frames);
    if (!code) {
        const struct dit_config *c = &net->config;
        long clip = (long)frames * c->in_channels * c->height * c->width;
        struct dit_input in = {.batch = 1,
                               .frames = frames,
                               .positions = positions,
                               .latents = inputs.latents,
                               .latent_stride = clip,
                               .t = inputs.t,
                               .text = inputs.text,
                               .audio = {inputs.audio[0], inputs.audio[1]},
                               .audio_stride = (long)frames * AUDIO_WINDOW * c->audio_dim};
        struct dit_gradients gradients = {.dvelocity = inputs.velocity, .dvelocity_stride = clip};
        double work = dit_flops(c, 1, frames, 0);
        char line[96];
        snprintf(line, sizeof line, "block %s, %d tokens: forward", name, frames * dit_tokens(c));
        MEASURE(l, line, ARITHMETIC, work, {
            dit_condition_reset(acts, 1, 1);
            if (!code) code = dit_forward(net, params, acts, &in, inputs.velocity, clip);
        });
        snprintf(line, sizeof line, "block %s: forward and backward", name);
        MEASURE(l, line, ARITHMETIC, 3 * work, {
            dit_condition_reset(acts, 1, 1);
            if (!code) code = dit_forward(net, params, acts, &in, inputs.velocity, clip);
            if (!code) code = dit_backward(net, params, acts, &in, &gradients);
        });
        if (!code) code = device_sync();
    }
    dit_acts_free(acts);
    arena_free(&arena);
    inputs_close(&inputs);
    free(positions);
    return code;
}

static int bench_block(const struct limits *l, const char *name, int height, int width, int tiny) {
    struct dit_config config = full_config(height, width, 1);
    if (tiny) config = tiny_config(config);
    struct dit net;
    struct params params = {0};
    TRY(dit_create(&net, &config, 0));
    int code = random_weights(&params, &net.table, 1);
    if (!code) code = run_block(l, &net, &params, name, tiny ? 4 : 21);
    free_weights(&params);
    dit_destroy(&net);
    return code;
}

/* ---- the light decoder ---- */

struct decoder {
    struct light_decoder net;
    struct params params;
    struct light_acts *acts;
    struct arena arena;
    real *latents[SLOTS], *pixels;
    size_t bytes; /* of a chunk's pixels */
    int height, width;
};

static int decoder_layout(struct decoder *d, int h, int w) {
    int stride = light_decoder_stride(&d->net.config);
    d->height = h * stride, d->width = w * stride;
    d->bytes = sizeof(real) * 4 * CHUNK * 3 * (size_t)d->height * (size_t)d->width;
    TRY(light_acts_layout(&d->acts, &d->net, LIGHT_STREAM, 1, CHUNK, h, w, &d->arena));
    for (int i = 0; i < SLOTS; i++)
        d->latents[i] = ARENA_TAKE(&d->arena, "latents", real, (long)CHUNK * d->net.config.channels * h * w);
    d->pixels = arena_take(&d->arena, "pixels", d->bytes);
    return OK;
}

static int decoder_open(struct decoder *d, int tiny) {
    const struct light_decoder_config config = {.channels = 48,
                                                .first = tiny ? 32 : 256,
                                                .stage = {tiny ? 16 : 128, tiny ? 16 : 64, tiny ? 16 : 64},
                                                .blocks = 3,
                                                .grow = {1, 2, 2},
                                                .scale = {2, 2, 2},
                                                .patch = 2,
                                                .clamp = 3};
    int h = tiny ? 10 : 44, w = tiny ? 14 : 58; /* as the network's (tiny_config) */
    memset(d, 0, sizeof *d);
    TRY(light_decoder_create(&d->net, &config));
    TRY(random_weights(&d->params, &d->net.table, 0));
    arena_begin(&d->arena, "light decoder");
    TRY(decoder_layout(d, h, w));
    light_acts_free(d->acts);
    d->acts = NULL;
    TRY(arena_commit(&d->arena));
    TRY(decoder_layout(d, h, w));
    for (int i = 0; i < SLOTS; i++) random_init(d->latents[i], 2, 1 + i, 1, (long)CHUNK * config.channels * h * w);
    light_stream_reset(d->acts);
    return device_sync();
}

static void decoder_close(struct decoder *d) {
    light_acts_free(d->acts);
    arena_free(&d->arena);
    free_weights(&d->params);
    light_decoder_destroy(&d->net);
}

static void decode(struct decoder *d, int slot) {
    light_stream_decode(&d->net, &d->params, d->acts, d->latents[slot], CHUNK, d->pixels);
}

static void bench_decoder(struct decoder *d) {
    struct series s = series_start();
    while (series_next(&s)) decode(d, 0);
    double seconds = series_median(&s);
    printf("light decoder, %zu parameters, %d x %d: %.3f ms a chunk, real-time factor %.3f\n", d->net.table.values,
           d->width, d->height, 1e3 * seconds, seconds / CHUNK_SECONDS);
}

/* ---- a stream ---- */

struct live {
    const struct params *params;
    struct rollout rollout;
    struct rollout_condition condition;
    struct inputs inputs;
};

static int live_chunk(struct live *s, real *out) {
    const struct rollout_noise noise = {.seed = 1, .purpose = RANDOM_STREAM};
    struct rollout *r = &s->rollout;
    long chunk = (long)CHUNK * r->net->config.in_channels * r->net->config.height * r->net->config.width;
    s->condition.window_first = 1 + (r->next_chunk - 1) * CHUNK;
    return rollout_chunk(r, s->params, &s->condition, &noise, r->config.steps - 1, out, chunk, NULL, 0);
}

static int warm_up(struct live *s) {
    for (int i = 0; i < WARM_CHUNKS; i++) TRY(live_chunk(s, s->inputs.velocity));
    return device_sync();
}

static int bench_network(const struct limits *l, struct live *s, const char *name) {
    const struct rollout_config *r = &s->rollout.config;
    double work = r->steps * dit_flops(&s->rollout.net->config, 1, CHUNK, r->causal.sink + r->causal.ring);
    int code = warm_up(s);
    if (code) return code;
    double rate = MEASURE(l, name, ARITHMETIC, work, {
        if (!code) code = live_chunk(s, s->inputs.velocity);
    });
    printf("real-time factor of the network %.3f\n", work / rate / CHUNK_SECONDS);
    return code;
}

/* Chunks through network and decoder on two streams; a slot's latents are written again when they have been decoded. */
struct pair {
    struct device_stream *network, *decoder;
    struct device_event *made[SLOTS], *shown[SLOTS];
    void *workspace; /* the decoder's */
};

static int pair_open(struct pair *p) {
    p->network = device_stream_create();
    p->decoder = device_stream_create_urgent();
    p->workspace = device_alloc(WORKSPACE_LEAST);
    int good = p->network && p->decoder && p->workspace;
    for (int i = 0; i < SLOTS; i++) {
        p->made[i] = device_event_create();
        p->shown[i] = device_event_create();
        good = good && p->made[i] && p->shown[i];
    }
    if (!good) return error_set(ERR_DEVICE, "no streams for network and decoder");
    if (!device_overlaps()) return OK;
    device_stream_use(p->decoder);
    device_workspace(p->workspace, WORKSPACE_LEAST);
    device_stream_use(NULL);
    return OK;
}

static void pair_close(struct pair *p) {
    for (int i = 0; i < SLOTS; i++) {
        device_event_destroy(p->made[i]);
        device_event_destroy(p->shown[i]);
    }
    device_stream_destroy(p->network);
    device_stream_destroy(p->decoder);
    device_free(p->workspace);
}

static int pair_chunk(struct pair *p, struct live *s, struct decoder *d, int i) {
    int slot = i % SLOTS;
    device_stream_use(p->network);
    if (i >= SLOTS) device_event_wait(p->shown[slot]);
    int code = live_chunk(s, d->latents[slot]);
    device_event_record(p->made[slot]);
    device_stream_use(p->decoder);
    device_event_wait(p->made[slot]);
    if (!code) decode(d, slot);
    device_event_record(p->shown[slot]);
    device_stream_use(NULL);
    return code;
}

static int bench_pair(struct pair *p, struct live *s, struct decoder *d) {
    TRY(device_sync());
    double begin = bench_now();
    for (int i = 0; i < PIPELINED; i++) TRY(pair_chunk(p, s, d, i));
    TRY(device_sync());
    double seconds = (bench_now() - begin) / PIPELINED;
    printf("network and light decoder on two streams: %.3f ms a chunk, real-time factor %.3f\n", 1e3 * seconds,
           seconds / CHUNK_SECONDS);
    return OK;
}

/* One chunk from its sound's features to pixels in the host's memory, nothing beside it. */
static int bench_first_frame(struct live *s, struct decoder *d) {
    void *host = malloc(d->bytes);
    double at[4] = {0};
    if (!host) return error_set(ERR_DEVICE, "out of memory for the pixels");
    device_pin(host, d->bytes); /* as a stream's frames are */
    int code = device_sync();
    for (int run = 0; run < 2 && !code; run++) { /* the first touches the host's pages */
        at[0] = bench_now();
        code = live_chunk(s, d->latents[0]);
        if (!code) code = device_sync();
        at[1] = bench_now();
        decode(d, 0);
        if (!code) code = device_sync();
        at[2] = bench_now();
        mem_download(host, d->pixels, d->bytes);
        at[3] = bench_now();
    }
    device_unpin(host);
    free(host);
    if (!code)
        printf("first frame: %.0f ms after its sound (network %.1f, decoder %.1f, copy %.1f), %.0f ms after the sound "
               "begins (frame and chunk 520, look-ahead 80), with neither the encoder nor its own look-ahead\n",
               1e3 * (at[3] - at[0]), 1e3 * (at[1] - at[0]), 1e3 * (at[2] - at[1]), 1e3 * (at[3] - at[2]),
               1e3 * (at[3] - at[0]) + 600);
    return code;
}

static int live_open(struct live *s) {
    const struct dit_config *c = &s->rollout.net->config;
    TRY(inputs_open(&s->inputs, c, CHUNK));
    s->condition = (struct rollout_condition){.text = s->inputs.text,
                                              .audio = {s->inputs.audio[0], s->inputs.audio[1]},
                                              .audio_stride = (long)CHUNK * AUDIO_WINDOW * c->audio_dim};
    return rollout_begin(&s->rollout, s->params, s->inputs.latents, (long)c->in_channels * c->height * c->width,
                         &s->condition);
}

static int run_stream(const struct limits *l, struct live *s, int tiny) {
    struct decoder decoder = {0};
    struct pair pair = {0};
    int code = live_open(s);
    if (!code) code = bench_network(l, s, "chunk of 0.48 s, all layers, 3 passes");
    if (!code) code = rollout_record(&s->rollout);
    if (!code) code = bench_network(l, s, "the same from recordings");
    if (!code) code = decoder_open(&decoder, tiny);
    if (!code) bench_decoder(&decoder);
    if (!code) code = pair_open(&pair);
    if (!code) code = bench_pair(&pair, s, &decoder);
    if (!code) code = bench_first_frame(s, &decoder);
    pair_close(&pair);
    decoder_close(&decoder);
    inputs_close(&s->inputs);
    return code;
}

static int bench_stream(const struct limits *l, int tiny) {
    struct dit_config config = full_config(44, 58, 30);
    if (tiny) config = tiny_config(config);
    const struct rollout_config causal = {
        .causal = {.chunk = CHUNK, .sink = 1 + CHUNK, .ring = 2 * CHUNK, .rapr = RAPR_END, .rapr_cap = 9},
        .steps = 3,
        .sigma = {1, 0.909, 0.714}};
    struct dit net;
    struct params params = {0};
    struct live live = {.params = &params};
    struct rollout *r = &live.rollout;
    struct arena arena;
    TRY(dit_create(&net, &config, 0));
    arena_begin(&arena, "stream");
    int code = random_weights(&params, &net.table, 0);
    if (!code) code = rollout_layout(r, &net, &causal, 1, causal.causal.ring, &arena);
    rollout_free(r);
    if (!code) code = arena_commit(&arena);
    if (!code) code = rollout_layout(r, &net, &causal, 1, causal.causal.ring, &arena);
    if (!code) {
        printf("stream: %zu parameters, %d tokens a frame\n", net.table.values, dit_tokens(&config));
        code = run_stream(l, &live, tiny);
    }
    rollout_free(r);
    arena_free(&arena);
    free_weights(&params);
    dit_destroy(&net);
    return code;
}

static int bench_all(int tiny, int deterministic) {
    struct limits limits = {0};
    struct operands o;
    long edge = tiny ? 256 : 8192, largest = tiny ? 1 << 18 : 21L * 22 * 29 * 14336;
    void *workspace = NULL;
    size_t room = (size_t)(tiny ? 16 : 512) << 20;
    printf("%s, %s, %d threads%s\n", device_name(), TYPE_NAME, device_threads(),
           deterministic ? ", deterministic" : "");
    if (!(workspace = device_alloc(room))) return error_set(ERR_DEVICE, "out of memory for the workspace");
    device_workspace(workspace, room);
    TRY(operands_open(&o, deterministic ? edge * edge : largest));
    measure_limits(&limits, &o, edge);
    if (!deterministic) bench_dit_operations(&limits, &o, tiny);
    operands_close(&o);
    TRY(device_sync());
    TRY(bench_block(&limits, "928 x 704", 44, 58, tiny));
    TRY(bench_block(&limits, "480 x 832", 52, 30, tiny));
    if (!deterministic) TRY(bench_stream(&limits, tiny));
    device_workspace(NULL, 0);
    device_free(workspace);
    return OK;
}

struct settings {
    int threads, deterministic, tiny;
};
static const struct config_field keys[] = {
    THREADS_KEY(settings),
    FLAG_KEY(settings, deterministic,
             "Measures training blocks alone, with algorithms that give the same bits every time."),
    FLAG_KEY(settings, tiny, "Takes small shapes, to try the program itself."),
};
static const struct command command = {.name = "bench_dit",
                                       .does =
                                           "Measures the blocks of a full-size network and a live stream through it.",
                                       .words = "",
                                       .keys = keys,
                                       .key_count = sizeof keys / sizeof *keys};

static int run(const struct settings *o) {
    device_deterministic(o->deterministic);
    TRY(device_init(o->threads));
    TRY(bench_all(o->tiny, o->deterministic));
    device_shutdown();
    return OK;
}

int main(int argc, char **argv) {
    struct args args;
    struct settings o;
    int code = args_parse(&args, &command, &o, argc, argv);
    if (!code && !args.done) code = run(&o);
    return args_exit("bench_dit", code);
}
