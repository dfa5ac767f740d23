/* test_kernels_losses.c: tokens, audio windows, losses and random numbers against the oracle. */
#include "kernel_harness.h"

/* ---- tokens: B, F, C, H, W, distance beyond the packed one ---- */

static long latents_stride(const long *s) { return s[1] * s[2] * s[3] * s[4] + s[5]; }

static void patches(struct trial *t, const long *s) {
    long stride = latents_stride(s), n = s[0] * s[1] * s[2] * s[3] * s[4];
    struct buffer *x = make(t, REAL, INPUT, s[0] * stride), *y = make(t, ELEM, OUTPUT, n);
    struct buffer *dy = make(t, ELEM, INPUT, n), *dx = make(t, REAL, UPDATED, s[0] * stride);
    allow_factor(dx, slack(1));
    load(t);
    patchify(dev(y), dev(x), s[0], s[1], s[2], s[3], s[4], stride);
    ref_patchify(val(y), val(x), s[0], s[1], s[2], s[3], s[4], stride);
    patchify_backward(dev(dx), dev(dy), s[0], s[1], s[2], s[3], s[4], stride);
    ref_patchify_backward(val(dx), val(dy), s[0], s[1], s[2], s[3], s[4], stride);
}

static void unpatches(struct trial *t, const long *s) {
    long stride = latents_stride(s), n = s[0] * s[1] * s[2] * s[3] * s[4];
    struct buffer *x = make(t, REAL, INPUT, n), *y = make(t, REAL, s[5] ? UPDATED : OUTPUT, s[0] * stride);
    struct buffer *dy = make(t, REAL, INPUT, s[0] * stride), *dx = make(t, REAL, OUTPUT, n);
    load(t);
    unpatchify(dev(y), dev(x), s[0], s[1], s[2], s[3], s[4], stride);
    ref_unpatchify(val(y), val(x), s[0], s[1], s[2], s[3], s[4], stride);
    unpatchify_backward(dev(dx), dev(dy), s[0], s[1], s[2], s[3], s[4], stride);
    ref_unpatchify_backward(val(dx), val(dy), s[0], s[1], s[2], s[3], s[4], stride);
}

/* B, T, D, F, first, feature_start, chunk, look-ahead; the first chunk has one frame. Variant 1: no mask. */
static void windows(struct trial *t, const long *s) {
    struct buffer *x = make(t, REAL, INPUT, s[0] * s[1] * s[2]), *mask = make_unless(t, 0, REAL, INPUT, s[0] * s[1]);
    struct buffer *y = make(t, ELEM, OUTPUT, s[0] * s[3] * 8 * s[2]);
    for (long i = 0; mask && i < mask->n; i++) put(mask, i, mask->value[i] > 0);
    load(t);
    const struct audio_reach reach = {1, (int)s[6], (int)s[7]};
    audio_windows(dev(y), dev(x), dev(mask), s[0], s[1], s[2], s[4], s[3], s[5], reach);
    ref_audio_windows(val(y), val(x), val(mask), s[0], s[1], s[2], s[4], s[3], s[5], reach);
}

/* ---- losses: groups (or samples), elements of each ---- */

static void mse(struct trial *t, const long *s) {
    long n = s[0] * s[1];
    struct buffer *loss = make(t, REAL, UPDATED, 1), *dpred = make_unless(t, 0, REAL, OUTPUT, n);
    struct buffer *pred = make(t, REAL, INPUT, n), *target = make(t, REAL, INPUT, n), *w = make(t, REAL, INPUT, s[0]);
    load(t);
    mse_loss(dev(loss), dev(dpred), dev(pred), dev(target), dev(w), s[0], s[1]);
    ref_mse_loss(val(loss), val(dpred), val(pred), val(target), val(w), s[0], s[1]);
    for (long i = 0; i < n; i++) {
        double size = pred->magnitude[i] + target->magnitude[i], weight = mag(w)[i / s[1]] / (double)s[1];
        loss->magnitude[0] += weight * size * size;
        if (dpred) dpred->noise[i] = slack(1) * 2 * weight * size;
    }
    allow(loss, n);
}

/* Half of the targets are equal to the prediction, where the slope is 0. A difference's sign survives its rounding. */
static void tie(struct buffer *target, const struct buffer *pred) {
    for (long i = 0; i < target->n; i += 2) put(target, i, pred->value[i]);
}

/* Bit 0: no gradient; bit 1: no weights of places, else of pictures of 2 planes, the last of which may have one. */
enum { PLANES_OF_PICTURE = 2 };
static struct buffer *place_weights(struct trial *t, long planes, long size) {
    struct buffer *m = make_unless(t, 1, REAL, INPUT, (planes + PLANES_OF_PICTURE - 1) / PLANES_OF_PICTURE * size);
    if (m) spread(m, 0, 1);
    return m;
}

static void absolute(struct trial *t, const long *s) {
    long n = s[0] * s[1];
    struct buffer *loss = make(t, REAL, UPDATED, 1), *dpred = make_unless(t, 0, REAL, UPDATED, n);
    struct buffer *pred = make(t, REAL, INPUT, n), *target = make(t, REAL, INPUT, n), *m = place_weights(t, s[0], s[1]);
    tie(target, pred);
    for (long i = 0; dpred && i < n; i++) dpred->noise[i] = slack(2) * (dpred->magnitude[i] + 1);
    load(t);
    abs_loss(dev(loss), dev(dpred), dev(pred), dev(target), dev(m), PLANES_OF_PICTURE, (real)0.7, s[0], s[1]);
    ref_abs_loss(val(loss), val(dpred), val(pred), val(target), val(m), PLANES_OF_PICTURE, (real)0.7, s[0], s[1]);
    for (long i = 0; i < n; i++) loss->magnitude[0] += (pred->magnitude[i] + target->magnitude[i]) / (double)n;
    allow(loss, n);
}

/* Sizes: planes, H, W. Whole numbers, so that all differences are exact. */
static void gradient_difference(struct trial *t, const long *s) {
    long n = s[0] * s[1] * s[2];
    struct buffer *loss = make(t, REAL, UPDATED, 1), *dpred = make_unless(t, 0, REAL, UPDATED, n);
    struct buffer *pred = make(t, REAL, INPUT, n), *target = make(t, REAL, INPUT, n);
    struct buffer *m = place_weights(t, s[0], s[1] * s[2]);
    for (long i = 0; i < n; i++) put(pred, i, floor(4 * pred->value[i])), put(target, i, floor(4 * target->value[i]));
    for (long i = 0; dpred && i < n; i++) dpred->noise[i] = slack(4) * (dpred->magnitude[i] + 4);
    load(t);
    gradient_difference_loss(dev(loss), dev(dpred), dev(pred), dev(target), dev(m), PLANES_OF_PICTURE, (real)0.7, s[0],
                             s[1], s[2]);
    ref_gradient_difference_loss(val(loss), val(dpred), val(pred), val(target), val(m), PLANES_OF_PICTURE, (real)0.7,
                                 s[0], s[1], s[2]);
    loss->magnitude[0] += 32;
    allow(loss, n);
}

/* ---- a decoder's training ---- */

/* B, groups, places of a picture. */
static void movement(struct trial *t, const long *s) {
    struct buffer *y = make(t, REAL, OUTPUT, s[0] * s[1] * s[2]);
    struct buffer *x = make(t, REAL, INPUT, s[0] * (1 + 4 * s[1]) * 3 * s[2]);
    load(t);
    picture_motion(dev(y), dev(x), s[0], s[1], s[2]);
    ref_picture_motion(val(y), val(x), s[0], s[1], s[2]);
    for (long i = 0; i < y->n; i++) y->noise[i] = slack(4) * 3; /* y sums values within 1 */
}

/* Planes, H, W. */
static void surroundings(struct trial *t, const long *s) {
    long n = s[0] * s[1] * s[2];
    struct buffer *y = make(t, REAL, OUTPUT, n), *x = make(t, REAL, INPUT, n);
    load(t);
    largest_around(dev(y), dev(x), s[0], s[1], s[2]);
    ref_largest_around(val(y), val(x), s[0], s[1], s[2]);
}

/* B, groups, places: every other clip has a gap behind its reference. Motion on both sides of the limit. */
static void weights_of_motion(struct trial *t, const long *s) {
    struct buffer *m = make(t, REAL, OUTPUT, s[0] * (1 + 4 * s[1]) * s[2]);
    struct buffer *motion = make(t, REAL, INPUT, s[0] * s[1] * s[2]), *first = make(t, REAL, INPUT, s[0]);
    spread(motion, 0, 0.3);
    for (long b = 0; b < s[0]; b++) put(first, b, b % 2);
    load(t);
    motion_weights(dev(m), dev(motion), dev(first), 3, (real)0.15, s[0], s[1], s[2]);
    ref_motion_weights(val(m), val(motion), val(first), 3, 0.15, s[0], s[1], s[2]);
    for (long i = 0; i < m->n; i++) m->noise[i] = slack(1) * 4;
}

/* B, F, C, places of a latent frame. */
static const long clip_sizes[][CASE_SIZES] = {{1, 1, 1, 1}, {2, 2, 1, 5}, {3, 4, 5, 6}, {2, 3, 7, 33}, {0}};
static void deviation_in_time(struct trial *t, const long *s) {
    struct buffer *y = make(t, REAL, OUTPUT, s[0] * s[3]), *x = make(t, REAL, INPUT, s[0] * s[1] * s[2] * s[3]);
    load(t);
    latent_motion(dev(y), dev(x), s[0], s[1], s[2], s[3]);
    ref_latent_motion(val(y), val(x), s[0], s[1], s[2], s[3]);
    for (long i = 0; i < y->n; i++) y->noise[i] = slack(s[1] * s[2]) * 2;
}

static void noise_on_latents(struct trial *t, const long *s) {
    long frame = s[2] * s[3], n = s[0] * s[1] * frame;
    struct buffer *z = make(t, REAL, UPDATED, n), *still = make(t, REAL, INPUT, s[0] * frame);
    struct buffer *each = make(t, REAL, INPUT, n), *motion = make(t, REAL, INPUT, s[0] * s[3]);
    struct buffer *level = make(t, REAL, INPUT, 3 * s[0]);
    spread(motion, 0, 2);
    load(t);
    latent_noise(dev(z), dev(still), dev(each), dev(motion), dev(level), s[0], s[1], s[2], s[3]);
    ref_latent_noise(val(z), val(still), val(each), val(motion), val(level), s[0], s[1], s[2], s[3]);
    for (long i = 0; i < n; i++) z->noise[i] = slack(2) * 5; /* five terms within 1 */
}

static void abs_difference(struct trial *t, const long *s) {
    long n = s[0] * s[1];
    struct buffer *out = make(t, REAL, OUTPUT, s[0]), *x = make(t, REAL, INPUT, n), *y = make(t, REAL, INPUT, n);
    load(t);
    mean_abs_difference(dev(out), dev(x), dev(y), s[0], s[1]);
    ref_mean_abs_difference(val(out), val(x), val(y), s[0], s[1]);
    for (long i = 0; i < n; i++)
        out->noise[i / s[1]] += slack(s[1]) * (x->magnitude[i] + y->magnitude[i]) / (double)s[1];
}

static void dmd(struct trial *t, const long *s) {
    long n = s[0] * s[1];
    struct buffer *loss = make(t, REAL, UPDATED, 1), *g = make(t, REAL, OUTPUT, n);
    struct buffer *f = make(t, REAL, INPUT, n), *r = make(t, REAL, INPUT, n), *norm = make(t, REAL, INPUT, s[0]);
    spread(norm, 0.1, 2);
    load(t);
    dmd_gradient(dev(g), dev(loss), dev(f), dev(r), dev(norm), s[0], s[1]);
    ref_dmd_gradient(val(g), val(loss), val(f), val(r), val(norm), s[0], s[1]);
    for (long i = 0; i < n; i++) {
        double size = f->magnitude[i] + r->magnitude[i];
        loss->magnitude[0] += size * size / (double)n;
        g->noise[i] = slack(1) * size / (norm->value[i / s[1]] * (double)n);
    }
    allow(loss, n);
}

/* Bits 0 to 2: g_r, g_f, g_x not wanted. */
static void sid(struct trial *t, const long *s) {
    long n = s[0] * s[1];
    real alpha = (real)1.2;
    struct buffer *g_r = make_unless(t, 0, REAL, OUTPUT, n), *g_f = make_unless(t, 1, REAL, OUTPUT, n);
    struct buffer *g_x = make_unless(t, 2, REAL, OUTPUT, n), *loss = make(t, REAL, UPDATED, 1);
    struct buffer *x = make(t, REAL, INPUT, n), *r = make(t, REAL, INPUT, n), *f = make(t, REAL, INPUT, n);
    struct buffer *norm = make(t, REAL, INPUT, s[0]);
    spread(norm, 0.1, 2);
    load(t);
    sid_gradients(dev(g_r), dev(g_f), dev(g_x), dev(loss), dev(x), dev(r), dev(f), dev(norm), alpha, s[0], s[1]);
    ref_sid_gradients(val(g_r), val(g_f), val(g_x), val(loss), val(x), val(r), val(f), val(norm), alpha, s[0], s[1]);
    for (long i = 0; i < n; i++) {
        double k = 1 / ((double)n * norm->value[i / s[1]]), a = r->magnitude[i] + f->magnitude[i];
        double b = r->magnitude[i] + x->magnitude[i] + alpha * a;
        loss->magnitude[0] += k * a * b;
        if (g_r) g_r->noise[i] = slack(1) * k * (b + (1 + alpha) * a);
        if (g_f) g_f->noise[i] = slack(1) * k * (b + alpha * a);
        if (g_x) g_x->noise[i] = slack(1) * k * a;
    }
    allow(loss, n);
}

/* Bits 0, 1: da, db not wanted. Logits up to 100, where exp would overflow in float. softplus and sigmoid have slopes
   of at most 1, so they inherit the error of a - b. */
static void relativistic(struct trial *t, const long *s) {
    long n = s[0] * s[1];
    double weight = 0.5;
    struct buffer *loss = make(t, REAL, UPDATED, 1), *a = make(t, REAL, INPUT, n), *b = make(t, REAL, INPUT, n);
    struct buffer *da = make_unless(t, 0, REAL, OUTPUT, n), *db = make_unless(t, 1, REAL, OUTPUT, n);
    double width = s[1] % 2 ? 100 : 2;
    spread(a, -width, width);
    spread(b, -width, width);
    load(t);
    relativistic_loss(dev(loss), dev(da), dev(db), dev(a), dev(b), (real)weight, n);
    ref_relativistic_loss(val(loss), val(da), val(db), val(a), val(b), weight, n);
    for (long i = 0; i < n; i++) {
        double size = (1 + a->magnitude[i] + b->magnitude[i]) * weight / (double)n;
        loss->magnitude[0] += size;
        if (da) da->noise[i] = slack(1) * size;
        if (db) db->noise[i] = slack(1) * size;
    }
    allow(loss, n);
}

static void penalty(struct trial *t, const long *s) {
    long n = s[0] * s[1];
    double h = 0.125, weight = 3;
    struct buffer *loss = make(t, REAL, UPDATED, 1);
    struct buffer *moved = make(t, REAL, INPUT, n), *still = make(t, REAL, INPUT, n);
    struct buffer *dmoved = make_unless(t, 0, REAL, UPDATED, n), *dstill = make_unless(t, 1, REAL, UPDATED, n);
    load(t);
    finite_difference_penalty(dev(loss), dev(dmoved), dev(dstill), dev(moved), dev(still), (real)h, (real)weight, n);
    ref_finite_difference_penalty(val(loss), val(dmoved), val(dstill), val(moved), val(still), h, weight, n);
    for (long i = 0; i < n; i++) {
        double slope = (moved->magnitude[i] + still->magnitude[i]) / h, gradient = 2 * weight * slope / ((double)n * h);
        loss->magnitude[0] += weight * slope * slope / (double)n;
        if (dmoved) dmoved->noise[i] = slack(1) * (gradient + dmoved->magnitude[i]);
        if (dstill) dstill->noise[i] = slack(1) * (gradient + dstill->magnitude[i]);
    }
    allow(loss, n);
}

/* ---- random numbers: B, F, size (test_philox.c has the bits) ---- */

static void normals(struct trial *t, const long *s) {
    struct buffer *y = make(t, REAL, OUTPUT, s[0] * s[1] * s[2]), *w = make(t, REAL, OUTPUT, s[2]);
    load(t);
    random_normal(dev(y), 5, 123456789, RANDOM_TEST, 2, 3, s[0], 40, s[1], s[2]);
    ref_random_normal(val(y), 5, 123456789, RANDOM_TEST, 2, 3, s[0], 40, s[1], s[2]);
    random_init(dev(w), 5, 17, (real)0.02, s[2]);
    ref_random_init(val(w), 5, 17, (real)0.02, s[2]);
}

static const long latents[][CASE_SIZES] = {
    {1, 1, 1, 2, 2, 0}, {2, 3, 3, 4, 6, 5}, {1, 2, 16, 8, 8, 0}, {3, 1, 5, 2, 10, 7}, {0}};
static const long groups[][CASE_SIZES] = {{1, 1}, {3, 31}, {2, 33}, {5, 1000}, {0}};
static const long clips[][CASE_SIZES] = {
    {1, 1, 1, 1, 0, 0},   {2, 17, 3, 5, 0, 0},       {3, 40, 33, 3, 4, 0},      {1, 12, 8, 3, 7, 23},
    {2, 9, 5, 2, 20, 60}, {2, 17, 8, 5, 0, 0, 1, 0}, {2, 29, 3, 7, 1, 0, 3, 1}, {0}};

static const struct kernel_case losses[] = {
    {"patchify", patches, 1, latents},
    {"unpatchify", unpatches, 1, latents},
    {"audio_windows", windows, 2, clips},
    {"mse_loss", mse, 2, groups},
    {"abs_loss", absolute, 4, groups},
    {"gradient_difference_loss", gradient_difference, 4,
     (const long[][CASE_SIZES]){{1, 1, 1}, {3, 5, 4}, {2, 1, 33}, {5, 17, 1}, {4, 16, 40}, {0}}},
    {"mean_abs_difference", abs_difference, 1, groups},
    {"dmd_gradient", dmd, 1, groups},
    {"sid_gradients", sid, 8, groups},
    {"relativistic_loss", relativistic, 4, groups},
    {"finite_difference_penalty", penalty, 4, groups},
    {"picture_motion", movement, 1, (const long[][CASE_SIZES]){{1, 1, 1}, {2, 3, 35}, {3, 1, 64}, {0}}},
    {"largest_around", surroundings, 1,
     (const long[][CASE_SIZES]){{1, 1, 1}, {3, 5, 4}, {2, 1, 33}, {5, 17, 1}, {4, 2, 40}, {0}}},
    {"motion_weights", weights_of_motion, 1, (const long[][CASE_SIZES]){{1, 1, 1}, {3, 2, 35}, {4, 1, 64}, {0}}},
    {"latent_motion", deviation_in_time, 1, clip_sizes},
    {"latent_noise", noise_on_latents, 1, clip_sizes},
    {"random_normal, random_init", normals, 1,
     (const long[][CASE_SIZES]){{1, 1, 1}, {2, 3, 31}, {3, 1, 33}, {1, 2, 64}, {1, 2, 601}, {0}}},
};

int main(void) { return RUN_CASES(losses); }
