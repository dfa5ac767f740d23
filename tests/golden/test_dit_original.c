/* test_dit_original.c: velocity and gradients of a small DiT against the original Wan's own code
   (tests/golden/dit_original.safetensors, made by dit_original.py there): three heads of 128, text of two lengths.
   The reference itself is float arithmetic, some 1e-6 off. */
#include "tests/golden_dit.h"
#include "tests/golden_file.h"

#include "tests/golden_weights.h"

enum { BATCH = 2, FRAMES = 4, PARAMS = 69 };
static const int real_rows[BATCH] = {4, 7}; /* rows of text; the model pads with zeros */

static const struct dit_config config = {.dim = 384,
                                         .ffn_dim = 160,
                                         .heads = 3,
                                         .layers = 2,
                                         .in_channels = 6,
                                         .out_channels = 6,
                                         .height = 6,
                                         .width = 8,
                                         .freq_dim = 256,
                                         .text_len = 7,
                                         .text_dim = 20,
                                         .rope_theta_t = 10000,
                                         .rope_theta_hw = 10000,
                                         .eps = 1e-6};

static struct safetensors file;
static struct golden_net g;

static float *made(const char *name, size_t count, double deviation, double mean) {
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    golden_values(values, name, (long)count, deviation, mean);
    return values;
}

static float *weight(const char *name, size_t count) {
    size_t n = strlen(name);
    int norm = strstr(name, "norm") && n > 6 && !strcmp(name + n - 6, "weight");
    return made(name, count, 0.1, norm ? 1 : 0);
}

static float *golden(const char *prefix, const char *name, size_t count) {
    return golden_tensor_of(&file, prefix, name, count);
}

/* Of a gradient too large for the file: its length, and its product with a probe of normals, which tells directions
   apart: an error of relative size e changes that product by some e times the gradient's length. */
static void check_summary(const struct param *p, const real *grad) {
    float *norm = golden("norm.", p->name, 1), *product = golden("probe.", p->name, 1);
    char name[128];
    double squares = 0, sum = 0, bound = golden_bound(config.layers, 1);
    snprintf(name, sizeof name, "probe %s", p->name);
    float *probe = made(name, p->count, 1, 0);
    assert_true(norm && product);
    for (size_t i = 0; i < p->count; i++) {
        squares += (double)grad[i] * grad[i];
        sum += (double)grad[i] * probe[i];
    }
    if (!(fabs(sqrt(squares) - norm[0]) < bound * norm[0]))
        fail_msg("%s: length %g, expected %g", p->name, sqrt(squares), norm[0]);
    if (!(fabs(sum - product[0]) < 4 * bound * norm[0])) /* four deviations */
        fail_msg("%s: product %g, expected %g, length %g", p->name, sum, product[0], norm[0]);
    free(norm);
    free(product);
    free(probe);
}

static void original_parity(void **state) {
    (void)state;
    struct golden_result r = golden_run(&g, DIT_SAVE_ALL);
    float *velocity = golden("", "velocity", g.count), *dlatents = golden("grad.", "latents", g.count);
    assert_true(velocity && dlatents);
    golden_check("velocity", r.velocity, velocity, g.count, golden_bound(config.layers, 0));
    golden_check("gradient of latents", r.dlatents, dlatents, g.count, golden_bound(config.layers, 1));
    int whole = 0;
    assert_int_equal(g.net.table.count, PARAMS);
    for (int i = 0; i < g.net.table.count; i++) {
        const struct param *p = &g.net.table.list[i];
        const real *grad = r.grads + param_position(&g.net.table, p);
        float *expected = golden("grad.", p->name, p->count);
        if (expected) golden_check(p->name, grad, expected, p->count, golden_bound(config.layers, 1)), whole++;
        check_summary(p, grad);
        free(expected);
    }
    assert_int_equal(whole, 39);
    free(velocity);
    free(dlatents);
    golden_result_free(&r);
}

static int start(void **state) {
    (void)state;
    if (golden_open(&file, "tests/golden/dit_original.safetensors")) return 1;
    size_t row = (size_t)config.text_dim, rows = (size_t)config.text_len;
    size_t count = (size_t)(BATCH * FRAMES * config.in_channels * config.height * config.width);
    struct golden_input input = {made("latents", count, 1, 0), golden("", "t", BATCH * FRAMES),
                                 made("text", BATCH * rows * row, 1, 0), made("projection", count, 1, 0)};
    for (int b = 0; b < BATCH; b++)
        for (size_t i = (size_t)real_rows[b] * row; i < rows * row; i++) input.text[(size_t)b * rows * row + i] = 0;
    golden_net_open(&g, &config, BATCH, FRAMES, weight, input);
    return 0;
}

static int stop(void **state) {
    (void)state;
    golden_net_close(&g);
    safetensors_close(&file);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(original_parity)};
    return cmocka_run_group_tests(tests, start, stop);
}
