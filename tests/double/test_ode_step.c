/* test_ode_step.c: the causal initialisation's gradient, collected chunk by chunk from last to first, against central
   differences of the whole loss, in which every chunk's keys and values depend on the weights: the full block-causal
   gradient. Four chunks and a short ring, so that chunks see different histories at different positions. Both kinds of
   history. Five-point rule at h = 1e-4. */
#include "tests/small_net.h"

#include "tests/random_condition.h"
#include "train/config/run_config.h"

struct world {
    struct dit net;
    struct run_config config;
    struct arena state, activations;
    struct ode_step step;
    struct condition_batch condition;
    struct small_net weights;
};

static void layout(struct world *w) {
    const struct step_setup setup = {
        .net = &w->net, .rollout = &w->config.rollout, .F = w->config.frames, .seed = (uint64_t)w->config.seed};
    CHECK(ode_step_layout(&w->step, &setup, &w->config.ode_init, &w->state, &w->activations));
    CHECK(ode_step_acts_layout(&w->step, &w->activations));
    condition_batch_layout(&w->condition, &w->net.config, w->step.split.count, w->step.F, &w->activations);
}

static void open_world(struct world *w, int history, int recompute) {
    memset(w, 0, sizeof *w);
    CHECK(device_init(1));
    struct dit_config net = small_config(2);
    CHECK(dit_create(&w->net, &net, 0));
    w->config.model = net;
    w->config.frames = 9;
    w->config.rollout =
        (struct rollout_config){.causal = {.chunk = 2, .sink = 3, .ring = 2, .rapr = RAPR_END, .rapr_cap = 4},
                                .steps = 3,
                                .sigma = {1, 0.8, 0.5}};
    w->config.ode_init.stage = (struct stage_config){.steps = 10, .batch = 2, .recompute = recompute};
    w->config.ode_init.history = history;
    arena_begin(&w->state, "state");
    arena_begin(&w->activations, "activations");
    layout(w);
    CHECK(arena_commit(&w->state));
    CHECK(arena_commit(&w->activations));
    layout(w);
    CHECK(device_sync());
    random_condition(&w->condition);
    random_init(w->step.states, 3, 1, 1, 4 * (long)w->step.split.count * w->step.clip);
    small_open(&w->weights, &w->net.table, 0.15);
    small_without_kinks(&w->weights);
    mem_copy(w->step.student.shard.weights, w->weights.params.weights, sizeof(elem) * w->weights.total);
}

static void close_world(struct world *w) {
    ode_step_free(&w->step);
    arena_free(&w->state);
    arena_free(&w->activations);
    small_close(&w->weights);
    dit_destroy(&w->net);
}

static double run(struct world *w) {
    real loss;
    optimiser_begin(&w->step.student);
    CHECK(ode_step_gradient(&w->step, &w->condition, 7));
    CHECK(device_sync());
    mem_download(&loss, w->step.student.loss, sizeof loss);
    return (double)loss;
}

static double difference(struct world *w, const real *direction, double h) {
    static const double at[4] = {-2, -1, 1, 2}, weight[4] = {1, -8, 8, -1};
    long n = (long)w->weights.total;
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        mem_copy(w->step.student.shard.weights, w->weights.params.weights, sizeof(elem) * (size_t)n);
        real_axpby(w->step.student.shard.weights, (real)(at[i] * h), direction, 1, n);
        sum += weight[i] * run(w);
    }
    return sum / (12 * h);
}

static void check(int history, int recompute) {
    struct world w;
    open_world(&w, history, recompute);
    long n = (long)w.weights.total;
    real *gradient = small_reals(&w.weights, n, 0);
    assert_true(run(&w) > 0);
    mem_copy(gradient, w.step.student.shard.grads, sizeof(real) * (size_t)n);
    for (int trial = 0; trial < 2; trial++) {
        real *d = small_reals(&w.weights, n, 1);
        double exact = small_dot(gradient, d, n), numeric = difference(&w, d, 1e-4);
        if (!(fabs(exact - numeric) < 1e-6 * fabs(numeric)))
            fail_msg("history %d: %.12g, by differences %.12g", history, exact, numeric);
    }
    close_world(&w);
}

static void gradient_with_own_history(void **state) {
    (void)state;
    check(ODE_HISTORY_OWN, RECOMPUTE_NONE);
}

static void gradient_with_last_level_history(void **state) {
    (void)state;
    check(ODE_HISTORY_LAST, RECOMPUTE_BLOCK);
}

/* A perfect student: states on straight lines whose velocity the loss compares with. */
static void loss_is_the_mean_square_of_x0(void **state) {
    (void)state;
    struct world w;
    open_world(&w, ODE_HISTORY_OWN, RECOMPUTE_NONE);
    /* A network that answers 0 predicts x0 = x: the loss is the mean square of state minus end. */
    mem_zero(w.step.student.shard.weights, sizeof(elem) * w.weights.total);
    long clips = (long)w.step.split.count * w.step.clip;
    for (int level = 1; level < 3; level++)
        mem_copy(w.step.states + level * clips, w.step.states, sizeof(real) * (size_t)clips);
    double loss = run(&w), sum = 0;
    real *a = small_host(w.step.states, clips), *b = small_host(w.step.states + 3 * clips, clips);
    for (long i = 0; i < clips; i++)
        if (i % w.step.clip >= w.step.size) sum += (a[i] - b[i]) * (a[i] - b[i]);
    sum /= (double)(w.step.split.count * (w.step.clip - w.step.size));
    assert_true(fabs(loss - sum) < 1e-12 * sum);
    free(a);
    free(b);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradient_with_own_history),
                                       cmocka_unit_test(gradient_with_last_level_history),
                                       cmocka_unit_test(loss_is_the_mean_square_of_x0)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
