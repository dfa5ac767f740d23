/* random.c: normal numbers by address (base/philox.h, base/normal.h), four at a time. */
#include "kernels/kernels.h"
#include "kernels/device.h"
#include "base/normal.h"

/* Writes the first `size` normals of one address, times scale. */
static void fill_normals(real *y, const struct random_address *address, real scale, long size) {
    for (long i = 0; i < size; i += 4) {
        struct normal_block z = random_normals(address, (uint32_t)(i / 4));
        for (long j = 0; j < 4 && i + j < size; j++) y[i + j] = scale * z.v[j];
    }
}

void random_normal(real *y, uint64_t seed, uint64_t step, int purpose, int pass, long sample0, long B, long frame0,
                   long F, long size) {
    KERNEL_SCOPE;
    for (long i = 0; i < B * F; i++) {
        struct random_address address = {.seed = seed,
                                         .step = step,
                                         .purpose = purpose,
                                         .pass = pass,
                                         .sample = (uint32_t)(sample0 + i / F),
                                         .frame = (uint32_t)(frame0 + i % F)};
        fill_normals(y + i * size, &address, 1, size);
    }
}

void random_init(real *y, uint64_t seed, int tensor, real scale, long size) {
    KERNEL_SCOPE;
    struct random_address address = {.seed = seed, .purpose = RANDOM_INIT, .frame = (uint32_t)tensor};
    fill_normals(y, &address, scale, size);
}
