/* test_kernels_conv.c: convolutions and changes of layout against the oracle.
   A convolution's sizes: a row of the table `convolutions`, counted from 1. */
#include "kernel_harness.h"

static const struct conv_shape convolutions[] = {
    {1, 1, 1, 1, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}},
    {2, 3, 5, 1, {1, 5, 7}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},    /* odd channels, a picture */
    {1, 16, 32, 1, {3, 4, 3}, {3, 3, 3}, {1, 1, 1}, {2, 1, 1}, {0, 1, 1}},  /* causal in time */
    {1, 32, 16, 1, {3, 3, 3}, {2, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},  /* its past in the buffer */
    {2, 12, 20, 1, {2, 7, 8}, {1, 3, 3}, {1, 2, 2}, {0, 0, 0}, {0, 1, 1}},  /* asymmetric, stride 2 */
    {1, 16, 16, 1, {5, 3, 3}, {3, 1, 1}, {2, 1, 1}, {0, 0, 0}, {0, 0, 0}},  /* stride in time */
    {2, 48, 24, 1, {2, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}},  /* a linear layer */
    {2, 32, 32, 2, {9, 1, 1}, {8, 1, 1}, {1, 1, 1}, {4, 0, 0}, {4, 0, 0}},  /* grouped, along time */
    {1, 6, 4, 2, {23, 1, 1}, {5, 1, 1}, {3, 1, 1}, {1, 0, 0}, {0, 0, 0}},   /* odd groups; a tail that nobody reads */
    {3, 1, 17, 1, {41, 1, 1}, {10, 1, 1}, {5, 1, 1}, {0, 0, 0}, {0, 0, 0}}, /* one channel, along time */
    {1, 8, 8, 8, {1, 6, 6}, {1, 5, 5}, {1, 1, 1}, {0, 2, 2}, {0, 2, 2}},    /* depthwise */
    {1, 33, 70, 1, {1, 5, 3}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},  /* tails of vectors */
    {1, 64, 48, 1, {2, 4, 3}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {1, 2, 3, 1, {2, 3, 3}, {2, 2, 2}, {1, 2, 1}, {3, 2, 1}, {1, 0, 4}}, /* more padding than kernel */
};
enum { CONVOLUTIONS = sizeof convolutions / sizeof *convolutions };
static const long rows[][CASE_SIZES] = {{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}, {10}, {11}, {12}, {13}, {14}, {0}};
_Static_assert(sizeof rows / sizeof *rows == CONVOLUTIONS + 1, "a row for every convolution");

static long in_size(const struct conv_shape *s) { return s->samples * s->in[0] * s->in[1] * s->in[2] * s->ci; }
static long out_size(const struct conv_shape *s) {
    return s->samples * conv_out(s, 0) * conv_out(s, 1) * conv_out(s, 2) * s->co;
}
static long places(const struct conv_shape *s) { return (long)s->kernel[0] * s->kernel[1] * s->kernel[2]; }
static long weights(const struct conv_shape *s) { return s->co * places(s) * (s->ci / s->groups); }

static double beta_of(const struct trial *t) { return t->variant >> 1 == 0 ? 0 : t->variant >> 1 == 1 ? 1 : 0.5; }
static enum role role_of(const struct trial *t) { return beta_of(t) == 0 ? OUTPUT : UPDATED; }

/* Bit 0: no bias; above it: beta 0, 1, 0.5. */
static void forward(struct trial *t, const long *size) {
    const struct conv_shape *s = &convolutions[size[0] - 1];
    struct buffer *x = make(t, ELEM, INPUT, in_size(s)), *w = make(t, ELEM, INPUT, weights(s));
    struct buffer *b = make_unless(t, 0, ELEM, INPUT, s->co), *y = make(t, ELEM, role_of(t), out_size(s));
    double beta = beta_of(t);
    load(t);
    conv_forward(dev(y), dev(x), dev(w), dev(b), s, (real)beta);
    ref_conv_forward(val(y), val(x), val(w), val(b), s, beta);
    ref_conv_forward(mag(y), mag(x), mag(w), mag(b), s, beta);
    allow(y, places(s) * (s->ci / s->groups));
}

/* Variant 1: no bias. */
static void forward_real(struct trial *t, const long *size) {
    const struct conv_shape *s = &convolutions[size[0] - 1];
    struct buffer *x = make(t, ELEM, INPUT, in_size(s)), *w = make(t, ELEM, INPUT, weights(s));
    struct buffer *b = make_unless(t, 0, ELEM, INPUT, s->co), *y = make(t, REAL, OUTPUT, out_size(s));
    load(t);
    conv_forward_real(dev(y), dev(x), dev(w), dev(b), s);
    ref_conv_forward_real(val(y), val(x), val(w), val(b), s);
    ref_conv_forward_real(mag(y), mag(x), mag(w), mag(b), s);
    allow(y, places(s) * (s->ci / s->groups));
}

/* beta 0, 1, 0.5 */
static void backward_input(struct trial *t, const long *size) {
    const struct conv_shape *s = &convolutions[size[0] - 1];
    t->variant *= 2;
    struct buffer *dy = make(t, ELEM, INPUT, out_size(s)), *w = make(t, ELEM, INPUT, weights(s));
    struct buffer *dx = make(t, ELEM, role_of(t), in_size(s));
    double beta = beta_of(t);
    load(t);
    conv_backward_input(dev(dx), dev(dy), dev(w), s, (real)beta);
    ref_conv_backward_input(val(dx), val(dy), val(w), s, beta);
    ref_conv_backward_input(mag(dx), mag(dy), mag(w), s, beta);
    allow(dx, places(s) * (s->co / s->groups));
}

/* Bit 0: no gradient of the bias; bit 1: none of the weight. */
static void backward_weight(struct trial *t, const long *size) {
    const struct conv_shape *s = &convolutions[size[0] - 1];
    struct buffer *dy = make(t, ELEM, INPUT, out_size(s)), *x = make(t, ELEM, INPUT, in_size(s));
    struct buffer *db = make_unless(t, 0, REAL, UPDATED, s->co), *dw = make_unless(t, 1, REAL, UPDATED, weights(s));
    load(t);
    conv_backward_weight(dev(dw), dev(db), dev(dy), dev(x), s);
    ref_conv_backward_weight(val(dw), val(db), val(dy), val(x), s);
    ref_conv_backward_weight(mag(dw), mag(db), mag(dy), mag(x), s);
    allow(dw, out_size(s) / s->co);
    allow(db, out_size(s) / s->co);
}

/* Sizes: t, h, w, C, block nt, nh, nw. Variant 0: channel outermost; 1: channel innermost; 2: columns before rows. */
static void blocks(struct trial *t, const long *s) {
    long n = s[0] * s[1] * s[2] * s[3] * s[4] * s[5] * s[6], block = s[4] * s[5] * s[6];
    struct block_order order = {{(int)s[4], (int)s[5], (int)s[6]}, block, {s[5] * s[6], s[6], 1}};
    if (t->variant == 1)
        order = (struct block_order){{(int)s[4], (int)s[5], (int)s[6]}, 1, {s[5] * s[6] * s[3], s[6] * s[3], s[3]}};
    if (t->variant == 2) order = (struct block_order){{(int)s[4], (int)s[5], (int)s[6]}, block, {s[5] * s[6], 1, s[5]}};
    struct buffer *x = make(t, ELEM, INPUT, n), *y = make(t, ELEM, OUTPUT, n), *z = make(t, ELEM, OUTPUT, n);
    struct buffer *depth = make(t, REAL, INPUT, n), *planes = make(t, REAL, OUTPUT, n),
                  *back = make(t, REAL, OUTPUT, n);
    load(t);
    depth_to_block(dev(y), dev(x), s[0], s[1], s[2], s[3], &order);
    ref_depth_to_block(val(y), val(x), s[0], s[1], s[2], s[3], &order);
    block_to_depth(dev(z), dev(x), s[0], s[1], s[2], s[3], &order);
    ref_block_to_depth(val(z), val(x), s[0], s[1], s[2], s[3], &order);
    planes_from_depth(dev(planes), dev(depth), s[0], s[1], s[2], s[3], &order);
    ref_planes_from_depth(val(planes), val(depth), s[0], s[1], s[2], s[3], &order);
    depth_from_planes(dev(back), dev(depth), s[0], s[1], s[2], s[3], &order);
    ref_depth_from_planes(val(back), val(depth), s[0], s[1], s[2], s[3], &order);
}

/* Sizes: t, h, w, C, n */
static void upsample(struct trial *t, const long *s) {
    long n = s[0] * s[1] * s[2] * s[3], many = n * s[4] * s[4];
    struct buffer *x = make(t, ELEM, INPUT, n), *y = make(t, ELEM, OUTPUT, many);
    struct buffer *dy = make(t, ELEM, INPUT, many), *dx = make(t, ELEM, OUTPUT, n);
    load(t);
    upsample_nearest(dev(y), dev(x), s[0], s[1], s[2], s[3], (int)s[4]);
    ref_upsample_nearest(val(y), val(x), s[0], s[1], s[2], s[3], (int)s[4]);
    upsample_nearest_backward(dev(dx), dev(dy), s[0], s[1], s[2], s[3], (int)s[4]);
    ref_upsample_nearest_backward(val(dx), val(dy), s[0], s[1], s[2], s[3], (int)s[4]);
    ref_upsample_nearest_backward(mag(dx), mag(dy), s[0], s[1], s[2], s[3], (int)s[4]);
    allow(dx, s[4] * s[4]);
}

/* Sizes: n, C, g */
static void channels(struct trial *t, const long *s) {
    struct buffer *x = make(t, ELEM, INPUT, s[0] * s[1] * s[2]), *y = make(t, ELEM, OUTPUT, s[0] * s[1]);
    struct buffer *z = make(t, ELEM, INPUT, s[0] * s[1]), *many = make(t, ELEM, OUTPUT, s[0] * s[1] * s[2]);
    load(t);
    channel_mean(dev(y), dev(x), s[0], s[1], s[2]);
    ref_channel_mean(val(y), val(x), s[0], s[1], s[2]);
    ref_channel_mean(mag(y), mag(x), s[0], s[1], s[2]);
    allow(y, s[2]);
    channel_repeat(dev(many), dev(z), s[0], s[1], s[2]);
    ref_channel_repeat(val(many), val(z), s[0], s[1], s[2]);
}

/* Sizes: frames, C, size */
static void layouts(struct trial *t, const long *s) {
    long n = s[0] * s[1] * s[2];
    struct buffer *x = make(t, REAL, INPUT, n), *y = make(t, ELEM, OUTPUT, n);
    struct buffer *z = make(t, ELEM, INPUT, n), *back = make(t, REAL, OUTPUT, n);
    struct buffer *scale = make(t, REAL, INPUT, s[1]), *shift = make(t, REAL, INPUT, s[1]);
    struct buffer *scaled = make(t, REAL, OUTPUT, s[1] * s[2]);
    load(t);
    channels_last_scaled(dev(scaled), dev(x), dev(scale), dev(shift), s[1], s[2]);
    ref_channels_last_scaled(val(scaled), val(x), val(scale), val(shift), s[1], s[2]);
    ref_channels_last_scaled(mag(scaled), mag(x), mag(scale), mag(shift), s[1], s[2]);
    allow(scaled, 2);
    channels_last(dev(y), dev(x), s[0], s[1], s[2]);
    ref_channels_last(val(y), val(x), s[0], s[1], s[2]);
    channels_first(dev(back), dev(z), s[0], s[1], s[2]);
    ref_channels_first(val(back), val(z), s[0], s[1], s[2]);
}

/* Sizes: planes, H, W, top, left, h, w. What lies around the tile stays as it is. */
static void tiles(struct trial *t, const long *s) {
    const struct tile_place place = {s[0], s[1], s[2], s[3], s[4], s[5], s[6]};
    long n = s[0] * s[5] * s[6];
    struct buffer *whole = make(t, REAL, INPUT, s[0] * s[1] * s[2]), *tile = make(t, REAL, OUTPUT, n);
    struct buffer *from = make(t, REAL, INPUT, n), *to = make(t, REAL, UPDATED, s[0] * s[1] * s[2]);
    struct buffer *down = make(t, REAL, INPUT, s[5]), *along = make(t, REAL, INPUT, s[6]);
    load(t);
    tile_take(dev(tile), dev(whole), &place);
    ref_tile_take(val(tile), val(whole), &place);
    tile_blend(dev(to), dev(from), dev(down), dev(along), &place);
    ref_tile_blend(val(to), val(from), val(down), val(along), &place);
    ref_tile_blend(mag(to), mag(from), mag(down), mag(along), &place);
    allow(to, 3);
}

/* Sizes: frames, size. Variants: colours in [-1, 1] and in [0, 1], beyond both by a quarter; 2: one is no number, 3:
   one is infinite. The oracle works in float too, so bytes are the same. Half of the numbers are where the byte
   changes. */
static void bytes(struct trial *t, const long *s) {
    long n = 3 * s[0] * s[1];
    int unit_range = t->variant == 1;
    real scale = unit_range ? 2 : 1, shift = unit_range ? -1 : 0;
    struct buffer *x = make(t, REAL, INPUT, n), *rgb = make(t, BYTE, OUTPUT, n), *fault = make(t, BYTE, UPDATED, 1);
    uint8_t *wanted = malloc((size_t)n), bad = 0;
    assert_non_null(wanted);
    spread(x, unit_range ? -0.25 : -1.5, unit_range ? 1.25 : 1.5);
    for (long i = 0; i < n; i += 2)
        put(x, i, ((floor(256 * draw(t)) - 0.5) / 127.5 - 1 - (double)shift) / (double)scale);
    put(x, n - 1, t->variant == 2 ? (double)NAN : t->variant == 3 ? (double)-INFINITY : x->value[n - 1]);
    put(fault, 0, 0);
    load(t);
    pixels_to_bytes(dev(rgb), dev(fault), dev(x), scale, shift, s[0], s[1]);
    ref_pixels_to_bytes(wanted, &bad, val(x), (double)scale, (double)shift, s[0], s[1]);
    for (long i = 0; i < n; i++) rgb->value[i] = wanted[i];
    fault->value[0] = bad;
    assert_int_equal(bad, t->variant > 1);
    free(wanted);
}

static const long block_sizes[][CASE_SIZES] = {
    {1, 1, 1, 1, 1, 1, 1}, {2, 3, 5, 4, 1, 2, 2}, {3, 2, 1, 16, 2, 1, 1}, {2, 2, 3, 33, 2, 2, 3}, {0}};
static const long upsample_sizes[][CASE_SIZES] = {
    {1, 1, 1, 1, 2}, {2, 3, 5, 4, 2}, {3, 4, 2, 33, 3}, {1, 5, 3, 64, 2}, {0}};
static const long channel_sizes[][CASE_SIZES] = {{1, 1, 1}, {7, 5, 2}, {33, 16, 4}, {3, 70, 3}, {0}};
static const long layout_sizes[][CASE_SIZES] = {{1, 1, 1}, {2, 3, 35}, {3, 48, 16}, {1, 16, 70}, {2, 33, 129}, {0}};
static const long byte_sizes[][CASE_SIZES] = {{1, 1}, {3, 35}, {2, 64}, {5, 2056}, {0}};

static const long tile_sizes[][CASE_SIZES] = {
    {1, 1, 1, 0, 0, 1, 1}, {3, 7, 9, 2, 3, 5, 4}, {2, 33, 65, 0, 32, 33, 33}, {12, 16, 8, 8, 0, 8, 8}, {0}};

static const struct kernel_case conv[] = {
    {"conv_forward", forward, 6, rows},
    {"conv_forward_real", forward_real, 2, rows},
    {"conv_backward_input", backward_input, 3, rows},
    {"conv_backward_weight", backward_weight, 4, rows},
    {"depth and blocks, depth and planes", blocks, 3, block_sizes},
    {"upsample_nearest", upsample, 1, upsample_sizes},
    {"channel_mean, channel_repeat", channels, 1, channel_sizes},
    {"channels_last, channels_last_scaled, channels_first", layouts, 1, layout_sizes},
    {"pixels_to_bytes", bytes, 4, byte_sizes},
    {"tile_take, tile_blend", tiles, 1, tile_sizes},
};

int main(void) { return RUN_CASES(conv); }
