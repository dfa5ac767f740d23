/* small_net.h: a small network with rough random weights, and device arrays of random numbers, for the tests of rollout
   and discriminator. Shapes hide nothing: odd widths, two samples, different talk and listen audio, every weight tensor
   away from its initial zero or one. Everything is freed by small_close. */
#ifndef TESTS_SMALL_NET_H
#define TESTS_SMALL_NET_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/device.h"
#include "model/dit/dit.h"
#include "tests/check.h"

enum { SMALL_BYTES = 16 << 20, SMALL_SEED = 20 };
/* Tensors to a direction when gradients meet differences. Guarded kernels are slow and looked at for stray accesses
   alone: one direction takes all. */
#ifdef GUARD
enum { SMALL_HANDFUL = 1 << 20 };
#else
enum { SMALL_HANDFUL = 3 };
#endif
struct small_net {
    struct params params;
    real *master;
    size_t total;
    struct scratch memory; /* one block: cheap to guard */
    int next_seed;
};

static inline struct dit_config small_config(int layers) {
    return (struct dit_config){.dim = 24,
                               .ffn_dim = 20,
                               .heads = 2,
                               .layers = layers,
                               .in_channels = 3,
                               .out_channels = 3,
                               .height = 4,
                               .width = 6,
                               .freq_dim = 10,
                               .text_len = 3,
                               .text_dim = 5,
                               .audio_dim = 4,
                               .audio_tokens = 2,
                               .audio_width = 6,
                               .audio_hidden = 7,
                               .audio_every = 1,
                               .rope_theta_t = 10000,
                               .rope_theta_hw = 10000,
                               .eps = 1e-6};
}

/* Device memory that small_close frees. */
static inline void *small_alloc(struct small_net *s, size_t bytes) {
    void *p = scratch_push(&s->memory, bytes);
    assert_non_null(p);
    return p;
}
static inline real *small_reals(struct small_net *s, long n, double scale) {
    real *p = small_alloc(s, sizeof(real) * (size_t)n);
    random_init(p, SMALL_SEED, ++s->next_seed, (real)scale, n);
    return p;
}
static inline elem *small_elems(struct small_net *s, long n, double scale) {
    elem *p = small_alloc(s, sizeof(elem) * (size_t)n);
    elem_from_real(p, small_reals(s, n, scale), n);
    return p;
}

/* Weights: the table's initialisation plus normals of deviation `rough`. */
static inline void small_open(struct small_net *s, const struct param_table *table, double rough) {
    memset(s, 0, sizeof *s);
    CHECK(scratch_open(&s->memory, SMALL_BYTES));
    s->total = table->total;
    long n = (long)s->total;
    s->master = small_alloc(s, sizeof(real) * s->total);
    params_initialise(s->master, table, SMALL_SEED);
    real_axpby(s->master, 1, small_reals(s, n, rough), 1, n);
    s->params.table = table;
    s->params.weights = small_alloc(s, sizeof(elem) * s->total);
    elem_from_real(s->params.weights, s->master, n);
    s->params.grads = small_alloc(s, sizeof(real) * s->total);
    mem_zero(s->params.grads, sizeof(real) * s->total);
}
static inline void small_close(struct small_net *s) { scratch_close(&s->memory); }

/* Central differences across the kink of a ReLU are wrong: the audio projection's hidden units are set far from it,
   every other one on, the rest off. */
static inline void small_without_kinks(struct small_net *s) {
    static const struct {
        const char *name;
        real bias;
    } layers[] = {{"audio_proj.proj1.bias", 12}, {"audio_proj.proj1_vf.bias", 12}, {"audio_proj.proj2.bias", 60}};
    for (size_t l = 0; l < sizeof layers / sizeof *layers; l++) {
        const struct param *p = param_find(s->params.table, layers[l].name);
        assert_non_null(p);
        real *at = s->master + param_position(s->params.table, p);
        for (size_t i = 0; i < p->count; i++) real_fill(at + i, i % 2 ? -layers[l].bias : layers[l].bias, 1);
    }
    elem_from_real(s->params.weights, s->master, (long)s->total);
}

static inline void *small_download(const void *device, size_t bytes) {
    void *p = malloc(bytes);
    assert_non_null(p);
    mem_download(p, device, bytes);
    return p;
}
static inline real *small_host(const real *device, long n) { return small_download(device, sizeof(real) * (size_t)n); }

static inline void assert_same_bits(const void *device_a, const void *device_b, size_t bytes) {
    void *a = small_download(device_a, bytes), *b = small_download(device_b, bytes);
    int same = !memcmp(a, b, bytes);
    free(a);
    free(b);
    assert_true(same);
}

/* <a, b> of device arrays. */
static inline double small_dot(const real *device_a, const real *device_b, long n) {
    real *a = small_host(device_a, n), *b = small_host(device_b, n);
    double sum = 0;
    for (long i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    free(a);
    free(b);
    return sum;
}
/* max |a - b| / max |b|; NaN when any of them is. */
static inline double small_distance(const real *device_a, const real *device_b, long n) {
    real *a = small_host(device_a, n), *b = small_host(device_b, n);
    double gap = 0, largest = 0;
    for (long i = 0; i < n; i++) {
        double off = fabs((double)a[i] - (double)b[i]);
        if (off > gap || isnan(off)) gap = off; /* nothing is above NaN */
        if (fabs((double)b[i]) > largest) largest = fabs((double)b[i]);
    }
    free(a);
    free(b);
    return gap / largest;
}

#endif
