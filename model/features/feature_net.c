/* feature_net.c: see feature_net.h. */
#include "model/features/feature_net.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "kernels/kernels.h"
#include "kernels/workspace.h"

/* ---- the table ---- */

/* Standard deviation that keeps the mean square: gain 2 behind a ReLU (He 2015), else 1. */
static double deviation(const struct feature_layer *l, double gain) {
    return sqrt(gain / (double)(l->kernel * l->kernel * l->ci));
}

/* Adds "NAME.weight" [co, kernel, kernel, ci], or [co, ci] for kernel 1, and "NAME.bias". gain 0: zeros. */
static void add_layer(struct feature_net *net, struct feature_layer *l, const char *name, long ci, long co, int kernel,
                      double gain) {
    *l = (struct feature_layer){.ci = ci, .co = co, .kernel = kernel};
    char full[96];
    const long wide[] = {co, kernel, kernel, ci, 0}, flat[] = {co, ci, 0}, bias[] = {co, 0};
    snprintf(full, sizeof full, "%s.weight", name);
    l->w = param_add(&net->table, 0, full, gain > 0 ? INIT_NORMAL : INIT_ZERO, deviation(l, gain), 1,
                     kernel == 1 ? flat : wide);
    snprintf(full, sizeof full, "%s.bias", name);
    l->b = param_add(&net->table, 0, full, INIT_ZERO, 0, 0, bias);
}

static int in_range(int v, int low, int high) { return v >= low && v <= high; }

static int check(const struct feature_config *c) {
    int ok = in_range(c->patch, 1, 64) && in_range(c->embedding, 1, FEATURE_EMBEDDING_MAX) &&
             in_range(c->window, 1, 1 << 16) && in_range(c->hearing, 1, FEATURE_WIDTH_MAX) &&
             in_range(c->height, 1, 8192) && in_range(c->width, 1, 8192);
    for (int l = 0; l < FEATURE_LEVELS; l++) ok = ok && in_range(c->widths[l], 1, FEATURE_WIDTH_MAX);
    if (!ok) return error_set(ERR_USAGE, "network of features: a size is out of range");
    int p = FEATURE_SHRINK * c->patch;
    if (c->height % p || c->width % p)
        return error_set(ERR_USAGE, "network of features: pictures of %d x %d do not divide into squares of %d",
                         c->height, c->width, p);
    return OK;
}

int feature_net_create(struct feature_net *net, const struct feature_config *config) {
    char name[48];
    memset(net, 0, sizeof *net);
    TRY(check(config));
    net->config = *config;
    net->h = config->height / (FEATURE_SHRINK * config->patch);
    net->w = config->width / (FEATURE_SHRINK * config->patch);
    const int *width = config->widths;
    param_table_open(&net->table);
    add_layer(net, &net->first, "first", 3L * config->patch * config->patch, width[0], 3, 1);
    for (int l = 0; l < FEATURE_LEVELS; l++) {
        for (int k = 0; k < 2;
             k++) { /* the second convolution starts at zero, so that the block starts as the identity */
            snprintf(name, sizeof name, "level.%d.conv.%d", l, k);
            add_layer(net, &net->block[l][k], name, width[l], width[l], 3, k ? 0 : 2);
        }
        if (l + 1 == FEATURE_LEVELS) break;
        snprintf(name, sizeof name, "level.%d.shrink", l);
        add_layer(net, &net->shrink[l], name, 4L * width[l], width[l + 1], 1, 2);
    }
    add_layer(net, &net->person, "person", feature_map_size(net), config->embedding, 1, 2);
    add_layer(net, &net->sound, "sound", feature_map_size(net), config->embedding, 1, 2);
    add_layer(net, &net->spoiled, "spoiled", width[FEATURE_LEVELS - 1], 1, 1, 0);
    add_layer(net, &net->heard[0], "heard.0", config->window, config->hearing, 1, 1);
    add_layer(net, &net->heard[1], "heard.1", config->hearing, config->embedding, 1, 2);
    return param_table_close(&net->table);
}

void feature_net_destroy(struct feature_net *net) {
    param_table_free(&net->table);
    memset(net, 0, sizeof *net);
}

/* ---- memory ---- */

static long side_of(int level) { return FEATURE_SHRINK >> level; }
/* Positions of a picture at a level. */
static long positions(const struct feature_net *net, int level) {
    return (long)net->h * net->w * side_of(level) * side_of(level);
}
static long level_size(const struct feature_net *net, int level, int n) {
    return n * positions(net, level) * net->config.widths[level];
}

static elem *take(struct arena *arena, long n) { return ARENA_TAKE(arena, "features: activations", elem, n); }

void feature_acts_layout(struct feature_acts *a, const struct feature_net *net, int pictures, int train,
                         struct arena *arena) {
    long pixels = 3L * net->config.height * net->config.width * pictures;
    *a = (struct feature_acts){.most = pictures, .trains = train};
    a->rows = ARENA_TAKE(arena, "features: pictures", real, pixels);
    a->patches = take(arena, pixels);
    for (int l = 0; l < FEATURE_LEVELS; l++) {
        long size = level_size(net, l, pictures);
        a->x[l] = take(arena, size);
        for (int k = 0; k < 2; k++) a->hidden[l][k] = take(arena, size);
        for (int k = 0; k < 3 && train; k++) a->dx[l][k] = take(arena, size);
        if (l + 1 == FEATURE_LEVELS) break;
        a->rectified[l] = take(arena, size);
        a->joined[l] = take(arena, size);
        if (train) a->djoined[l] = take(arena, size);
    }
    a->map = take(arena, level_size(net, FEATURE_LEVELS - 1, pictures));
}

size_t feature_net_workspace(const struct feature_net *net, int pictures) {
    size_t most = conv_workspace(pictures * positions(net, 0), net->first.ci, net->first.co);
    for (int l = 0; l < FEATURE_LEVELS; l++) {
        size_t bytes = conv_workspace(pictures * positions(net, l), net->config.widths[l], net->config.widths[l]);
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* ---- passes ---- */

static struct conv_shape shape_of(const struct feature_net *net, const struct feature_layer *l, int level, int n) {
    return (struct conv_shape){.samples = 1,
                               .ci = l->ci,
                               .co = l->co,
                               .groups = 1,
                               .in = {n, net->h * side_of(level), net->w * side_of(level)},
                               .kernel = {1, 3, 3},
                               .stride = {1, 1, 1},
                               .before = {0, 1, 1},
                               .after = {0, 1, 1}};
}

/* Order in which the channels of 2 x 2 places are joined. */
static struct block_order joining(long width) { return (struct block_order){{1, 2, 2}, 1, {0, 2 * width, width}}; }

static void block_forward(const struct feature_net *net, const elem *w, struct feature_acts *a, int level, int n) {
    const struct feature_layer *l = net->block[level];
    struct conv_shape shape = shape_of(net, &l[0], level, n);
    elem *const *hidden = a->hidden[level];
    long size = level_size(net, level, n);
    relu_forward(hidden[0], a->x[level], size);
    conv_forward(hidden[1], hidden[0], w + l[0].w, w + l[0].b, &shape, 0);
    relu_forward(hidden[1], hidden[1], size);
    conv_forward(a->x[level], hidden[1], w + l[1].w, w + l[1].b, &shape, 1);
}

static void shrink_forward(const struct feature_net *net, const elem *w, struct feature_acts *a, int level, int n) {
    const struct feature_layer *l = &net->shrink[level];
    long width = net->config.widths[level], side = side_of(level + 1);
    struct block_order order = joining(width);
    relu_forward(a->rectified[level], a->x[level], level_size(net, level, n));
    block_to_depth(a->joined[level], a->rectified[level], n, net->h * side, net->w * side, width, &order);
    linear_forward(a->x[level + 1], a->joined[level], w + l->w, w + l->b, n * positions(net, level + 1), l->ci, l->co,
                   0);
}

void feature_net_forward(const struct feature_net *net, const struct params *params, struct feature_acts *a, int n,
                         const real *pictures) {
    const elem *w = params_acquire(params, 0);
    long q = net->config.patch, side = side_of(0);
    struct block_order cells = {{1, (int)q, (int)q}, q * q, {3 * q * q, q, 1}};
    struct conv_shape first = shape_of(net, &net->first, 0, n);
    depth_from_planes(a->rows, pictures, n, net->h * side, net->w * side, 3, &cells);
    elem_from_real(a->patches, a->rows, 3L * net->config.height * net->config.width * n);
    conv_forward(a->x[0], a->patches, w + net->first.w, w + net->first.b, &first, 0);
    for (int l = 0; l < FEATURE_LEVELS; l++) {
        block_forward(net, w, a, l, n);
        if (l + 1 < FEATURE_LEVELS) shrink_forward(net, w, a, l, n);
    }
    relu_forward(a->map, a->x[FEATURE_LEVELS - 1], level_size(net, FEATURE_LEVELS - 1, n));
    params_release(params, 0);
}

/* A backward pass: weights, where gradients go, and the pictures' number. */
struct backward {
    const struct feature_net *net;
    const elem *w;
    real *grads;
    struct feature_acts *a;
    int n;
};

static void conv_back(const struct backward *b, const struct feature_layer *l, int level, elem *dx, const elem *dy,
                      const elem *x) {
    struct conv_shape shape = shape_of(b->net, l, level, b->n);
    if (b->grads) conv_backward_weight(b->grads + l->w, b->grads + l->b, dy, x, &shape);
    if (dx) conv_backward_input(dx, dy, b->w + l->w, &shape, 0);
}

/* Adds the block's own part to a->dx[level][0], the gradient of its output and then of its input. */
static void block_back(const struct backward *b, int level) {
    const struct feature_layer *l = b->net->block[level];
    elem *const *hidden = b->a->hidden[level], *const *d = b->a->dx[level];
    long size = level_size(b->net, level, b->n);
    conv_back(b, &l[1], level, d[1], d[0], hidden[1]);
    relu_backward(d[1], d[1], hidden[1], size);
    conv_back(b, &l[0], level, d[2], d[1], hidden[0]);
    relu_backward(d[2], d[2], hidden[0], size);
    elem_add(d[0], d[2], size);
}

/* Goes from the gradient of the smaller level's input to that of the larger level's output. */
static void shrink_back(const struct backward *b, int level) {
    const struct feature_net *net = b->net;
    const struct feature_layer *l = &net->shrink[level];
    long width = net->config.widths[level], side = side_of(level + 1), rows = b->n * positions(net, level + 1);
    struct block_order order = joining(width);
    const elem *dy = b->a->dx[level + 1][0];
    if (b->grads) linear_backward_weight(b->grads + l->w, b->grads + l->b, dy, b->a->joined[level], rows, l->ci, l->co);
    linear_backward_input(b->a->djoined[level], dy, b->w + l->w, rows, l->ci, l->co, 0);
    depth_to_block(b->a->dx[level][0], b->a->djoined[level], b->n, net->h * side, net->w * side, width, &order);
    relu_backward(b->a->dx[level][0], b->a->dx[level][0], b->a->rectified[level], level_size(net, level, b->n));
}

void feature_net_backward(const struct feature_net *net, const struct params *params, struct feature_acts *a, int n,
                          elem *dmap) {
    const int last = FEATURE_LEVELS - 1;
    struct backward b = {net, params_acquire(params, 0), grads_acquire(params, 0), a, n};
    relu_backward(a->dx[last][0], dmap, a->map, level_size(net, last, n));
    for (int l = last; l >= 0; l--) {
        block_back(&b, l);
        if (l) shrink_back(&b, l - 1);
    }
    conv_back(&b, &net->first, 0, NULL, a->dx[0][0], a->patches);
    params_release(params, 0);
}
