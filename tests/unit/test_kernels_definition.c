/* test_kernels_definition.c: small results worked out by hand, because the oracle shares its source with the reference
   kernels: a formula, an order of elements or a convention that is wrong there would be wrong in both. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

enum { BLOCKS = 64, BLOCK_BYTES = 1024 };
static char *pool; /* device memory, handed out in blocks and taken back before every test */
static int used;

static void *block(void) {
    assert_true(used < BLOCKS);
    return pool + BLOCK_BYTES * used++;
}

/* Lists of numbers on the device. */
static elem *elems(int n, const double *v) {
    elem host[64];
    for (int i = 0; i < n; i++) host[i] = elem_store((real)v[i]);
    return mem_upload(pool + BLOCK_BYTES * used, host, sizeof(elem) * (size_t)n), block();
}
static real *reals(int n, const double *v) {
    real host[64];
    for (int i = 0; i < n; i++) host[i] = (real)v[i];
    return mem_upload(pool + BLOCK_BYTES * used, host, sizeof(real) * (size_t)n), block();
}
#define COUNT(...)  ((int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)))
#define ELEMS(...)  elems(COUNT(__VA_ARGS__), (double[]){__VA_ARGS__})
#define REALS(...)  reals(COUNT(__VA_ARGS__), (double[]){__VA_ARGS__})
#define RESIDS(...) REALS(__VA_ARGS__)

static void expect_near(double got, double want, double unit, int i, const char *file, int line) {
    if (!(fabs(got - want) <= 4 * unit * (1 + fabs(want)))) {
        print_error("element %d: got %.9g, want %.9g\n", i, got, want);
        _fail(file, line);
    }
}
static void expect_elems(const elem *device, int n, const double *want, const char *file, int line) {
    elem host[64];
    assert_int_equal(device_sync(), OK);
    mem_download(host, device, sizeof(elem) * (size_t)n);
    for (int i = 0; i < n; i++)
        expect_near(elem_load(host[i]), want[i], sizeof(elem) == 2 ? 0x1p-8 : 1e-7, i, file, line);
}
static void expect_reals(const real *device, int n, const double *want, const char *file, int line) {
    real host[64];
    assert_int_equal(device_sync(), OK);
    mem_download(host, device, sizeof(real) * (size_t)n);
    for (int i = 0; i < n; i++) expect_near(host[i], want[i], 1e-7, i, file, line);
}
/* Real sums of products whose factors (attention's weights) a backend may round to elem: elem's own error. */
static void expect_products(const real *device, int n, const double *want, const char *file, int line) {
    real host[64];
    assert_int_equal(device_sync(), OK);
    mem_download(host, device, sizeof(real) * (size_t)n);
    for (int i = 0; i < n; i++) expect_near(host[i], want[i], sizeof(elem) == 2 ? 0x1p-9 : 1e-7, i, file, line);
}
#define EXPECT_PRODUCTS(p, ...) expect_products(p, COUNT(__VA_ARGS__), (double[]){__VA_ARGS__}, __FILE__, __LINE__)
#define EXPECT_ELEMS(p, ...)    expect_elems(p, COUNT(__VA_ARGS__), (double[]){__VA_ARGS__}, __FILE__, __LINE__)
#define EXPECT_REALS(p, ...)    expect_reals(p, COUNT(__VA_ARGS__), (double[]){__VA_ARGS__}, __FILE__, __LINE__)

static int begin(void **state) {
    (void)state;
    used = 0;
    return 0;
}

static void pointwise(void **state) {
    (void)state;
    elem *y = block(), *x = ELEMS(1, -2, 0, 3);
    gelu_forward(y, x, 4);
    EXPECT_ELEMS(y, 0.8411920, -0.0454023, 0, 2.9963627);
    silu_forward(y, REALS(1, -2, 0, 3), 4);
    EXPECT_ELEMS(y, 0.7310586, -0.2384058, 0, 2.8577224);
    relu_forward(y, x, 4);
    EXPECT_ELEMS(y, 1, 0, 0, 3);
    relu_backward(y, ELEMS(5, 6, 7, 8), y, 4);
    EXPECT_ELEMS(y, 5, 0, 0, 8);
    real *r = REALS(1, 2, 3, 4);
    real_group_combine(r, REALS(0.75, 0.5), r, REALS(0.25, -0.5), REALS(8, 8, 8, 8), 2, 2);
    EXPECT_REALS(r, 2.75, 3.5, -2.5, -2);
    real_axpby(r, 2, REALS(1, 1, 1, 1), -1, 4);
    EXPECT_REALS(r, -0.75, -1.5, 4.5, 4);
    real_add_elem(r, x, 4);
    EXPECT_REALS(r, 0.25, -3.5, 4.5, 7);
}

static void linear_layers(void **state) {
    (void)state;
    elem *x = ELEMS(1, 2), *w = ELEMS(3, 4, 5, 6, 7, 8), *b = ELEMS(1, -1, 0.5), *y = ELEMS(1, 1, 1), *dx = ELEMS(2, 4);
    linear_forward(y, x, w, b, 1, 2, 3, 2);
    EXPECT_ELEMS(y, 14, 18, 25.5);
    linear_forward(y, x, w, NULL, 1, 2, 3, 0);
    EXPECT_ELEMS(y, 11, 17, 23);
    elem *dy = ELEMS(1, 2, 0.5);
    linear_backward_input(dx, dy, w, 1, 2, 3, 0.5);
    EXPECT_ELEMS(dx, 17.5, 22);
    real *dw = REALS(100, 0, 0, 0, 0, 0), *db = REALS(10, 0, 0);
    linear_backward_weight(dw, db, dy, x, 1, 2, 3);
    EXPECT_REALS(dw, 101, 2, 2, 4, 0.5, 1);
    EXPECT_REALS(db, 11, 2, 0.5);
    elem *pre = block(), *one = ELEMS(1);
    linear_gelu_forward(y, pre, one, one, NULL, 1, 1, 1);
    EXPECT_ELEMS(pre, 1);
    EXPECT_ELEMS(y, 0.8411920);
    linear_gelu_backward_input(dx, ELEMS(2), one, pre, 1, 1, 1);
    EXPECT_ELEMS(dx, 2 * 1.0829641); /* gelu'(1) */
    real *c = block();
    matmul_real(c, REALS(1, 2), REALS(3, 4, 5, 6), 1, 2, 2);
    EXPECT_REALS(c, 13, 16);
    matmul_real_nt(c, REALS(1, 2), REALS(3, 4, 5, 6), 1, 2, 2);
    EXPECT_REALS(c, 11, 17);
}

static void convolutions(void **state) {
    (void)state;
    elem *y = block(), *dx = block();
    struct conv_shape picture = {1, 1, 1, 1, {1, 2, 3}, {1, 2, 2}, {1, 1, 1}, {0, 0, 1}, {0, 0, 0}};
    conv_forward(y, ELEMS(1, 2, 3, 4, 5, 6), ELEMS(1, 2, 4, 8), ELEMS(0.5), &picture, 0);
    EXPECT_ELEMS(y, 34.5, 61.5, 76.5);
    /* two channels, along time, the kernel's first place on the past */
    struct conv_shape causal = {1, 2, 1, 1, {2, 1, 1}, {2, 1, 1}, {1, 1, 1}, {1, 0, 0}, {0, 0, 0}};
    elem *x = ELEMS(1, 2, 10, 20), *w = ELEMS(1, 2, 3, 4), *dy = ELEMS(1, 2);
    conv_forward(y, x, w, NULL, &causal, 0);
    EXPECT_ELEMS(y, 11, 115);
    conv_forward(y, x, w, NULL, &causal, 2);
    EXPECT_ELEMS(y, 33, 345);
    conv_backward_input(dx, dy, w, &causal, 0);
    EXPECT_ELEMS(dx, 5, 8, 6, 8);
    real *r = block();
    conv_forward_real(r, x, w, ELEMS(0.5), &causal);
    EXPECT_REALS(r, 11.5, 115.5);
    real *dw = REALS(100, 0, 0, 0), *db = REALS(10);
    conv_backward_weight(dw, db, dy, x, &causal);
    EXPECT_REALS(dw, 102, 4, 21, 42);
    EXPECT_REALS(db, 13);
    struct conv_shape grouped = {1, 2, 2, 2, {4, 1, 1}, {2, 1, 1}, {2, 1, 1}, {0, 0, 0}, {0, 0, 0}};
    conv_forward(y, ELEMS(1, 5, 2, 6, 3, 7, 4, 8), ELEMS(1, 10, 2, 20), NULL, &grouped, 0);
    EXPECT_ELEMS(y, 21, 130, 43, 174);
}

static void resampling(void **state) {
    (void)state;
    elem *y = block(), *x = ELEMS(1, 2, 3, 4);
    struct block_order shuffle = {{1, 1, 2}, 2, {0, 0, 1}}, growth = {{2, 1, 1}, 1, {2, 0, 0}};
    depth_to_block(y, x, 1, 1, 1, 2, &shuffle);
    EXPECT_ELEMS(y, 1, 3, 2, 4);
    depth_to_block(y, x, 1, 1, 1, 2, &growth);
    EXPECT_ELEMS(y, 1, 2, 3, 4);
    block_to_depth(y, x, 1, 1, 1, 2, &shuffle);
    EXPECT_ELEMS(y, 1, 3, 2, 4);
    depth_to_block(y, ELEMS(1, 2, 3, 4, 5, 6, 7, 8), 1, 1, 2, 2, &growth);
    EXPECT_ELEMS(y, 1, 2, 5, 6, 3, 4, 7, 8);
    upsample_nearest(y, ELEMS(1, 2), 1, 1, 2, 1, 2);
    EXPECT_ELEMS(y, 1, 1, 2, 2, 1, 1, 2, 2);
    upsample_nearest_backward(y, ELEMS(1, 2, 3, 4, 5, 6, 7, 8), 1, 1, 2, 1, 2);
    EXPECT_ELEMS(y, 14, 22);
    channel_mean(y, x, 1, 2, 2);
    EXPECT_ELEMS(y, 1.5, 3.5);
    channel_repeat(y, x, 2, 2, 2);
    EXPECT_ELEMS(y, 1, 1, 2, 2, 3, 3, 4, 4);
    channels_last(y, REALS(1, 2, 3, 4, 5, 6), 1, 2, 3);
    EXPECT_ELEMS(y, 1, 4, 2, 5, 3, 6);
    real *r = block();
    channels_first(r, y, 1, 2, 3);
    EXPECT_REALS(r, 1, 2, 3, 4, 5, 6);
    channels_last_scaled(r, REALS(1, 2, 3, 4, 5, 6), REALS(2, 10), REALS(0.5, -1), 2, 3);
    EXPECT_REALS(r, 2.5, 39, 4.5, 49, 6.5, 59);
    /* two frames of two colours, one row of two: element c nt nw + i nw + k */
    struct block_order patch = {{2, 1, 2}, 4, {2, 0, 1}};
    planes_from_depth(r, REALS(1, 2, 3, 4, 5, 6, 7, 8), 1, 1, 1, 2, &patch);
    EXPECT_REALS(r, 1, 2, 5, 6, 3, 4, 7, 8);
    depth_from_planes(r, REALS(1, 2, 5, 6, 3, 4, 7, 8), 1, 1, 1, 2, &patch);
    EXPECT_REALS(r, 1, 2, 3, 4, 5, 6, 7, 8);
    uint8_t *rgb = block();
    rgb[6] = 0;
    pixels_to_bytes(rgb, rgb + 6, REALS(-1, 0, 1, 2, -9, -0.99), 1, 0, 1, 2);
    assert_int_equal(device_sync(), OK);
    assert_memory_equal(rgb, ((uint8_t[]){0, 255, 0, 128, 255, 1, 0}), 7);
    pixels_to_bytes(rgb, rgb + 6, REALS(0, 0.25, 1, 3, -1, (real)NAN), 2, -1, 2, 1);
    assert_int_equal(device_sync(), OK);
    assert_memory_equal(rgb, ((uint8_t[]){0, 64, 255, 255, 0, 0, 1}), 7);
    soft_clamp(r, REALS(0, 3, -30, 0.003), 3, 4);
    EXPECT_REALS(r, 0, 2.2847825, -3, 0.003);
}

/* Two rows in groups of their own, vectors three apart. */
static void norms(void **state) {
    (void)state;
    elem *y = block();
    real *mean = block(), *rstd = block();
    layernorm_modulate_forward(y, mean, rstd, RESIDS(1, 3, 10, 6), REALS(1, 1, 99, 0, 2), REALS(0.5, 0.5, 99, 0, -1), 2,
                               2, 1, 3, 0);
    EXPECT_ELEMS(y, -0.5, 2.5, 1, 2);
    EXPECT_REALS(mean, 2, 8);
    EXPECT_REALS(rstd, 1, 0.5);
    layernorm_forward(y, mean, rstd, RESIDS(1, 3), ELEMS(2, 3), ELEMS(1, 0.5), 1, 2, 3); /* variance 1 + eps 3 */
    EXPECT_ELEMS(y, 0, 2);
    rmsnorm_forward(y, rstd, ELEMS(1, 7), ELEMS(1, 2), 1, 2, 0);
    EXPECT_REALS(rstd, 0.2);
    EXPECT_ELEMS(y, 0.2, 2.8);
}

static void modulation(void **state) {
    (void)state;
    real *m = block(), *out = block(), *dgate = REALS(100, 0, 0, 0, 0), *db = REALS(1, 2);
    modulation_forward(m, ELEMS(1, 2), REALS(10, 20, 30, 40), 2, 2);
    EXPECT_REALS(m, 11, 22, 31, 42);
    elem *y = ELEMS(1, 2, 3, 4, 5, 6), *dy = block();
    real *gate = REALS(2, 3, 99, 4, 5);
    residual_forward(out, RESIDS(10, 20, 30, 40, 50, 60), y, gate, 3, 2, 2, 3); /* rows 0 and 1 share a gate */
    EXPECT_REALS(out, 12, 26, 36, 52, 70, 90);
    residual_backward(dy, dgate, db, RESIDS(1, 1, 2, 2, 3, 3), y, gate, 3, 2, 2, 3);
    EXPECT_ELEMS(dy, 2, 3, 4, 6, 12, 15);
    EXPECT_REALS(dgate, 107, 10, 0, 15, 18);
    EXPECT_REALS(db, 19, 26);
    time_sinusoid(y, REALS(2), 1, 4);
    EXPECT_ELEMS(y, cos(2), cos(0.02), sin(2), sin(0.02));
}

static void rope(void **state) {
    (void)state;
    real *c = block(), *s = block();
    struct rope_axes axes = {8, 2, 1, 1, 1e4, 500};
    rope_table(c, s, &axes, (int[]){5}, 1, 2, 1); /* tokens (h, w) = (0, 0), (1, 0) */
    EXPECT_REALS(c, cos(5), cos(0.05), 1, 1, cos(5), cos(0.05), cos(1), 1);
    EXPECT_REALS(s, sin(5), sin(0.05), 0, 0, sin(5), sin(0.05), sin(1), 0);
    rope_table(c, s, &axes, (int[]){0}, 1, 1, 2); /* (0, 0), (0, 1) */
    EXPECT_REALS(s, 0, 0, 0, 0, 0, 0, 0, sin(1));
    elem *y = block();
    rope_apply(y, ELEMS(1, 0, 2, 1), REALS(0.6), REALS(0.8), 1, 1, 2, 2, 4, 4, 1); /* two heads share a token's row */
    EXPECT_ELEMS(y, 0.6, 0.8, 0.4, 2.2);
    rope_apply(y, y, REALS(0.6), REALS(0.8), 1, 1, 2, 2, 4, 4, -1);
    EXPECT_ELEMS(y, 1, 0, 2, 1);
    real *sum = REALS(10, 10);
    rope_add_inverse(sum, REALS(0.6, 0.8), REALS(0.6), REALS(0.8), 1, 1, 1, 2, 2, 2);
    EXPECT_REALS(sum, 11, 10);
}

/* Scores 0 and ln 3: weights 1/4 and 3/4; values 8 and 4. Once in one range, once in two. */
static void attention(void **state) {
    (void)state;
    elem *o = block(), *q = ELEMS(2), *dq = block(), *dk = block(), *dv = block();
    real *lse = block(), *dk_sum = REALS(1), *dv_sum = REALS(2);
    double key = log(3);
    struct attention_range one = {.k = ELEMS(0, key), .v = ELEMS(8, 4), .length = 2, .k_stride = 2, .v_stride = 2};
    attention_forward(o, lse, q, &one, 1, 1, 1, 1, 1, (real)0.5);
#ifdef TYPE_BF16
    key = 1.1015625; /* ln 3 as bf16 has it */
#endif
    double p = exp(key) / (1 + exp(key)), out = 8 - 4 * p;
    EXPECT_ELEMS(o, out);
    EXPECT_REALS(lse, log(1 + exp(key)));
    struct attention_range two[2] = {
        {.k = ELEMS(0), .v = ELEMS(8), .length = 1, .k_stride = 1, .v_stride = 1, .dk = dk, .dv = dv},
        {.k = ELEMS(key),
         .v = ELEMS(4),
         .length = 1,
         .k_stride = 1,
         .v_stride = 1,
         .dk_sum = dk_sum,
         .dv_sum = dv_sum}};
    elem *o2 = block();
    attention_forward(o2, lse, q, two, 2, 1, 1, 1, 1, (real)0.5);
    EXPECT_ELEMS(o2, out);
    attention_backward(dq, ELEMS(1), ELEMS(5), lse, q, two, 2, 1, 1, 1, 1, (real)0.5); /* delta 5 as if p were 3/4 */
    double ds0 = (1 - p) * (8 - 5) * 0.5, ds1 = p * (4 - 5) * 0.5;
    EXPECT_ELEMS(dq, ds1 * key);
    EXPECT_ELEMS(dk, 2 * ds0);
    EXPECT_ELEMS(dv, 1 - p);
    EXPECT_PRODUCTS(dk_sum, 1 + 2 * ds1);
    EXPECT_PRODUCTS(dv_sum, 2 + p);
}

/* Latents 100 c + 10 h + w of two channels, 2 x 4: two tokens. */
static void tokens(void **state) {
    (void)state;
    elem *y = block();
    real *latents = REALS(0, 1, 2, 3, 10, 11, 12, 13, 100, 101, 102, 103, 110, 111, 112, 113), *back = block();
    patchify(y, latents, 1, 1, 2, 2, 4, 16);
    EXPECT_ELEMS(y, 0, 1, 10, 11, 100, 101, 110, 111, 2, 3, 12, 13, 102, 103, 112, 113);
    unpatchify(back, REALS(0, 100, 1, 101, 10, 110, 11, 111, 2, 102, 3, 103, 12, 112, 13, 113), 1, 1, 2, 2, 4, 16);
    EXPECT_REALS(back, 0, 1, 2, 3, 10, 11, 12, 13, 100, 101, 102, 103, 110, 111, 112, 113);
    real *features = REALS(1, 2, 3, 4, 5, 6, 7, 8); /* video frame t has the value t + 1 */
    const struct audio_reach all = {0}, none = {1, 1, 0}, pairs = {1, 2, 1};
    audio_windows(y, features, NULL, 1, 8, 1, 0, 3, 0, all);
    EXPECT_ELEMS(y, 1, 1, 1, 2, 3, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7, 8, 8, 8, 8);
    audio_windows(y, features, REALS(1, 0, 1, 0, 1, 0, 1, 0), 1, 8, 1, 3, 1, 7,
                  all); /* rows are video frames 7 .. 14 */
    EXPECT_ELEMS(y, 1, 0, 3, 0, 5, 0, 7, 0);
    /* frame by frame, and nothing beyond a frame's last picture: 4 of latent frames 0 and 1, 8 of latent frame 2 */
    audio_windows(y, features, NULL, 1, 8, 1, 0, 2, 0, none);
    EXPECT_ELEMS(y, 1, 1, 1, 2, 3, 0, 0, 0, 1, 1, 2, 3, 4, 5, 5, 5);
    audio_windows(y, features, REALS(1, 1, 1, 1, 1, 0, 1, 1), 1, 8, 1, 2, 1, 3, none); /* rows from picture 3 on */
    EXPECT_ELEMS(y, 1, 2, 3, 4, 5, 0, 0, 0);
    /* latent frames 2 and 3 are a chunk, which ends with picture 12; one picture more may be heard */
    audio_windows(y, features, NULL, 1, 8, 1, 2, 2, 7, pairs);
    EXPECT_ELEMS(y, 1, 1, 1, 1, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 7);
    audio_windows(y, features, NULL, 1, 8, 1, 3, 1, 7, (struct audio_reach){1, 2, 0});
    EXPECT_ELEMS(y, 1, 2, 3, 4, 5, 6, 6, 6);
}

/* Two pictures of two planes each of 1 x 2 places; the weight of a pair is that of its first place. */
static void weighted_losses(void) {
    real *loss = REALS(0), *slope = REALS(0, 0, 0, 0, 0, 0, 0, 0), *zero = REALS(0, 0, 0, 0, 0, 0, 0, 0);
    const real *e = REALS(1, -2, 3, 1, 1, 1, 2, 0), *m = REALS(1, 2, 0, 4);
    abs_loss(loss, slope, e, zero, m, 2, 8, 4, 2);
    EXPECT_REALS(loss, 1 + 4 + 3 + 2 + 0 + 4 + 0 + 0);
    EXPECT_REALS(slope, 1, -2, 1, 2, 0, 4, 0, 0);
    gradient_difference_loss(loss, NULL, e, zero, m, 2, 4, 4, 1, 2);
    EXPECT_REALS(loss, 14 + 3 + 2);
}

static void decoder_training(void **state) {
    (void)state;
    /* one place, a reference of 0 and a group whose colours go 0 0 0 4, 0 0 0 0, 2 2 2 2: spread 3, moved 2 */
    real *y = block();
    const real *x = REALS(0, 0, 0, 0, 0, 2, 0, 0, 2, 0, 0, 2, 4, 0, 2);
    picture_motion(y, x, 1, 1, 1);
    EXPECT_REALS(y, 3.5);
    largest_around(y, REALS(1, 2, 3, 9, 0, 0), 2, 1, 3);
    EXPECT_REALS(y, 2, 3, 3, 9, 9, 0);
    /* two clips of two groups at one place; the second one's first group is behind a gap */
    motion_weights(y, REALS(1, 4, 1, 0), REALS(1, 0), 3, 2, 2, 2, 1);
    EXPECT_REALS(y, 1, 2.5, 2.5, 2.5, 2.5, 4, 4, 4, 4, 1, 0, 0, 0, 0, 1, 1, 1, 1);
    /* two channels: 1 3 and 0 8 about their means; the reference's 100 is left out */
    latent_motion(y, REALS(100, 100, 1, 0, 3, 8), 1, 3, 2, 1);
    EXPECT_REALS(y, (real)sqrt((1 + 1 + 16 + 16) / 4.));
    y = REALS(7, 1, 1);
    latent_noise(y, REALS(10), REALS(5, 100, 1000), REALS(4), REALS(1, 2, 3), 1, 3, 1, 1);
    EXPECT_REALS(y, 7, 1 + 4 * 10 + 5 * 100, 1 + 4 * 10 + 5 * 1000);
}

static void losses(void **state) {
    (void)state;
    real *absolute = REALS(1), *slope = REALS(1, 1, 1, 1);
    abs_loss(absolute, slope, REALS(1, 2, 3, 4), REALS(2, 2, 1, 4.5), NULL, 1, 2, 1, 4);
    EXPECT_REALS(absolute, 2.75); /* 1 + 2 (1 + 0 + 2 + 0.5)/4 */
    EXPECT_REALS(slope, 0.5, 1, 1.5, 0.5);
    /* e = 1 3 / 0 7: across |2|, |7|, down |-1|, |4| */
    gradient_difference_loss(absolute, slope, REALS(1, 3, 0, 7), REALS(0, 0, 0, 0), NULL, 1, 2, 1, 2, 2);
    EXPECT_REALS(absolute, 16.75);
    EXPECT_REALS(slope, 0.5 - 1 + 1, 1 + 1 - 1, 1.5 - 1 - 1, 0.5 + 1 + 1);
    weighted_losses();
    real *loss = REALS(1), *g = block(), *h = block(), *k = block();
    mse_loss(loss, g, REALS(1, 2, 3, 4), REALS(0, 0, 1, 1), REALS(2, 0.5), 2, 2);
    EXPECT_REALS(loss, 1 + 2 * 2.5 + 0.5 * 6.5);
    EXPECT_REALS(g, 2, 4, 1, 1.5);
    mean_abs_difference(g, REALS(1, 2, 3, 4), REALS(0, 4, 3, 3), 2, 2);
    EXPECT_REALS(g, 1.5, 0.5);
    loss = REALS(1);
    dmd_gradient(g, loss, REALS(3, 1), REALS(1, 2), REALS(0.5, 2), 2, 1);
    EXPECT_REALS(g, 2, -0.25);
    EXPECT_REALS(loss, 1 + 2.5);
    /* one element, norm 2: k = 1/2, a = r - f = 2, b = (r - x) - 1.5 a = 1 - 3 = -2 */
    loss = REALS(1);
    sid_gradients(g, h, k, loss, REALS(4), REALS(5), REALS(3), REALS(2), (real)1.5, 1, 1);
    EXPECT_REALS(loss, 1 + 0.5 * 2 * -2);
    EXPECT_REALS(g, 0.5 * (-2 - 0.5 * 2));
    EXPECT_REALS(h, 0.5 * (1.5 * 2 + 2));
    EXPECT_REALS(k, -1);
    loss = REALS(1);
    relativistic_loss(loss, g, h, REALS(1, 0), REALS(0, 0), 2, 2);
    EXPECT_REALS(loss, 1 + 0.3132617 + 0.6931472); /* softplus(-1), softplus(0) */
    EXPECT_REALS(g, -0.2689414, -0.5);             /* -sigmoid(-1), -sigmoid(0) */
    EXPECT_REALS(h, 0.2689414, 0.5);
    loss = REALS(1), g = REALS(10), h = REALS(20);
    finite_difference_penalty(loss, g, h, REALS(3), REALS(2), (real)0.5, 3, 1);
    EXPECT_REALS(loss, 1 + 3 * 4);
    EXPECT_REALS(g, 10 + 24);
    EXPECT_REALS(h, 20 - 24);
}

/* Gradients 3 and 4: norm 5, clipped to 1. The first update of Adam moves by lr whatever the gradient's size. */
static void optimiser(void **state) {
    (void)state;
    struct optim_state host = {0}, *device = block();
    real *grad = REALS(3, 4), *master = REALS(1, -1), *m = REALS(0, 0), *v = REALS(0, 0), *ema = REALS(0, 0);
    elem *weights = block();
    mem_upload(device, &host, sizeof host);
    grad_norm_begin(device);
    grad_norm_add(device, grad, 1);
    grad_norm_add(device, grad + 1, 1);
    grad_norm_end(device, REALS(7), 1);
    mem_download(&host, device, sizeof host);
    assert_true(host.norm == 5 && host.updates == 1 && !host.nonfinite && !host.skipped);
    assert_true(fabsf(host.clip - 0.2f) < 1e-7f);
    const struct adamw how = {.lr = (real)0.1,
                              .beta1 = (real)0.9,
                              .beta2 = (real)0.999,
                              .eps = 0,
                              .decay = (real)0.5,
                              .average = (real)0.9,
                              .warmup = 10,
                              .clear = 1};
    adamw_update(master, m, v, ema, weights, grad, 2, &how, device);
    EXPECT_REALS(m, 0.06, 0.08);
    EXPECT_REALS(v, 0.00036, 0.00064);
    EXPECT_REALS(master, 1 - 0.1 - 0.05, -1 - 0.1 + 0.05);
    EXPECT_ELEMS(weights, 0.85, -1.05);
    EXPECT_REALS(ema, 0.85 * 9 / 11, -1.05 * 9 / 11); /* d = min(0.9, 2/11) */
    EXPECT_REALS(grad, 0, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pointwise, begin),  cmocka_unit_test_setup(linear_layers, begin),
        cmocka_unit_test_setup(norms, begin),      cmocka_unit_test_setup(modulation, begin),
        cmocka_unit_test_setup(rope, begin),       cmocka_unit_test_setup(attention, begin),
        cmocka_unit_test_setup(tokens, begin),     cmocka_unit_test_setup(losses, begin),
        cmocka_unit_test_setup(optimiser, begin),  cmocka_unit_test_setup(convolutions, begin),
        cmocka_unit_test_setup(resampling, begin), cmocka_unit_test_setup(decoder_training, begin)};
    if (device_init(2)) return fprintf(stderr, "%s\n", error_text()), 1;
    device_poison(1);
    pool = device_alloc(BLOCKS * BLOCK_BYTES);
    void *workspace = device_alloc(1 << 20);
    device_workspace(workspace, 1 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_free(workspace);
    device_free(pool);
    return failed;
}
