/* test_dit.c: velocity and gradients of a small DiT against Diffusers' WanTransformer3DModel
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

static void check(const char *name, const real *values, const float *expected, size_t count, double bound) {
    double error = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        double off = (double)values[i] - expected[i];
        error += off * off;
        size += (double)expected[i] * expected[i];
    }
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

/* The golden network with its inputs, and what one forward and backward made of them. */
static struct golden_net {
    struct dit net;
    struct params params;
    size_t count; /* elements of latents and velocity */
    real *latents, *t, *projection;
    elem *text;
} g;
struct result {
    real *velocity, *dlatents, *grads; /* host */
};

static void golden_net_open(void) {
    assert_int_equal(dit_create(&g.net, &config, 0), OK);
    g.params.table = &g.net.table;
    g.params.weights = device_alloc(g.net.table.total * sizeof(elem));
    assert_non_null(g.params.weights);
    mem_zero(g.params.weights, g.net.table.total * sizeof(elem));
    load_weights(&g.net, &g.params);
    size_t text_count = (size_t)BATCH * (size_t)config.text_len * (size_t)config.text_dim;
    g.count = (size_t)BATCH * FRAMES * (size_t)config.in_channels * (size_t)config.height * (size_t)config.width;
    g.latents = upload_real("input.latents", g.count);
    g.t = upload_real("input.t", BATCH * FRAMES);
    g.projection = upload_real("input.projection", g.count);
    real *text = upload_real("input.text", text_count);
    g.text = device_alloc(text_count * sizeof *g.text);
    assert_non_null(g.text);
    elem_from_real(g.text, text, (long)text_count);
    assert_int_equal(device_sync(), OK);
    device_free(text);
}

static void golden_net_close(void) {
    device_free(g.params.weights);
    device_free(g.latents);
    device_free(g.t);
    device_free(g.projection);
    device_free(g.text);
    dit_destroy(&g.net);
}

static real *fetch(real *device, size_t count) {
    real *host = malloc(count * sizeof *host);
    assert_non_null(host);
    mem_download(host, device, count * sizeof *host);
    device_free(device);
    return host;
}

static struct result run(enum dit_memory memory) {
    struct arena arena;
    struct dit_acts *acts;
    arena_begin(&arena, "test activations");
    assert_int_equal(dit_acts_layout(&acts, &g.net, BATCH, FRAMES, memory, &arena), OK);
    dit_acts_free(acts);
    assert_int_equal(arena_commit(&arena), OK);
    assert_int_equal(dit_acts_layout(&acts, &g.net, BATCH, FRAMES, memory, &arena), OK);
    size_t bytes = g.count * sizeof(real), total = g.net.table.total;
    real *velocity = device_alloc(bytes), *dlatents = device_alloc(bytes), *grads = device_alloc(total * sizeof(real));
    assert_true(velocity && dlatents && grads);
    mem_zero(dlatents, bytes);
    mem_zero(grads, total * sizeof(real));
    g.params.grads = grads;
    static const int positions[FRAMES] = {0, 1, 2};
    long stride = (long)g.count / BATCH;
    struct dit_input in = {.batch = BATCH,
                           .frames = FRAMES,
                           .positions = positions,
                           .latents = g.latents,
                           .latent_stride = stride,
                           .t = g.t,
                           .text = g.text};
    struct dit_gradients gradients = {
        .dvelocity = g.projection, .dvelocity_stride = stride, .dlatents = dlatents, .dlatents_stride = stride};
    assert_int_equal(dit_forward(&g.net, &g.params, acts, &in, velocity, stride), OK);
    if (memory != DIT_FORWARD_ONLY) assert_int_equal(dit_backward(&g.net, &g.params, acts, &in, &gradients), OK);
    assert_int_equal(device_sync(), OK);
    dit_acts_free(acts);
    arena_free(&arena);
    return (struct result){fetch(velocity, g.count), fetch(dlatents, g.count), fetch(grads, total)};
}

static void result_free(struct result *r) {
    free(r->velocity);
    free(r->dlatents);
    free(r->grads);
}

static void check_golden(const char *label, const char *name, const real *values, size_t count, double bound) {
    float *expected = golden(label, name, count);
    assert_non_null(expected);
    check(name, values, expected, count, bound);
    free(expected);
}

static void diffusers_parity(void **state) {
    (void)state;
    struct result r = run(DIT_SAVE_ALL);
    check_golden("", "velocity", r.velocity, g.count, forward_bound());
    check_golden("grad.", "latents", r.dlatents, g.count, backward_bound());
    int compared = 0;
    for (int i = 0; i < g.net.table.count; i++) {
        const struct param *p = &g.net.table.list[i];
        char name[128];
        snprintf(name, sizeof name, "grad.%s", p->name);
        if (!safetensors_find(&file, name)) continue; /* the file holds some of them */
        check_golden("grad.", p->name, r.grads + param_position(&g.net.table, p), p->count, backward_bound());
        compared++;
    }
    assert_int_equal(compared, 54);
    result_free(&r);
}

/* This backend's kernels give the same bits when a block is run again, and when nothing is kept. */
static void memory_changes_no_bit(void **state) {
    (void)state;
    struct result all = run(DIT_SAVE_ALL), blocks = run(DIT_SAVE_BLOCKS), none = run(DIT_FORWARD_ONLY);
    size_t bytes = g.count * sizeof(real);
    assert_memory_equal(blocks.velocity, all.velocity, bytes);
    assert_memory_equal(none.velocity, all.velocity, bytes);
    assert_memory_equal(blocks.dlatents, all.dlatents, bytes);
    assert_memory_equal(blocks.grads, all.grads, g.net.table.total * sizeof(real));
    result_free(&all);
    result_free(&blocks);
    result_free(&none);
}

static int start(void **state) {
    (void)state;
    device_poison(1);
    int code = device_init(2);
    if (!code) code = safetensors_open(&file, "tests/golden/dit.safetensors");
    if (code) print_error("%s\n", error_text());
    if (!code) golden_net_open();
    return code;
}

static int stop(void **state) {
    (void)state;
    golden_net_close();
    safetensors_close(&file);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(diffusers_parity), cmocka_unit_test(memory_changes_no_bit)};
    return cmocka_run_group_tests(tests, start, stop);
}
