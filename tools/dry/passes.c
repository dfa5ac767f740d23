/* passes.c: see passes.h. */
#include "tools/dry/passes.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/philox.h"
#include "kernels/arena.h"
#include "tools/dry/minimum.h"
#include "tools/record/record.h"
#include "tools/bench/stream.h"

enum { GROWING = 6, TRAINING_FRAMES = 21 }; /* GROWING: chunks after which the history is surely whole */

static struct traffic part_of(const struct traffic *t, int parts) {
    return (struct traffic){t->launches / parts, t->read / parts, t->written / parts, t->operations / parts};
}

static void print_kernel(const char *name, const struct traffic *t) {
    printf("dry:   %-28s %6ld launches, %8.3f GB read, %8.3f GB written, %8.3f Tflop\n", name, t->launches,
           1e-9 * t->read, 1e-9 * t->written, 1e-12 * t->operations);
}

static void print_entries(int parts) {
    struct dry_entry e;
    for (int i = 0; dry_entry(i, &e); i++) {
        struct traffic t = part_of(&e.traffic, parts);
        print_kernel(e.kernel, &t);
    }
}

/* ---- a stream ---- */

struct dry_stream {
    struct params params;
    struct bench_inputs inputs;
    struct rollout rollout;
    struct arena arena;
    struct rollout_condition condition;
};

static int stream_open(struct dry_stream *s, const struct dit *net, const struct rollout_config *config) {
    const struct dit_config *c = &net->config;
    TRY(bench_weights_open(&s->params, &net->table, 0));
    TRY(bench_inputs_open(&s->inputs, c, config->causal.chunk));
    s->condition = (struct rollout_condition){.text = s->inputs.text,
                                              .audio = {s->inputs.audio[0], s->inputs.audio[1]},
                                              .audio_stride = (long)config->causal.chunk * AUDIO_WINDOW * c->audio_dim};
    arena_begin(&s->arena, "stream");
    TRY(rollout_layout(&s->rollout, net, config, 1, KV_STREAM, &s->arena));
    rollout_free(&s->rollout);
    TRY(arena_commit(&s->arena));
    TRY(rollout_layout(&s->rollout, net, config, 1, KV_STREAM, &s->arena));
    return rollout_begin(&s->rollout, &s->params, s->inputs.latents, (long)c->in_channels * c->height * c->width,
                         &s->condition);
}

static int stream_chunks(struct dry_stream *s, int chunks) {
    const struct rollout_noise noise = {.seed = 1, .purpose = RANDOM_STREAM};
    struct rollout *r = &s->rollout;
    const struct dit_config *c = &r->net->config;
    long stride = (long)r->config.causal.chunk * c->in_channels * c->height * c->width;
    for (int i = 0; i < chunks; i++) {
        s->condition.window_first = rollout_next_frame(r);
        TRY(rollout_chunk(r, &s->params, &s->condition, &noise, r->config.steps - 1, s->inputs.velocity, stride, NULL,
                          0));
    }
    return OK;
}

static int count_chunks(struct dry_stream *s, const struct dit *net, const struct rollout_config *config, int chunks) {
    TRY(stream_open(s, net, config));
    TRY(stream_chunks(s, GROWING));
    dry_clear();
    return stream_chunks(s, chunks);
}

int dry_chunk(struct dry_result *result, const struct bench_case *what, int show) {
    const struct dit_config c = bench_config(what, BENCH_LAYERS);
    const struct rollout_config rollout = bench_rollout();
    int period = rollout.causal.ring / rollout.causal.chunk + 1;
    struct dry_stream s = {0};
    struct dit net;
    TRY(dit_create(&net, &c, 0));
    int code = dry_begin();
    if (!code) {
        code = count_chunks(&s, &net, &rollout, period);
        rollout_free(&s.rollout);
        arena_free(&s.arena);
        struct traffic sum = dry_sum();
        *result = (struct dry_result){part_of(&sum, period), minimum_chunk(&net.config, &rollout), .items = 0};
        result->items = surplus_chunk(result->surplus, &net.config, &rollout);
        if (!code && show) print_entries(period);
        dry_end();
    }
    dit_destroy(&net);
    return code;
}

/* ---- a training block ---- */

struct dry_block {
    struct params params;
    struct bench_inputs inputs;
    struct dit_acts *acts;
    struct arena arena;
};

static int block_open(struct dry_block *b, const struct dit *net) {
    TRY(bench_weights_open(&b->params, &net->table, 1));
    TRY(bench_inputs_open(&b->inputs, &net->config, TRAINING_FRAMES));
    arena_begin(&b->arena, "block");
    TRY(dit_acts_layout(&b->acts, net, 1, TRAINING_FRAMES, DIT_SAVE_ALL, &b->arena));
    dit_acts_free(b->acts);
    b->acts = NULL;
    TRY(arena_commit(&b->arena));
    return dit_acts_layout(&b->acts, net, 1, TRAINING_FRAMES, DIT_SAVE_ALL, &b->arena);
}

static int count_block(struct dry_block *b, const struct dit *net) {
    const struct dit_config *c = &net->config;
    long clip = (long)TRAINING_FRAMES * c->in_channels * c->height * c->width;
    int positions[TRAINING_FRAMES];
    for (int i = 0; i < TRAINING_FRAMES; i++) positions[i] = i;
    TRY(block_open(b, net));
    dry_clear();
    const struct dit_input in = {.batch = 1,
                                 .frames = TRAINING_FRAMES,
                                 .positions = positions,
                                 .latents = b->inputs.latents,
                                 .latent_stride = clip,
                                 .t = b->inputs.t,
                                 .text = b->inputs.text,
                                 .audio = {b->inputs.audio[0], b->inputs.audio[1]},
                                 .audio_stride = (long)TRAINING_FRAMES * AUDIO_WINDOW * c->audio_dim};
    const struct dit_gradients gradients = {.dvelocity = b->inputs.velocity, .dvelocity_stride = clip};
    TRY(dit_forward(net, &b->params, b->acts, &in, b->inputs.velocity, clip));
    return dit_backward(net, &b->params, b->acts, &in, &gradients);
}

int dry_training(struct dry_result *result, const struct bench_case *what, int show) {
    const struct dit_config c = bench_config(what, 1);
    struct dry_block b = {0};
    struct dit net;
    TRY(dit_create(&net, &c, 0));
    int code = dry_begin();
    if (!code) {
        code = count_block(&b, &net);
        dit_acts_free(b.acts);
        arena_free(&b.arena);
        *result = (struct dry_result){dry_sum(), minimum_training(&net.config, TRAINING_FRAMES), .items = 0};
        result->items = surplus_training(result->surplus, &net.config, TRAINING_FRAMES);
        if (!code && show) print_entries(1);
        dry_end();
    }
    dit_destroy(&net);
    return code;
}

/* ---- */

struct traffic dry_expected(const struct dry_result *r) {
    struct traffic sum = r->minimum;
    for (int i = 0; i < r->items; i++) traffic_add(&sum, &r->surplus[i].traffic);
    return sum;
}

static void print_result(const char *name, const struct dry_result *r) {
    print_kernel("in all", &r->counted);
    print_kernel("minimum", &r->minimum);
    for (int i = 0; i < r->items; i++)
        printf("dry:   beyond it: %4ld launches, %6.3f GB: %s\n", r->surplus[i].traffic.launches,
               1e-9 * traffic_bytes(&r->surplus[i].traffic), r->surplus[i].what);
    printf("dry: %s: %ld launches, %ld at least; %.3f GB, %.3f times the minimum; %.3f Tflop\n", name,
           r->counted.launches, r->minimum.launches, 1e-9 * traffic_bytes(&r->counted),
           traffic_bytes(&r->counted) / traffic_bytes(&r->minimum), 1e-12 * r->counted.operations);
}

int dry_print(const struct bench_case *what) {
    struct dry_result r;
    printf("dry: %s, %d x %d, in bf16: what is counted, nothing computed\n", bench_net_names[what->net], what->width,
           what->height);
    TRY(dry_chunk(&r, what, 1));
    print_result("a chunk of 3 latent frames, all passes", &r);
    TRY(dry_training(&r, what, 1));
    print_result("a training block of 21 latent frames, forward and backward", &r);
    return OK;
}
