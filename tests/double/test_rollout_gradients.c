/* test_rollout_gradients.c: what goes back through a rollout and through the causal cache, against differences
   (rollout_world.h). */
#include "tests/double/rollout_world.h"

#define STEP      1e-4
#define TOLERANCE 1e-6

/* ---- directional derivatives over tensors ---- */

/* What a loss needs; params: the weights to use. */
typedef double loss_fn(struct world *w, const struct params *params);

/* d loss / d (step along direction), five points. direction [n] lies at `position` in the weights. */
static double difference(struct world *w, loss_fn *loss, size_t position, const real *direction, long n) {
    static const double point[4] = {-2, -1, 1, 2};
    real *weights = w->small.params.weights;
    real *kept = small_alloc(&w->small, sizeof(real) * (size_t)n);
    mem_copy(kept, weights + position, sizeof(real) * (size_t)n);
    double value[4];
    for (int i = 0; i < 4; i++) {
        real_axpby(weights + position, point[i] * STEP, direction, 1, n);
        value[i] = loss(w, &w->small.params);
        mem_copy(weights + position, kept, sizeof(real) * (size_t)n);
    }
    scratch_pop(&w->small.memory, kept);
    return (8 * (value[2] - value[1]) - (value[3] - value[0])) / (12 * STEP);
}

/* Gradients against differences, along directions through a handful of neighbouring tensors each. */
static void check_gradients(struct world *w, loss_fn *loss) {
    const struct param_table *table = &w->net.table;
    for (int i = 0; i < table->count; i += SMALL_HANDFUL) {
        int last = i + SMALL_HANDFUL < table->count ? i + SMALL_HANDFUL - 1 : table->count - 1;
        size_t position = param_position(table, &table->list[i]);
        long n = (long)(param_position(table, &table->list[last]) + table->list[last].count - position);
        real *direction = small_reals(&w->small, n, 1);
        double expected = difference(w, loss, position, direction, n);
        double computed = small_dot(w->small.params.grads + position, direction, n);
        scratch_pop(&w->small.memory, direction);
        if (!(fabs(expected - computed) <= TOLERANCE * fabs(expected)))
            fail_msg("%s to %s: gradient %.12g, differences %.12g", table->list[i].name, table->list[last].name,
                     computed, expected);
    }
}

/* Whether a tensor has any gradient. */
static int has_gradient(struct world *w, const char *name) {
    const struct param *p = param_find(&w->net.table, name);
    assert_non_null(p);
    const real *g = w->small.params.grads + param_position(&w->net.table, p);
    return small_dot(g, g, (long)p->count) > 0;
}

/* The exit pass of every chunk, history and inputs as they were recorded. */
static int loss_exit;
static double rerun_loss(struct world *w, const struct params *params) {
    for (int i = 1; i <= w->chunks; i++) {
        long at = chunk_at(w, i);
        CHECK(rollout_rerun(&w->rollout, params, w->acts, &w->condition, i, loss_exit, w->exit_input + at, w->clip,
                            w->out + at, w->clip));
    }
    double sum = 0;
    for (int b = 0; b < B; b++) {
        long at = b * w->clip + w->frame;
        sum += small_dot(w->weight + at, w->out + at, w->clip - w->frame);
    }
    return sum;
}

static void rerun_and_back(struct world *w, int i) {
    long at = chunk_at(w, i);
    CHECK(rollout_rerun(&w->rollout, &w->small.params, w->acts, &w->condition, i, loss_exit, w->exit_input + at,
                        w->clip, NULL, 0));
    CHECK(rollout_rerun_backward(&w->rollout, &w->small.params, w->acts, &w->condition, i, loss_exit,
                                 w->exit_input + at, w->clip, w->weight + at, w->clip));
}

static void rollout_gradient(const struct rollout_config *config, int exit, enum dit_memory memory) {
    struct world w;
    open_world(&w, config, 2, 4, memory);
    loss_exit = exit;
    roll(&w, exit, w.out, w.exit_input);
    for (int i = 1; i <= w.chunks; i++) rerun_and_back(&w, i);
    check_gradients(&w, rerun_loss);
    assert_false(has_gradient(&w, "audio_proj.proj1.weight")); /* proj1 serves the reference alone */
    assert_true(has_gradient(&w, "audio_proj.proj1_vf.weight"));
    close_world(&w);
}
static void rollout_gradient_of_the_last_step(void **state) {
    (void)state;
    rollout_gradient(&standard, STEPS - 1, DIT_SAVE_ALL);
}
static void rollout_gradient_of_an_earlier_step(void **state) {
    (void)state;
    struct rollout_config config = standard;
    config.clean_pass = 1;
    config.causal = (struct causal_config){C, 1, 5, RAPR_START, 7, SINK_NATIVE, AUDIO_MARGIN, 0};
    rollout_gradient(&config, 1, DIT_SAVE_BLOCKS);
}

/* Loss of the last chunk, its own pass by the weights as they are, its history written by `params`. */
static double history_loss(struct world *w, const struct params *params) {
    struct params now = *params;
    elem *still = small_alloc(&w->small, sizeof(elem) * w->small.total);
    elem_from_real(still, w->small.master, (long)w->small.total);
    now.weights = still;
    real *spare = small_alloc(&w->small, sizeof(real) * (size_t)(2 * B * w->clip));
    roll(w, loss_exit, spare, spare + B * w->clip);
    int i = w->chunks;
    long at = chunk_at(w, i);
    CHECK(rollout_rerun(&w->rollout, &now, w->acts, &w->condition, i, loss_exit, w->exit_input + at, w->clip, spare,
                        C * w->frame));
    double sum = 0;
    for (int b = 0; b < B; b++) sum += small_dot(w->weight + b * w->clip + at, spare + b * C * w->frame, C * w->frame);
    scratch_pop(&w->small.memory, spare);
    scratch_pop(&w->small.memory, still);
    return sum;
}
static double last_chunk_loss(struct world *w, const struct params *params) {
    long at = chunk_at(w, w->chunks);
    CHECK(rollout_rerun(&w->rollout, params, w->acts, &w->condition, w->chunks, loss_exit, w->exit_input + at, w->clip,
                        w->out + at, w->clip));
    double sum = 0;
    for (int b = 0; b < B; b++) sum += small_dot(w->weight + b * w->clip + at, w->out + b * w->clip + at, C * w->frame);
    return sum;
}

/* What wrote the history moves the later loss, and the computed gradient holds nothing of that: along one direction
   through all weights it is the derivative with the history held, far from the one with the history moving too. */
static void history_leaks_no_gradient(void **state) {
    (void)state;
    struct world w;
    open_world(&w, &standard, 2, 4, DIT_SAVE_ALL);
    loss_exit = STEPS - 1;
    roll(&w, loss_exit, w.out, w.exit_input);
    rerun_and_back(&w, w.chunks);
    long n = (long)w.small.total;
    real *direction = small_reals(&w.small, n, 1);
    double computed = small_dot(w.small.params.grads, direction, n);
    double held = difference(&w, last_chunk_loss, 0, direction, n);
    double through_history = difference(&w, history_loss, 0, direction, n);
    assert_true(fabs(computed - held) <= TOLERANCE * fabs(held));
    assert_true(fabs(through_history) > 0.01 * fabs(held));
    close_world(&w);
}

/* ---- the exact block-causal gradient ---- */

static struct causal_clip loss_clip;
static double causal_loss(struct world *w, const struct params *params) {
    causal_forward(w, &loss_clip, params);
    return small_dot(w->weight, loss_clip.velocity, B * w->clip);
}

/* Last chunk first: each again, from its recorded history, with what later chunks sent back. */
static void causal_backward(struct world *w, const struct causal_clip *c) {
    struct kv_cache *cache = w->rollout.cache;
    kv_cache_grads_clear(cache);
    for (int i = w->chunks; i >= 0; i--) {
        struct causal_view view;
        struct dit_input in = input_of(w, i, view_of(w, &view, i), c->latents, c->t + i * B * C);
        if (i) in.history = kv_cache_history_with_grads(cache, &view);
        assert_true(!i || in.history);
        dit_condition_reset(w->acts, 1, 1);
        CHECK(dit_forward(&w->net, &w->small.params, w->acts, &in, c->velocity + chunk_at(w, i), w->clip));
        struct dit_gradients g = {.dvelocity = w->weight + chunk_at(w, i), .dvelocity_stride = w->clip};
        kv_cache_grads_own(cache, in.first_frame, &g.dk_own, &g.dv_own, &g.kv_stride);
        CHECK(dit_backward(&w->net, &w->small.params, w->acts, &in, &g));
        if (i) kv_cache_grads_collect(cache, &view);
    }
}

static void block_causal_gradient(const struct causal_config *causal, enum dit_memory memory) {
    struct rollout_config config = standard;
    config.causal = *causal;
    struct world w;
    open_world(&w, &config, 2, 5, memory);
    loss_clip = make_clip(&w);
    causal_forward(&w, &loss_clip, &w.small.params);
    causal_backward(&w, &loss_clip);
    check_gradients(&w, causal_loss);
    assert_true(has_gradient(&w, "audio_proj.proj1.weight"));
    close_world(&w);
}
static void block_causal_gradient_is_exact(void **state) {
    (void)state;
    block_causal_gradient(&standard.causal, DIT_SAVE_ALL);
}
static void block_causal_gradient_without_a_sink(void **state) {
    (void)state;
    struct causal_config causal = {C, 0, 5, RAPR_CONTEXT, 6, SINK_NATIVE, AUDIO_MARGIN, 0};
    block_causal_gradient(&causal, DIT_SAVE_BLOCKS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rollout_gradient_of_the_last_step),
        cmocka_unit_test(rollout_gradient_of_an_earlier_step),
        cmocka_unit_test(history_leaks_no_gradient),
        cmocka_unit_test(block_causal_gradient_is_exact),
        cmocka_unit_test(block_causal_gradient_without_a_sink),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
