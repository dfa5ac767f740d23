/* test_sampler.c: 50-step UniPC trajectories of a small DiT against Diffusers' scheduler and the original Wan's, levels
   and timesteps with them; text guidance; Euler (tests/golden/sampler.safetensors, made by sampler.py there). Errors
   are relative to the way that the state went, not to the state. */
#include "checkpoints/names.h"
#include "kernels/device.h"
#include "model/dit/sampler.h"
#include "model/params/transfer.h"
#include "tests/golden_dit.h"
#include "tests/golden_file.h"
#include "tests/golden_weights.h"

enum { BATCH = 2, FRAMES = 3, CHANNELS = 8, HEIGHT = 4, WIDTH = 6 };
enum { FRAME = CHANNELS * HEIGHT * WIDTH, ALL = BATCH * FRAMES * FRAME };

/* In float both sides' velocities are 1e-6 off and the way there adds up and amplifies. In bf16 a velocity is off by
   sqrt(40) / 256 (tests/golden_dit.h), systematically so where the rounded weights are the cause, and the errors of
   the 50 add up to no more than the share that each has of the way; guidance 4 takes four of one velocity and three of
   another. */
#ifdef TYPE_BF16
static double bound(double guidance) { return sqrt(40) / 256 * (2 * guidance - 1); }
#else
static double bound(double guidance) { return guidance == 1 ? 1e-4 : 1e-3; }
#endif

static struct safetensors file;
static struct dit net;
static struct params params;
static struct arena memory;
static struct condition_batch condition;
static float start[ALL]; /* the reference and noise, [B, F, C, H, W] */

static float *golden(const char *name, const char *part, size_t *count) {
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%s.", name);
    return golden_tensor(&file, prefix, part, count);
}

/* The file's levels and timesteps are ours: float's last place in the levels, nothing in whole timesteps. */
static void check_levels(const char *name, const struct sampler *s) {
    size_t n, m;
    float *sigma = golden(name, "sigma", &n), *t = golden(name, "timestep", &m);
    assert_true(sigma && t);
    assert_int_equal(n, s->config.steps + 1);
    for (int i = 0; i < s->config.steps; i++) {
        if (fabs(sigma[i] - s->sigma[i]) > 1e-7)
            fail_msg("%s: sigma %d is %.9g, not %.9g", name, i, s->sigma[i], sigma[i]);
        if (fabs(t[i] - s->timestep[i]) > (s->config.schedule == SCHEDULE_LINEAR ? 1e-4 : 0))
            fail_msg("%s: timestep %d is %.9g, not %.9g", name, i, s->timestep[i], t[i]);
    }
    assert_true(s->sigma[s->config.steps] == 0);
    free(sigma);
    free(t);
}

static void check_state(const char *name, const struct sampler *s, int steps) {
    char part[16];
    size_t n;
    snprintf(part, sizeof part, "%d", steps);
    float *expected = golden(name, part, &n), got[ALL];
    if (!expected) return;
    assert_int_equal(n, ALL);
    transfer_from_real(got, s->x, ALL);
    assert_int_equal(device_sync(), OK);
    double error = 0, way = 0;
    for (int i = 0; i < ALL; i++) {
        if (i / FRAME % FRAMES == 0 && got[i] != start[i]) fail_msg("%s: the reference frame moved", name);
        error += pow((double)got[i] - expected[i], 2);
        way += pow((double)expected[i] - start[i], 2);
    }
    double relative = sqrt(error / way), allowed = bound(s->config.text_guidance);
    if (!(relative < allowed)) fail_msg("%s after %d steps: off by %g, allowed %g", name, steps, relative, allowed);
    print_message("%s after %d steps: off by %.2g\n", name, steps, relative);
    free(expected);
}

static void run(const char *name, const struct sampler_config *c, int checks) {
    struct arena arena;
    struct sampler s = {.acts = NULL};
    arena_begin(&arena, "sampler");
    assert_int_equal(sampler_layout(&s, &net, c, BATCH, FRAMES, &arena), OK);
    assert_int_equal(arena_commit(&arena), OK);
    assert_int_equal(sampler_layout(&s, &net, c, BATCH, FRAMES, &arena), OK);
    check_levels(name, &s);
    real *clips = device_alloc(ALL * sizeof *clips);
    assert_non_null(clips);
    transfer_to_real(clips, start, ALL);
    sampler_begin(&s, clips, FRAMES * FRAME, 1, 0, 0);
    transfer_to_real(s.x, start, ALL); /* the file's noise in place of ours */
    size_t unused;
    int found = 0;
    for (int i = 0; i < c->steps; i++) {
        char part[16];
        assert_int_equal(sampler_step(&s, &params, &condition, i), OK);
        check_state(name, &s, i + 1);
        snprintf(part, sizeof part, "%d", i + 1);
        float *there = golden(name, part, &unused);
        found += there != NULL;
        free(there);
    }
    assert_int_equal(found, checks);
    device_free(clips);
    sampler_free(&s);
    arena_free(&arena);
}

static void diffusers_unipc(void **state) {
    (void)state;
    run("diffusers",
        &(struct sampler_config){.steps = 50,
                                 .solver = SOLVER_UNIPC,
                                 .schedule = SCHEDULE_DIFFUSERS,
                                 .shift = 5,
                                 .guidance = 1,
                                 .text_guidance = 1,
                                 .listen_guidance = -1},
        5);
}

static void original_unipc(void **state) {
    (void)state;
    run("wan",
        &(struct sampler_config){.steps = 50,
                                 .solver = SOLVER_UNIPC,
                                 .schedule = SCHEDULE_WAN,
                                 .shift = 5,
                                 .guidance = 1,
                                 .text_guidance = 1,
                                 .listen_guidance = -1},
        5);
}

static void original_unipc_guided_by_text(void **state) {
    (void)state;
    run("guided",
        &(struct sampler_config){.steps = 20,
                                 .solver = SOLVER_UNIPC,
                                 .schedule = SCHEDULE_WAN,
                                 .shift = 5,
                                 .guidance = 1,
                                 .text_guidance = 4,
                                 .listen_guidance = -1},
        2);
}

static void euler(void **state) {
    (void)state;
    run("euler",
        &(struct sampler_config){.steps = 12, .shift = 5, .guidance = 1, .text_guidance = 1, .listen_guidance = -1}, 2);
}

static float *weight(const char *name, size_t count) {
    char theirs[128];
    size_t n = strlen(name);
    int norm = strstr(name, "norm") && !strcmp(name + n - 6, "weight");
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    assert_int_equal(names_to_diffusers(name, theirs, sizeof theirs), OK); /* the maker's names */
    golden_values(values, theirs, (long)count, 0.1, norm ? 1 : 0);
    return values;
}

static void make_inputs(void) {
    static float noise[ALL], reference[BATCH * FRAME], text[BATCH * 8 * 32];
    golden_values(noise, "noise", ALL, 1, 0);
    golden_values(reference, "reference", BATCH * FRAME, 1, 0);
    golden_values(text, "text", BATCH * 8 * 32, 1, 0);
    memcpy(start, noise, sizeof start);
    for (int b = 0; b < BATCH; b++) memcpy(start + b * FRAMES * FRAME, reference + b * FRAME, FRAME * sizeof *start);
    arena_begin(&memory, "condition");
    condition_batch_layout(&condition, &golden_config, NULL, BATCH, FRAMES, &memory);
    assert_int_equal(arena_commit(&memory), OK);
    condition_batch_layout(&condition, &golden_config, NULL, BATCH, FRAMES, &memory);
    float none[BATCH * (1 + 4 * (FRAMES - 1))] = {0};
    const struct condition_host host = {.features = {none, none}, .mask = {none, none}, .text = text};
    condition_batch_upload(&condition, &host);
}

static int begin(void **state) {
    (void)state;
    if (golden_open(&file, "tests/golden/sampler.safetensors")) return 1;
    int code = dit_create(&net, &golden_config, 0);
    if (code) {
        print_error("%s\n", error_text());
        return code;
    }
    params = golden_params(&net.table, weight);
    make_inputs();
    return device_sync();
}

static int end(void **state) {
    (void)state;
    device_free(params.weights);
    arena_free(&memory);
    dit_destroy(&net);
    safetensors_close(&file);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(diffusers_unipc), cmocka_unit_test(original_unipc),
                                       cmocka_unit_test(original_unipc_guided_by_text), cmocka_unit_test(euler)};
    return cmocka_run_group_tests(tests, begin, end);
}
