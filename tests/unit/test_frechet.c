/* test_frechet.c: Frechet distances that are known by hand: of one number, of distributions turned together, of those
   that lie in a line; and where the latent grid has the parts of a puppet. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "tests/check.h"
#include "tools/evaluate/frechet.h"
#include "tools/evaluate/latents.h"

enum { MOST = 64 };
static double room[2 * MOST * MOST + 2 * MOST];

static double noise(int stream, int i) {
    const struct random_address at = {.seed = 4, .purpose = RANDOM_TEST, .sample = (uint32_t)stream};
    return 2 * random_uniform(&at, (uint32_t)i) - 1;
}

static void one_number(void **state) {
    (void)state;
    const double mean[2] = {3, 1}, variance[2] = {4, 25}, none = 0;
    const struct normal a = {&mean[0], &variance[0]}, b = {&mean[1], &variance[1]}, still = {&none, &none};
    assert_true(fabs(frechet_distance(&a, &b, 1, room) - (4 + 9)) < 1e-12); /* (3-1)^2 + (2-5)^2 */
    assert_true(fabs(frechet_distance(&a, &a, 1, room)) < 1e-12);
    assert_true(fabs(frechet_distance(&a, &still, 1, room) - frechet_to_zero(&a, 1)) < 1e-12);
    assert_true(fabs(frechet_to_zero(&a, 1) - 13) < 1e-12);
}

/* c = q diag(d^2) q', q the product of two reflections. */
static void turned(double *c, const double *d, int n) {
    static double q[MOST * MOST];
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) q[i * n + j] = i == j;
    for (int r = 0; r < 2; r++) {
        double v[MOST], square = 0;
        for (int i = 0; i < n; i++) v[i] = noise(r, i), square += v[i] * v[i];
        for (int i = 0; i < n; i++) {
            double along = 0;
            for (int j = 0; j < n; j++) along += q[i * n + j] * v[j];
            for (int j = 0; j < n; j++) q[i * n + j] -= 2 * along / square * v[j];
        }
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int k = 0; k < n; k++) sum += q[i * n + k] * d[k] * d[k] * q[j * n + k];
            c[i * n + j] = sum;
        }
}

/* Covariances with the same axes: the squared difference of the deviations, axis by axis, however they are turned. */
static void same_axes(void **state) {
    (void)state;
    static double c1[MOST * MOST], c2[MOST * MOST], mean[MOST], zero[MOST];
    for (int n = 1; n <= MOST; n += n < 6 ? 1 : 29)
        for (int flat = 0; flat < 3; flat++) { /* axes that the first, or both, have nothing along */
            double d1[MOST], d2[MOST], expected = 0;
            for (int i = 0; i < n; i++) {
                d1[i] = flat && i % 2 ? 0 : 1 + noise(5, i);
                d2[i] = flat == 2 && i % 2 ? 0 : 2 + noise(6, i);
                mean[i] = noise(7, i);
                expected += mean[i] * mean[i] + (d1[i] - d2[i]) * (d1[i] - d2[i]);
            }
            turned(c1, d1, n);
            turned(c2, d2, n);
            const struct normal a = {mean, c1}, b = {zero, c2};
            double got = frechet_distance(&a, &b, n, room), back = frechet_distance(&b, &a, n, room);
            /* a root of 1e-13 of the largest, where the factor leaves a direction out, is 3e-7 of it */
            assert_true(fabs(got - expected) < 1e-5 * (1 + expected));
            assert_true(fabs(got - back) < 1e-5 * (1 + expected));
        }
}

/* Different axes, two numbers: tr (C1 C2)^(1/2) = sqrt(tr(C1 C2) + 2 sqrt(det C1 det C2)). */
static void other_axes(void **state) {
    (void)state;
    const double c1[4] = {2, 0.5, 0.5, 1}, c2[4] = {1, -0.8, -0.8, 3}, zero[2] = {0, 0};
    double trace = c1[0] * c2[0] + 2 * c1[1] * c2[1] + c1[3] * c2[3];
    double det = (c1[0] * c1[3] - c1[1] * c1[2]) * (c2[0] * c2[3] - c2[1] * c2[2]);
    double expected = c1[0] + c1[3] + c2[0] + c2[3] - 2 * sqrt(trace + 2 * sqrt(det));
    const struct normal a = {zero, c1}, b = {zero, c2};
    assert_true(fabs(frechet_distance(&a, &b, 2, room) - expected) < 1e-12);
}

/* An 8 x 8 grid over a puppet of 64 pixels that sits upright. */
static void parts_of_the_grid(void **state) {
    (void)state;
    const struct codec codec = {.height = 64, .width = 64, .channels = 48, .h = 8, .w = 8};
    const struct landmarks marks = {.head = {32, 21}, .eyes = {32, 20.3f}, .lips = {32, 27}};
    static const int mouth[] = {27, 28, 35, 36}, eyes[] = {19, 20}, hands[] = {49, 50, 53, 54, 57, 58, 61, 62};
    static struct latent_grid g;
    latent_grid(&g, &codec, &marks);
    assert_true(g.positions == 64 && g.dims == 48 && g.size == 48 * 64);
    int expected[REGIONS][64] = {{0}};
    for (int i = 0; i < 4; i++) expected[REGION_MOUTH][mouth[i]] = 1;
    for (int i = 0; i < 2; i++) expected[REGION_EYES][eyes[i]] = 1;
    for (int i = 0; i < 8; i++) expected[REGION_HANDS][hands[i]] = 1;
    for (int i = 0; i < 64; i++) expected[REGION_WHOLE][i] = 1;
    for (int r = 0; r < REGIONS; r++)
        for (int p = 0; p < 64; p++)
            if (g.in[r][p] != expected[r][p]) fail_msg("region %d, position %d: %d", r, p, g.in[r][p]);
    const struct codec large = {.height = 480, .width = 832, .channels = 160, .h = 30, .w = 52};
    const struct landmarks far = {.head = {416, 160}, .eyes = {416, 152}, .lips = {416, 203}};
    latent_grid(&g, &large, &far);
    assert_true(g.positions <= LATENT_POSITIONS && g.positions >= 20 && g.dims == LATENT_DIMS);
    for (int r = 0; r < REGIONS; r++) {
        int count = 0;
        for (int p = 0; p < g.positions; p++) count += g.in[r][p];
        assert_true(count >= 1);
    }
    for (int p = 0; p < g.positions; p++) assert_true(g.at[p] < large.h * large.w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_number), cmocka_unit_test(same_axes),
                                       cmocka_unit_test(other_axes), cmocka_unit_test(parts_of_the_grid)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
