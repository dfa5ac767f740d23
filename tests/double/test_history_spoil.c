/* test_history_spoil.c: the spoiled history of training, in double. What is drawn has the statistics that the settings
   state; which chunk it is, and that it is never one of the sink; what it does to a rollout, and
   that a probability of 0 leaves every bit, for rollouts and for the causal initialisation; and that no gradient goes
   into the spoiled entry. */
#include "tests/small_net.h"

#include "base/philox.h"
#include "tests/double/ode_loss.h"
#include "tests/random_condition.h"
#include "train/config/run_config.h"

enum { B = 2, C = 3, F = 13, LONGEST = 22, CHUNKS = (F - 1) / C, STEPS = 2, SPOILED = 2 };

static const struct causal_config causal = {C, 4, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0};
static const struct spoil_config certain = {1, 0.3, 0.4, 0.5, 0}, never = {0, 0.3, 0.4, 0.5, 0};

/* ---- what is drawn ---- */

static struct spoil_address address_of(long sample0) {
    return (struct spoil_address){.seed = 4, .step = 70001, .purpose = RANDOM_ROLLOUT, .sample0 = sample0};
}

/* Share of spoiled samples, mean and variance of the factor's logarithm and mean of the noise, each within four
   deviations of its estimate. A sample's draw does not depend on where counting begins. */
static void draws_have_their_statistics(void **state) {
    (void)state;
    enum { DRAWS = 4000 };
    struct spoil_config config = {0.3, 0.2, 0, 0.5, 0};
    double count = 0, log_sum = 0, square = 0, noise = 0;
    for (int i = 0; i < DRAWS; i++) {
        struct spoil_address a = address_of(0), later = address_of(7);
        struct spoil_draw draw = history_spoil_draw(&config, &a, i + 7), same = history_spoil_draw(&config, &later, i);
        assert_true(draw.spoiled == same.spoiled && draw.factor == same.factor && draw.noise == same.noise);
        if (!draw.spoiled) {
            assert_true(draw.factor == 1 && draw.noise == 0);
            continue;
        }
        double l = log(draw.factor) / config.scale, u = draw.noise / config.noise;
        assert_true(u >= 0 && u < 1);
        count++, log_sum += l, square += l * l, noise += u;
    }
    assert_true(fabs(count / DRAWS - 0.3) < 4 * sqrt(0.3 * 0.7 / DRAWS));
    assert_true(fabs(log_sum / count) < 4 / sqrt(count));
    assert_true(fabs(square / count - 1) < 4 * sqrt(2 / count));
    assert_true(fabs(noise / count - 0.5) < 4 * sqrt(1 / (12 * count)));
}

/* The least chunk, before the clip or at its start, that lies behind the sink. */
static void the_sink_is_never_spoiled(void **state) {
    (void)state;
    static const struct {
        int chunk, sink, first;
    } of[] = {{3, 0, 1}, {3, 1, 1}, {3, 4, 2}, {1, 0, 1}, {1, 1, 1}, {1, 2, 2}, {2, 3, 2}, {3, 7, 3}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        struct causal_config c = {of[i].chunk, of[i].sink, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0};
        assert_int_equal(history_spoil_first(&c), of[i].first);
        for (int before = 0; before < 9; before++) {
            struct spoil_config config = certain;
            int seen[3] = {0};
            config.rolled = 2;
            for (int sample = 0; sample < 100; sample++) {
                struct spoil_address a = address_of(sample);
                int chunk = history_spoil_chunk(&config, &c, before, &a);
                assert_true((chunk - 1) * c.chunk + 1 >= c.sink && chunk >= 1);
                assert_true(chunk == of[i].first || (chunk <= before && chunk >= before - 2));
                if (before >= of[i].first + 2) seen[before - chunk] = 1;
            }
            if (before >= of[i].first + 2) assert_true(seen[0] && seen[1] && seen[2]);
        }
    }
}

/* A clip whose chunks do not see one that can be spoiled is refused. */
static void a_short_clip_is_refused(void **state) {
    (void)state;
    struct history_spoil s = {.host = NULL};
    struct dit_config dit = small_config(1);
    struct arena arena;
    arena_begin(&arena, "plan");
    assert_int_equal(history_spoil_layout(&s, "key", &certain, &dit, &causal, B, 2, &arena), ERR_USAGE);
    assert_int_equal(history_spoil_layout(&s, "key", &never, &dit, &causal, B, 2, &arena), OK);
    assert_int_equal(history_spoil_layout(&s, "key", &certain, &dit, &causal, B, 3, &arena), OK);
    history_spoil_free(&s);
    arena_free(&arena);
}

/* ---- rollouts ---- */

struct rolled {
    struct dit net;
    struct small_net small;
    struct self_forcing s;
    struct condition_batch condition;
    struct arena memory;
    real *reference, *clips, *gradient;
};

static void layout_rolled(struct rolled *w, const struct spoil_config *spoil) {
    static const struct rollout_config config = {
        .causal = {C, 4, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0}, .steps = STEPS, .sigma = {1, 0.6}};
    static const struct batch_split split = {.batch = B, .count = B, .parts = 1, .largest = B};
    CHECK(self_forcing_layout(&w->s, &w->net, &config, &split, F, LONGEST, &w->memory));
    if (spoil) CHECK(self_forcing_spoil_layout(&w->s, "key", spoil, &w->memory));
    CHECK(self_forcing_acts_layout(&w->s, DIT_SAVE_ALL, &w->memory));
    condition_batch_layout(&w->condition, &w->net.config, NULL, B, F, &w->memory);
}

/* One rollout and its gradient. */
static void open_rolled(struct rolled *w, const struct spoil_config *spoil, int before) {
    memset(w, 0, sizeof *w);
    struct dit_config dit = small_config(2);
    CHECK(dit_create(&w->net, &dit, 0));
    small_open(&w->small, &w->net.table, 0.15);
    arena_begin(&w->memory, "test");
    layout_rolled(w, spoil);
    CHECK(arena_commit(&w->memory));
    layout_rolled(w, spoil);
    random_condition(&w->condition);
    struct rollout_noise noise = {.seed = 3, .step = 2, .purpose = RANDOM_ROLLOUT};
    struct part part = part_whole(B);
    w->reference = small_reals(&w->small, B * w->s.size, 1);
    real *g = small_reals(&w->small, B * w->s.clip, 1);
    CHECK(self_forcing_rollout(&w->s, &w->small.params, &part, w->reference, w->s.size, &w->condition, &noise,
                               STEPS - 1, before));
    CHECK(self_forcing_backward(&w->s, &w->small.params, &w->condition, g));
    CHECK(device_sync());
    w->clips = small_host(w->s.x, B * w->s.clip);
    w->gradient = small_host(w->small.params.grads, (long)w->small.total);
}

static void close_rolled(struct rolled *w) {
    free(w->clips);
    free(w->gradient);
    self_forcing_free(&w->s);
    arena_free(&w->memory);
    small_close(&w->small);
    dit_destroy(&w->net);
}

static int same_frames(const struct rolled *a, const struct rolled *b, int sample, int first, int frames) {
    long at = sample * a->s.clip + first * a->s.size;
    return !memcmp(a->clips + at, b->clips + at, sizeof(real) * (size_t)(frames * a->s.size));
}

/* Chunks up to the spoiled one keep their bits, that one too; later ones change. Amounts of 0 and a probability of 0
   change no bit of clip and gradient. */
static void later_chunks_see_it(void **state) {
    (void)state;
    static const struct spoil_config nothing = {1, 0, 0, 0, 0};
    struct rolled plain, off, zero, spoiled;
    open_rolled(&plain, NULL, 0);
    open_rolled(&off, &never, 0);
    open_rolled(&zero, &nothing, 0);
    open_rolled(&spoiled, &certain, 0);
    size_t bytes = sizeof(real) * plain.small.total;
    for (int b = 0; b < B; b++) {
        assert_true(same_frames(&plain, &off, b, 0, F) && same_frames(&plain, &zero, b, 0, F));
        assert_true(same_frames(&plain, &spoiled, b, 0, 1 + SPOILED * C));
        for (int i = SPOILED; i < CHUNKS; i++) assert_false(same_frames(&plain, &spoiled, b, 1 + i * C, C));
    }
    assert_memory_equal(plain.gradient, off.gradient, bytes);
    assert_memory_equal(plain.gradient, zero.gradient, bytes);
    assert_true(memcmp(plain.gradient, spoiled.gradient, bytes));
    close_rolled(&plain), close_rolled(&off), close_rolled(&zero), close_rolled(&spoiled);
}

/* In a rollout that is longer than its clip the chunk right before the clip is spoiled, so that all of the clip is made
   from it; a sample that is not spoiled keeps its bits beside one that is. */
static void the_chunk_before_the_clip(void **state) {
    (void)state;
    struct rolled plain, spoiled;
    struct spoil_config some = certain;
    struct spoil_address address = {.seed = 3, .step = 2, .purpose = RANDOM_ROLLOUT};
    int hit[B], hits = B;
    for (some.probability = 0.95; hits != 1; some.probability -= 0.05) { /* until it tells one sample from the other */
        assert_true(some.probability > 0);
        hits = 0;
        for (int b = 0; b < B; b++) hits += hit[b] = history_spoil_draw(&some, &address, b).spoiled;
        if (hits == 1) break;
    }
    open_rolled(&plain, NULL, 3);
    open_rolled(&spoiled, &some, 3);
    for (int b = 0; b < B; b++)
        for (int i = 0; i < CHUNKS; i++) assert_int_equal(same_frames(&plain, &spoiled, b, 1 + i * C, C), !hit[b]);
    close_rolled(&plain), close_rolled(&spoiled);
}

/* ---- causal initialisation ---- */

struct initialised {
    struct dit net;
    struct arena state, activations;
    struct ode_step step;
    struct condition_batch condition;
    struct small_net weights;
    double loss;
    real *gradient;
};

static void layout_ode(struct initialised *w, int history, const struct spoil_config *spoil) {
    static const struct rollout_config rollout = {
        .causal = {.chunk = 2, .sink = 3, .ring = 2, .rapr = RAPR_END, .rapr_cap = 4, .audio_lookahead = AUDIO_MARGIN},
        .steps = 3,
        .sigma = {1, 0.8, 0.5}};
    const struct step_setup setup = {.net = &w->net, .rollout = &rollout, .F = 9, .seed = 1};
    struct ode_init_config config = {.stage = {.steps = 10, .batch = 2}, .history = history, .spoil = *spoil};
    CHECK(ode_step_layout(&w->step, &setup, &config, &w->state, &w->activations));
    CHECK(ode_step_acts_layout(&w->step, &w->activations));
    condition_batch_layout(&w->condition, &w->net.config, NULL, w->step.split.count, w->step.F, &w->activations);
}

static void open_ode(struct initialised *w, int history, const struct spoil_config *spoil) {
    memset(w, 0, sizeof *w);
    struct dit_config net = small_config(2);
    CHECK(dit_create(&w->net, &net, 0));
    arena_begin(&w->state, "state");
    arena_begin(&w->activations, "activations");
    layout_ode(w, history, spoil);
    CHECK(arena_commit(&w->state));
    CHECK(arena_commit(&w->activations));
    layout_ode(w, history, spoil);
    CHECK(device_sync());
    random_condition(&w->condition);
    random_init(w->step.states, 3, 1, 1, 4 * (long)w->step.split.count * w->step.clip);
    small_open(&w->weights, &w->net.table, 0.15);
    small_without_kinks(&w->weights);
    mem_copy(w->step.student.shard.weights, w->weights.params.weights, sizeof(elem) * w->weights.total);
    w->loss = ode_loss_of(&w->step, &w->condition);
    w->gradient = small_host(w->step.student.shard.grads, (long)w->weights.total);
}

static void close_ode(struct initialised *w) {
    free(w->gradient);
    ode_step_free(&w->step);
    arena_free(&w->state);
    arena_free(&w->activations);
    small_close(&w->weights);
    dit_destroy(&w->net);
}

static void initialisation_sees_it(int history) {
    static const struct spoil_config nothing = {1, 0, 0, 0, 0};
    struct initialised off, zero, spoiled;
    open_ode(&off, history, &never);
    open_ode(&zero, history, &nothing);
    open_ode(&spoiled, history, &certain);
    assert_true(off.loss == zero.loss);
    assert_true(off.loss != spoiled.loss);
    /* The entry is the same, but no gradient goes into it. */
    assert_true(memcmp(off.gradient, zero.gradient, sizeof(real) * off.weights.total));
    close_ode(&off), close_ode(&zero), close_ode(&spoiled);
}

static void initialisation_with_own_history(void **state) {
    (void)state;
    initialisation_sees_it(ODE_HISTORY_OWN);
}

static void initialisation_with_last_level(void **state) {
    (void)state;
    initialisation_sees_it(ODE_HISTORY_LAST);
}

/* Sums that later chunks left for one sample's frames are dropped, those of all others stay. */
static void gradients_into_the_entry_are_dropped(void **state) {
    (void)state;
    struct initialised w;
    open_ode(&w, ODE_HISTORY_LAST, &never);
    const real *const *dk, *const *dv;
    long stride, chunk = 2L * w.net.config.dim * (w.net.config.height / 2) * (w.net.config.width / 2);
    kv_cache_grads_own(w.step.cache, 3, &dk, &dv, &stride);
    real *before[2][2], *after;
    for (int b = 0; b < B; b++)
        before[0][b] = small_host(dk[1] + b * stride, chunk), before[1][b] = small_host(dv[1] + b * stride, chunk);
    kv_cache_grads_drop(w.step.cache, 3, 2, 1);
    for (int kind = 0; kind < 2; kind++)
        for (int b = 0; b < B; b++) {
            after = small_host((kind ? dv : dk)[1] + b * stride, chunk);
            for (long i = 0; i < chunk; i++) assert_true(after[i] == (b == 1 ? 0 : before[kind][b][i]));
            double sum = 0;
            for (long i = 0; i < chunk; i++) sum += fabs(before[kind][b][i]);
            assert_true(sum > 0);
            free(after);
            free(before[kind][b]);
        }
    close_ode(&w);
}

static int setup(void **state) {
    (void)state;
    return device_init(1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_have_their_statistics),    cmocka_unit_test(the_sink_is_never_spoiled),
        cmocka_unit_test(a_short_clip_is_refused),        cmocka_unit_test(later_chunks_see_it),
        cmocka_unit_test(the_chunk_before_the_clip),      cmocka_unit_test(initialisation_with_own_history),
        cmocka_unit_test(initialisation_with_last_level), cmocka_unit_test(gradients_into_the_entry_are_dropped)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
