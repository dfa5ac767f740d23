/* test_dit.c: velocity and gradients of a small DiT against Diffusers' WanTransformer3DModel
   (tests/golden/dit.safetensors, made by dit.py there). The reference itself is float arithmetic, some 1e-6 off. */
#include "tests/golden_dit.h"
#include "tests/golden_file.h"

enum { BATCH = 2, FRAMES = 3 };

static struct safetensors file;
static struct golden_net g;

static float *golden(const char *prefix, const char *name, size_t count) {
    return golden_tensor_of(&file, prefix, name, count);
}

static float *weight(const char *name, size_t count) { return golden("weight.", name, count); }

static void check(const char *label, const char *name, const real *values, size_t count, int backward) {
    float *expected = golden(label, name, count);
    assert_non_null(expected);
    golden_check(name, values, expected, count, golden_bound(golden_config.layers, backward));
    free(expected);
}

static void diffusers_parity(void **state) {
    (void)state;
    struct golden_result r = golden_run(&g, DIT_SAVE_ALL);
    check("", "velocity", r.velocity, g.count, 0);
    check("grad.", "latents", r.dlatents, g.count, 1);
    int compared = 0;
    for (int i = 0; i < g.net.table.count; i++) {
        const struct param *p = &g.net.table.list[i];
        char name[128];
        snprintf(name, sizeof name, "grad.%s", p->name);
        if (!safetensors_find(&file, name)) continue; /* the file holds some of them */
        check("grad.", p->name, r.grads + param_position(&g.net.table, p), p->count, 1);
        compared++;
    }
    assert_int_equal(compared, 54);
    golden_result_free(&r);
}

/* This backend's kernels give the same bits when a block is run again, and when nothing is kept. */
static void memory_changes_no_bit(void **state) {
    (void)state;
    struct golden_result all = golden_run(&g, DIT_SAVE_ALL), blocks = golden_run(&g, DIT_SAVE_BLOCKS),
                         none = golden_run(&g, DIT_FORWARD_ONLY);
    size_t bytes = g.count * sizeof(real);
    assert_memory_equal(blocks.velocity, all.velocity, bytes);
    assert_memory_equal(none.velocity, all.velocity, bytes);
    assert_memory_equal(blocks.dlatents, all.dlatents, bytes);
    assert_memory_equal(blocks.grads, all.grads, g.net.table.total * sizeof(real));
    golden_result_free(&all);
    golden_result_free(&blocks);
    golden_result_free(&none);
}

static int start(void **state) {
    (void)state;
    if (golden_open(&file, "tests/golden/dit.safetensors")) return 1;
    const struct dit_config *c = &golden_config;
    size_t count = (size_t)(BATCH * FRAMES * c->in_channels * c->height * c->width);
    struct golden_input input = {golden("", "input.latents", count), golden("", "input.t", BATCH * FRAMES),
                                 golden("", "input.text", BATCH * (size_t)(c->text_len * c->text_dim)),
                                 golden("", "input.projection", count)};
    golden_net_open(&g, c, BATCH, FRAMES, weight, input);
    return 0;
}

static int stop(void **state) {
    (void)state;
    golden_net_close(&g);
    safetensors_close(&file);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(diffusers_parity), cmocka_unit_test(memory_changes_no_bit)};
    return cmocka_run_group_tests(tests, start, stop);
}
