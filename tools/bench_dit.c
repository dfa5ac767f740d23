/* bench_dit.c: the transformer at full width, as a training block and as a live stream, against this device's measured limits.
     bench_dit [--tiny] [--threads N]
   Training: one block (with embeddings and head) of dim 3072, forward and forward + backward, over 21 latent frames of
   928 x 704 and of 480 x 832 pixels. Streaming: a chunk of 3 latent frames of 928 x 704 through all 30 layers in 3 passes
   over a history of 10 frames, the cache's rotation included, with random weights made on the device; real-time factor: its
   time over the 0.48 s that it shows. The light decoder's part of a chunk, at its full size. --tiny: small shapes, to try
   the program itself. Operations are counted by dit_flops; a backward counts twice its forward. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/philox.h"
#include "kernels/arena.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "model/light_decoder.h"
#include "model/rollout.h"
#include "tools/bench_measure.h"

enum { CHUNK = 3, WARM_CHUNKS = 4 };
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
    size_t largest = 0;
    for (int s = 0; s < table->slices; s++) {
        size_t size = table->slice_offset[s + 1] - table->slice_offset[s];
        if (size > largest) largest = size;
    }
    elem *weights = device_alloc(table->total * sizeof *weights);
    real *slice = device_alloc(largest * sizeof *slice);
    *params = (struct params){.table = table, .weights = weights};
    if (grads) params->grads = device_alloc(table->total * sizeof *params->grads);
    if (!weights || !slice || (grads && !params->grads))
        return error_set(ERR_DEVICE, "out of memory for %.1f GB of weights",
                         1e-9 * (double)(table->total * sizeof *weights));
    for (int s = 0; s < table->slices; s++) {
        params_initialise_slice(slice, table, s, 1);
        elem_from_real(weights + table->slice_offset[s], slice,
                       (long)(table->slice_offset[s + 1] - table->slice_offset[s]));
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

/* ---- a stream ---- */

static int stream_chunk(struct rollout *r, const struct params *params, struct rollout_condition *condition,
                        real *out) {
    const struct rollout_noise noise = {.seed = 1, .purpose = RANDOM_STREAM};
    long chunk = (long)CHUNK * r->net->config.in_channels * r->net->config.height * r->net->config.width;
    condition->window_first = r->next_chunk ? 1 + (r->next_chunk - 1) * CHUNK : 0;
    return rollout_chunk(r, params, condition, &noise, r->config.steps - 1, out, chunk, NULL, 0);
}

static int run_stream(const struct limits *l, const struct dit *net, const struct params *params, struct rollout *r) {
    const struct dit_config *c = &net->config;
    struct inputs inputs = {0};
    int code = inputs_open(&inputs, c, CHUNK);
    struct rollout_condition condition = {.text = inputs.text,
                                          .audio = {inputs.audio[0], inputs.audio[1]},
                                          .audio_stride = (long)CHUNK * AUDIO_WINDOW * c->audio_dim};
    if (!code) code = rollout_begin(r, params, inputs.latents, (long)c->in_channels * c->height * c->width, &condition);
    for (int i = 0; i < WARM_CHUNKS && !code; i++) code = stream_chunk(r, params, &condition, inputs.velocity);
    if (!code) {
        double work = r->config.steps * dit_flops(c, 1, CHUNK, r->config.causal.sink + r->config.causal.ring);
        double rate = MEASURE(l, "chunk of 0.48 s, all layers, 3 passes", ARITHMETIC, work, {
            if (!code) code = stream_chunk(r, params, &condition, inputs.velocity);
        });
        printf("real-time factor of the network %.3f\n", work / rate / CHUNK_SECONDS);
    }
    inputs_close(&inputs);
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
    struct rollout r = {0};
    struct arena arena;
    TRY(dit_create(&net, &config, 0));
    arena_begin(&arena, "stream");
    int code = random_weights(&params, &net.table, 0);
    if (!code) code = rollout_layout(&r, &net, &causal, 1, causal.causal.ring, &arena);
    rollout_free(&r);
    if (!code) code = arena_commit(&arena);
    if (!code) code = rollout_layout(&r, &net, &causal, 1, causal.causal.ring, &arena);
    if (!code) {
        printf("stream: %zu parameters, %d tokens a frame\n", net.table.values, dit_tokens(&config));
        code = run_stream(l, &net, &params, &r);
    }
    rollout_free(&r);
    arena_free(&arena);
    free_weights(&params);
    dit_destroy(&net);
    return code;
}

/* ---- the light decoder ---- */

static int bench_decoder(const struct limits *l, int tiny) {
    struct light_decoder_config config = {.channels = 48,
                                          .first = tiny ? 32 : 256,
                                          .stage = {tiny ? 16 : 128, tiny ? 16 : 64, tiny ? 16 : 64},
                                          .blocks = 3,
                                          .grow = {1, 2, 2},
                                          .scale = {2, 2, 2},
                                          .patch = 2,
                                          .clamp = 3};
    int h = tiny ? 4 : 44, w = tiny ? 4 : 58, side = light_decoder_stride(&config);
    struct light_decoder net;
    struct params params = {0};
    struct light_acts *acts = NULL;
    struct arena arena;
    TRY(light_decoder_create(&net, &config));
    arena_begin(&arena, "light decoder");
    real *latents = random_reals(1, (long)CHUNK * config.channels * h * w);
    real *pixels = device_alloc(sizeof(real) * 4 * CHUNK * 3 * (size_t)(h * side) * (size_t)(w * side));
    int code = latents && pixels ? random_weights(&params, &net.table, 0) : error_set(ERR_DEVICE, "out of memory");
    if (!code) code = light_acts_layout(&acts, &net, LIGHT_STREAM, 1, CHUNK, h, w, &arena);
    light_acts_free(acts);
    acts = NULL;
    if (!code) code = arena_commit(&arena);
    if (!code) code = light_acts_layout(&acts, &net, LIGHT_STREAM, 1, CHUNK, h, w, &arena);
    if (!code) {
        light_stream_reset(acts);
        struct series s = series_start();
        while (series_next(&s)) light_stream_decode(&net, &params, acts, latents, CHUNK, pixels);
        double seconds = series_median(&s);
        printf("light decoder, %zu parameters, %d x %d: %.3f ms a chunk, real-time factor %.3f\n", net.table.values,
               w * side, h * side, 1e3 * seconds, seconds / CHUNK_SECONDS);
        code = device_sync();
    }
    (void)l;
    light_acts_free(acts);
    arena_free(&arena);
    free_weights(&params);
    device_free(latents);
    device_free(pixels);
    light_decoder_destroy(&net);
    return code;
}

static int bench_all(int tiny) {
    struct limits limits = {0};
    struct operands o;
    long edge = tiny ? 256 : 8192;
    void *workspace = NULL;
    size_t room = (size_t)(tiny ? 16 : 512) << 20;
    printf("%s, %s, %d threads\n", device_name(), TYPE_NAME, device_threads());
    if (!(workspace = device_alloc(room))) return error_set(ERR_DEVICE, "out of memory for the workspace");
    device_workspace(workspace, room);
    TRY(operands_open(&o, edge * edge));
    measure_limits(&limits, &o, edge);
    operands_close(&o);
    TRY(device_sync());
    TRY(bench_block(&limits, "928 x 704", 44, 58, tiny));
    TRY(bench_block(&limits, "480 x 832", 52, 30, tiny));
    TRY(bench_stream(&limits, tiny));
    TRY(bench_decoder(&limits, tiny));
    device_workspace(NULL, 0);
    device_free(workspace);
    return OK;
}

int main(int argc, char **argv) {
    struct args args;
    const char *asked = "0";
    int threads = 0, tiny = 0;
    const struct args_option options[] = {{"threads", "N", NULL, &asked, "0: all cores"},
                                          {"tiny", NULL, &tiny, NULL, "small shapes, to try the program itself"}};
    int code = args_parse(&args, argc, argv, options, 2, 0, 0);
    if (code == OK && args.help) {
        args_help("bench_dit", options, 2, stdout);
        return 0;
    }
    if (code == OK) code = args_number("threads", asked, 0, 1024, &threads);
    if (code == OK) code = device_init(threads);
    if (code == OK) code = bench_all(tiny);
    if (code != OK) return args_fail("bench_dit", code);
    device_shutdown();
    return 0;
}
