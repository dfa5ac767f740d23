/* light_decoder.c: the passes of light_decoder.h. Every layer reads a block of frames and writes the next; between them
   lie either buffers of their own (TRAIN) or three that take turns (STREAM). In a stream each of these blocks of frames
   has room for one more in front, where a memory block finds the frame before. */
#include "model/codec/light_decoder.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/workspace.h"

enum { TRIM = 3, TURNS = 3 };

struct layer_acts {
    elem *in; /* [B, T, h, w, ci]; in a stream behind room for one frame */
    elem *
        hidden[2]; /* MEMORY: first and second ReLU's output; GROW: the 1 x 1 layer's output, then the same as frames */
    elem *past;    /* MEMORY in a stream: the last frame seen */
};
struct light_acts {
    enum decoder_memory memory;
    int batch, frames, h, w; /* clips of this pass; most latent frames (STREAM) or those of each clip (TRAIN) */
    struct layer_acts layer[LIGHT_LAYERS_MAX];
    real *clamped, *head, *raw; /* clamped latents; the last layer's output; pixels before the trimming */
    elem *gradient[TURNS];      /* TRAIN */
    int started;                /* STREAM: 1: the first latent has been decoded */
};

/* ---- sizes ---- */

struct extent {
    long frames, h, w, width; /* frames of all samples */
};
static long extent_positions(const struct extent *e) { return e->frames * e->h * e->w; }
static long extent_size(const struct extent *e) { return extent_positions(e) * e->width; }
static long extent_frame(const struct extent *e) { return e->h * e->w * e->width; }

static struct extent input_extent(const struct light_acts *a, const struct light_layer *l, int frames) {
    return (struct extent){(long)a->batch * frames * l->frames, (long)a->h * l->side, (long)a->w * l->side, l->ci};
}
/* Returns the elements of the largest block of frames between or in layers, with the stream's room. */
static long largest_block(const struct light_acts *a, const struct light_decoder *net) {
    long largest = 0;
    for (int i = 0; i < net->count; i++) {
        const struct light_layer *l = &net->layers[i];
        struct extent e = input_extent(a, l, a->frames);
        long in = extent_size(&e) + extent_frame(&e), made = extent_positions(&e) * l->co;
        if (l->kind == LIGHT_GROW) made *= l->grow;
        if (in > largest) largest = in;
        if (made > largest) largest = made;
    }
    return largest;
}

/* ---- memory ---- */

static void layout_train(struct light_acts *a, const struct light_decoder *net, struct arena *arena) {
    long block = largest_block(a, net);
    for (int k = 0; k < TURNS; k++) a->gradient[k] = ARENA_TAKE(arena, "decoder: gradients", elem, block);
    for (int i = 0; i < net->count; i++) {
        const struct light_layer *l = &net->layers[i];
        struct extent in = input_extent(a, l, a->frames);
        a->layer[i].in = ARENA_TAKE(arena, "decoder: activations", elem, extent_size(&in));
        for (int k = 0; k < 2; k++) /* growth is linear, so the backward needs none of its inner values */
            a->layer[i].hidden[k] = l->kind == LIGHT_MEMORY
                                        ? ARENA_TAKE(arena, "decoder: activations", elem, extent_size(&in))
                                        : a->gradient[k];
    }
}

/* Lays out a stream. Of the buffers that take turns, a block's output has the one after its input's, which a memory
   block's first hidden frames use before. */
static void layout_stream(struct light_acts *a, const struct light_decoder *net, struct arena *arena) {
    elem *turn[TURNS];
    long block = largest_block(a, net);
    for (int k = 0; k < TURNS; k++) turn[k] = ARENA_TAKE(arena, "decoder: activations", elem, block);
    for (int i = 0; i < net->count; i++) {
        const struct light_layer *l = &net->layers[i];
        struct extent in = input_extent(a, l, 1);
        a->layer[i].in = turn[0] ? turn[i % TURNS] + extent_frame(&in) : NULL;
        for (int k = 0; k < 2; k++) a->layer[i].hidden[k] = turn[(i + 1 + k) % TURNS];
        a->layer[i].past =
            l->kind == LIGHT_MEMORY ? ARENA_TAKE(arena, "decoder: past frames", elem, extent_frame(&in)) : NULL;
    }
}

/* Returns frames, rows and columns of the pixels before the trimming. */
static struct extent pixel_extent(const struct light_acts *a, const struct light_decoder *net, int frames) {
    long stride = light_decoder_stride(&net->config);
    return (struct extent){(long)a->batch * frames * (TRIM + 1), a->h * stride, a->w * stride, 3};
}

int light_acts_layout(struct light_acts **acts, const struct light_decoder *net, enum decoder_memory memory, int batch,
                      int frames, int h, int w, struct arena *arena) {
    struct light_acts *a = calloc(1, sizeof *a);
    *acts = a;
    if (!a) return error_set(ERR_DEVICE, "light decoder: out of memory");
    *a = (struct light_acts){.memory = memory, .batch = batch, .frames = frames, .h = h, .w = w};
    if (memory == DECODER_TRAIN)
        layout_train(a, net, arena);
    else
        layout_stream(a, net, arena);
    struct extent in = input_extent(a, &net->layers[0], frames), pixels = pixel_extent(a, net, frames);
    a->clamped = ARENA_TAKE(arena, "decoder: latents", real, extent_size(&in));
    a->head = ARENA_TAKE(arena, "decoder: pixels", real, extent_size(&pixels));
    a->raw = ARENA_TAKE(arena, "decoder: pixels", real, extent_size(&pixels));
    return OK;
}

size_t light_decoder_workspace(const struct light_decoder *net, int batch, int frames, int h, int w) {
    const struct light_layer *last = &net->layers[net->count - 1];
    return conv_workspace((long)batch * frames * last->frames * h * last->side * w * last->side, last->ci, last->co);
}

void light_acts_free(struct light_acts *acts) { free(acts); }

/* ---- layers ---- */

/* One pass. frames: latent frames of each sample. */
struct pass {
    const struct light_decoder *net;
    const struct params *params;
    struct light_acts *acts;
    int frames;
};

/* Returns the shape of a layer's convolution `which`, over blocks of frames without room in front. */
static struct conv_shape shape_of(const struct pass *p, const struct light_layer *l, int which) {
    struct extent in = input_extent(p->acts, l, p->frames);
    int side = l->kind == LIGHT_GROW ? 0 : 1; /* padding of a 1 x 1 or a 3 x 3 kernel */
    struct conv_shape s = {.samples = 1,
                           .ci = l->ci,
                           .co = l->kind == LIGHT_GROW ? (long)l->ci * l->grow : l->co,
                           .groups = 1,
                           .in = {in.frames, in.h, in.w},
                           .kernel = {1, 1 + 2 * side, 1 + 2 * side},
                           .stride = {1, 1, 1},
                           .before = {0, side, side},
                           .after = {0, side, side}};
    if (l->kind == LIGHT_MEMORY && which == 0) { /* sees the frame before, of the same sample */
        s.samples = p->acts->batch;
        s.in[0] /= s.samples;
        s.kernel[0] = 2;
        s.before[0] = 1;
    }
    return s;
}

static const elem *bias_of(const struct light_layer *l, const elem *w, int which) {
    return l->bias ? w + l->b[which] : NULL;
}

static void conv_relu(const struct pass *p, const struct light_layer *l, int which, elem *y, const elem *x,
                      const elem *w) {
    struct conv_shape shape = shape_of(p, l, which);
    struct extent in = input_extent(p->acts, l, p->frames);
    conv_forward(y, x, w + l->w[which], bias_of(l, w, which), &shape, 0);
    if (l->relu || l->kind == LIGHT_MEMORY) relu_forward(y, y, extent_positions(&in) * l->co);
}

/* Runs the first convolution of a memory block in a stream: copies the past frame into the room and keeps the
   newest. */
static void conv_past(const struct pass *p, const struct light_layer *l, const struct layer_acts *a, const elem *w) {
    struct extent in = input_extent(p->acts, l, p->frames);
    struct conv_shape shape = shape_of(p, l, 0);
    long frame = extent_frame(&in);
    elem *room = a->in - frame;
    mem_copy(room, a->past, (size_t)frame * sizeof(elem));
    mem_copy(a->past, a->in + (in.frames - 1) * frame, (size_t)frame * sizeof(elem));
    shape.in[0]++;
    shape.before[0] = 0;
    conv_forward(a->hidden[0], room, w + l->w[0], bias_of(l, w, 0), &shape, 0);
    relu_forward(a->hidden[0], a->hidden[0], extent_size(&in));
}

static void memory_forward(const struct pass *p, const struct light_layer *l, const struct layer_acts *a, elem *out,
                           const elem *w) {
    struct extent in = input_extent(p->acts, l, p->frames);
    struct conv_shape shape = shape_of(p, l, 2);
    if (p->acts->memory == DECODER_STREAM)
        conv_past(p, l, a, w);
    else
        conv_relu(p, l, 0, a->hidden[0], a->in, w);
    conv_relu(p, l, 1, a->hidden[1], a->hidden[0], w);
    mem_copy(out, a->in, (size_t)extent_size(&in) * sizeof(elem));
    conv_forward(out, a->hidden[1], w + l->w[2], bias_of(l, w, 2), &shape, 1);
    relu_forward(out, out, extent_size(&in));
}

/* Order of growth: frame t becomes frames t n .. t n + n - 1, whose channels lie one frame behind the other. */
static struct block_order growth_order(const struct light_layer *l) {
    return (struct block_order){{l->grow, 1, 1}, 1, {l->ci, 0, 0}};
}

static void grow_forward(const struct pass *p, const struct light_layer *l, const struct layer_acts *a, elem *out,
                         const elem *w) {
    struct extent in = input_extent(p->acts, l, p->frames);
    struct conv_shape shape = shape_of(p, l, 0);
    struct block_order order = growth_order(l);
    elem *grown = l->scale == 1 ? out : a->hidden[1]; /* never the buffer of `out` while that is still to be read */
    elem *wide = l->grow == 1 ? grown : l->scale == 1 ? a->hidden[1] : a->hidden[0];
    conv_forward(wide, a->in, w + l->w[0], NULL, &shape, 0);
    if (l->grow > 1) depth_to_block(grown, wide, in.frames, in.h, in.w, in.width, &order);
    if (l->scale > 1) upsample_nearest(out, grown, in.frames * l->grow, in.h, in.w, in.width, l->scale);
}

static struct block_order pixel_order(const struct light_decoder *net) {
    long p = net->config.patch;
    return (struct block_order){{1, (int)p, (int)p}, p * p, {0, p, 1}};
}

/* Decodes latents [frames of all samples, C, h, w] into a->raw or `pixels`. */
static void pass_forward(const struct pass *p, const real *latents, real *pixels) {
    const struct light_decoder *net = p->net;
    struct light_acts *a = p->acts;
    struct extent first = input_extent(a, &net->layers[0], p->frames);
    const real *clamped = net->config.clamp > 0 ? a->clamped : latents;
    if (net->config.clamp > 0) soft_clamp(a->clamped, latents, (real)net->config.clamp, extent_size(&first));
    channels_last(a->layer[0].in, clamped, first.frames, first.width, first.h * first.w);
    for (int i = 0; i < net->count - 1; i++) {
        const struct light_layer *l = &net->layers[i];
        const elem *w = params_acquire(p->params, i);
        elem *out = a->layer[i + 1].in;
        if (l->kind == LIGHT_CONV) conv_relu(p, l, 0, out, a->layer[i].in, w);
        if (l->kind == LIGHT_MEMORY) memory_forward(p, l, &a->layer[i], out, w);
        if (l->kind == LIGHT_GROW) grow_forward(p, l, &a->layer[i], out, w);
        params_release(p->params, i);
    }
    const struct light_layer *last = &net->layers[net->count - 1];
    struct conv_shape shape = shape_of(p, last, 0);
    struct extent in = input_extent(a, last, p->frames);
    struct block_order order = pixel_order(net);
    const elem *w = params_acquire(p->params, net->count - 1);
    conv_forward_real(a->head, a->layer[net->count - 1].in, w + last->w[0], w + last->b[0], &shape);
    params_release(p->params, net->count - 1);
    planes_from_depth(pixels, a->head, in.frames, in.h, in.w, 3, &order);
}

/* ---- streams ---- */

void light_stream_reset(struct light_acts *acts) { acts->started = 0; }

static void forget_past(const struct pass *p) {
    for (int i = 0; i < p->net->count; i++) {
        struct extent in = input_extent(p->acts, &p->net->layers[i], 1);
        if (p->acts->layer[i].past) mem_zero(p->acts->layer[i].past, (size_t)extent_frame(&in) * sizeof(elem));
    }
}

int light_stream_decode(const struct light_decoder *net, const struct params *params, struct light_acts *acts,
                        const real *latents, int frames, real *pixels) {
    int first = !acts->started, written = 0;
    long latent = (long)net->config.channels * acts->h * acts->w;
    struct extent one = pixel_extent(acts, net, 1);
    for (int done = 0; done < frames; done += acts->frames) {
        int now = frames - done < acts->frames ? frames - done : acts->frames;
        struct pass pass = {net, params, acts, now};
        if (first && !done) forget_past(&pass);
        real *to = first && !done ? acts->raw : pixels + written * extent_frame(&one);
        pass_forward(&pass, latents + done * latent, to);
        int kept = now * (TRIM + 1) - (to == acts->raw ? TRIM : 0);
        if (to == acts->raw)
            mem_copy(pixels, acts->raw + TRIM * extent_frame(&one), (size_t)(kept * extent_frame(&one)) * sizeof(real));
        written += kept;
        acts->started = 1;
    }
    return written;
}

/* ---- training ---- */

void light_decoder_forward(const struct light_decoder *net, const struct params *params, struct light_acts *acts,
                           int batch, const real *latents, real *pixels) {
    acts->batch = batch;
    struct pass pass = {net, params, acts, acts->frames};
    struct extent all = pixel_extent(acts, net, acts->frames);
    size_t frame = (size_t)extent_frame(&all), clip = (size_t)(all.frames / acts->batch) * frame;
    pass_forward(&pass, latents, acts->raw);
    size_t kept = (clip - TRIM * frame) * sizeof(real);
    mem_copy_rows(pixels, kept, acts->raw + TRIM * frame, clip * sizeof(real), kept, (size_t)acts->batch);
}

/* Backward of convolution `which`: adds the gradients of weight and bias from dy and x, and sets dx = beta dx + its
   gradient (NULL: not wanted). */
static void conv_back(const struct pass *p, int layer, int which, elem *dx, const elem *dy, const elem *x, real beta) {
    const struct light_layer *l = &p->net->layers[layer];
    struct conv_shape shape = shape_of(p, l, which);
    const elem *w = params_acquire(p->params, layer);
    real *grads = grads_acquire(p->params, layer);
    if (grads) conv_backward_weight(grads + l->w[which], l->bias ? grads + l->b[which] : NULL, dy, x, &shape);
    if (dx) conv_backward_input(dx, dy, w + l->w[which], &shape, beta);
    params_release(p->params, layer);
}

/* Backward of a memory block. d[0]: the gradient of the output on entry, of the input on return. */
static void memory_back(const struct pass *p, int layer, elem *d[TURNS], const elem *out) {
    const struct layer_acts *a = &p->acts->layer[layer];
    struct extent in = input_extent(p->acts, &p->net->layers[layer], p->frames);
    relu_backward(d[0], d[0], out, extent_size(&in));
    conv_back(p, layer, 2, d[1], d[0], a->hidden[1], 0);
    relu_backward(d[1], d[1], a->hidden[1], extent_size(&in));
    conv_back(p, layer, 1, d[2], d[1], a->hidden[0], 0);
    relu_backward(d[2], d[2], a->hidden[0], extent_size(&in));
    conv_back(p, layer, 0, d[0], d[2], a->in, 1);
}

static void swap(elem *d[TURNS], int i) {
    elem *kept = d[0];
    d[0] = d[i];
    d[i] = kept;
}

static void grow_back(const struct pass *p, int layer, elem *d[TURNS]) {
    const struct light_layer *l = &p->net->layers[layer];
    struct extent in = input_extent(p->acts, l, p->frames);
    struct block_order order = growth_order(l);
    if (l->scale > 1) {
        upsample_nearest_backward(d[1], d[0], in.frames * l->grow, in.h, in.w, in.width, l->scale);
        swap(d, 1);
    }
    if (l->grow > 1) {
        block_to_depth(d[1], d[0], in.frames, in.h, in.w, in.width, &order);
        swap(d, 1);
    }
    conv_back(p, layer, 0, d[1], d[0], p->acts->layer[layer].in, 0);
    swap(d, 1);
}

/* Backward of a plain convolution. relu: its output behind the ReLU, or NULL: it has none. The first layer's input gets
   no gradient. */
static void plain_back(const struct pass *p, int layer, elem *d[TURNS], const elem *relu) {
    const struct light_layer *l = &p->net->layers[layer];
    struct extent in = input_extent(p->acts, l, p->frames);
    if (relu) relu_backward(d[0], d[0], relu, extent_positions(&in) * l->co);
    conv_back(p, layer, 0, layer ? d[1] : NULL, d[0], p->acts->layer[layer].in, 0);
    swap(d, 1);
}

void light_decoder_backward(const struct light_decoder *net, const struct params *params, struct light_acts *acts,
                            const real *dpixels) {
    struct pass pass = {net, params, acts, acts->frames};
    const struct light_layer *last = &net->layers[net->count - 1];
    struct extent all = pixel_extent(acts, net, acts->frames), in = input_extent(acts, last, acts->frames);
    struct block_order order = pixel_order(net);
    size_t frame = (size_t)extent_frame(&all), clip = (size_t)(all.frames / acts->batch) * frame;
    size_t kept = (clip - TRIM * frame) * sizeof(real);
    mem_zero(acts->raw, (size_t)extent_size(&all) * sizeof(real));
    mem_copy_rows(acts->raw + TRIM * frame, clip * sizeof(real), dpixels, kept, kept, (size_t)acts->batch);
    depth_from_planes(acts->head, acts->raw, in.frames, in.h, in.w, 3, &order);
    elem *d[TURNS] = {acts->gradient[0], acts->gradient[1], acts->gradient[2]};
    elem_from_real(d[0], acts->head, extent_size(&all));
    for (int i = net->count - 1; i >= 0; i--) {
        const struct light_layer *l = &net->layers[i];
        const elem *out = i + 1 < net->count ? acts->layer[i + 1].in : NULL;
        if (l->kind == LIGHT_CONV) plain_back(&pass, i, d, l->relu ? out : NULL);
        if (l->kind == LIGHT_MEMORY) memory_back(&pass, i, d, out);
        if (l->kind == LIGHT_GROW) grow_back(&pass, i, d);
        grads_done(params, i);
    }
}
