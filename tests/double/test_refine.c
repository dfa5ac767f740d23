/* test_refine.c: the adversarial losses as refine_step.c puts them together from single forwards and backwards: the
   discriminator's whole loss (four inputs, both penalties) against central differences along random directions of its
   weights, the generator's against differences along random clips, frame 0 untouched; heads-only leaves the trunk
   alone. Five-point rule at h = 1e-4. */
#include "tests/small_net.h"

#include "tests/random_condition.h"
#include "train/config/run_config.h"

enum { LAYERS = 4 };

struct world {
    struct dit net;
    struct run_config config;
    struct arena state, activations;
    struct refine_step step;
    struct condition_batch condition;
    struct small_net discriminator;
    real *truth, *made, *moved, *g, *loss;
    long all;
};

static void layout(struct world *w) {
    const struct step_setup setup = {
        .net = &w->net, .rollout = &w->config.rollout, .F = w->config.frames, .seed = (uint64_t)w->config.seed};
    CHECK(
        refine_step_layout(&w->step, &setup, &w->config.refine, &w->config.distill.score, &w->state, &w->activations));
    CHECK(refine_step_acts_layout(&w->step, &w->activations));
    condition_batch_layout(&w->condition, &w->net.config, NULL, w->step.B, w->step.F, &w->activations);
}

static void open_world(struct world *w, double r1, double r2) {
    memset(w, 0, sizeof *w);
    CHECK(device_init(1));
    struct dit_config net = small_config(LAYERS);
    CHECK(dit_create(&w->net, &net, 0));
    w->config.model = net;
    w->config.frames = 5;
    w->config.rollout = (struct rollout_config){
        .causal = {.chunk = 2, .sink = 3, .ring = 2, .rapr = RAPR_END, .rapr_cap = 4, .audio_lookahead = AUDIO_MARGIN},
        .steps = 2,
        .sigma = {1, 0.6}};
    w->config.refine =
        (struct refine_config){.stage = {.steps = 10, .batch = 2},
                               .discriminator = {.taps = {0, 1, 3}, .queries = 1, .heads = 3, .ffn_dim = 14},
                               .level = {LEVEL_SHIFTED_UNIFORM, 1, 0, 1, 0.2, 0.7},
                               .local_weight = 0.7,
                               .global_weight = 1.3,
                               .r1 = r1,
                               .r2 = r2,
                               .fd_step = 0.1};
    arena_begin(&w->state, "state");
    arena_begin(&w->activations, "activations");
    layout(w);
    CHECK(arena_commit(&w->state));
    CHECK(arena_commit(&w->activations));
    layout(w);
    CHECK(refine_step_prepare(&w->step));
    CHECK(device_sync());
    random_condition(&w->condition);
    small_open(&w->discriminator, &w->step.discriminator.network.trunk.table, 0.2);
    small_without_kinks(&w->discriminator);
    w->all = w->step.B * w->step.rollout.clip;
    w->truth = small_reals(&w->discriminator, w->all, 1);
    w->made = small_reals(&w->discriminator, w->all, 1);
    w->moved = small_reals(&w->discriminator, w->all, 0);
    w->g = small_reals(&w->discriminator, w->all, 0);
    w->loss = small_reals(&w->discriminator, 1, 0);
}

static void close_world(struct world *w) {
    refine_step_free(&w->step);
    arena_free(&w->state);
    arena_free(&w->activations);
    small_close(&w->discriminator);
    dit_destroy(&w->net);
    CHECK(device_sync());
}

static double download_loss(const struct world *w) {
    real loss;
    mem_download(&loss, w->loss, sizeof loss);
    return (double)loss;
}

static struct batch_part whole_batch(const struct world *w) {
    return (struct batch_part){part_whole(w->step.B), w->truth, w->condition};
}

static double discriminator_loss(struct world *w, int heads_only) {
    mem_zero(w->discriminator.params.grads, sizeof(real) * w->discriminator.total);
    mem_zero(w->loss, sizeof(real));
    struct batch_part b = whole_batch(w);
    struct batch_part made = b;
    made.clips = w->made;
    CHECK(
        discriminator_gradient(&w->step.discriminator, &w->discriminator.params, &b, &made, 3, 1, heads_only, w->loss));
    return download_loss(w);
}

static double generator_loss(struct world *w, const real *made) {
    struct params frozen = {.table = w->discriminator.params.table, .weights = w->discriminator.params.weights};
    struct batch_part b = whole_batch(w), fake = b;
    fake.clips = made;
    mem_zero(w->loss, sizeof(real));
    CHECK(discriminator_generator_gradient(&w->step.discriminator, &frozen, &b, &fake, 3, w->g, w->loss));
    return download_loss(w);
}

static const double at[4] = {-2, -1, 1, 2}, weight[4] = {1 / 12.0, -8 / 12.0, 8 / 12.0, -1 / 12.0};
#define STEP 1e-4

static double discriminator_difference(struct world *w, const real *direction) {
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        mem_copy(w->discriminator.params.weights, w->discriminator.master, sizeof(elem) * w->discriminator.total);
        real_axpby(w->discriminator.params.weights, (real)(at[i] * STEP), direction, 1, (long)w->discriminator.total);
        sum += weight[i] * discriminator_loss(w, 0);
    }
    mem_copy(w->discriminator.params.weights, w->discriminator.master, sizeof(elem) * w->discriminator.total);
    return sum / STEP;
}

static double generator_difference(struct world *w, const real *direction) {
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        mem_copy(w->moved, w->made, sizeof(real) * (size_t)w->all);
        real_axpby(w->moved, (real)(at[i] * STEP), direction, 1, w->all);
        sum += weight[i] * generator_loss(w, w->moved);
    }
    return sum / STEP;
}

static void assert_close(double exact, double numeric) {
    if (!(fabs(exact - numeric) < 1e-6 * fabs(numeric))) fail_msg("%.12g, by differences %.12g", exact, numeric);
}

static void check_discriminator(double r1, double r2) {
    struct world w;
    open_world(&w, r1, r2);
    long n = (long)w.discriminator.total;
    real *gradient = small_reals(&w.discriminator, n, 0), *direction = small_reals(&w.discriminator, n, 1);
    assert_true(discriminator_loss(&w, 0) > 0);
    mem_copy(gradient, w.discriminator.params.grads, sizeof(real) * (size_t)n);
    assert_close(small_dot(gradient, direction, n), discriminator_difference(&w, direction));
    close_world(&w);
}

static void gradient_of_the_discriminator(void **state) {
    (void)state;
    check_discriminator(0.3, 0.2);
    check_discriminator(0, 0.4);
}

static void gradient_of_the_generator(void **state) {
    (void)state;
    struct world w;
    open_world(&w, 0, 0);
    real *gradient = small_reals(&w.discriminator, w.all, 0), *direction = small_reals(&w.discriminator, w.all, 1);
    generator_loss(&w, w.made);
    mem_copy(gradient, w.g, sizeof(real) * (size_t)w.all);
    /* nothing reaches the reference frame */
    for (int b = 0; b < w.step.B; b++) {
        const real *reference = gradient + b * w.step.rollout.clip;
        assert_true(small_dot(reference, reference, w.step.rollout.size) == 0);
        real_fill(direction + b * w.step.rollout.clip, 0, w.step.rollout.size);
    }
    assert_close(small_dot(gradient, direction, w.all), generator_difference(&w, direction));
    close_world(&w);
}

static void heads_alone_leave_the_trunk(void **state) {
    (void)state;
    struct world w;
    open_world(&w, 0.3, 0.3);
    discriminator_loss(&w, 1);
    const struct param_table *t = w.discriminator.params.table;
    long trunk = (long)t->slice_offset[w.step.discriminator.network.head_slice], n = (long)w.discriminator.total;
    const real *grads = w.discriminator.params.grads;
    assert_true(small_dot(grads, grads, trunk) == 0);
    assert_true(small_dot(grads + trunk, grads + trunk, n - trunk) > 0);
    close_world(&w);
}

/* The whole loss without the pairs', from the logits as they were judged: a mean a branch, its weight on each. */
static double penalty_of(const struct world *w, enum judged_input still, enum judged_input moved) {
    const struct refine_config *c = &w->config.refine;
    long B = w->step.B, local = B * (w->step.F - 1);
    real *a = small_host(w->step.discriminator.logits[still], local + B),
         *b = small_host(w->step.discriminator.logits[moved], local + B);
    double sum[BRANCHES] = {0};
    for (long i = 0; i < local + B; i++) {
        double slope = ((double)b[i] - (double)a[i]) / c->fd_step;
        sum[i < local ? BRANCH_LOCAL : BRANCH_GLOBAL] += slope * slope;
    }
    free(a);
    free(b);
    return c->local_weight * sum[BRANCH_LOCAL] / (double)local + c->global_weight * sum[BRANCH_GLOBAL] / (double)B;
}

/* F logits a clip: 1e-12 of rounding is far above the double build's. */
static void penalties_are_means_by_branch(void **state) {
    (void)state;
    struct world w;
    open_world(&w, 0, 0);
    double pairs = discriminator_loss(&w, 0);
    close_world(&w);
    open_world(&w, 0.3, 0.2);
    double all = discriminator_loss(&w, 0);
    double expected =
        pairs + 0.3 * penalty_of(&w, INPUT_REAL, INPUT_REAL_MOVED) + 0.2 * penalty_of(&w, INPUT_FAKE, INPUT_FAKE_MOVED);
    assert_true(all - pairs > 1e-6);
    if (!(fabs(all - expected) < 1e-12 * fabs(expected))) fail_msg("%.15g, by branches %.15g", all, expected);
    close_world(&w);
}

/* Real clips have a far reference when and only when the rollout beside them does not follow its own. */
static void references_are_alike(void **state) {
    (void)state;
    struct world w;
    int far_ones = 0;
    open_world(&w, 0, 0);
    w.step.rollout.room = 2;
    long size = w.step.rollout.size, clip = w.step.rollout.clip;
    real *far = small_reals(&w.discriminator, w.step.B * size, 1);
    for (int round = 0; round < 20; round++) {
        mem_copy(w.moved, w.truth, sizeof(real) * (size_t)w.all);
        refine_references(&w.step, w.moved, far, (uint64_t)round, 1);
        int is_far = self_forcing_before(&w.step.rollout, w.step.seed, (uint64_t)round, 1) > 0;
        for (int b = 0; b < w.step.B; b++) {
            assert_same_bits(w.moved + b * clip, is_far ? far + b * size : w.truth + b * clip,
                             sizeof(real) * (size_t)size);
            assert_same_bits(w.moved + b * clip + size, w.truth + b * clip + size,
                             sizeof(real) * (size_t)(clip - size));
        }
        far_ones += is_far;
    }
    assert_true(far_ones > 0 && far_ones < 20);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradient_of_the_discriminator), cmocka_unit_test(gradient_of_the_generator),
        cmocka_unit_test(heads_alone_leave_the_trunk), cmocka_unit_test(penalties_are_means_by_branch),
        cmocka_unit_test(references_are_alike)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
