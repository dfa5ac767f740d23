/* feature_step.c: see feature_step.h. */
#include "train/method/feature_step.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "model/params/transfer.h"

#define NORM_EPS ((real)1e-8)

/* ---- memory ---- */

static void layout_rows(struct feature_rows *r, long n, long embedding, struct arena *arena) {
    r->raw = ARENA_TAKE(arena, "features: rows", elem, n * embedding);
    r->row = ARENA_TAKE(arena, "features: rows", elem, n * embedding);
    r->drow = ARENA_TAKE(arena, "features: rows", elem, n * embedding);
    r->rstd = ARENA_TAKE(arena, "features: rows", real, n);
}

int feature_step_layout(struct feature_step *s, const struct feature_net *net, const struct optimiser_config *config,
                        long steps, int n, struct arena *state, struct arena *activations) {
    const struct feature_config *c = &net->config;
    struct arena *arena = activations;
    long pairs = (long)n * n, places = (long)n * net->h * net->w;
    s->net = net;
    s->n = n;
    TRY(optimiser_layout(&s->optimiser, "features", &net->table, config, steps, NULL, state));
    feature_acts_layout(&s->acts, net, 3 * n, 1, arena);
    layout_rows(&s->person, 2 * n, c->embedding, arena);
    layout_rows(&s->sound, n, c->embedding, arena);
    layout_rows(&s->heard, n, c->embedding, arena);
    s->ones = ARENA_TAKE(arena, "features: rows", elem, c->embedding);
    s->sums = ARENA_TAKE(arena, "features: rows", real, (long)n * c->embedding);
    s->window = ARENA_TAKE(arena, "features: sound", elem, (long)n * c->window);
    s->hidden = ARENA_TAKE(arena, "features: sound", elem, (long)n * c->hearing);
    s->pre = ARENA_TAKE(arena, "features: sound", elem, (long)n * c->hearing);
    s->dhidden = ARENA_TAKE(arena, "features: sound", elem, (long)n * c->hearing);
    for (int k = 0; k < 2; k++) s->cosine[k] = ARENA_TAKE(arena, "features: losses", real, pairs);
    s->dcosine = ARENA_TAKE(arena, "features: losses", real, pairs);
    s->dcosine_elem = ARENA_TAKE(arena, "features: losses", elem, pairs);
    s->target = ARENA_TAKE(arena, "features: losses", real, pairs);
    s->weight = ARENA_TAKE(arena, "features: losses", real, pairs);
    s->logit = ARENA_TAKE(arena, "features: losses", real, places);
    s->dlogit = ARENA_TAKE(arena, "features: losses", real, places);
    s->dlogit_elem = ARENA_TAKE(arena, "features: losses", elem, places);
    s->dmap = ARENA_TAKE(arena, "features: losses", elem, 3 * n * feature_map_size(net));
    s->figures = ARENA_TAKE(arena, "features: losses", struct feature_figures, 1);
    return OK;
}

void feature_step_free(struct feature_step *s) {
    optimiser_free(&s->optimiser);
    memset(s, 0, sizeof *s);
}

/* Targets and weights of the cosines, which are `embedding` times as large here: E for i = j, else 0. */
static void write_pairs(struct feature_step *s, float *host) {
    const float E = (float)s->net->config.embedding;
    int n = s->n;
    for (int i = 0; i < n * n; i++) host[i] = i % (n + 1) ? 0 : E;
    transfer_to_real(s->target, host, (long)n * n);
    for (int i = 0; i < n * n; i++) host[i] = 0.5f / (E * E) / (float)(i % (n + 1) ? n * (n - 1) : n);
    transfer_to_real(s->weight, host, (long)n * n);
}

int feature_step_fresh(struct feature_step *s, uint64_t seed) {
    float *host = calloc((size_t)(s->n * s->n + s->net->config.embedding), sizeof *host);
    if (!host) return error_set(ERR_DEVICE, "out of memory for the targets of features");
    write_pairs(s, host);
    for (int i = 0; i < s->net->config.embedding; i++) host[i] = 1;
    transfer_to_elem(s->ones, host, s->net->config.embedding);
    free(host);
    optimiser_initialise(&s->optimiser, seed);
    optimiser_start(&s->optimiser);
    return OK;
}

/* ---- rows ---- */

static void rows_forward(const struct feature_step *s, const struct feature_rows *r, const struct feature_layer *l,
                         const elem *w, const elem *x, long n) {
    linear_forward(r->raw, x, w + l->w, w + l->b, n, l->ci, l->co, 0);
    rmsnorm_forward(r->row, r->rstd, r->raw, s->ones, n, l->co, NORM_EPS);
}

/* From r->drow: adds the layer's gradients, and writes that of x (dx = beta dx + ...). */
static void rows_back(const struct feature_step *s, const struct feature_rows *r, const struct feature_layer *l,
                      const elem *w, real *grads, const elem *x, elem *dx, real beta, long n) {
    rmsnorm_backward(r->drow, NULL, r->drow, r->raw, r->rstd, s->ones, n, l->co);
    linear_backward_weight(grads + l->w, grads + l->b, r->drow, x, n, l->ci, l->co);
    if (dx) linear_backward_input(dx, r->drow, w + l->w, n, l->ci, l->co, beta);
}

/* Compares the n rows of a with those of b; writes the gradients of both where they are wanted. */
static void compare(struct feature_step *s, int which, real *loss, const elem *a, const elem *b, elem *da, elem *db) {
    long n = s->n, E = s->net->config.embedding;
    linear_forward_real(s->cosine[which], a, b, NULL, n, E, n);
    mse_loss(loss, da ? s->dcosine : NULL, s->cosine[which], s->target, s->weight, n * n, 1);
    if (!da) return;
    elem_from_real(s->dcosine_elem, s->dcosine, n * n);
    linear_backward_input(da, s->dcosine_elem, b, n, E, n, 0);
    mem_zero(s->sums, (size_t)(n * E) * sizeof *s->sums);
    linear_backward_weight(s->sums, NULL, s->dcosine_elem, a, n, E, n);
    elem_from_real(db, s->sums, n * E);
}

/* ---- the three tasks ---- */

static void person_task(struct feature_step *s, const elem *w, real *grads) {
    const struct feature_rows *r = &s->person;
    long n = s->n, half = n * s->net->config.embedding;
    rows_forward(s, r, &s->net->person, w, s->acts.map, 2 * n);
    compare(s, 0, &s->figures->person, r->row, r->row + half, grads ? r->drow : NULL, r->drow + half);
    if (grads) rows_back(s, r, &s->net->person, w, grads, s->acts.map, s->dmap, 0, 2 * n);
}

static void sound_task(struct feature_step *s, const elem *w, real *grads, const real *windows) {
    const struct feature_layer *hear = s->net->heard;
    long n = s->n;
    elem_from_real(s->window, windows, n * s->net->config.window);
    linear_gelu_forward(s->hidden, s->pre, s->window, w + hear[0].w, w + hear[0].b, n, hear[0].ci, hear[0].co);
    rows_forward(s, &s->heard, &hear[1], w, s->hidden, n);
    rows_forward(s, &s->sound, &s->net->sound, w, s->acts.map, n);
    compare(s, 1, &s->figures->sound, s->sound.row, s->heard.row, grads ? s->sound.drow : NULL, s->heard.drow);
    if (!grads) return;
    rows_back(s, &s->sound, &s->net->sound, w, grads, s->acts.map, s->dmap, 1, n);
    rows_back(s, &s->heard, &hear[1], w, grads, s->hidden, NULL, 0, n);
    linear_gelu_backward_input(s->dhidden, s->heard.drow, w + hear[1].w, s->pre, n, hear[1].ci, hear[1].co);
    linear_backward_weight(grads + hear[0].w, grads + hear[0].b, s->dhidden, s->window, n, hear[0].ci, hear[0].co);
}

static void spoiled_task(struct feature_step *s, const elem *w, real *grads, const real *labels, const real *weights) {
    const struct feature_layer *l = &s->net->spoiled;
    long rows = (long)s->n * s->net->h * s->net->w, at = 2 * s->n * feature_map_size(s->net);
    linear_forward_real(s->logit, s->acts.map + at, w + l->w, w + l->b, rows, l->ci, 1);
    mse_loss(&s->figures->spoiled, grads ? s->dlogit : NULL, s->logit, labels, weights, rows, 1);
    if (!grads) return;
    elem_from_real(s->dlogit_elem, s->dlogit, rows);
    linear_backward_weight(grads + l->w, grads + l->b, s->dlogit_elem, s->acts.map + at, rows, l->ci, 1);
    linear_backward_input(s->dmap + at, s->dlogit_elem, w + l->w, rows, l->ci, 1, 0);
}

void feature_step_gradient(struct feature_step *s, const struct params *params, const struct feature_batch *batch) {
    mem_zero(s->figures, sizeof *s->figures);
    feature_net_forward(s->net, params, &s->acts, 3 * s->n, batch->pictures);
    const elem *w = params_acquire(params, 0);
    real *grads = grads_acquire(params, 0);
    person_task(s, w, grads);
    sound_task(s, w, grads, batch->windows);
    spoiled_task(s, w, grads, batch->labels, batch->weights);
    params_release(params, 0);
    if (grads) feature_net_backward(s->net, params, &s->acts, 3 * s->n, s->dmap);
    if (grads) grads_done(params, 0);
}

int feature_step_run(struct feature_step *s, const struct feature_batch *batch, long step) {
    struct params params = optimiser_params(&s->optimiser);
    optimiser_begin(&s->optimiser);
    feature_step_gradient(s, &params, batch);
    const real *parts = &s->figures->person;
    for (int i = 0; i < 3; i++) real_axpby(s->optimiser.loss, 1, parts + i, 1, 1);
    return optimiser_step(&s->optimiser, step, 0);
}
