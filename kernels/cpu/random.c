/* random.c: normal numbers by address, the very bits of base/philox.h and base/normal.h: their functions in loops over
   many groups of four, which the compiler turns into vectors. normal.h lets no compiler fuse or reorder anything. */
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "base/normal.h"

enum { GROUPS = 64 }; /* groups computed at a time */

/* Computes the normals of groups first .. first + GROUPS - 1; element e of group g goes to z[e][g]. */
static void normals_many(float z[4][GROUPS], const struct random_address *address, uint32_t first) {
    uint32_t words[4][GROUPS];
#pragma omp simd
    for (uint32_t g = 0; g < GROUPS; g++) {
        struct philox_block block = random_block(address, first + g);
        words[0][g] = block.v[0], words[1][g] = block.v[1], words[2][g] = block.v[2], words[3][g] = block.v[3];
    }
    for (int half = 0; half < 4; half += 2) {
#pragma omp simd
        for (int g = 0; g < GROUPS; g++) normal_pair(words[half][g], words[half + 1][g], &z[half][g], &z[half + 1][g]);
    }
}

/* Writes elements first .. first + 4 GROUPS - 1 (those below size) of one address, times
   scale; y is where element 0 goes. */
static void fill_normals(real *y, const struct random_address *address, real scale, long first, long size) {
    float z[4][GROUPS];
    normals_many(z, address, (uint32_t)(first / 4));
    long count = size - first < 4 * GROUPS ? size - first : 4 * GROUPS;
    for (long g = 0; g < count / 4; g++)
        for (long e = 0; e < 4; e++) y[first + 4 * g + e] = scale * z[e][g];
    for (long i = count / 4 * 4; i < count; i++) y[first + i] = scale * z[i % 4][i / 4];
}

void random_normal(real *y, uint64_t seed, uint64_t step, int purpose, int pass, long sample0, long B, long frame0,
                   long F, long size) {
    KERNEL_SCOPE;
    long pieces = (size + 4 * GROUPS - 1) / (4 * GROUPS); /* pieces of a frame */
#pragma omp parallel for schedule(static)
    for (long i = 0; i < B * F * pieces; i++) {
        long frame = i / pieces;
        struct random_address address = {.seed = seed,
                                         .step = step,
                                         .purpose = purpose,
                                         .pass = pass,
                                         .sample = (uint32_t)(sample0 + frame / F),
                                         .frame = (uint32_t)(frame0 + frame % F)};
        fill_normals(y + frame * size, &address, 1, i % pieces * 4 * GROUPS, size);
    }
}

void random_init(real *y, uint64_t seed, int tensor, real scale, long size) {
    KERNEL_SCOPE;
    struct random_address address = {.seed = seed, .purpose = RANDOM_INIT, .frame = (uint32_t)tensor};
#pragma omp parallel for schedule(static)
    for (long first = 0; first < size; first += 4 * GROUPS) fill_normals(y, &address, scale, first, size);
}
