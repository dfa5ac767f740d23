/* test_self_forcing.c: rollouts that are longer than a clip, in double. What the clip holds, and the gradient of its
   chunks, are to the bit those of a rollout made by hand through a cache with room for all frames, whose sound goes
   round. */
#include "tests/small_net.h"

#include "base/philox.h"
#include "tests/random_condition.h"
#include "train/method/self_forcing.h"

enum { B = 2, C = 3, F = 7, LONGEST = 22, ROOM = (LONGEST - F) / C, CHUNKS = (F - 1) / C, STEPS = 2 };

static const struct rollout_config config = {
    .causal = {C, 4, 3, RAPR_END, 6, SINK_NATIVE, AUDIO_MARGIN, 0}, .steps = STEPS, .sigma = {1, 0.6}};

static struct dit net;
static struct small_net small;
static struct self_forcing s;
static struct rollout hand;
static struct dit_acts *acts;
static struct condition_batch condition;
static struct batch_split split = {.batch = B, .count = B, .parts = 1, .largest = B};
static struct arena memory;

static void layout(void) {
    CHECK(self_forcing_layout(&s, &net, &config, &split, F, LONGEST, &memory));
    CHECK(self_forcing_acts_layout(&s, DIT_SAVE_ALL, &memory));
    CHECK(rollout_layout(&hand, &net, &config, B, LONGEST, &memory));
    CHECK(dit_acts_layout(&acts, &net, B, C, DIT_SAVE_ALL, &memory));
    condition_batch_layout(&condition, &net.config, &config.causal, B, F, &memory);
}

static int start(void **state) {
    (void)state;
    CHECK(device_init(1));
    struct dit_config dit = small_config(2);
    CHECK(dit_create(&net, &dit, 0));
    small_open(&small, &net.table, 0.15);
    arena_begin(&memory, "test");
    layout();
    rollout_free(&hand);
    dit_acts_free(acts);
    CHECK(arena_commit(&memory));
    layout();
    random_condition(&condition);
    return device_sync();
}

static int stop(void **state) {
    (void)state;
    self_forcing_free(&s);
    rollout_free(&hand);
    dit_acts_free(acts);
    arena_free(&memory);
    small_close(&small);
    dit_destroy(&net);
    return device_sync();
}

/* The frame of the clip whose sound frame f of a rollout with `before` chunks hears: counted back from the clip's. */
static int heard_by(int f, int before) {
    int back = f - before * C;
    while (back < 1) back += F - 1;
    return back;
}

/* Windows of all frames of a rollout. */
static struct rollout_condition whole_condition(int before) {
    struct rollout_condition c = condition_batch_rollout(&condition);
    long window = (long)AUDIO_WINDOW * net.config.audio_dim, clip = LONGEST * window;
    for (int k = 0; k < AUDIO_STREAMS; k++) {
        elem *to = small_alloc(&small, sizeof(elem) * (size_t)(B * clip));
        for (int b = 0; b < B; b++)
            for (int f = 0; f < 1 + (before + CHUNKS) * C; f++)
                mem_copy(to + b * clip + f * window,
                         condition.windows[k] + (b * F + (f ? heard_by(f, before) : 0)) * window,
                         sizeof(elem) * (size_t)window);
        c.audio[k] = to;
    }
    c.audio_stride = clip;
    return c;
}

static void clip_is_the_end_of_a_longer_rollout(int before) {
    long size = s.size, clip = s.clip, all = LONGEST * size, n = (long)small.total;
    struct rollout_noise noise = {.seed = 3, .step = 2, .purpose = RANDOM_ROLLOUT};
    struct part part = part_whole(B);
    struct rollout_condition c = whole_condition(before);
    real *reference = small_reals(&small, B * size, 1), *g = small_reals(&small, B * clip, 1);
    real *out = small_reals(&small, B * all, 0), *input = small_reals(&small, B * all, 0);
    real *gradient = small_reals(&small, n, 0);
    struct params *params = &small.params;

    CHECK(self_forcing_rollout(&s, params, &part, reference, size, &condition, &noise, STEPS - 1, before));
    mem_zero(params->grads, sizeof(real) * small.total);
    CHECK(self_forcing_backward(&s, params, &condition, g));
    mem_copy(gradient, params->grads, sizeof(real) * small.total);

    CHECK(rollout_begin(&hand, params, reference, size, &c));
    for (int i = 1; i <= before + CHUNKS; i++) {
        long at = (1 + (long)(i - 1) * C) * size;
        CHECK(rollout_chunk(&hand, params, &c, &noise, STEPS - 1, out + at, all, input + at, all));
    }
    for (int b = 0; b < B; b++) {
        assert_same_bits(s.x + b * clip, reference + b * size, sizeof(real) * (size_t)size);
        assert_same_bits(s.x + b * clip + size, out + b * all + (1 + before * C) * size,
                         sizeof(real) * (size_t)((F - 1) * size));
    }
    mem_zero(params->grads, sizeof(real) * small.total);
    for (int i = 1; i <= CHUNKS; i++) {
        long at = (1 + (long)(before + i - 1) * C) * size, in_clip = (1 + (long)(i - 1) * C) * size;
        CHECK(rollout_rerun(&hand, params, acts, &c, before + i, STEPS - 1, input + at, all, NULL, 0));
        CHECK(
            rollout_rerun_backward(&hand, params, acts, &c, before + i, STEPS - 1, input + at, all, g + in_clip, clip));
    }
    assert_true(small_dot(gradient, gradient, n) > 0);
    assert_same_bits(gradient, params->grads, sizeof(real) * small.total);
}

static void every_length(void **state) {
    (void)state;
    for (int before = 0; before <= ROOM; before++) clip_is_the_end_of_a_longer_rollout(before);
}

/* Draws are of their address and cover every length about equally often. */
static void lengths_are_drawn_evenly(void **state) {
    (void)state;
    enum { DRAWS = 600 };
    int count[ROOM + 1] = {0};
    for (int i = 0; i < DRAWS; i++) {
        int before = self_forcing_before(&s, 9, (uint64_t)i / 2, i % 2);
        assert_in_range(before, 0, ROOM);
        assert_int_equal(before, self_forcing_before(&s, 9, (uint64_t)i / 2, i % 2));
        count[before]++;
    }
    double p = 1.0 / (ROOM + 1), off = 4 * sqrt(p * (1 - p) / DRAWS);
    for (int k = 0; k <= ROOM; k++) assert_true(fabs(count[k] / (double)DRAWS - p) < off);
}

static void bad_lengths_are_refused(void **state) {
    (void)state;
    struct self_forcing none = {.acts = NULL};
    struct arena arena;
    arena_begin(&arena, "plan");
    assert_int_equal(self_forcing_layout(&none, &net, &config, &split, F, F - C, &arena), ERR_USAGE);
    assert_int_equal(self_forcing_layout(&none, &net, &config, &split, F, F + 1, &arena), ERR_USAGE);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_length), cmocka_unit_test(lengths_are_drawn_evenly),
                                       cmocka_unit_test(bad_lengths_are_refused)};
    return cmocka_run_group_tests(tests, start, stop);
}
