/* vae.c: a pass of a Wan video autoencoder. See vae.h.
   One function walks through the layers of a half. The first walks have no weights and only record sizes of buffers,
   what layers keep, and operations; so plan and use cannot differ.
   Four buffers: x (the stream of frames), y (what a layer makes of it; x and y change places), pad (a causal conv's
   input with room for past frames in front) and keep (a level's input until its shortcut). */
#include "model/codec/vae.h"

#include <math.h>
#include <string.h>
#include "base/error.h"
#include "base/media_rates.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

enum { X, Y, PAD, KEEP }; /* indices of need and buffer */
enum { QUERIES = 256 };   /* queries of attention at a time, to bound the table of scores */

struct walk {
    struct vae_stream *stream;
    const struct vae_half *half;
    const elem *weights; /* NULL: planning */
    int first;           /* 1: this is the pass of frame 0 */
    long t, h, w, c;     /* x's current sizes */
    elem *x, *y;
    int slot;
    double flops;
};

static elem *pad(const struct walk *w) { return w->stream->buffer[PAD]; }
static elem *keep(const struct walk *w) { return w->stream->buffer[KEEP]; }
static long frame_size(const struct walk *w) { return w->h * w->w * w->c; }
static long rows(const struct walk *w) { return w->t * w->h * w->w; }

static void need(struct walk *w, int buffer, long elements) {
    size_t *n = &w->stream->need[buffer];
    if ((size_t)elements > *n) *n = (size_t)elements;
}

/* Makes y the new x, with c channels. */
static void step(struct walk *w, long c) {
    elem *made = w->y;
    w->y = w->x;
    w->x = made;
    w->c = c;
    need(w, X, rows(w) * c);
}

/* Returns the next layer's slot in the cache, of `elements` elements. */
static elem *next_slot(struct walk *w, long elements) {
    struct vae_stream *s = w->stream;
    int slot = w->slot++;
    if (!w->weights) s->slot[slot + 1] = s->slot[slot] + (size_t)(elements + 31) / 32 * 32;
    return s->cache ? s->cache + s->slot[slot] : NULL;
}

/* ---- convolutions ---- */

static void conv(struct walk *w, elem *to, const elem *from, const struct vae_conv *c, const struct conv_shape *shape,
                 real beta) {
    double places = (double)conv_out(shape, 0) * (double)conv_out(shape, 1) * (double)conv_out(shape, 2);
    w->flops += 2 * places * c->ci * c->co * c->kernel[0] * c->kernel[1] * c->kernel[2];
    if (w->weights) conv_forward(to, from, w->weights + c->weight, w->weights + c->bias, shape, beta);
}

static struct conv_shape shape_of(const struct walk *w, const struct vae_conv *c, long frames) {
    int side = c->kernel[1] / 2; /* zeros around h and w */
    return (struct conv_shape){.samples = 1,
                               .ci = c->ci,
                               .co = c->co,
                               .groups = 1,
                               .in = {frames, w->h, w->w},
                               .kernel = {c->kernel[0], c->kernel[1], c->kernel[2]},
                               .stride = {1, 1, 1},
                               .before = {0, side, side},
                               .after = {0, side, side}};
}

/* Returns where in pad a causal conv's input goes, t frames of c channels behind `past` frames. */
static elem *behind(struct walk *w, long past) {
    need(w, PAD, (past + w->t) * frame_size(w));
    return w->weights ? pad(w) + past * frame_size(w) : NULL;
}

/* Computes y = beta y + conv of pad. Past frames come from the layer's slot, where the last ones are then kept. */
static void causal(struct walk *w, const struct vae_conv *c, real beta) {
    long past = c->kernel[0] - 1;
    size_t bytes = (size_t)(past * frame_size(w)) * sizeof(elem);
    elem *slot = next_slot(w, past * frame_size(w));
    struct conv_shape shape = shape_of(w, c, past + w->t);
    if (w->weights) mem_copy(pad(w), slot, bytes);
    need(w, Y, rows(w) * c->co);
    conv(w, w->y, pad(w), c, &shape, beta);
    if (w->weights) mem_copy(slot, pad(w) + w->t * frame_size(w), bytes);
}

/* Computes y = conv of 1 x 1 x 1 of x. */
static void pointwise(struct walk *w, const struct vae_conv *c) {
    w->flops += 2.0 * (double)rows(w) * c->ci * c->co;
    need(w, Y, rows(w) * c->co);
    if (w->weights) linear_forward(w->y, w->x, w->weights + c->weight, w->weights + c->bias, rows(w), c->ci, c->co, 0);
}

static void norm_silu(struct walk *w, elem *to, const elem *from, size_t gamma) {
    if (w->weights) length_norm_silu(to, from, w->weights + gamma, rows(w), w->c);
}

/* ---- blocks ---- */

static void residual(struct walk *w, const struct vae_res *r) {
    long ci = w->c;
    norm_silu(w, behind(w, 2), w->x, r->norm1);
    causal(w, &r->conv1, 0);
    w->c = r->conv1.co;
    norm_silu(w, behind(w, 2), w->y, r->norm2);
    if (r->shortcut.ci) {
        w->c = ci;
        pointwise(w, &r->shortcut);
        w->c = r->conv1.co;
        causal(w, &r->conv2, 1);
        step(w, w->c);
        return;
    }
    elem *y = w->y; /* added to x itself */
    w->y = w->x;
    causal(w, &r->conv2, 1);
    w->y = y;
}

/* x += proj(softmax(q k^T/sqrt(C)) v), frame by frame. q, k, v lie in y; the result takes q's place, block by block. */
static void attend(struct walk *w, const elem *normed, elem *x) {
    const struct vae_half *half = w->half;
    const elem *weight = w->weights + half->qkv.weight, *bias = w->weights + half->qkv.bias;
    long n = w->h * w->w, C = w->c;
    elem *q = w->y, *k = q + n * C, *v = k + n * C, *p = w->stream->probability;
    for (int i = 0; i < 3; i++) linear_forward(q + i * n * C, normed, weight + i * C * C, bias + i * C, n, C, C, 0);
    for (long at = 0; at < n; at += QUERIES) {
        long count = n - at < QUERIES ? n - at : QUERIES;
        linear_forward_real(w->stream->score, q + at * C, k, NULL, count, C, n);
        softmax_forward(p, w->stream->score, (real)(1 / sqrt((double)C)), count, n);
        linear_backward_input(q + at * C, p, v, count, C, n, 0); /* p v: a product without a transpose */
    }
    linear_forward(x, q, w->weights + half->proj.weight, w->weights + half->proj.bias, n, C, C, 1);
}

static void attention(struct walk *w) {
    long n = w->h * w->w;
    need(w, PAD, rows(w) * w->c);
    need(w, Y, 3 * n * w->c);
    w->flops += (double)w->t * (double)n * (double)w->c * (8.0 * (double)w->c + 4.0 * (double)n);
    if (!w->weights) return;
    length_norm(pad(w), w->x, w->weights + w->half->attention_norm, rows(w), w->c);
    for (long f = 0; f < w->t; f++) attend(w, pad(w) + f * frame_size(w), w->x + f * frame_size(w));
}

static void middle(struct walk *w) {
    residual(w, &w->half->middle[0]);
    attention(w);
    residual(w, &w->half->middle[1]);
}

/* ---- changes of resolution ---- */

/* Halves resolution: a conv of spatial stride 2 behind one more row and column of zeros. Then, except for frame 0, a
   conv of stride 2 in time behind the frame before. */
static void down(struct walk *w, const struct vae_level *s) {
    struct conv_shape shape = shape_of(w, &s->space_conv, w->t);
    memcpy(shape.stride, (int[]){1, 2, 2}, sizeof shape.stride);
    memset(shape.before, 0, sizeof shape.before);
    memcpy(shape.after, (int[]){0, 1, 1}, sizeof shape.after);
    const elem *from = w->x;
    w->h /= 2;
    w->w /= 2;
    if (s->time == 1) {
        need(w, Y, rows(w) * w->c);
        conv(w, w->y, from, &s->space_conv, &shape, 0);
        step(w, w->c);
        return;
    }
    elem *slot = next_slot(w, frame_size(w)), *to = behind(w, 1);
    size_t bytes = (size_t)frame_size(w) * sizeof(elem);
    conv(w, to, from, &s->space_conv, &shape, 0);
    if (w->first) {
        need(w, Y, rows(w) * w->c);
        if (w->weights) mem_copy(w->y, to, bytes);
    } else {
        struct conv_shape time = shape_of(w, &s->time_conv, 1 + w->t);
        time.stride[0] = 2;
        if (w->weights) mem_copy(pad(w), slot, bytes);
        need(w, Y, rows(w) / 2 * w->c);
        conv(w, w->y, pad(w), &s->time_conv, &time, 0);
    }
    if (w->weights) mem_copy(slot, to + (w->t - 1) * frame_size(w), bytes);
    if (!w->first) w->t /= 2;
    step(w, w->c);
}

/* Doubles the frames, except frame 0: the first half of the channels is the earlier frame. Then doubles the
   resolution. */
static void up(struct walk *w, const struct vae_level *s) {
    if (s->time == 2 && w->first) next_slot(w, 2 * frame_size(w)); /* stays zero */
    if (s->time == 2 && !w->first) {
        const struct block_order frames = {.size = {2, 1, 1}, .channel = 1, .step = {w->c, 0, 0}};
        elem *to = behind(w, 2);
        if (w->weights) mem_copy(to, w->x, (size_t)(w->t * frame_size(w)) * sizeof(elem));
        causal(w, &s->time_conv, 0);
        need(w, X, 2 * rows(w) * w->c);
        if (w->weights) depth_to_block(w->x, w->y, w->t, w->h, w->w, w->c, &frames);
        w->t *= 2;
    }
    need(w, PAD, 4 * rows(w) * w->c);
    if (w->weights) upsample_nearest(pad(w), w->x, w->t, w->h, w->w, w->c, 2);
    w->h *= 2;
    w->w *= 2;
    struct conv_shape shape = shape_of(w, &s->space_conv, w->t);
    need(w, Y, rows(w) * s->space_conv.co);
    conv(w, w->y, pad(w), &s->space_conv, &shape, 0);
    step(w, s->space_conv.co);
}

/* Order of a shortcut: channel c factor + place, in a block of time x space x space. */
static struct block_order shortcut_order(const struct vae_level *s) {
    long plane = (long)s->space * s->space;
    return (struct block_order){
        .size = {s->time, s->space, s->space}, .channel = s->time * plane, .step = {plane, s->space, 1}};
}

/* The input of a level's shortcut; at frame 0 it has zero frames in front where the encoder halves time. */
struct entry {
    long t, h, w, c;
};
static struct entry enter(struct walk *w, const struct vae_level *s) {
    long zeros = w->stream->direction == VAE_ENCODE && w->first ? s->time - 1 : 0;
    size_t frame = (size_t)frame_size(w) * sizeof(elem);
    need(w, KEEP, (zeros + w->t) * frame_size(w));
    if (w->weights) {
        mem_zero(keep(w), (size_t)zeros * frame);
        mem_copy(keep(w) + zeros * frame_size(w), w->x, (size_t)w->t * frame);
    }
    return (struct entry){zeros + w->t, w->h, w->w, w->c};
}

/* Adds to x the entry's means over blocks, averaged over neighbouring channels. */
static void add_means(struct walk *w, const struct vae_level *s, struct entry in) {
    struct block_order order = shortcut_order(s);
    need(w, PAD, in.t * in.h * in.w * in.c);
    need(w, Y, rows(w) * w->c);
    if (!w->weights) return;
    block_to_depth(pad(w), keep(w), in.t / s->time, in.h / s->space, in.w / s->space, in.c, &order);
    channel_mean(w->y, pad(w), rows(w), w->c, in.c * order.channel / w->c);
    elem_add(w->x, w->y, rows(w) * w->c);
}

/* Adds to x the entry's channels, repeated and laid out in blocks; frame 0 is the last frame of its block. */
static void add_copies(struct walk *w, const struct vae_level *s, struct entry in) {
    struct block_order order = shortcut_order(s);
    long dropped = w->first ? s->time - 1 : 0;
    need(w, PAD, (rows(w) + dropped * w->h * w->w) * w->c);
    need(w, Y, (rows(w) + dropped * w->h * w->w) * w->c);
    if (!w->weights) return;
    channel_repeat(pad(w), keep(w), in.t * in.h * in.w, in.c, w->c * order.channel / in.c);
    depth_to_block(w->y, pad(w), in.t, in.h, in.w, w->c, &order);
    elem_add(w->x, w->y + dropped * frame_size(w), rows(w) * w->c);
}

static void level(struct walk *w, const struct vae_level *s) {
    int encode = w->stream->direction == VAE_ENCODE;
    int shortcut = w->stream->vae->config.residual && (encode || s->space == 2);
    struct entry in = {0};
    if (shortcut) in = enter(w, s);
    for (int r = 0; r < s->res_count; r++) residual(w, &s->res[r]);
    if (s->space == 2 && encode) down(w, s);
    if (s->space == 2 && !encode) up(w, s);
    if (shortcut && encode) add_means(w, s, in);
    if (shortcut && !encode) add_copies(w, s, in);
}

/* Computes y = conv(silu(rms(x))). */
static void head(struct walk *w) {
    norm_silu(w, behind(w, 2), w->x, w->half->head_norm);
    causal(w, &w->half->out, 0);
    step(w, w->half->out.co);
}

/* ---- passes (params NULL: a walk that plans) ---- */

/* Order of a patch of pixels: channel c p^2 + column p + row. */
static struct block_order patch_order(int p) {
    return (struct block_order){.size = {1, p, p}, .channel = (long)p * p, .step = {0, 1, p}};
}

/* Brings what a borrowing stream's layers keep to the device for a pass, and away again. */
static void fetch(const struct vae_stream *s) {
    size_t bytes = s->slot[s->slots] * sizeof(elem);
    if (!s->beside) return;
    if (s->started)
        mem_upload(s->cache, s->kept, bytes);
    else
        mem_zero(s->cache, bytes);
}
static void park(const struct vae_stream *s) {
    if (s->beside) mem_download(s->kept, s->cache, s->slot[s->slots] * sizeof(elem));
}

static struct walk walk_start(struct vae_stream *s, const struct params *params) {
    if (params) fetch(s);
    struct walk w = {.stream = s, .half = &s->vae->half[s->direction], .first = !s->started};
    w.weights = params ? params_acquire(params, s->direction) : NULL;
    w.x = s->buffer[X];
    w.y = s->buffer[Y];
    return w;
}

static void walk_end(struct walk *w, const struct params *params) {
    struct vae_stream *s = w->stream;
    if (params) {
        params_release(params, s->direction);
        park(s);
    } else
        s->flops[s->started] = w->flops;
    s->slots = w->slot;
    s->started = 1;
}

void vae_encode(struct vae_stream *s, const struct params *params, const real *pixels, int latent_frames,
                real *latents) {
    struct walk w = walk_start(s, params);
    int p = s->vae->config.patch, z = s->vae->config.z;
    struct block_order order = patch_order(p);
    w.t = w.first ? 1 : FRAMES_PER_LATENT * latent_frames;
    w.h = s->height / p;
    w.w = s->width / p;
    w.c = w.half->in.ci;
    need(&w, X, rows(&w) * w.c);
    elem *to = behind(&w, 2);
    if (w.weights) {
        channels_last(w.x, pixels, w.t, 3, (long)s->height * s->width);
        block_to_depth(to, w.x, w.t, w.h, w.w, 3, &order);
    }
    causal(&w, &w.half->in, 0);
    step(&w, w.half->in.co);
    for (int i = 0; i < s->vae->config.levels; i++) level(&w, &w.half->level[i]);
    middle(&w);
    head(&w);
    const struct vae_conv *c = &w.half->latent_conv; /* the first half of its outputs are means, the rest deviations */
    if (w.weights) linear_forward_real(latents, w.x, w.weights + c->weight, w.weights + c->bias, rows(&w), c->ci, z);
    walk_end(&w, params);
}

void vae_decode(struct vae_stream *s, const struct params *params, const real *latents, int latent_frames,
                real *pixels) {
    struct walk w = walk_start(s, params);
    const struct vae_config *config = &s->vae->config;
    struct block_order order = patch_order(config->patch);
    w.t = w.first ? 1 : latent_frames;
    w.h = s->height / vae_stride(config);
    w.w = s->width / vae_stride(config);
    w.c = config->z;
    need(&w, X, rows(&w) * w.c);
    if (w.weights) elem_from_real(w.x, latents, rows(&w) * w.c);
    pointwise(&w, &w.half->latent_conv);
    step(&w, w.c);
    elem *to = behind(&w, 2);
    if (w.weights) mem_copy(to, w.x, (size_t)(rows(&w) * w.c) * sizeof(elem));
    causal(&w, &w.half->in, 0);
    step(&w, w.half->in.co);
    middle(&w);
    for (int i = 0; i < config->levels; i++) level(&w, &w.half->level[i]);
    head(&w);
    if (w.weights) {
        depth_to_block(w.y, w.x, w.t, w.h, w.w, 3, &order);
        channels_first(pixels, w.y, w.t, 3, (long)s->height * s->width);
    }
    walk_end(&w, params);
}

/* ---- memory ---- */

static void borrow(struct vae_stream *s) {
    memcpy(s->buffer, s->beside->buffer, sizeof s->buffer);
    s->score = s->beside->score;
    s->probability = s->beside->probability;
    s->cache = s->beside->cache;
    s->kept = ARENA_TAKE(&s->parked, "past frames of layers", elem, s->slot[s->slots]);
}

static void lay_out(struct vae_stream *s) {
    static const char *const names[] = {"frames", "frames, next", "frames behind past ones", "level input"};
    long n = (long)(s->height / vae_stride(&s->vae->config)) * (s->width / vae_stride(&s->vae->config));
    for (int i = 0; i < 4; i++) s->buffer[i] = ARENA_TAKE(&s->arena, names[i], elem, s->need[i]);
    s->score = ARENA_TAKE(&s->arena, "attention scores", real, (n < QUERIES ? n : QUERIES) * n);
    s->probability = ARENA_TAKE(&s->arena, "attention weights", elem, (n < QUERIES ? n : QUERIES) * n);
    s->cache = ARENA_TAKE(&s->arena, "past frames of layers", elem, s->slot[s->slots]);
}

int vae_stream_plan(struct vae_stream *s, const struct vae *vae, enum vae_direction direction, int height, int width,
                    int group) {
    int stride = vae_stride(&vae->config);
    memset(s, 0, sizeof *s);
    if (height < 1 || width < 1 || height % stride || width % stride)
        return error_set(ERR_INPUT, "%d x %d pixels: height and width must be multiples of %d", height, width, stride);
    *s = (struct vae_stream){
        .vae = vae, .direction = direction, .height = height, .width = width, .group = group < 1 ? 1 : group};
    for (int pass = 0; pass < 2; pass++)
        (direction == VAE_ENCODE ? vae_encode : vae_decode)(s, NULL, NULL, s->group, NULL);
    s->need[X] = s->need[Y] = s->need[X] > s->need[Y] ? s->need[X] : s->need[Y]; /* they change places */
    arena_begin(&s->arena, direction == VAE_ENCODE ? "video encoder" : "video decoder");
    lay_out(s);
    return OK;
}

void vae_stream_plan_beside(struct vae_stream *s, const struct vae_stream *first) {
    *s = *first;
    s->beside = first;
    memset(&s->arena, 0, sizeof s->arena);
    arena_begin_host(&s->parked, "past frames of a tile (host)");
    borrow(s);
}

int vae_stream_open(struct vae_stream *s) {
    TRY(arena_commit(s->beside ? &s->parked : &s->arena));
    (s->beside ? borrow : lay_out)(s);
    vae_stream_reset(s);
    return device_sync();
}

void vae_stream_close(struct vae_stream *s) {
    arena_free(&s->arena);
    arena_free(&s->parked);
    memset(s, 0, sizeof *s);
}

void vae_stream_reset(struct vae_stream *s) {
    s->started = 0;
    if (!s->beside) mem_zero(s->cache, s->slot[s->slots] * sizeof(elem));
}

void vae_stream_print(const struct vae_stream *s, FILE *out) {
    arena_print(&s->arena, out, 1);
    fprintf(out, "  %.3f GFLOP for frame 0, %.3f for %d latent frame%s after it\n", s->flops[0] / 1e9,
            s->flops[1] / 1e9, s->group, s->group == 1 ? "" : "s");
}
