/* residual_decoder.c: the passes of residual_decoder.h. A pass works on `frames` latent frames of every sample, whose
   positions are rows. In training, whatever the backward reads has memory of its own; in a stream the blocks of a level
   share it. */
#include "model/codec/residual_decoder.h"

#include <stdlib.h>

#include "base/error.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/workspace.h"

enum { GROUP = FRAMES_PER_LATENT, TURNS = 2 };

struct residual_acts {
    enum decoder_memory memory;
    int batch, frames, h, w; /* clips of this pass; most latent frames (STREAM) or those of each clip (TRAIN) */
    int patch;               /* q of the header's formulas */
    elem *z, *in;            /* [n, h, w, C]; [n, h, w, 3 C]: z_t, z_(t-1), z_ref */
    elem *condition;         /* [n, 4h, 4w, 15 q^2]: y, then the reference's picture, as patches of q x q */
    elem *cells, *picture;   /* [n, 4h, 4w, 12 q^2]: y alone; [batch, 4h, 4w, 3 q^2]: the picture alone */
    elem *wide;              /* input of a growth's pixel shuffle */
    elem *x[RESIDUAL_LEVELS];
    elem *hidden[RESIDUAL_LAYERS_MAX][2]; /* outputs of the ReLUs: BLOCK has two, GROW and LAST one */
    real *rows;                           /* [n, 48 h w q^2]: numbers of the 4 pictures, as a product's rows */
    real *drawn, *residual;               /* [n, 4, 3, H, W]: y; the network's part; backward: the gradients of y */
    real *shown;                          /* [batch, 3, H, W]: the reference's picture, in [-1, 1] */
    int given;                            /* 1: the true picture is known; 0: y's own takes its place */
    elem *gradient[RESIDUAL_LEVELS][TURNS], *dcondition, *dcells; /* TRAIN */
    elem *past, *reference;                                       /* STREAM: [h, w, C], the last latent and the first */
    int started;                                                  /* STREAM: 1: the first latent has been decoded */
};

/* One pass. frames: latent frames of each sample. */
struct pass {
    const struct residual_decoder *net;
    const struct params *params;
    struct residual_acts *acts;
    int frames;
};

/* ---- sizes ---- */

static long group_frames(const struct residual_acts *a, int frames) { return (long)a->batch * frames; }
/* Returns the positions of a latent frame at a level; levels' sides are 1, 2 and 4 times the latent's. */
static long level_positions(const struct residual_acts *a, int level) { return ((long)a->h * a->w) << 2 * level; }
static long colours_of(const struct residual_acts *a) { return 3L * a->patch * a->patch; }
/* Numbers of a picture. */
static long picture_size(const struct residual_acts *a) {
    return level_positions(a, RESIDUAL_LEVELS - 1) * colours_of(a);
}
static long latent_size(const struct residual_decoder *net, const struct residual_acts *a) {
    return (long)net->config.channels * a->h * a->w;
}

/* ---- memory ---- */

static elem *activations(struct arena *arena, long n) { return ARENA_TAKE(arena, "decoder: activations", elem, n); }

/* Lays out the hidden values of each layer; in a stream the layers of a level share them. */
static void layout_hidden(struct residual_acts *a, const struct residual_decoder *net, long n, struct arena *arena) {
    elem *shared[RESIDUAL_LEVELS][2] = {{NULL}};
    for (int s = 0; s < RESIDUAL_LEVELS; s++) {
        long size = n * level_positions(a, s) * net->config.width[s];
        a->x[s] = activations(arena, size);
        for (int k = 0; k < 2 && a->memory == DECODER_STREAM; k++) shared[s][k] = activations(arena, size);
    }
    for (int i = 0; i < net->count; i++) {
        const struct residual_layer *l = &net->layers[i];
        int some = l->kind == RESIDUAL_BLOCK ? 2 : l->kind == RESIDUAL_GROW || l->kind == RESIDUAL_LAST;
        for (int k = 0; k < some; k++)
            a->hidden[i][k] = a->memory == DECODER_STREAM
                                  ? shared[l->level][k]
                                  : activations(arena, n * level_positions(a, l->level) * net->config.width[l->level]);
    }
}

static long widest_growth(const struct residual_acts *a, const struct residual_decoder *net, long n) {
    long most = 0;
    for (int s = 0; s + 1 < RESIDUAL_LEVELS; s++) {
        long size = n * level_positions(a, s + 1) * net->config.width[s + 1];
        most = size > most ? size : most;
    }
    return most;
}

static void layout_gradients(struct residual_acts *a, const struct residual_decoder *net, long n, struct arena *arena) {
    long cells = n * GROUP * picture_size(a);
    for (int s = 0; s < RESIDUAL_LEVELS; s++)
        for (int k = 0; k < TURNS; k++)
            a->gradient[s][k] =
                ARENA_TAKE(arena, "decoder: gradients", elem, n * level_positions(a, s) * net->config.width[s]);
    a->dcondition = ARENA_TAKE(arena, "decoder: gradients", elem, cells / GROUP * (GROUP + 1));
    a->dcells = ARENA_TAKE(arena, "decoder: gradients", elem, cells);
}

int residual_acts_layout(struct residual_acts **acts, const struct residual_decoder *net, enum decoder_memory memory,
                         int batch, int frames, int h, int w, struct arena *arena) {
    struct residual_acts *a = calloc(1, sizeof *a);
    *acts = a;
    if (!a) return error_set(ERR_DEVICE, "residual decoder: out of memory");
    *a = (struct residual_acts){
        .memory = memory, .batch = batch, .frames = frames, .h = h, .w = w, .patch = net->config.patch};
    long n = group_frames(a, frames), pictures = n * picture_size(a);
    a->z = activations(arena, n * latent_size(net, a));
    a->in = activations(arena, 3 * n * latent_size(net, a));
    a->condition = activations(arena, (GROUP + 1) * pictures);
    a->cells = activations(arena, GROUP * pictures);
    a->picture = activations(arena, batch * picture_size(a));
    a->wide = activations(arena, widest_growth(a, net, n));
    layout_hidden(a, net, n, arena);
    a->rows = ARENA_TAKE(arena, "decoder: pixels", real, GROUP * pictures);
    a->drawn = ARENA_TAKE(arena, "decoder: pixels", real, GROUP * pictures);
    a->residual = ARENA_TAKE(arena, "decoder: pixels", real, GROUP * pictures);
    a->shown =
        ARENA_TAKE(arena, "decoder: pixels", real, n * picture_size(a)); /* the backward needs those of every frame */
    if (memory == DECODER_TRAIN) {
        layout_gradients(a, net, n, arena);
    } else {
        a->past = ARENA_TAKE(arena, "decoder: past frames", elem, latent_size(net, a));
        a->reference = ARENA_TAKE(arena, "decoder: past frames", elem, latent_size(net, a));
    }
    return OK;
}

void residual_acts_free(struct residual_acts *acts) { free(acts); }

static long layer_positions(long n, int h, int w, const struct residual_layer *l) {
    return n * (((long)h * w) << 2 * l->level);
}

size_t residual_decoder_workspace(const struct residual_decoder *net, int batch, int frames, int h, int w) {
    size_t most = 0;
    for (int i = 0; i < net->count; i++) {
        const struct residual_layer *l = &net->layers[i];
        size_t bytes = conv_workspace(layer_positions((long)batch * frames, h, w, l), l->ci, l->co);
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* ---- layers ---- */

static struct conv_shape shape_of(const struct pass *p, const struct residual_layer *l) {
    long side = 1L << l->level;
    int rim = l->kernel / 2;
    return (struct conv_shape){.samples = 1,
                               .ci = l->ci,
                               .co = l->co,
                               .groups = 1,
                               .in = {group_frames(p->acts, p->frames), p->acts->h * side, p->acts->w * side},
                               .kernel = {1, l->kernel, l->kernel},
                               .stride = {1, 1, 1},
                               .before = {0, rim, rim},
                               .after = {0, rim, rim}};
}

/* Positions of a level in this pass, which are the rows of a 1 x 1 convolution, a linear layer. */
static long level_rows(const struct pass *p, int level) {
    return group_frames(p->acts, p->frames) * level_positions(p->acts, level);
}

/* Numbers of a level in this pass. */
static long level_size(const struct pass *p, int level) { return level_rows(p, level) * p->net->config.width[level]; }

static struct block_order doubling(long width) { return (struct block_order){{1, 2, 2}, 1, {0, 2 * width, width}}; }

/* Order of four pictures, or one, as patches of side x side: where each position's numbers lie. */
static struct block_order patches(int pictures, long side) {
    return (struct block_order){{pictures, (int)side, (int)side}, side * side, {3 * side * side, side, 1}};
}

static void block_forward(const struct pass *p, int layer, elem *x, const elem *w) {
    const struct residual_layer *l = &p->net->layers[layer];
    elem *const *hidden = p->acts->hidden[layer];
    struct conv_shape shape = shape_of(p, l);
    long n = level_size(p, l->level);
    relu_forward(hidden[0], x, n);
    conv_forward(hidden[1], hidden[0], w + l->w[0], w + l->b[0], &shape, 0);
    relu_forward(hidden[1], hidden[1], n);
    conv_forward(x, hidden[1], w + l->w[1], w + l->b[1], &shape, 1);
}

static void grow_forward(const struct pass *p, int layer, const elem *w) {
    const struct residual_layer *l = &p->net->layers[layer];
    struct residual_acts *a = p->acts;
    struct conv_shape shape = shape_of(p, l);
    long width = p->net->config.width[l->level + 1];
    struct block_order order = doubling(width);
    relu_forward(a->hidden[layer][0], a->x[l->level], level_size(p, l->level));
    linear_forward(a->wide, a->hidden[layer][0], w + l->w[0], w + l->b[0], level_rows(p, l->level), l->ci, l->co, 0);
    depth_to_block(a->x[l->level + 1], a->wide, shape.in[0], shape.in[1], shape.in[2], width, &order);
}

/* Computes y, as pictures in [-1, 1] and as patches of q x q. */
static void linear_forward_pictures(const struct pass *p, const elem *w) {
    const struct residual_layer *l = &p->net->layers[0];
    struct residual_acts *a = p->acts;
    long n = group_frames(a, p->frames), values = n * GROUP * picture_size(a), q = a->patch;
    struct block_order whole = patches(GROUP, RESIDUAL_GROWTH * q), cells = patches(GROUP, q);
    linear_forward_real(a->rows, a->z, w + l->w[0], w + l->b[0], level_rows(p, 0), l->ci, l->co);
    real_axpby(a->rows, (real)1 / RESIDUAL_LINEAR_SCALE, a->rows, 0, values);
    planes_from_depth(a->drawn, a->rows, n, a->h, a->w, 3, &whole);
    depth_from_planes(a->rows, a->drawn, n, (long)a->h * RESIDUAL_GROWTH, (long)a->w * RESIDUAL_GROWTH, 3, &cells);
    elem_from_real(a->cells, a->rows, values);
}

static void last_forward(const struct pass *p, int layer, const elem *w) {
    const struct residual_layer *l = &p->net->layers[layer];
    struct residual_acts *a = p->acts;
    struct conv_shape shape = shape_of(p, l);
    struct block_order cells = patches(GROUP, a->patch);
    relu_forward(a->hidden[layer][0], a->x[l->level], level_size(p, l->level));
    conv_forward_real(a->rows, a->hidden[layer][0], w + l->w[0], w + l->b[0], &shape);
    planes_from_depth(a->residual, a->rows, shape.in[0], shape.in[1], shape.in[2], 3, &cells);
}

/* ---- what a latent frame is seen beside ---- */

static size_t elems(long n) { return (size_t)n * sizeof(elem); }

/* Copies rows of `width` numbers into the wider rows of `to`. */
static void copy_rows(elem *to, long to_width, const elem *from, long from_width, long width, long rows) {
    mem_copy_rows(to, elems(to_width), from, elems(from_width), elems(width), (size_t)rows);
}

/* Fills a->in for one sample: each latent together with the one before it and the reference's. */
static void join_latents(const struct pass *p, int sample) {
    const struct residual_acts *a = p->acts;
    long C = p->net->config.channels, positions = (long)a->h * a->w, size = C * positions;
    const elem *z = a->z + sample * p->frames * size;
    const elem *past = a->memory == DECODER_STREAM ? a->past : z;
    const elem *reference = a->memory == DECODER_STREAM ? a->reference : z;
    elem *in = a->in + 3 * sample * p->frames * size;
    copy_rows(in, 3 * C, z, C, C, p->frames * positions);
    copy_rows(in + C, 3 * C, past, C, C, positions);
    copy_rows(in + 3 * size + C, 3 * C, z, C, C, (p->frames - 1) * positions);
    for (int f = 0; f < p->frames; f++) copy_rows(in + 3 * f * size + 2 * C, 3 * C, reference, C, C, positions);
}

static void take_latents(const struct pass *p, const real *latents) {
    struct residual_acts *a = p->acts;
    long size = latent_size(p->net, a);
    channels_last(a->z, latents, group_frames(a, p->frames), p->net->config.channels, (long)a->h * a->w);
    if (a->memory == DECODER_STREAM && !a->started) {
        mem_copy(a->past, a->z, elems(size));
        mem_copy(a->reference, a->z, elems(size));
    }
    for (int b = 0; b < a->batch; b++) join_latents(p, b);
    if (a->memory == DECODER_STREAM) mem_copy(a->past, a->z + (p->frames - 1) * size, elems(size));
}

/* Maps `from`, in [0, 1], to `to`, in [-1, 1]. */
static void widen(real *to, const real *from, long n) {
    real_fill(to, -1, n);
    real_axpby(to, 2, from, 1, n);
}

/* Sets a->shown to the mean of y's four pictures of each first latent, in [-1, 1]. */
static void show_drawn(const struct pass *p) {
    struct residual_acts *a = p->acts;
    long size = picture_size(a);
    for (int b = 0; b < a->batch; b++)
        for (int i = 0; i < GROUP; i++)
            real_axpby(a->shown + b * size, (real)1 / GROUP, a->drawn + ((long)b * p->frames * GROUP + i) * size, i > 0,
                       size);
}

/* Makes a->picture, patches, from a->shown. */
static void cut_picture(struct residual_acts *a) {
    struct block_order cells = patches(1, a->patch);
    depth_from_planes(a->rows, a->shown, a->batch, (long)a->h * RESIDUAL_GROWTH, (long)a->w * RESIDUAL_GROWTH, 3,
                      &cells);
    elem_from_real(a->picture, a->rows, a->batch * picture_size(a));
}

/* Fills a->condition: y together with the reference's picture. */
static void join_pictures(const struct pass *p) {
    struct residual_acts *a = p->acts;
    long c = colours_of(a), positions = level_positions(a, RESIDUAL_LEVELS - 1), row = (GROUP + 1) * c;
    copy_rows(a->condition, row, a->cells, GROUP * c, GROUP * c, group_frames(a, p->frames) * positions);
    for (int f = 0; f < a->batch * p->frames; f++)
        copy_rows(a->condition + f * positions * row + GROUP * c, row, a->picture + f / p->frames * positions * c, c, c,
                  positions);
}

/* ---- a pass ---- */

static void layer_forward(const struct pass *p, int layer, const elem *w) {
    const struct residual_layer *l = &p->net->layers[layer];
    struct residual_acts *a = p->acts;
    struct conv_shape shape = shape_of(p, l);
    switch (l->kind) {
    case RESIDUAL_LINEAR:
        linear_forward_pictures(p, w);
        break;
    case RESIDUAL_FIRST:
        conv_forward(a->x[0], a->in, w + l->w[0], w + l->b[0], &shape, 0);
        break;
    case RESIDUAL_BLOCK:
        block_forward(p, layer, a->x[l->level], w);
        break;
    case RESIDUAL_GROW:
        grow_forward(p, layer, w);
        break;
    case RESIDUAL_ENTER:
        conv_forward(a->x[l->level], a->condition, w + l->w[0], w + l->b[0], &shape, 1);
        break;
    case RESIDUAL_LAST:
        last_forward(p, layer, w);
        break;
    }
}

/* Decodes latents [frames of all samples, C, h, w] to y + residual in a->drawn. */
static void pass_forward(const struct pass *p, const real *latents) {
    struct residual_acts *a = p->acts;
    take_latents(p, latents);
    for (int i = 0; i < p->net->count; i++) {
        const elem *w = params_acquire(p->params, i);
        layer_forward(p, i, w);
        params_release(p->params, i);
        if (p->net->layers[i].kind != RESIDUAL_LINEAR) continue;
        if (!a->given && !a->started) show_drawn(p);
        if (!a->started) cut_picture(a);
        join_pictures(p);
    }
    real_axpby(a->drawn, 1, a->residual, 1, group_frames(a, p->frames) * GROUP * picture_size(a));
}

/* Maps `groups` times four frames from [-1, 1] to [0, 1]; image 1: the first four become one picture, their mean.
   Returns the number of frames. */
static long finish(real *pixels, const real *drawn, long groups, int image, long size) {
    long frames = GROUP * groups - (image ? GROUP - 1 : 0);
    real_fill(pixels, (real)0.5, frames * size);
    for (int i = 0; i < GROUP && image; i++) real_axpby(pixels, (real)0.5 / GROUP, drawn + i * size, 1, size);
    long skip = image ? GROUP * size : 0, done = image ? size : 0;
    real_axpby(pixels + done, (real)0.5, drawn + skip, 1, frames * size - done);
    return frames;
}

/* ---- streams ---- */

void residual_stream_begin(struct residual_acts *acts, const real *picture) {
    acts->started = 0;
    acts->given = picture != NULL;
    if (picture) widen(acts->shown, picture, picture_size(acts));
}

int residual_stream_decode(const struct residual_decoder *net, const struct params *params, struct residual_acts *acts,
                           const real *latents, int frames, real *pixels) {
    long written = 0, size = picture_size(acts);
    for (int done = 0; done < frames; done += acts->frames) {
        int now = frames - done < acts->frames ? frames - done : acts->frames;
        struct pass pass = {net, params, acts, now};
        pass_forward(&pass, latents + done * latent_size(net, acts));
        written += finish(pixels + written * size, acts->drawn, now, !acts->started, size);
        acts->started = 1;
    }
    return (int)written;
}

/* ---- training ---- */

void residual_decoder_forward(const struct residual_decoder *net, const struct params *params,
                              struct residual_acts *acts, int batch, const real *latents, const real *pictures,
                              real *pixels) {
    struct pass pass = {net, params, acts, acts->frames};
    long size = picture_size(acts), groups = acts->frames;
    acts->batch = batch;
    acts->given = pictures != NULL;
    if (pictures) widen(acts->shown, pictures, batch * size);
    pass_forward(&pass, latents);
    for (int b = 0; b < batch; b++)
        finish(pixels + b * (GROUP * groups - GROUP + 1) * size, acts->drawn + b * GROUP * groups * size, groups, 1,
               size);
}

/* Backward of a layer's convolution `which`: adds the gradients of weight and bias from dy and x, and sets dx to the
   input's (NULL: not wanted). */
static void conv_back(const struct pass *p, int layer, int which, elem *dx, const elem *dy, const elem *x) {
    const struct residual_layer *l = &p->net->layers[layer];
    struct conv_shape shape = shape_of(p, l);
    long rows = level_rows(p, l->level);
    const elem *w = params_acquire(p->params, layer);
    real *grads = grads_acquire(p->params, layer);
    if (grads && l->kernel == 1)
        linear_backward_weight(grads + l->w[0], grads + l->b[0], dy, x, rows, l->ci, l->co);
    else if (grads)
        conv_backward_weight(grads + l->w[which], grads + l->b[which], dy, x, &shape);
    if (dx && l->kernel == 1)
        linear_backward_input(dx, dy, w + l->w[0], rows, l->ci, l->co, 0);
    else if (dx)
        conv_backward_input(dx, dy, w + l->w[which], &shape, 0);
    params_release(p->params, layer);
}

/* Backward of convolution `which` and of the ReLU before it, whose output is `hidden`. */
static void relu_conv_back(const struct pass *p, int layer, int which, elem *dx, const elem *dy, const elem *hidden) {
    conv_back(p, layer, which, dx, dy, hidden);
    relu_backward(dx, dx, hidden, level_size(p, p->net->layers[layer].level));
}

static void block_back(const struct pass *p, int layer) {
    struct residual_acts *a = p->acts;
    int level = p->net->layers[layer].level;
    elem *const *hidden = a->hidden[layer], *dx = a->gradient[level][0], *inner = a->gradient[level][1];
    relu_conv_back(p, layer, 1, inner, dx, hidden[1]);
    /* the block no longer needs this level's x, so its memory takes the gradient */
    relu_conv_back(p, layer, 0, a->x[level], inner, hidden[0]);
    elem_add(dx, a->x[level], level_size(p, level));
}

static void grow_back(const struct pass *p, int layer) {
    const struct residual_layer *l = &p->net->layers[layer];
    struct residual_acts *a = p->acts;
    long width = p->net->config.width[l->level + 1], side = 1L << l->level;
    struct block_order order = doubling(width);
    block_to_depth(a->wide, a->gradient[l->level + 1][0], group_frames(a, p->frames), a->h * side, a->w * side, width,
                   &order);
    relu_conv_back(p, layer, 0, a->gradient[l->level][0], a->wide, a->hidden[layer][0]);
}

/* Backward of the last layer: from the gradient of pictures [frames, 3, H, W] to a->dcells. */
static void last_back(const struct pass *p, int layer) {
    const struct residual_layer *l = &p->net->layers[layer];
    struct residual_acts *a = p->acts;
    long n = group_frames(a, p->frames), side = RESIDUAL_GROWTH;
    struct block_order cells = patches(GROUP, a->patch);
    depth_from_planes(a->rows, a->drawn, n, a->h * side, a->w * side, 3, &cells);
    elem_from_real(a->dcells, a->rows, n * GROUP * picture_size(a));
    relu_conv_back(p, layer, 0, a->gradient[l->level][0], a->dcells, a->hidden[layer][0]);
}

/* Turns patches of q x q (elem) into pictures in `to`. */
static void pictures_of(const struct residual_acts *a, real *to, const elem *cells, long n, int pictures) {
    struct block_order order = patches(pictures, a->patch);
    real_from_elem(a->rows, cells, n * pictures * picture_size(a));
    planes_from_depth(to, a->rows, n, (long)a->h * RESIDUAL_GROWTH, (long)a->w * RESIDUAL_GROWTH, 3, &order);
}

/* Backward of a picture that was y's own mean: its gradient goes to the first latent's four pictures. */
static void shown_back(const struct pass *p) {
    struct residual_acts *a = p->acts;
    long n = group_frames(a, p->frames), c = colours_of(a), positions = level_positions(a, RESIDUAL_LEVELS - 1);
    long size = picture_size(a);
    copy_rows(a->cells, c, a->dcondition + GROUP * c, (GROUP + 1) * c, c, n * positions);
    pictures_of(a, a->shown, a->cells, n, 1);
    for (long f = 0; f < n; f++)
        for (int i = 0; i < GROUP; i++)
            real_axpby(a->drawn + (f / p->frames * p->frames * GROUP + i) * size, (real)1 / GROUP, a->shown + f * size,
                       1, size);
}

/* Backward of the layer where y enters: adds to a->drawn, the gradient of y. */
static void enter_back(const struct pass *p, int layer) {
    const struct residual_layer *l = &p->net->layers[layer];
    struct residual_acts *a = p->acts;
    long n = group_frames(a, p->frames), c = colours_of(a), positions = level_positions(a, l->level);
    conv_back(p, layer, 0, a->dcondition, a->gradient[l->level][0], a->condition);
    copy_rows(a->dcells, GROUP * c, a->dcondition, (GROUP + 1) * c, GROUP * c, n * positions);
    pictures_of(a, a->residual, a->dcells, n, GROUP);
    real_axpby(a->drawn, 1, a->residual, 1, n * GROUP * picture_size(a));
    if (!a->given) shown_back(p);
}

static void linear_back(const struct pass *p, int layer) {
    struct residual_acts *a = p->acts;
    long n = group_frames(a, p->frames), values = n * GROUP * picture_size(a);
    struct block_order whole = patches(GROUP, (long)RESIDUAL_GROWTH * a->patch);
    depth_from_planes(a->rows, a->drawn, n, a->h, a->w, 3, &whole);
    real_axpby(a->rows, (real)1 / RESIDUAL_LINEAR_SCALE, a->rows, 0, values);
    elem_from_real(a->dcells, a->rows, values);
    conv_back(p, layer, 0, NULL, a->dcells, a->z);
}

/* The transpose of finish, for every sample: a->drawn takes the gradient of y + residual. */
static void finish_back(const struct pass *p, const real *dpixels) {
    struct residual_acts *a = p->acts;
    long size = picture_size(a), groups = p->frames, kept = GROUP * groups - GROUP + 1;
    for (int b = 0; b < a->batch; b++) {
        real *to = a->drawn + b * GROUP * groups * size;
        const real *from = dpixels + b * kept * size;
        for (int i = 0; i < GROUP; i++) real_axpby(to + i * size, (real)0.5 / GROUP, from, 0, size);
        real_axpby(to + GROUP * size, (real)0.5, from + size, 0, (kept - 1) * size);
    }
}

static void layer_back(const struct pass *p, int layer) {
    switch (p->net->layers[layer].kind) {
    case RESIDUAL_LINEAR:
        linear_back(p, layer);
        break;
    case RESIDUAL_FIRST:
        conv_back(p, layer, 0, NULL, p->acts->gradient[0][0], p->acts->in);
        break;
    case RESIDUAL_BLOCK:
        block_back(p, layer);
        break;
    case RESIDUAL_GROW:
        grow_back(p, layer);
        break;
    case RESIDUAL_ENTER:
        enter_back(p, layer);
        break;
    case RESIDUAL_LAST:
        last_back(p, layer);
        break;
    }
}

void residual_decoder_backward(const struct residual_decoder *net, const struct params *params,
                               struct residual_acts *acts, const real *dpixels) {
    struct pass pass = {net, params, acts, acts->frames};
    finish_back(&pass, dpixels);
    for (int i = net->count - 1; i >= 0; i--) {
        layer_back(&pass, i);
        grads_done(params, i);
    }
}
