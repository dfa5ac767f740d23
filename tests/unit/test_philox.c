/* test_philox.c: the random numbers: Philox's published vectors, the address scheme, and normals: accuracy, moments and
   distribution, pinned bits, and the kernels' agreement with base/normal.h. All seeds are fixed, so statistical limits
   (five standard errors) either hold or do not. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/normal.h"
#include "base/philox.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

/* The vectors of Random123 (Salmon et al. 2011) for philox4x32-10. */
static void published_vectors(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } vectors[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t k = 0; k < sizeof vectors / sizeof *vectors; k++) {
        struct philox_block counter;
        memcpy(counter.v, vectors[k].counter, sizeof counter.v);
        struct philox_block got = philox(counter, vectors[k].key[0], vectors[k].key[1]);
        assert_memory_equal(got.v, vectors[k].want, sizeof got.v);
    }
}

/* Every part of an address changes the numbers, the high bits of step and seed too. (Seed and step share the 64 bits of
   the key, so that some pairs of different seeds meet at steps far apart.) */
static void addresses_differ(void **state) {
    (void)state;
    enum { ADDRESSES = 12 };
    struct random_address a[ADDRESSES];
    struct philox_block block[ADDRESSES];
    for (int i = 0; i < ADDRESSES; i++)
        a[i] =
            (struct random_address){.seed = 7, .step = 100, .purpose = RANDOM_TEST, .pass = 1, .sample = 2, .frame = 3};
    a[1].seed++, a[2].seed += 1ull << 32, a[3].step++, a[4].step += 1ull << 16, a[5].step += 5ull << 48;
    a[6].purpose--, a[7].pass++, a[8].sample++, a[9].frame++, a[10].sample = 3, a[10].frame = 2;
    for (int i = 0; i < ADDRESSES; i++) block[i] = random_block(&a[i], i == 11);
    for (int i = 0; i < ADDRESSES; i++)
        for (int j = 0; j < i; j++) assert_memory_not_equal(block[i].v, block[j].v, sizeof block[i].v);
}

static void uniform_numbers(void **state) {
    (void)state;
    enum { DRAWS = 100000, CELLS = 10 };
    struct random_address a = {.seed = 1, .purpose = RANDOM_TEST};
    long count[CELLS] = {0};
    double sum = 0;
    for (uint32_t i = 0; i < DRAWS; i++) {
        double u = random_uniform(&a, i);
        long cell = random_below(&a, i, CELLS);
        assert_true(u >= 0 && u < 1 && cell >= 0 && cell < CELLS);
        sum += u;
        count[cell]++;
    }
    assert_true(fabs(sum / DRAWS - 0.5) < 5 * sqrt(1 / 12.0 / DRAWS));
    for (int c = 0; c < CELLS; c++) assert_true(fabs((double)count[c] - DRAWS / CELLS) < 5 * sqrt(0.09 * DRAWS));
    assert_true(random_unit(0) == 0 && random_unit(~0u) < 1);
    assert_int_equal(random_below(&a, 0, 1), 0);
}

/* The polynomials against libm in double: three units in the last place of float, of the result or (sine, cosine) of
   1. */
static void polynomials_are_accurate(void **state) {
    (void)state;
    struct random_address a = {.seed = 2, .purpose = RANDOM_TEST};
    for (uint32_t i = 0; i < 50000; i++) {
        struct philox_block words = random_block(&a, i);
        float u = (float)(words.v[0] >> (i % 32)) * 0x1p-32f + 0x1p-33f, sine, cosine;
        double turn = 2 * 3.14159265358979323846 * (double)words.v[1] / 4294967296.0;
        normal_sine_cosine(words.v[1], &sine, &cosine);
        assert_true(fabs(normal_log(u) - log(u)) <= 3 * 0x1p-24 * fabs(log(u)));
        assert_true(fabs(sine - sin(turn)) <= 3 * 0x1p-24 && fabs(cosine - cos(turn)) <= 3 * 0x1p-24);
    }
    float z[2];
    normal_pair(~0u, 0, &z[0], &z[1]); /* the centre */
    assert_true(z[0] == 0 && z[1] == 0);
    normal_pair(0, 0, &z[0], &z[1]); /* the far end: sqrt(66 ln 2) */
    assert_true(fabs(z[0] - 6.7637) < 1e-3 && z[1] == 0);
    normal_pair(0, 0x40000000u, &z[0], &z[1]); /* a quarter turn */
    assert_true(fabsf(z[0]) < 1e-6f && z[1] > 6);
}

/* Moments of a million, neighbours' correlation, and chi squared over 16 cells of equal probability. */
static void normals_are_normal(void **state) {
    (void)state;
    enum { DRAWS = 1 << 20, CELLS = 16 };
    struct random_address a = {.seed = 3, .purpose = RANDOM_TEST};
    double sum[5] = {0}, neighbours = 0, before = 0, chi = 0;
    long count[CELLS] = {0}, beyond3 = 0;
    for (uint32_t i = 0; i < DRAWS / 4; i++) {
        struct normal_block z = random_normals(&a, i);
        for (int j = 0; j < 4; j++) {
            double power = 1;
            for (int k = 0; k < 5; k++, power *= z.v[j]) sum[k] += power;
            neighbours += before * z.v[j];
            before = z.v[j];
            count[(int)(0.5 * erfc(-z.v[j] / sqrt(2)) * CELLS)]++;
            beyond3 += fabsf(z.v[j]) > 3;
        }
    }
    double n = DRAWS, error = 5 / sqrt(n);
    assert_true(fabs(sum[1] / n) < error); /* variance of z^k: 1, 2, 15, 96 */
    assert_true(fabs(sum[2] / n - 1) < error * sqrt(2));
    assert_true(fabs(sum[3] / n) < error * sqrt(15));
    assert_true(fabs(sum[4] / n - 3) < error * sqrt(96));
    assert_true(fabs(neighbours / n) < error);
    assert_true(fabs((double)beyond3 - 0.0026997961 * n) < 5 * sqrt(0.0027 * n));
    for (int c = 0; c < CELLS; c++) chi += pow((double)count[c] - n / CELLS, 2) / (n / CELLS);
    assert_true(chi < 15 + 5 * sqrt(2 * 15)); /* 15 degrees of freedom */
}

static uint64_t hash(const void *data, size_t bytes) {
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < bytes; i++) h = (h ^ ((const unsigned char *)data)[i]) * 0x100000001b3u;
    return h;
}

/* The same bits with every compiler and on every machine: runs and checkpoints rest on it. */
static void bits_are_pinned(void **state) {
    (void)state;
    static struct normal_block z[4096];
    struct random_address a = {
        .seed = 0x123456789abcdefu, .step = 1 << 20, .purpose = RANDOM_TEST, .sample = 5, .frame = 6};
    for (uint32_t i = 0; i < 4096; i++) z[i] = random_normals(&a, i);
    assert_int_equal(hash(z, sizeof z), 0xde913f6774d0c994u);
}

static real *device_normals(long sample0, long B, long frame0, long F, long size) {
    real *device = device_alloc(sizeof(real) * (size_t)(B * F * size));
    real *host = malloc(sizeof(real) * (size_t)(B * F * size));
    assert_true(device && host);
    random_normal(device, 9, 70000, RANDOM_TEST, 1, sample0, B, frame0, F, size);
    mem_download(host, device, sizeof(real) * (size_t)(B * F * size));
    device_free(device);
    return host;
}

/* Bit for bit what base/normal.h gives, whatever the backend's vector width; the last block is cut short. */
static void kernel_has_the_same_bits(void **state) {
    (void)state;
    for (long size = 1; size < 80; size += 13) {
        real *y = device_normals(4, 2, 7, 3, size);
        for (long i = 0; i < 2 * 3 * size; i++) {
            struct random_address a = {.seed = 9, .step = 70000, .purpose = RANDOM_TEST, .pass = 1};
            a.sample = (uint32_t)(4 + i / (3 * size));
            a.frame = (uint32_t)(7 + i / size % 3);
            real want = random_normals(&a, (uint32_t)(i % size / 4)).v[i % size % 4];
            assert_memory_equal(&y[i], &want, sizeof want);
        }
        free(y);
    }
    real scale = (real)0.02, *device = device_alloc(sizeof(real) * 101), host[101];
    random_init(device, 31, 12, scale, 101);
    mem_download(host, device, sizeof host);
    struct random_address a = {.seed = 31, .purpose = RANDOM_INIT, .frame = 12};
    for (long i = 0; i < 101; i++) {
        real want = scale * random_normals(&a, (uint32_t)(i / 4)).v[i % 4];
        assert_memory_equal(&host[i], &want, sizeof want);
    }
    device_free(device);
}

/* A batch drawn at once, and the same one drawn by parts of samples and of frames, with other thread counts. */
static void split_does_not_matter(void **state) {
    (void)state;
    enum { B = 4, F = 6, SIZE = 37 };
    assert_int_equal(device_init(1), OK);
    real *whole = device_normals(10, B, 20, F, SIZE);
    for (int threads = 1; threads <= 3; threads++) {
        assert_int_equal(device_init(threads), OK);
        for (long b = 0; b < B; b++)
            for (long f = 0; f < F; f += 2) {
                real *part = device_normals(10 + b, 1, 20 + f, 2, SIZE);
                assert_memory_equal(part, whole + (b * F + f) * SIZE, sizeof(real) * 2 * SIZE);
                free(part);
            }
    }
    free(whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),        cmocka_unit_test(addresses_differ),
        cmocka_unit_test(uniform_numbers),          cmocka_unit_test(polynomials_are_accurate),
        cmocka_unit_test(normals_are_normal),       cmocka_unit_test(bits_are_pinned),
        cmocka_unit_test(kernel_has_the_same_bits), cmocka_unit_test(split_does_not_matter)};
    if (device_init(2)) return fprintf(stderr, "%s\n", error_text()), 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
