/* test_kernels_optimiser.c: gradient norm, AdamW and EMA against the oracle, and their steering by the state. */
#include "kernel_harness.h"

/* Puts a state on the device; reads it back. */
static struct optim_state *state_on_device(const struct optim_state *from) {
    struct optim_state *state = device_alloc(sizeof *state);
    assert_non_null(state);
    mem_upload(state, from, sizeof *state);
    return state;
}

static struct optim_state state_of(struct optim_state *device) {
    struct optim_state state;
    mem_download(&state, device, sizeof state);
    return state;
}

/* |got - want| within the rounding of a sum of squares: each square may be rounded to real. */
static void expect_near(struct trial *t, const char *what, double got, double want) {
    if (!(fabs(got - want) <= 4 * 0x1p-24 * fabs(want))) complain(t, -1, what, 0, got, want, 4 * 0x1p-24 * fabs(want));
}

/* Norm of three tensors, then AdamW on one and its average. Sizes: elements, updates so far. Variant 0: clipped, 1:
   below the limit, 2: no limit, 3: the loss is not finite, so nothing changes but the gradient, 4: no average, and the
   gradient stays. */
static void step(struct trial *t, const long *s) {
    long n = s[0];
    real lr = (real)1e-2, beta1 = (real)0.9, beta2 = (real)0.999, eps = (real)1e-8, decay = (real)0.1;
    const struct adamw how = {
        lr, beta1, beta2, eps, decay, .average = (real)0.999, .warmup = 10, .clear = t->variant != 4};
    const struct ref_adamw ref_how = {
        lr, beta1, beta2, eps, decay, .average = how.average, .warmup = how.warmup, .clear = how.clear};
    real max_norm = t->variant == 1 ? (real)1e6 : t->variant == 2 ? 0 : (real)0.5;
    struct buffer *grad = make(t, REAL, UPDATED, n), *loss = make(t, REAL, INPUT, 1);
    struct buffer *master = make(t, REAL, UPDATED, n), *m = make(t, REAL, UPDATED, n), *v = make(t, REAL, UPDATED, n);
    struct buffer *weights = make(t, ELEM, t->variant == 3 ? UPDATED : OUTPUT, n),
                  *ema = t->variant == 4 ? NULL : make(t, REAL, UPDATED, n);
    spread(v, 1e-4, 1);
    if (t->variant == 3) put(loss, 0, INFINITY);
    load(t);
    struct optim_state before = {.norm_squared = 1e9, .norm = 3, .nonfinite = 1, .skipped = 4, .skipped_in_row = 2};
    before.updates = s[1];
    struct optim_state *device = state_on_device(&before), oracle = before;
    grad_norm_begin(device);
    ref_grad_norm_begin(&oracle);
    for (int k = 0; k < 3; k++) {
        grad_norm_add(device, dev(grad), n);
        ref_grad_norm_add(&oracle, val(grad), n);
    }
    grad_norm_end(device, dev(loss), max_norm);
    ref_grad_norm_end(&oracle, val(loss), max_norm);
    adamw_update(dev(master), dev(m), dev(v), dev(ema), dev(weights), dev(grad), n, &how, device);
    struct optim_state after = state_of(device);
    expect_near(t, "norm_squared", after.norm_squared, oracle.norm_squared);
    expect_near(t, "norm", after.norm, oracle.norm);
    expect_near(t, "clip", after.clip, oracle.clip);
    expect_near(t, "updates", (double)after.updates, (double)(s[1] + (t->variant != 3)));
    expect_near(t, "nonfinite", after.nonfinite, t->variant == 3);
    expect_near(t, "skipped", after.skipped, 4 + (t->variant == 3));
    expect_near(t, "skipped_in_row", after.skipped_in_row, t->variant == 3 ? 3 : 0);
    double *was = malloc(sizeof(double) * (size_t)n);
    memcpy(was, val(master), sizeof(double) * (size_t)n);
    ref_adamw_update(val(master), val(m), val(v), val(ema), val(weights), val(grad), n, &ref_how, &after);
    double correct1 = 1 / (1 - pow(beta1, (double)after.updates)),
           correct2 = 1 / (1 - pow(beta2, (double)after.updates));
    for (long i = 0; i < n && t->variant != 3; i++) {
        double largest_m = m->magnitude[i] + grad->magnitude[i]; /* the sum for m may cancel */
        double change = largest_m * correct1 / (sqrt(v->value[i] * correct2) + eps) + decay * fabs(was[i]);
        m->noise[i] = slack(1) * largest_m;
        v->noise[i] = slack(1) * v->value[i];
        master->noise[i] = slack(1) * lr * change + unit(REAL) * fabs(was[i]);
        weights->noise[i] = master->noise[i] + unit(REAL) * fabs(was[i]);
        if (ema) ema->noise[i] = slack(1) * (ema->magnitude[i] + fabs(was[i]) + lr * change);
    }
    free(was);
    device_free(device);
}

/* Variant 0: a NaN, 1: an infinity, 2: finite numbers whose norm no float can hold. In the last of the elements. */
static void refuses_nonfinite(struct trial *t, const long *s) {
    struct buffer *grad = make(t, REAL, INPUT, s[0]);
    if (t->variant < 2) put(grad, s[0] - 1, t->variant ? INFINITY : NAN);
    for (long i = 0; i < s[0] && t->variant == 2; i++) put(grad, i, sizeof(real) == 4 ? 3e38 : 1e200);
    load(t);
    struct optim_state start = {0}, *device = state_on_device(&start);
    grad_norm_begin(device);
    grad_norm_add(device, dev(grad), s[0]);
    grad_norm_end(device, NULL, 1);
    struct optim_state after = state_of(device);
    expect_near(t, "nonfinite", after.nonfinite, 1);
    expect_near(t, "updates", (double)after.updates, 0);
    expect_near(t, "skipped", after.skipped, 1);
    device_free(device);
}

/* Sizes: ranks. Sums whose order shows in the last bit, and which the state itself had is forgotten. */
static void combines_ranks(struct trial *t, const long *s) {
    enum { MOST = 8 };
    struct optim_state parts[MOST] = {{0}}, start = {.norm_squared = 1e30, .updates = 3};
    double sum = 0;
    for (long i = 0; i < s[0]; i++) sum += parts[i].norm_squared = ldexp(1 + 0.1 * (double)i, 20 * (i % 3 == 1));
    struct optim_state *all = device_alloc(sizeof parts), *device = state_on_device(&start);
    assert_non_null(all);
    mem_upload(all, parts, sizeof parts);
    grad_norm_combine(device, all, s[0]);
    struct optim_state after = state_of(device);
    if (after.norm_squared != sum) complain(t, -1, "norm_squared", 0, after.norm_squared, sum, 0);
    expect_near(t, "updates", (double)after.updates, 3);
    device_free(all);
    device_free(device);
}

/* Sizes: updates of warm-up. Ten quiet updates, one of twelve times their norm, one quiet one; both implementations. */
static void skips_spikes(struct trial *t, const long *s) {
    struct optim_state start = {0}, *device = state_on_device(&start), oracle = start;
    struct buffer *grad = make(t, REAL, INPUT, 1), *loud = make(t, REAL, INPUT, 1);
    put(grad, 0, 2);
    put(loud, 0, 24);
    load(t);
    for (int i = 0; i < 12; i++) {
        struct buffer *g = i == 10 ? loud : grad;
        grad_norm_begin(device);
        ref_grad_norm_begin(&oracle);
        grad_norm_add(device, dev(g), 1);
        ref_grad_norm_add(&oracle, val(g), 1);
        grad_norm_spike(device, 10, s[0]);
        ref_grad_norm_spike(&oracle, 10, s[0]);
        grad_norm_end(device, NULL, 1);
        ref_grad_norm_end(&oracle, NULL, 1);
        struct optim_state now = state_of(device);
        int skipped = i == 10 && s[0] <= 10;
        expect_near(t, "spiked", now.spiked, skipped);
        expect_near(t, "nonfinite", now.nonfinite, skipped);
        expect_near(t, "typical", now.typical, oracle.typical);
        expect_near(t, "typical, by hand", now.typical, i < 10 || skipped || s[0] <= 10 ? 2 : i == 10 ? 2.44 : 2.4312);
    }
    expect_near(t, "updates", (double)state_of(device).updates, s[0] <= 10 ? 11 : 12);
    device_free(device);
}

static const struct kernel_case optimiser[] = {
    {"grad_norm, adamw_update", step, 5,
     (const long[][CASE_SIZES]){{1, 0}, {3, 1}, {31, 5}, {33, 1000}, {1000, 0}, {4099, 20000}, {0}}},
    {"non-finite gradients", refuses_nonfinite, 3, (const long[][CASE_SIZES]){{3}, {33}, {1000}, {0}}},
    {"grad_norm_spike", skips_spikes, 1, (const long[][CASE_SIZES]){{1}, {10}, {20}, {0}}},
    {"grad_norm_combine", combines_ranks, 1, (const long[][CASE_SIZES]){{1}, {2}, {3}, {8}, {0}}},
};

int main(void) { return RUN_CASES(optimiser); }
