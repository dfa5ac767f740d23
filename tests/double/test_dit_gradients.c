/* test_dit_gradients.c: the DiT's hand-written gradients against central differences in double. Derivatives by the
   five-point rule at h = 1e-4: its error, about h^4 of the function's scale plus 1e-16/h of rounding, is far below the
   1e-6 asked for. */
#include "tests/double/dit_world.h"

#define STEP      1e-4
#define TOLERANCE 1e-6

/* ---- differences ---- */

/* d loss / d values along a direction that has a random part and one along the gradient, so that it is neither blind to
   a missing part of the gradient nor nearly across it. */
static void check_direction(double (*loss)(void *), void *context, real *values, const real *grad, long n, int seed,
                            const char *name) {
    real *direction = normals(500 + (uint64_t)seed, n, 1), *kept = zeros(n);
    mem_copy(kept, values, sizeof(real) * (size_t)n);
    double along = sqrt(dot(grad, grad, n)), across = sqrt(dot(direction, direction, n));
    if (!(along > 1e-8)) fail_msg("%s: the gradient is %g", name, along);
    real_axpby(direction, 1 / along, grad, 1 / across, n);
    double expected = dot(direction, grad, n), f[4];
    static const int at[4] = {-2, -1, 1, 2};
    for (int i = 0; i < 4; i++) {
        mem_copy(values, kept, sizeof(real) * (size_t)n);
        real_axpby(values, at[i] * STEP, direction, 1, n);
        f[i] = loss(context);
    }
    mem_copy(values, kept, sizeof(real) * (size_t)n);
    double measured = (f[0] - f[3] + 8 * (f[2] - f[1])) / (12 * STEP);
    double error = fabs(measured - expected) / fabs(expected);
    if (!(error < TOLERANCE))
        fail_msg("%s: gradient %.12g, differences %.12g, off by %g", name, expected, measured, error);
    device_free(direction);
    device_free(kept);
}

static void check_parameters(double (*loss)(void *), void *context, struct world *w) {
    const struct param_table *table = &w->net.table;
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        size_t at = param_position(table, p);
        check_direction(loss, context, w->params.weights + at, w->params.grads + at, (long)p->count, i, p->name);
    }
}

/* Goes back from the last forward and checks all gradients. */
static void check_gradients(struct world *w) {
    backward(w);
    check_parameters(velocity_loss, w, w);
    check_direction(velocity_loss, w, w->x, w->dlatents, w->latents, 900, "latents");
}

static void check_whole_clips(const struct dit_config *config) {
    struct world w;
    world_open(&w, config, DIT_SAVE_ALL, FRAMES, 0);
    forward(&w);
    check_gradients(&w);
    world_close(&w);
}

static void bidirectional(void **state) {
    (void)state;
    check_whole_clips(&small);
}

/* A head that gives clean latents: the velocity follows from them, and its gradients are exact, on both sides of the
   floor. */
static void clean_latents(void **state) {
    (void)state;
    struct dit_config clean = small, velocity = small;
    clean.out_channels = velocity.out_channels = small.in_channels;
    clean.clean_floor = 0.0008; /* between the levels of the two samples */
    struct world w, plain;
    world_open(&w, &clean, DIT_SAVE_ALL, FRAMES, 0);
    world_open(&plain, &velocity, DIT_FORWARD_ONLY, FRAMES, 0);
    forward(&w);
    forward(&plain);
    double *x = downloaded(w.x, w.latents), *v = downloaded(w.velocity, w.outputs),
           *head = downloaded(plain.velocity, w.outputs), *t = downloaded(w.t, BATCH * FRAMES);
    long frame = (long)clean.in_channels * clean.height * clean.width, stride = w.outputs / BATCH;
    int low = 0, high = 0;
    for (int f = 0; f < BATCH * FRAMES; f++) {
        double level = t[f] / 1000 > clean.clean_floor ? t[f] / 1000 : clean.clean_floor;
        *(level > clean.clean_floor ? &high : &low) = 1;
        for (long i = 0; i < frame; i++) {
            long at = f / FRAMES * stride + f % FRAMES * frame + i;
            assert_true(fabs(v[at] - (x[at] - head[at]) / level) < 1e-12 * (1 + fabs(v[at])));
        }
    }
    assert_true(low && high);
    free(x), free(v), free(head), free(t);
    check_gradients(&w);
    world_close(&w);
    world_close(&plain);
}

/* ---- the reference's gate ---- */

static real *weights_named(struct world *w, const char *name, long *n) {
    const struct param *p = param_find(&w->net.table, name);
    assert_non_null(p);
    *n = (long)p->count;
    return w->params.weights + param_position(&w->net.table, p);
}

/* Gates of one opening everywhere: 1 / (1 + exp(-level)). The velocity that comes of it. */
static double *with_gates(struct world *w, double level) {
    long n;
    real *weight = weights_named(w, "head.reference_gate.weight", &n);
    mem_zero(weight, sizeof(real) * (size_t)n);
    real *bias = weights_named(w, "head.reference_gate.bias", &n);
    real_fill(bias, level, n);
    forward(w);
    return downloaded(w->velocity, w->outputs);
}

/* An open gate adds frame 0's latents to the clean ones of every frame, a half open one half of them. */
static void a_gate_adds_the_reference(void **state) {
    (void)state;
    struct dit_config c = gated_config();
    struct world w;
    world_open(&w, &c, DIT_SAVE_ALL, FRAMES, 0);
    double *shut = with_gates(&w, -1000), *half = with_gates(&w, 0), *open = with_gates(&w, 1000);
    double *x = downloaded(w.x, w.latents), *t = downloaded(w.t, BATCH * FRAMES);
    long frame = (long)c.in_channels * c.height * c.width, stride = w.outputs / BATCH;
    for (long i = 0; i < BATCH * FRAMES * frame; i++) {
        long b = i / (FRAMES * frame), at = b * stride + i % (FRAMES * frame);
        double level = fmax(t[i / frame] / 1000, c.clean_floor), r = x[w.latents / BATCH * b + i % frame];
        assert_true(fabs((shut[at] - open[at]) * level - r) < 1e-12 * (1 + fabs(shut[at])));
        assert_true(fabs((shut[at] - half[at]) * level - r / 2) < 1e-12 * (1 + fabs(shut[at])));
    }
    free(shut), free(half), free(open), free(x), free(t);
    world_close(&w);
}

static void gradients_of_a_gate(void **state) {
    (void)state;
    const struct dit_config c = gated_config();
    check_whole_clips(&c);
}

/* A chunk behind the reference, which is given apart and is a constant. */
static void gradients_of_a_gated_chunk(void **state) {
    (void)state;
    struct dit_config c = gated_config();
    struct world w;
    world_open(&w, &c, DIT_SAVE_BLOCKS, 2, 4);
    world_add_history(&w);
    assert_int_equal(dit_forward(&w.net, &w.params, w.acts, &w.in, w.velocity, w.outputs / BATCH), ERR_USAGE);
    long frame = (long)c.in_channels * c.height * c.width, n;
    real *reference = normals(77, BATCH * frame, 1);
    w.in.reference = reference;
    w.in.reference_stride = frame;
    forward(&w);
    backward(&w);
    static const char *const names[] = {"head.reference_gate.weight", "head.reference_gate.bias", "head.head.weight",
                                        "blocks.0.ffn.0.weight"};
    for (int i = 0; i < 4; i++) {
        real *weights = weights_named(&w, names[i], &n);
        check_direction(velocity_loss, &w, weights, w.params.grads + (weights - w.params.weights), n, i, names[i]);
    }
    check_direction(velocity_loss, &w, w.x, w.dlatents, w.latents, 900, "latents");
    device_free(reference);
    world_close(&w);
}

/* ---- chunks ---- */

static void chunk_with_history(void **state) {
    (void)state;
    struct world w;
    world_open(&w, &small, DIT_SAVE_ALL, 2, 4);
    world_add_history(&w);
    forward(&w);
    backward(&w);
    /* Latent 0 is not among the frames: proj1 has no part in it. */
    const struct param_table *table = &w.net.table;
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        size_t at = param_position(table, p);
        if (strncmp(p->name, "audio_proj.proj1.", 17) == 0)
            assert_true(dot(w.params.grads + at, w.params.grads + at, (long)p->count) == 0);
        else
            check_direction(velocity_loss, &w, w.params.weights + at, w.params.grads + at, (long)p->count, i, p->name);
    }
    check_direction(velocity_loss, &w, w.x, w.dlatents, w.latents, 900, "latents");
    for (int r = 0; r < RANGES; r++) {
        check_direction(velocity_loss, &w, w.history_k[r], w.history_dk[r], w.history_size[r], 910, "history keys");
        check_direction(velocity_loss, &w, w.history_v[r], w.history_dv[r], w.history_size[r], 911, "history values");
    }
    world_close(&w);
}

/* ---- taps ---- */

enum { TAPPED = 2 };
struct tapped {
    struct world w;
    real *projection[TAPPED];
    long n;
};

static double tap_loss(void *context) {
    struct tapped *t = context;
    dit_condition_reset(t->w.acts, 1, 1);
    assert_int_equal(dit_forward(&t->w.net, &t->w.params, t->w.acts, &t->w.in, NULL, 0), OK);
    double sum = 0;
    for (int i = 0; i < TAPPED; i++) sum += dot(dit_tap(t->w.acts, i), t->projection[i], t->n);
    return sum;
}

static void taps(void **state) {
    (void)state;
    struct tapped t;
    world_open(&t.w, &small, DIT_SAVE_BLOCKS, FRAMES, 0);
    t.n = BATCH * FRAMES * t.w.tokens * small.dim;
    t.w.in.blocks = TAPPED;
    t.w.gradients.dvelocity = NULL;
    t.w.gradients.taps = TAPPED;
    for (int i = 0; i < TAPPED; i++) {
        t.projection[i] = normals(40 + (uint64_t)i, t.n, 1);
        t.w.gradients.tap_block[i] = i;
        t.w.gradients.tap_grad[i] = t.projection[i];
    }
    tap_loss(&t);
    assert_null(dit_tap(t.w.acts, TAPPED));
    backward(&t.w);
    const struct param_table *table = &t.w.net.table;
    static const char *const names[] = {"patch_embedding.weight", "blocks.0.ffn.2.weight", "blocks.1.ffn.2.weight",
                                        "blocks.0.listen_attn.v.weight", "time_embedding.0.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct param *p = param_find(table, names[i]);
        assert_non_null(p);
        size_t at = param_position(table, p);
        check_direction(tap_loss, &t, t.w.params.weights + at, t.w.params.grads + at, (long)p->count, 3, p->name);
    }
    check_direction(tap_loss, &t, t.w.x, t.w.dlatents, t.w.latents, 4, "latents");
    for (int i = 0; i < TAPPED; i++) device_free(t.projection[i]);
    world_close(&t.w);
}

/* ---- gradients through keys and values that a later chunk read ---- */

/* Chunk A (frame 0) leaves its keys and values; chunk B (two frames) reads them, rotated to position 2, as its only
   history. The loss looks at both. */
struct causal {
    struct world a, b;
    long frame; /* elements of a frame's keys */
    real *k, *v, *rotated, *dk, *dv, *cos, *sin;
    elem *out_k[3], *out_v[3];
    const real *own_dk[3], *own_dv[3];
    struct dit_kv_output output;
    struct attention_range ranges[3];
    struct dit_history history;
};

static double causal_loss(void *context) {
    struct causal *c = context;
    forward(&c->a);
    for (int l = 0; l < small.layers; l++)
        rope_apply(c->rotated + l * BATCH * c->frame, c->out_k[l], c->cos, c->sin, BATCH, c->a.tokens, small.heads,
                   small.dim / small.heads, c->frame, c->frame, 1);
    forward(&c->b);
    return dot(c->a.velocity, c->a.projection, c->a.outputs) + dot(c->b.velocity, c->b.projection, c->b.outputs);
}

static void causal_backward(struct causal *c) {
    long all = small.layers * BATCH * c->frame;
    backward(&c->b);
    real *pre_rope = zeros(all);
    for (int l = 0; l < small.layers; l++)
        rope_add_inverse(pre_rope + l * BATCH * c->frame, c->dk + l * BATCH * c->frame, c->cos, c->sin, BATCH,
                         c->a.tokens, small.heads, small.dim / small.heads, c->frame, c->frame);
    mem_copy(c->dk, pre_rope, sizeof(real) * (size_t)all);
    device_free(pre_rope);
    backward(&c->a);
}

static void own_keys_and_values(void **state) {
    (void)state;
    static struct causal c;
    world_open(&c.a, &small, DIT_SAVE_ALL, 1, 0);
    world_open(&c.b, &small, DIT_SAVE_ALL, 2, 1);
    c.frame = c.a.tokens * small.dim;
    long all = small.layers * BATCH * c.frame, table = c.a.tokens * small.dim / small.heads / 2;
    c.k = zeros(all), c.v = zeros(all), c.rotated = zeros(all), c.dk = zeros(all), c.dv = zeros(all);
    c.cos = zeros(table), c.sin = zeros(table);
    int position = 2;
    rope_table(c.cos, c.sin, &c.a.net.axes, &position, 1, small.height / 2, small.width / 2);
    for (int l = 0; l < small.layers; l++) {
        long at = l * BATCH * c.frame;
        c.out_k[l] = c.k + at, c.out_v[l] = c.v + at;
        c.own_dk[l] = c.dk + at, c.own_dv[l] = c.dv + at;
        c.ranges[l] = (struct attention_range){.k = c.rotated + at,
                                               .v = c.v + at,
                                               .length = c.a.tokens,
                                               .k_stride = c.frame,
                                               .v_stride = c.frame,
                                               .dk_sum = c.dk + at,
                                               .dv_sum = c.dv + at};
    }
    c.output = (struct dit_kv_output){.k = c.out_k, .v = c.out_v, .stride = c.frame};
    c.history = (struct dit_history){.ranges = c.ranges, .count = 1};
    c.a.in.kv_output = &c.output;
    c.b.in.history = &c.history;
    c.a.gradients.dk_own = c.own_dk;
    c.a.gradients.dv_own = c.own_dv;
    c.a.gradients.kv_stride = c.frame;
    /* One network: both passes share weights and gradients. */
    struct params own = c.b.params;
    c.b.params = c.a.params;
    causal_loss(&c);
    causal_backward(&c);
    /* Perturbing a's weights perturbs both. Of chunk A alone: its latents, whose gradient goes through the history. */
    check_direction(causal_loss, &c, c.a.x, c.a.dlatents, c.a.latents, 950, "latents of the first chunk");
    check_direction(causal_loss, &c, c.b.x, c.b.dlatents, c.b.latents, 951, "latents of the second chunk");
    check_parameters(causal_loss, &c, &c.a);
    c.b.params = own;
    device_free(c.k), device_free(c.v), device_free(c.rotated), device_free(c.dk), device_free(c.dv);
    device_free(c.cos), device_free(c.sin);
    world_close(&c.a);
    world_close(&c.b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bidirectional),
        cmocka_unit_test(clean_latents),
        cmocka_unit_test(a_gate_adds_the_reference),
        cmocka_unit_test(gradients_of_a_gate),
        cmocka_unit_test(gradients_of_a_gated_chunk),
        cmocka_unit_test(chunk_with_history),
        cmocka_unit_test(taps),
        cmocka_unit_test(own_keys_and_values),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
