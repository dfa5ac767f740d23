/* stream.c: see stream.h. */
#include "tools/bench/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/philox.h"
#include "kernels/arena.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/workspace.h"
#include "model/codec/byte_output.h"
#include "model/codec/light_decoder.h"
#include "model/dit/rollout.h"

/* Latent frames of a chunk; chunks after which the history is whole; chunks through the pipeline; its places. */
enum { CHUNK = 3, WARM_CHUNKS = 10, PIPELINED = 12, SLOTS = 2 };
static const double CHUNK_SECONDS = 4.0 * CHUNK / 25;
static const double BOX_SECONDS = 3; /* time after which no further chunk to warm up or to fill the pipeline begins */

/* ---- the light decoder ---- */

struct decoder {
    struct light_decoder net;
    struct params params;
    struct light_acts *acts;
    struct arena arena;
    real *latents[SLOTS], *pixels;
    struct byte_output shown;
    size_t bytes; /* bytes of a chunk's pictures of 8 bits */
    int height, width;
};

static int decoder_layout(struct decoder *d, int h, int w) {
    int stride = light_decoder_stride(&d->net.config);
    d->height = h * stride, d->width = w * stride;
    d->bytes = 4 * CHUNK * 3 * (size_t)d->height * (size_t)d->width;
    TRY(light_acts_layout(&d->acts, &d->net, DECODER_STREAM, 1, CHUNK, h, w, &d->arena));
    for (int i = 0; i < SLOTS; i++)
        d->latents[i] = ARENA_TAKE(&d->arena, "latents", real, (long)CHUNK * d->net.config.channels * h * w);
    d->pixels = ARENA_TAKE(&d->arena, "pixels", real, d->bytes);
    byte_output_layout(&d->shown, &d->arena, 4 * CHUNK, d->height, d->width);
    return OK;
}

/* Opens a light decoder for the latents of network `c`; its widths are those of the public weights. */
static int decoder_open(struct decoder *d, const struct dit_config *c, const struct bench_case *what) {
    int tiny = what->tiny, h = c->height, w = c->width;
    const struct light_decoder_config config = {.channels = c->in_channels,
                                                .first = tiny ? 32 : 256,
                                                .level = {tiny ? 16 : 128, tiny ? 16 : 64, tiny ? 16 : 64},
                                                .blocks = 3,
                                                .grow = {1, 2, 2},
                                                .scale = {2, 2, 2},
                                                .patch = what->net == BENCH_5B ? 2 : 1,
                                                .clamp = 3};
    memset(d, 0, sizeof *d);
    TRY(light_decoder_create(&d->net, &config));
    TRY(bench_weights_open(&d->params, &d->net.table, 0));
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
    bench_weights_close(&d->params);
    light_decoder_destroy(&d->net);
}

/* Decodes a slot's latents to pictures of 8 bits, on the device. */
static void decode(struct decoder *d, int slot) {
    int frames = light_stream_decode(&d->net, &d->params, d->acts, d->latents[slot], CHUNK, d->pixels);
    pixels_to_bytes(d->shown.rgb, d->shown.fault, d->pixels, 2, -1, frames, d->shown.places);
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
    struct bench_inputs inputs;
};

static int live_chunk(struct live *s, real *out) {
    const struct rollout_noise noise = {.seed = 1, .purpose = RANDOM_STREAM};
    struct rollout *r = &s->rollout;
    long chunk = (long)CHUNK * r->net->config.in_channels * r->net->config.height * r->net->config.width;
    s->condition.window_first = 1 + (r->next_chunk - 1) * CHUNK;
    return rollout_chunk(r, s->params, &s->condition, &noise, r->config.steps - 1, out, chunk, NULL, 0);
}

static int warm_up(struct live *s) {
    double begin = bench_now();
    for (int i = 0; i < WARM_CHUNKS && bench_now() - begin < BOX_SECONDS; i++) {
        TRY(live_chunk(s, s->inputs.velocity));
        TRY(device_sync());
    }
    return OK;
}

static int bench_chunk(const struct limits *l, struct live *s, const char *name) {
    const struct rollout_config *r = &s->rollout.config;
    double work = r->steps * dit_flops(&s->rollout.net->config, 1, CHUNK, r->causal.sink + r->causal.ring);
    int code = warm_up(s);
    if (code) return code;
    double rate = MEASURE(l, name, ARITHMETIC, work, {
        if (!code) code = live_chunk(s, s->inputs.velocity);
    });
    if (!code) code = device_sync();
    if (!code) printf("real-time factor of the network %.3f\n", work / rate / CHUNK_SECONDS);
    return code;
}

/* Network and decoder on two streams; the latents of a slot are written again when they have been decoded. */
struct pair {
    struct device_stream *network, *decoder;
    struct device_event *made[SLOTS], *shown[SLOTS];
    void *workspace; /* workspace of the decoder's stream */
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
    int chunks = 0;
    while (chunks < PIPELINED && (chunks <= SLOTS || bench_now() - begin < BOX_SECONDS))
        TRY(pair_chunk(p, s, d, chunks++));
    TRY(device_sync());
    double seconds = (bench_now() - begin) / chunks;
    printf("network and light decoder on two streams: %.3f ms a chunk, real-time factor %.3f\n", 1e3 * seconds,
           seconds / CHUNK_SECONDS);
    return OK;
}

/* Takes one chunk from the features of its sound to pictures in host memory, with nothing beside it; at [4] gets the
   time at the beginning and after each part. */
static int chunk_to_host(struct live *s, struct decoder *d, void *host, double at[4]) {
    at[0] = bench_now();
    TRY(live_chunk(s, d->latents[0]));
    TRY(device_sync());
    at[1] = bench_now();
    decode(d, 0);
    TRY(device_sync());
    at[2] = bench_now();
    mem_download(host, d->shown.rgb, d->bytes);
    at[3] = bench_now();
    return OK;
}

static int bench_first_frame(struct live *s, struct decoder *d, const char *name) {
    void *host = malloc(d->bytes);
    double at[4] = {0};
    if (!host) return error_set(ERR_DEVICE, "out of memory for the pictures");
    memset(host, 0, d->bytes);  /* touches the pages, so that the system gives them now */
    device_pin(host, d->bytes); /* a stream's frames are pinned, too */
    int code = chunk_to_host(s, d, host, at);
    device_unpin(host);
    free(host);
    if (!code)
        printf(
            "first frame, %s: %.0f ms after its sound (network %.1f, decoder %.1f, copy %.1f), %.0f ms after the sound "
            "begins (frame and chunk 520, look-ahead 80), with neither the encoder nor its own look-ahead\n",
            name, 1e3 * (at[3] - at[0]), 1e3 * (at[1] - at[0]), 1e3 * (at[2] - at[1]), 1e3 * (at[3] - at[2]),
            1e3 * (at[3] - at[0]) + 600);
    return code;
}

static int live_begin(struct live *s) {
    const struct dit_config *c = &s->rollout.net->config;
    s->condition.window_first = 0;
    return rollout_begin(&s->rollout, s->params, s->inputs.latents, (long)c->in_channels * c->height * c->width,
                         &s->condition);
}

static int live_open(struct live *s) {
    const struct dit_config *c = &s->rollout.net->config;
    TRY(bench_inputs_open(&s->inputs, c, CHUNK));
    s->condition = (struct rollout_condition){.text = s->inputs.text,
                                              .audio = {s->inputs.audio[0], s->inputs.audio[1]},
                                              .audio_stride = (long)CHUNK * AUDIO_WINDOW * c->audio_dim};
    return OK;
}

/* Does what `stream` does when it opens on a device (pipeline_rehearse of infer/pipeline.h), then begins the clip. */
static int rehearse(struct live *s, struct decoder *d) {
    int chunks = device_overlaps() ? rollout_chunk_kinds(&s->rollout.config.causal) : 0;
    TRY(rollout_record(&s->rollout));
    for (int clip = 0; clip < 2 && chunks; clip++) {
        TRY(live_begin(s));
        for (int i = 0; i < chunks; i++) TRY(live_chunk(s, d->latents[0]));
        decode(d, 0);
    }
    light_stream_reset(d->acts);
    TRY(live_begin(s));
    return device_sync();
}

static int run_stream(const struct limits *l, struct live *s, const struct bench_case *what) {
    struct decoder decoder = {0};
    struct pair pair = {0};
    double begin = bench_now();
    int code = live_open(s);
    if (!code) code = decoder_open(&decoder, &s->rollout.net->config, what);
    if (!code) code = rehearse(s, &decoder);
    if (!code)
        printf("opened, with all plans, recordings and the reference's pass: %.0f ms\n", 1e3 * (bench_now() - begin));
    if (!code) code = bench_first_frame(s, &decoder, "fresh open");
    if (!code) code = bench_chunk(l, s, "chunk of 0.48 s, all layers, 3 passes");
    if (!code) bench_decoder(&decoder);
    if (!code) code = pair_open(&pair);
    if (!code) code = bench_pair(&pair, s, &decoder);
    if (!code) code = bench_first_frame(s, &decoder, "steady state");
    if (!code) rollout_direct(&s->rollout);
    if (!code) code = bench_chunk(l, s, "the chunk without recordings");
    pair_close(&pair);
    decoder_close(&decoder);
    bench_inputs_close(&s->inputs);
    return code;
}

int bench_stream(const struct limits *l, const struct bench_case *what) {
    const struct dit_config config = bench_config(what, BENCH_LAYERS);
    const struct rollout_config causal = bench_rollout();
    struct dit net;
    struct params params = {0};
    struct live live = {.params = &params};
    struct rollout *r = &live.rollout;
    struct arena arena;
    TRY(dit_create(&net, &config, 0));
    arena_begin(&arena, "stream");
    int code = bench_weights_open(&params, &net.table, 0);
    if (!code) code = rollout_layout(r, &net, &causal, 1, KV_STREAM, &arena);
    rollout_free(r);
    if (!code) code = arena_commit(&arena);
    if (!code) code = rollout_layout(r, &net, &causal, 1, KV_STREAM, &arena);
    if (!code) {
        printf("stream %s, %d x %d%s: %zu parameters, %d tokens a frame\n", bench_net_names[what->net], what->width,
               what->height, what->tiny ? ", tiny" : "", net.table.values, dit_tokens(&config));
        code = run_stream(l, &live, what);
    }
    rollout_free(r);
    arena_free(&arena);
    bench_weights_close(&params);
    dit_destroy(&net);
    return code;
}
