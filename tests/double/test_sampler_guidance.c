/* test_sampler_guidance.c: what the sampler makes of its passes with and without text and audio. One Euler step from
   level 1 to 0 moves the state by minus the guided velocity; scales of 0 and 1 give the four velocities alone. */
#include "tests/small_net.h"

#include "model/dit/sampler.h"

enum { BATCH = 2, FRAMES = 3 };

static struct dit net;
static struct small_net small;
static struct condition_batch condition;
static struct arena memory;

static long values(void) {
    return (long)BATCH * FRAMES * net.config.in_channels * net.config.height * net.config.width;
}

/* The guided velocity, host. */
static real *velocity_listening(double audio, double text, double listen) {
    const struct sampler_config c = {
        .steps = 1, .shift = 1, .guidance = audio, .text_guidance = text, .listen_guidance = listen};
    struct arena arena;
    struct sampler s = {.acts = NULL};
    arena_begin(&arena, "sampler");
    CHECK(sampler_layout(&s, &net, &c, BATCH, FRAMES, &arena));
    CHECK(arena_commit(&arena));
    CHECK(sampler_layout(&s, &net, &c, BATCH, FRAMES, &arena));
    real *clips = device_alloc((size_t)values() * sizeof *clips);
    assert_non_null(clips);
    random_init(clips, SMALL_SEED, 99, 1, values());
    sampler_begin(&s, clips, s.clip, 5, 0, 0);
    real *before = small_host(s.x, values());
    CHECK(sampler_run(&s, &small.params, &condition));
    real *after = small_host(s.x, values());
    CHECK(device_sync());
    for (long i = 0; i < values(); i++) before[i] -= after[i];
    free(after);
    device_free(clips);
    sampler_free(&s);
    arena_free(&arena);
    return before;
}

static real *velocity(double audio, double text) { return velocity_listening(audio, text, -1); }

static void expect(const real *v, const real *expected, const char *what) {
    double error = 0, size = 0;
    for (long i = 0; i < values(); i++) {
        error = fmax(error, fabs((double)(v[i] - expected[i])));
        size = fmax(size, fabs((double)expected[i]));
    }
    if (!(error < 1e-12 * size)) fail_msg("%s: off by %g of %g", what, error, size);
}

static void guides_as_its_formulas_say(void **state) {
    (void)state;
    const double s = 3.5, g = 2.25;
    real *c = velocity(1, 1), *a = velocity(0, 1), *w = velocity(1, 0), *u = velocity(0, 0);
    real *by_audio = velocity(s, 1), *by_text = velocity(1, g), *by_both = velocity(s, g);
    real *wanted = malloc((size_t)values() * sizeof *wanted);
    assert_non_null(wanted);
    double apart = 0; /* the four differ, else nothing would be shown */
    for (long i = 0; i < values(); i++) apart = fmax(apart, fmin(fabs(c[i] - w[i]), fabs(w[i] - u[i])));
    assert_true(apart > 1e-3);
    for (long i = 0; i < values(); i++) wanted[i] = a[i] + s * (c[i] - a[i]);
    expect(by_audio, wanted, "audio");
    for (long i = 0; i < values(); i++) wanted[i] = w[i] + g * (c[i] - w[i]);
    expect(by_text, wanted, "text");
    for (long i = 0; i < values(); i++) wanted[i] = u[i] + g * (c[i] - w[i]) + s * (w[i] - u[i]);
    expect(by_both, wanted, "both");
    real *all[] = {c, a, w, u, by_audio, by_text, by_both, wanted};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* k: talk alone, with text and without. */
static void guides_the_other_party_apart(void **state) {
    (void)state;
    const double s = 3.5, g = 2.25, l = 0.75;
    real *c = velocity(1, 1), *a = velocity(0, 1), *w = velocity(1, 0), *u = velocity(0, 0);
    real *k = velocity_listening(1, 1, 0), *k_without = velocity_listening(1, 0, 0);
    real *by_audio = velocity_listening(s, 1, l), *by_both = velocity_listening(s, g, l);
    real *same = velocity_listening(s, g, s), *wanted = velocity(s, g);
    double apart = 0;
    for (long i = 0; i < values(); i++) apart = fmax(apart, fmin(fabs(c[i] - k[i]), fabs(k[i] - a[i])));
    assert_true(apart > 1e-3);
    expect(same, wanted, "the same for both");
    for (long i = 0; i < values(); i++) wanted[i] = a[i] + s * (k[i] - a[i]) + l * (c[i] - k[i]);
    expect(by_audio, wanted, "talk and listen");
    for (long i = 0; i < values(); i++)
        wanted[i] = u[i] + g * (c[i] - w[i]) + s * (k_without[i] - u[i]) + l * (w[i] - k_without[i]);
    expect(by_both, wanted, "talk, listen and text");
    real *all[] = {c, a, w, u, k, k_without, by_audio, by_both, same, wanted};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* Sound, and texts: every sample's, and the empty prompt's. */
enum { TEXT = 3 * 5 };
static void upload(const float text[BATCH * TEXT], const float empty[TEXT]) {
    float features[2][BATCH * 9 * 4], mask[BATCH * 9];
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < BATCH * 9 * 4; i++) features[k][i] = (float)sin(1 + i * (k + 0.7));
    for (int i = 0; i < BATCH * 9; i++) mask[i] = 1;
    const struct condition_host host = {
        .features = {features[0], features[1]}, .mask = {mask, mask}, .text = text, .empty = empty};
    condition_batch_upload(&condition, &host);
    CHECK(device_sync());
}

/* Without text is with the empty prompt, whose embedding need not be zeros. */
static void dropped_text_is_the_empty_prompt(void **state) {
    (void)state;
    float text[BATCH * TEXT], empty[BATCH * TEXT];
    for (int i = 0; i < BATCH * TEXT; i++) text[i] = (float)cos(i), empty[i] = (float)sin(3 + i % TEXT);
    upload(text, empty);
    real *without = velocity(1, 0);
    upload(empty, NULL);
    real *with_empty = velocity(1, 1), *without_any = velocity(1, 0);
    expect(without, with_empty, "the empty prompt");
    double apart = 0;
    for (long i = 0; i < values(); i++) apart = fmax(apart, fabs((double)(without[i] - without_any[i])));
    assert_true(apart > 1e-3); /* zeros would have been something else */
    upload(text, NULL);
    free(without);
    free(with_empty);
    free(without_any);
}

static int start(void **state) {
    (void)state;
    struct dit_config config = small_config(2);
    float text[BATCH * TEXT];
    device_poison(1);
    CHECK(device_init(1));
    CHECK(dit_create(&net, &config, 0));
    small_open(&small, &net.table, 0.3);
    arena_begin(&memory, "condition");
    condition_batch_layout(&condition, &config, NULL, BATCH, FRAMES, &memory);
    CHECK(arena_commit(&memory));
    condition_batch_layout(&condition, &config, NULL, BATCH, FRAMES, &memory);
    for (int i = 0; i < BATCH * TEXT; i++) text[i] = (float)cos(i);
    upload(text, NULL);
    return device_sync();
}

static int stop(void **state) {
    (void)state;
    arena_free(&memory);
    small_close(&small);
    dit_destroy(&net);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(guides_as_its_formulas_say),
                                       cmocka_unit_test(guides_the_other_party_apart),
                                       cmocka_unit_test(dropped_text_is_the_empty_prompt)};
    return cmocka_run_group_tests(tests, start, stop);
}
