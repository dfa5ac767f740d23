/* umt5.c: see umt5.h. */
#include "model/text/umt5.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "model/params/transfer.h"

/* A layer's tensors, in the order of the parameter table. */
enum { NORM1, Q, K, V, O, NORM2, GATE, UP, DOWN, POSITIONS, LAYER_TENSORS };

struct umt5_config umt5_xxl(void) {
    return (struct umt5_config){.vocab = 256384,
                                .dim = 4096,
                                .heads = 64,
                                .head_dim = 64,
                                .ffn_dim = 10240,
                                .layers = 24,
                                .buckets = 32,
                                .max_distance = 128,
                                .eps = 1e-6};
}

static void add_layer(struct param_table *table, const struct umt5_config *c, int layer) {
    long inner = (long)c->heads * c->head_dim;
    const struct {
        const char *name;
        long rows, columns; /* columns 0: it is a vector */
    } tensors[LAYER_TENSORS] = {[NORM1] = {"norm1.weight", c->dim, 0},
                                [Q] = {"attn.q.weight", inner, c->dim},
                                [K] = {"attn.k.weight", inner, c->dim},
                                [V] = {"attn.v.weight", inner, c->dim},
                                [O] = {"attn.o.weight", c->dim, inner},
                                [NORM2] = {"norm2.weight", c->dim, 0},
                                [GATE] = {"ffn.gate.0.weight", c->ffn_dim, c->dim},
                                [UP] = {"ffn.fc1.weight", c->ffn_dim, c->dim},
                                [DOWN] = {"ffn.fc2.weight", c->dim, c->ffn_dim},
                                [POSITIONS] = {"pos_embedding.embedding.weight", c->buckets, c->heads}};
    for (int i = 0; i < LAYER_TENSORS; i++) {
        char name[96];
        snprintf(name, sizeof name, "blocks.%d.%s", layer, tensors[i].name);
        param_add(table, 1 + layer, name, tensors[i].columns ? INIT_NORMAL : INIT_ONE, 0.02, 0,
                  (long[]){tensors[i].rows, tensors[i].columns, 0});
    }
}

int umt5_create(struct umt5 *net, const struct umt5_config *config) {
    const struct umt5_config *c = config;
    memset(net, 0, sizeof *net);
    if (c->vocab < 1 || c->dim < 1 || c->heads < 1 || c->head_dim < 1 || c->head_dim > ATTENTION_HEAD_MAX ||
        c->ffn_dim < 1 || c->layers < 1 || c->buckets < 4 || c->buckets % 4 || c->max_distance <= c->buckets / 4 ||
        !(c->eps >= 0))
        return error_set(
            ERR_USAGE,
            "text encoder: %ld tokens, width %d, %d heads of %d, feed-forward %d, %d layers, %d buckets to "
            "distance %d: there is no such UMT5",
            c->vocab, c->dim, c->heads, c->head_dim, c->ffn_dim, c->layers, c->buckets, c->max_distance);
    net->config = *config;
    param_table_open(&net->table);
    param_add(&net->table, 0, "token_embedding.weight", INIT_NORMAL, 1, 0, (long[]){c->vocab, c->dim, 0});
    for (int i = 0; i < c->layers; i++) add_layer(&net->table, c, i);
    param_add(&net->table, 1 + c->layers, "norm.weight", INIT_ONE, 0, 0, (long[]){c->dim, 0});
    int code = param_table_close(&net->table);
    if (code) umt5_destroy(net);
    return code;
}

void umt5_destroy(struct umt5 *net) {
    param_table_free(&net->table);
    memset(net, 0, sizeof *net);
}

int umt5_bucket(const struct umt5_config *c, int distance) {
    int half = c->buckets / 2, near = half / 2, ahead = distance > 0 ? half : 0;
    long far = labs((long)distance);
    if (far < near) return ahead + (int)far;
    /* The last bucket begins where the logarithm is half - 1. Where the exact result is whole, rounding may leave it
       just below. */
    double step = log((double)far / near) / log((double)c->max_distance / near) * (half - near) + 1e-9;
    return ahead + (near + step < half ? near + (int)step : half - 1);
}

void umt5_acts_layout(struct umt5_acts *a, const struct umt5 *net, long tokens, long longest, struct arena *arena) {
    const struct umt5_config *c = &net->config;
    long inner = (long)c->heads * c->head_dim;
    memset(a, 0, sizeof *a);
    a->tokens = tokens;
    a->longest = longest;
    a->x = ARENA_TAKE(arena, "residual stream", resid, tokens * c->dim);
    a->y = ARENA_TAKE(arena, "normed", elem, tokens * c->dim);
    elem **heads[] = {&a->q, &a->k, &a->v, &a->o};
    for (int i = 0; i < 4; i++) *heads[i] = ARENA_TAKE(arena, "attention", elem, tokens * inner);
    a->gate = ARENA_TAKE(arena, "feed-forward", elem, tokens * c->ffn_dim);
    a->up = ARENA_TAKE(arena, "feed-forward", elem, tokens * c->ffn_dim);
    a->bias = ARENA_TAKE(arena, "position bias", real, c->heads * (2 * longest - 1));
}

int umt5_acts_open(struct umt5_acts *a, const struct umt5 *net) {
    size_t heads = (size_t)net->config.heads;
    a->host_table = malloc(sizeof(elem) * heads * (size_t)net->config.buckets);
    a->host_bias = malloc(sizeof(real) * heads * (size_t)(2 * a->longest - 1));
    return a->host_table && a->host_bias ? OK : error_set(ERR_DEVICE, "text encoder: out of memory");
}

void umt5_acts_close(struct umt5_acts *a) {
    free(a->host_table);
    free(a->host_bias);
    a->host_table = NULL;
    a->host_bias = NULL;
}

void umt5_begin(const struct umt5 *net, struct umt5_acts *a, const float *rows) {
    /* resid and real are the same type in every build */
    transfer_to_real(a->x, rows, a->tokens * net->config.dim);
}

/* Spreads the layer's table [buckets, heads] over distances: the bias of query s and key t is at s - t + longest -
   1. */
static void make_bias(const struct umt5 *net, struct umt5_acts *a, const elem *positions) {
    const struct umt5_config *c = &net->config;
    long row = 2 * a->longest - 1;
    mem_download(a->host_table, positions, sizeof(elem) * (size_t)c->buckets * (size_t)c->heads);
    for (long i = 0; i < row; i++) {
        const elem *bucket = a->host_table + (long)umt5_bucket(c, (int)(a->longest - 1 - i)) * c->heads;
        for (long h = 0; h < c->heads; h++) a->host_bias[h * row + i] = elem_load(bucket[h]);
    }
    mem_upload(a->bias, a->host_bias, sizeof(real) * (size_t)(c->heads * row));
}

void umt5_layer(const struct umt5 *net, struct umt5_acts *a, int layer, const elem *weights, const int *length,
                int count) {
    const struct umt5_config *c = &net->config;
    const struct param *p = &net->table.list[1 + layer * LAYER_TENSORS];
    const elem *w[LAYER_TENSORS];
    for (int i = 0; i < LAYER_TENSORS; i++) w[i] = weights + p[i].offset;
    long n = a->tokens, d = c->dim, inner = (long)c->heads * c->head_dim, ffn = c->ffn_dim;
    make_bias(net, a, w[POSITIONS]);
    rmsnorm_resid_forward(a->y, a->x, w[NORM1], n, d, (real)c->eps);
    linear_forward(a->q, a->y, w[Q], NULL, n, d, inner, 0);
    linear_forward(a->k, a->y, w[K], NULL, n, d, inner, 0);
    linear_forward(a->v, a->y, w[V], NULL, n, d, inner, 0);
    long at = 0;
    for (int i = 0; i < count; at += length[i++] * inner)
        attention_relative_forward(a->o + at, a->q + at, a->k + at, a->v + at, a->bias, length[i], c->heads,
                                   c->head_dim, a->longest, 1);
    linear_forward(a->y, a->o, w[O], NULL, n, inner, d, 0);
    residual_forward(a->x, a->x, a->y, NULL, n, d, n, 0);
    rmsnorm_resid_forward(a->y, a->x, w[NORM2], n, d, (real)c->eps);
    linear_forward(a->gate, a->y, w[GATE], NULL, n, d, ffn, 0);
    linear_forward(a->up, a->y, w[UP], NULL, n, d, ffn, 0);
    gelu_gate_forward(a->gate, a->gate, a->up, n * ffn);
    linear_forward(a->y, a->gate, w[DOWN], NULL, n, ffn, d, 0);
    residual_forward(a->x, a->x, a->y, NULL, n, d, n, 0);
}

void umt5_end(const struct umt5 *net, struct umt5_acts *a, const elem *weights) {
    const struct param *norm = &net->table.list[net->table.count - 1];
    rmsnorm_resid_forward(a->y, a->x, weights + norm->offset, a->tokens, net->config.dim, (real)net->config.eps);
}
