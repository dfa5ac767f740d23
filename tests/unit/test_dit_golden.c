/* test_dit_golden.c: velocity and gradients of a small DiT against Diffusers' WanTransformer3DModel
   (tests/golden/dit.safetensors, made by dit.py there). The reference itself is float arithmetic, some 1e-6 off. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "checkpoints/safetensors.h"
#include "kernels/device.h"
#include "model/dit.h"

enum { BATCH = 2, FRAMES = 3 };

static const struct dit_config config = {.dim = 64,
                                         .ffn_dim = 96,
                                         .heads = 2,
                                         .layers = 2,
                                         .in_channels = 8,
                                         .out_channels = 8,
                                         .height = 4,
                                         .width = 6,
                                         .freq_dim = 256,
                                         .text_len = 8,
                                         .text_dim = 32,
                                         .rope_theta_t = 10000,
                                         .rope_theta_hw = 10000,
                                         .eps = 1e-6};

/* Relative errors of a tensor, in the root of the sum of squares. In bf16 every weight, activation and gradient that is
   stored is off by at most u = 2^-8 of itself; the errors are independent and add in squares, over some 40 stores in
   sequence to the velocity (19 a block) and three times as many through the backward. */
#ifdef TYPE_BF16
static double forward_bound(void) { return sqrt(40) / 256; }
static double backward_bound(void) { return sqrt(120) / 256; }
#else
static double forward_bound(void) { return 1e-5; }
static double backward_bound(void) { return 1e-4; }
#endif

static struct safetensors file;

static float *golden(const char *prefix, const char *name, size_t count) {
    char full[128];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const struct safetensors_entry *entry = safetensors_find(&file, full);
    if (!entry) return NULL;
    assert_int_equal(entry->count, count);
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    assert_int_equal(safetensors_read_float(entry, values), OK);
    return values;
}

static real *upload_real(const char *name, size_t count) {
    float *values = golden("", name, count);
    real *wide = malloc(count * sizeof *wide), *device = device_alloc(count * sizeof *device);
    assert_true(values && wide && device);
    for (size_t i = 0; i < count; i++) wide[i] = values[i];
    mem_upload(device, wide, count * sizeof *wide);
    free(values);
    free(wide);
    return device;
}

static void check(const char *name, const real *device, const float *expected, size_t count, double bound) {
    real *values = malloc(count * sizeof *values);
    assert_non_null(values);
    mem_download(values, device, count * sizeof *values);
    double error = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        double off = (double)values[i] - expected[i];
        error += off * off;
        size += (double)expected[i] * expected[i];
    }
    free(values);
    double relative = sqrt(error / size);
    if (!(relative < bound)) fail_msg("%s: off by %g, allowed %g", name, relative, bound);
}

static void load_weights(const struct dit *net, const struct params *params) {
    for (int i = 0; i < net->table.count; i++) {
        const struct param *p = &net->table.list[i];
        char name[128];
        snprintf(name, sizeof name, "weight.%s", p->name);
        real *values = upload_real(name, p->count);
        elem_from_real(params->weights + param_position(&net->table, p), values, (long)p->count);
        assert_int_equal(device_sync(), OK);
        device_free(values);
    }
}

static void diffusers_parity(void **state) {
    (void)state;
    struct dit net;
    assert_int_equal(dit_create(&net, &config, 0), OK);
    struct params params = {&net.table, device_alloc(net.table.total * sizeof(elem)),
                            device_alloc(net.table.total * sizeof(real))};
    assert_true(params.weights && params.grads);
    mem_zero(params.weights, net.table.total * sizeof(elem));
    mem_zero(params.grads, net.table.total * sizeof(real));
    load_weights(&net, &params);
    struct arena arena;
    struct dit_acts *acts;
    arena_begin(&arena, "test activations");
    assert_int_equal(dit_acts_layout(&acts, &net, BATCH, FRAMES, DIT_SAVE_BLOCKS, &arena), OK);
    dit_acts_free(acts);
    assert_int_equal(arena_commit(&arena), OK);
    assert_int_equal(dit_acts_layout(&acts, &net, BATCH, FRAMES, DIT_SAVE_BLOCKS, &arena), OK);

    size_t text_count = (size_t)BATCH * (size_t)config.text_len * (size_t)config.text_dim;
    size_t count = (size_t)BATCH * FRAMES * (size_t)config.in_channels * (size_t)config.height * (size_t)config.width;
    real *latents = upload_real("input.latents", count), *t = upload_real("input.t", BATCH * FRAMES);
    real *text_real = upload_real("input.text", text_count), *projection = upload_real("input.projection", count);
    elem *text = device_alloc(text_count * sizeof *text);
    real *velocity = device_alloc(count * sizeof *velocity), *dlatents = device_alloc(count * sizeof *dlatents);
    assert_true(text && velocity && dlatents);
    elem_from_real(text, text_real, (long)text_count);
    mem_zero(dlatents, count * sizeof *dlatents);
    static const int positions[FRAMES] = {0, 1, 2};
    long stride = (long)count / BATCH;
    struct dit_input in = {.batch = BATCH,
                           .frames = FRAMES,
                           .positions = positions,
                           .latents = latents,
                           .latent_stride = stride,
                           .t = t,
                           .text = text};
    struct dit_gradients gradients = {
        .dvelocity = projection, .dvelocity_stride = stride, .dlatents = dlatents, .dlatents_stride = stride};
    assert_int_equal(dit_forward(&net, &params, acts, &in, velocity, stride), OK);
    assert_int_equal(dit_backward(&net, &params, acts, &in, &gradients), OK);
    assert_int_equal(device_sync(), OK);

    float *expected = golden("", "velocity", count);
    assert_non_null(expected);
    check("velocity", velocity, expected, count, forward_bound());
    free(expected);
    expected = golden("grad.", "latents", count);
    assert_non_null(expected);
    check("gradient of the latents", dlatents, expected, count, backward_bound());
    free(expected);
    int compared = 0;
    for (int i = 0; i < net.table.count; i++) {
        const struct param *p = &net.table.list[i];
        if (!(expected = golden("grad.", p->name, p->count))) continue; /* the file holds some of them */
        check(p->name, params.grads + param_position(&net.table, p), expected, p->count, backward_bound());
        free(expected);
        compared++;
    }
    assert_true(compared >= 50);
    device_free(latents), device_free(t), device_free(text_real), device_free(projection);
    device_free(text), device_free(velocity), device_free(dlatents);
    device_free(params.weights), device_free(params.grads);
    dit_acts_free(acts);
    arena_free(&arena);
    dit_destroy(&net);
}

static int start(void **state) {
    (void)state;
    device_poison(1);
    int code = device_init(2);
    if (!code) code = safetensors_open(&file, "tests/golden/dit.safetensors");
    if (code) print_error("%s\n", error_text());
    return code;
}

static int stop(void **state) {
    (void)state;
    safetensors_close(&file);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(diffusers_parity)};
    return cmocka_run_group_tests(tests, start, stop);
}
