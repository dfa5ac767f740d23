/* network.c: see network.h. */
#include "tools/bench/network.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/philox.h"
#include "kernels/device.h"

const char *const bench_net_names[BENCH_NETS + 1] = {"5b", "1.3b", NULL};

static const struct {
    int dim, ffn_dim, heads, channels, stride;
} nets[BENCH_NETS] = {{3072, 14336, 24, 48, 16}, {1536, 8960, 12, 16, 8}};

int bench_case_size(struct bench_case *what, const char *text) {
    int width = 0, height = 0, end = 0, step = 2 * nets[what->net].stride;
    if (sscanf(text, "%dx%d%n", &width, &height, &end) != 2 || text[end])
        return error_set(ERR_USAGE, "size: \"%s\" is not WIDTHxHEIGHT in pixels", text);
    if (width <= 0 || height <= 0 || width % step || height % step || width > 8192 || height > 8192)
        return error_set(ERR_USAGE, "size: %s: network %s takes multiples of %d, up to 8192", text,
                         bench_net_names[what->net], step);
    what->width = width, what->height = height;
    return OK;
}

static struct dit_config small(struct dit_config c) {
    c.dim = 96, c.ffn_dim = 448, c.heads = 3;
    c.height = c.height / 8 * 2, c.width = c.width / 8 * 2;
    c.text_len = 16, c.text_dim = 64, c.audio_dim = 32, c.audio_width = 48, c.audio_hidden = 32;
    if (c.layers > 2) c.layers = 2;
    return c;
}

struct dit_config bench_config(const struct bench_case *what, int layers) {
    int stride = nets[what->net].stride;
    struct dit_config c = {.dim = nets[what->net].dim,
                           .ffn_dim = nets[what->net].ffn_dim,
                           .heads = nets[what->net].heads,
                           .layers = layers,
                           .in_channels = nets[what->net].channels,
                           .out_channels = nets[what->net].channels,
                           .height = what->height / stride,
                           .width = what->width / stride,
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
    return what->tiny ? small(c) : c;
}

struct rollout_config bench_rollout(void) {
    enum { CHUNK = 3 };
    return (struct rollout_config){.causal = {.chunk = CHUNK,
                                              .sink = 1 + CHUNK,
                                              .ring = 2 * CHUNK,
                                              .rapr = RAPR_END,
                                              .rapr_cap = 9,
                                              .audio_lookahead = AUDIO_MARGIN},
                                   .steps = 3,
                                   .sigma = {1, 0.909, 0.714}};
}

int bench_weights_open(struct params *params, const struct param_table *table, int grads) {
    elem *weights = device_alloc(table->total * sizeof *weights);
    real *slice = device_alloc(param_largest_slice(table, 0) * sizeof *slice);
    *params = (struct params){.table = table, .weights = weights};
    if (grads) params->grads = device_alloc(table->total * sizeof *params->grads);
    if (!weights || !slice || (grads && !params->grads)) {
        device_free(slice);
        return error_set(ERR_DEVICE, "out of memory for %.1f GB of weights",
                         1e-9 * (double)(table->total * sizeof *weights));
    }
    for (int s = 0; s < table->slices; s++) {
        params_initialise_slice(slice, table, s, 1);
        elem_from_real(weights + table->slice_offset[s], slice, (long)param_slice_size(table, s));
    }
    int code = device_sync();
    device_free(slice);
    if (grads) mem_zero(params->grads, table->total * sizeof *params->grads);
    return code;
}

void bench_weights_close(struct params *params) {
    device_free(params->weights);
    device_free(params->grads);
}

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

int bench_inputs_open(struct bench_inputs *in, const struct dit_config *c, int frames) {
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

void bench_inputs_close(struct bench_inputs *in) {
    device_free(in->latents);
    device_free(in->velocity);
    device_free(in->t);
    device_free(in->text);
    for (int s = 0; s < AUDIO_STREAMS; s++) device_free(in->audio[s]);
}
