/* test_ode_step.c: the causal initialisation's gradient, collected chunk by chunk from last to first, against central
   differences of the whole loss, in which every chunk's keys and values depend on the weights: the full block-causal
   gradient. Four chunks and a short ring, so that chunks see different histories at different positions. Both losses,
   all kinds of history, students of one pass. Five-point rule at h = 1e-4. With the loss `consistency` the average's
   weights stay where they are. Then what that loss is: its value by another way through the code, and that it leads to
   the end of the teacher's path, for which its boundary at level 0 is needed. */
#include "tests/small_net.h"

#include "tests/double/ode_loss.h"
#include "tests/random_condition.h"
#include "train/config/run_config.h"

enum { SOLVER_STEPS = 4 };
struct world {
    struct dit net;
    struct run_config config;
    struct arena state, activations;
    struct ode_step step;
    struct condition_batch condition;
    struct small_net weights, average; /* the student's; those of its average */
};
/* What a world learns by. */
struct way {
    int loss, history, steps, clean_pass, recompute;
    int frames;         /* 0: four chunks */
    int first_chunk;    /* 1: a first chunk of one frame, in a sink of two */
    double clean_floor; /* above 0: the head gives clean latents */
    int reference_gate; /* 1: the reference's latents are let through */
};

static void layout(struct world *w) {
    const struct step_setup setup = {
        .net = &w->net, .rollout = &w->config.rollout, .F = w->config.frames, .seed = (uint64_t)w->config.seed};
    CHECK(ode_step_layout(&w->step, &setup, &w->config.ode_init, &w->state, &w->activations));
    CHECK(ode_step_acts_layout(&w->step, &w->activations));
    condition_batch_layout(&w->condition, &w->net.config, NULL, w->step.split.count, w->step.F, &w->activations);
}

static void open_world(struct world *w, const struct way *way) {
    memset(w, 0, sizeof *w);
    CHECK(device_init(1));
    struct dit_config net = small_config(2);
    net.clean_floor = way->clean_floor;
    net.reference_gate = way->reference_gate;
    CHECK(dit_create(&w->net, &net, 0));
    w->config.model = net;
    w->config.frames = way->frames ? way->frames : 9;
    w->config.rollout = (struct rollout_config){.causal = {.chunk = 2,
                                                           .first_chunk = way->first_chunk,
                                                           .sink = way->first_chunk ? 2 : 3,
                                                           .ring = 2,
                                                           .rapr = RAPR_END,
                                                           .rapr_cap = 4,
                                                           .audio_lookahead = AUDIO_MARGIN},
                                                .steps = way->steps,
                                                .sigma = {1, 0.8, 0.5},
                                                .clean_pass = way->clean_pass};
    w->config.ode_init.stage = (struct stage_config){.steps = 10, .batch = 2, .recompute = way->recompute};
    w->config.ode_init.loss = way->loss;
    w->config.ode_init.history = way->history;
    w->config.ode_init.sampler = (struct sampler_config){.steps = SOLVER_STEPS, .shift = 3, .guidance = 1};
    arena_begin(&w->state, "state");
    arena_begin(&w->activations, "activations");
    layout(w);
    CHECK(arena_commit(&w->state));
    CHECK(arena_commit(&w->activations));
    layout(w);
    CHECK(device_sync());
    random_condition(&w->condition);
    CHECK(ode_step_prepare(&w->step));
    int states = way->loss == ODE_LOSS_CONSISTENCY ? CONSISTENCY_STATES : way->steps + 1;
    random_init(w->step.states, 3, 1, 1, states * (long)w->step.split.count * w->step.clip);
    small_open(&w->weights, &w->net.table, 0.15);
    small_open(&w->average, &w->net.table, 0.1);
    small_without_kinks(&w->weights);
    mem_copy(w->step.student.shard.weights, w->weights.params.weights, sizeof(elem) * w->weights.total);
    if (way->loss == ODE_LOSS_TRAJECTORIES) return;
    mem_copy(w->step.average.weights, w->average.params.weights, sizeof(elem) * w->weights.total);
    mem_zero(w->step.figures, sizeof *w->step.figures);
}

static void close_world(struct world *w) {
    ode_step_free(&w->step);
    arena_free(&w->state);
    arena_free(&w->activations);
    small_close(&w->weights);
    small_close(&w->average);
    dit_destroy(&w->net);
}

static double run(struct world *w) { return ode_loss_of(&w->step, &w->condition); }

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

static void check(const struct way *way) {
    struct world w;
    open_world(&w, way);
    long n = (long)w.weights.total;
    real *gradient = small_reals(&w.weights, n, 0);
    assert_true(run(&w) > 0);
    mem_copy(gradient, w.step.student.shard.grads, sizeof(real) * (size_t)n);
    for (int trial = 0; trial < 2; trial++) {
        real *d = small_reals(&w.weights, n, 1);
        double exact = small_dot(gradient, d, n), numeric = difference(&w, d, 1e-4);
        if (!(fabs(exact - numeric) < 1e-6 * fabs(numeric)))
            fail_msg("loss %d, history %d, %d passes: %.12g, by differences %.12g", way->loss, way->history, way->steps,
                     exact, numeric);
    }
    close_world(&w);
}

static void gradient_on_trajectories(void **state) {
    (void)state;
    check(&(struct way){ODE_LOSS_TRAJECTORIES, ODE_HISTORY_OWN, .steps = 3});
    check(&(struct way){ODE_LOSS_TRAJECTORIES, ODE_HISTORY_LAST, .steps = 3, .recompute = RECOMPUTE_BLOCK});
}

static void gradient_with_a_short_first_chunk(void **state) {
    (void)state;
    check(&(struct way){ODE_LOSS_TRAJECTORIES, ODE_HISTORY_LAST, .steps = 3, .frames = 8, .first_chunk = 1});
    check(&(struct way){ODE_LOSS_CONSISTENCY, ODE_HISTORY_LAST, .steps = 2, .frames = 8, .first_chunk = 1});
}

static void gradient_with_a_gated_reference(void **state) {
    (void)state;
    const struct way way = {ODE_LOSS_TRAJECTORIES, ODE_HISTORY_LAST, .steps = 3, .clean_floor = 0.1,
                            .reference_gate = 1};
    check(&way);
}

static void gradient_of_one_pass(void **state) {
    (void)state;
    check(&(struct way){ODE_LOSS_TRAJECTORIES, ODE_HISTORY_LAST, .steps = 1});
    check(&(struct way){ODE_LOSS_TRAJECTORIES, ODE_HISTORY_LAST, .steps = 1, .clean_pass = 1});
}

static void gradient_of_consistency(void **state) {
    (void)state;
    check(&(struct way){ODE_LOSS_CONSISTENCY, ODE_HISTORY_LAST, .steps = 3});
    check(&(struct way){ODE_LOSS_CONSISTENCY, ODE_HISTORY_LAST, .steps = 1, .clean_pass = 1});
    check(&(struct way){ODE_LOSS_CONSISTENCY, ODE_HISTORY_OWN, .steps = 2, .recompute = RECOMPUTE_BLOCK});
}

/* A perfect student: states on straight lines whose velocity the loss compares with. */
static void loss_is_the_mean_square_of_x0(void **state) {
    (void)state;
    struct world w;
    open_world(&w, &(struct way){ODE_LOSS_TRAJECTORIES, ODE_HISTORY_OWN, .steps = 3});
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

/* ---- what the loss `consistency` is ---- */

/* The prediction of x0 for the clip's only chunk at a level, by the function that streams. */
static void predict(struct world *w, const struct params *params, int state, double sigma, real *out) {
    struct rollout_config config = w->config.rollout;
    struct rollout rollout;
    struct dit_acts *acts;
    struct arena arena;
    struct rollout_condition c = condition_batch_rollout(&w->condition);
    const real *clips = w->step.states + (long)state * w->step.split.count * w->step.clip;
    config.steps = 1;
    config.sigma[0] = sigma;
    arena_begin(&arena, "test");
    for (int i = 0; i < 2; i++) {
        CHECK(rollout_layout(&rollout, &w->net, &config, w->step.split.count, w->step.F, &arena));
        CHECK(dit_acts_layout(&acts, &w->net, w->step.split.count, config.causal.chunk, DIT_SAVE_ALL, &arena));
        if (i) break;
        rollout_free(&rollout);
        dit_acts_free(acts);
        CHECK(arena_commit(&arena));
    }
    CHECK(rollout_begin(&rollout, params, clips, w->step.clip, &c));
    dit_condition_reset(acts, 1, 1);
    CHECK(rollout_rerun(&rollout, params, acts, &c, 1, 0, clips + w->step.size, w->step.clip, out, w->step.clip));
    CHECK(device_sync());
    rollout_free(&rollout);
    dit_acts_free(acts);
    arena_free(&arena);
}

/* Mean square of the two predictions' difference over frames 1.., which is the loss of a clip of one chunk. Both
   samples are at their own levels; lower: 1 takes the target from the lower state, as it should, 0 from the other. */
static double loss_by_rollouts(struct world *w, const struct params *average, int lower) {
    long n = w->step.split.count * w->step.clip, values = w->step.split.count * (w->step.clip - w->step.size);
    real *a = small_reals(&w->weights, n, 0), *b = small_reals(&w->weights, n, 0);
    double sum = 0;
    for (int sample = 0; sample < w->step.split.count; sample++) {
        int k = consistency_step(w->step.seed, 7, sample, SOLVER_STEPS);
        double below = w->step.solver[k + 1];
        predict(w, &w->weights.params, STATE_DRAWN, w->step.solver[k], a);
        const real *lower_state = w->step.states + (STATE_LOWER * w->step.split.count + sample) * w->step.clip;
        if (below > 0)
            predict(w, average, lower ? STATE_LOWER : STATE_DRAWN, below, b);
        else
            mem_copy(b + sample * w->step.clip, lower_state + w->step.size,
                     sizeof(real) * (size_t)(w->step.clip - w->step.size));
        real *x = small_host(a, n), *y = small_host(b, n);
        for (long i = 0; i < w->step.clip - w->step.size; i++) {
            double off = (double)x[sample * w->step.clip + i] - (double)y[sample * w->step.clip + i];
            sum += off * off;
        }
        free(x);
        free(y);
    }
    return sum / (double)values;
}

/* The loss against the same predictions made by the function that streams; controls: the student in its average's
   place, and the target from the wrong state. */
static void consistency_compares_neighbouring_levels(void **state) {
    (void)state;
    struct world w;
    open_world(&w, &(struct way){ODE_LOSS_CONSISTENCY, ODE_HISTORY_LAST, .steps = 3, .frames = 3, .clean_floor = 0.1,
                                 .reference_gate = 1});
    /* The reference is the same in all states. */
    long all = w.step.split.count * w.step.clip;
    for (int i = 1; i < CONSISTENCY_STATES; i++)
        mem_copy_rows(w.step.states + i * all, sizeof(real) * (size_t)w.step.clip, w.step.states,
                      sizeof(real) * (size_t)w.step.clip, sizeof(real) * (size_t)w.step.size,
                      (size_t)w.step.split.count);
    double loss = run(&w), same = loss_by_rollouts(&w, &w.average.params, 1);
    double own = loss_by_rollouts(&w, &w.weights.params, 1), wrong = loss_by_rollouts(&w, &w.average.params, 0);
    if (!(fabs(loss - same) < 1e-10 * same)) fail_msg("loss %.12g, by rollouts %.12g", loss, same);
    assert_true(fabs(loss - own) > 1e-3 * loss && fabs(loss - wrong) > 1e-3 * loss);
    close_world(&w);
}

/* ---- where it leads ---- */

enum { UPDATES = 100 };

/* A network that predicts the clean latents `value` whatever it is shown: all zeros but the head's bias. */
static void set_constant(const struct dit *net, elem *weights, real *master, double value) {
    const struct param *bias = param_find(&net->table, "head.head.bias");
    assert_non_null(bias);
    mem_zero(master, sizeof(real) * net->table.total);
    real_fill(master + param_position(&net->table, bias), (real)value, (long)bias->count);
    if (weights) elem_from_real(weights, master, (long)net->table.total);
}

/* Trains a student that knows nothing by consistency from a teacher whose path ends at `end` everywhere, and returns
   how far its prediction is from there, over the distance at the start. spoil: 1 leaves the teacher's step out. */
static double distance_after(int spoil, double end) {
    struct world w;
    open_world(&w, &(struct way){ODE_LOSS_CONSISTENCY, ODE_HISTORY_LAST, .steps = 3, .clean_floor = 1e-3});
    struct optimiser *o = &w.step.student;
    o->steps = UPDATES;
    o->config = w.step.student.config =
        (struct optimiser_config){.lr = 5e-2, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .ema = 0.9, .ema_warmup = 1};
    o->array[OPTIMISER_EMA] = small_reals(&w.average, (long)w.net.table.total, 0);
    set_constant(&w.net, w.weights.params.weights, w.weights.master, end);
    mem_zero(o->array[OPTIMISER_MASTER], sizeof(real) * w.net.table.total);
    optimiser_start(o);
    struct sampler sampler = {.B = 0};
    struct arena arena;
    arena_begin(&arena, "sampler");
    CHECK(sampler_layout(&sampler, &w.net, &w.config.ode_init.sampler, w.step.split.largest, w.step.F, &arena));
    CHECK(arena_commit(&arena));
    CHECK(sampler_layout(&sampler, &w.net, &w.config.ode_init.sampler, w.step.split.largest, w.step.F, &arena));
    long all = w.step.split.count * w.step.clip;
    real *clips = small_reals(&w.average, all, 1);
    for (long step = 0; step < UPDATES; step++) {
        CHECK(ode_step_pairs(&w.step, &sampler, &w.weights.params, clips, &w.condition, step));
        if (spoil)
            mem_copy(w.step.states + STATE_LOWER * all, w.step.states + STATE_DRAWN * all, sizeof(real) * (size_t)all);
        CHECK(ode_step_run(&w.step, &w.condition, step));
    }
    CHECK(device_sync());
    const struct param *bias = param_find(&w.net.table, "head.head.bias");
    real *learned = small_host(o->array[OPTIMISER_MASTER] + param_position(&w.net.table, bias), (long)bias->count);
    double sum = 0;
    for (size_t i = 0; i < bias->count; i++) sum += fabs((double)learned[i] - end) / (double)bias->count;
    free(learned);
    sampler_free(&sampler);
    arena_free(&arena);
    close_world(&w);
    return sum / fabs(end);
}

/* The teacher's path leads from any noise to one clip, which no clip of the data set is: only its steps say so, and of
   these the last one alone, from which the answer spreads to all levels. */
static void consistency_leads_to_the_paths_end(void **state) {
    (void)state;
    double right = distance_after(0, 0.7), wrong = distance_after(1, 0.7);
    if (!(right < 0.1 && wrong > 0.5))
        fail_msg("%.3g of the way is left; without the teacher's step %.3g", right, wrong);
}

/* Levels that share a clip's history need one that shows something. */
static void history_of_noise_is_refused(void **state) {
    (void)state;
    struct world w;
    open_world(&w, &(struct way){ODE_LOSS_CONSISTENCY, ODE_HISTORY_LAST, .steps = 1, .clean_pass = 1});
    struct ode_step step = {.F = 0};
    struct arena a, b;
    w.config.rollout.clean_pass = 0;
    const struct step_setup setup = {.net = &w.net, .rollout = &w.config.rollout, .F = w.config.frames};
    arena_begin(&a, "state");
    arena_begin(&b, "activations");
    assert_int_equal(ode_step_layout(&step, &setup, &w.config.ode_init, &a, &b), ERR_USAGE);
    ode_step_free(&step);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradient_on_trajectories),
                                       cmocka_unit_test(gradient_with_a_short_first_chunk),
                                       cmocka_unit_test(gradient_with_a_gated_reference),
                                       cmocka_unit_test(gradient_of_one_pass),
                                       cmocka_unit_test(gradient_of_consistency),
                                       cmocka_unit_test(loss_is_the_mean_square_of_x0),
                                       cmocka_unit_test(consistency_compares_neighbouring_levels),
                                       cmocka_unit_test(consistency_leads_to_the_paths_end),
                                       cmocka_unit_test(history_of_noise_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
