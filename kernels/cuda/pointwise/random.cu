/* random.cu: normal numbers by address (base/philox.h, base/normal.h), four a thread: the same bits as on the host. */
#include "kernels/cuda/kernel.cuh"
#include "base/normal.h"

/* Row r of y, [rows, size], is frame r % frames of sample r / frames counted from the address's own. */
struct normals {
    real *y;
    struct random_address address;
    long frames, size;
    real scale;
    __device__ void at(long i) const {
        long groups = (size + 3) / 4, r = i / groups, first = i % groups * 4;
        struct random_address a = address;
        a.sample += (uint32_t)(r / frames);
        a.frame += (uint32_t)(r % frames);
        struct normal_block z = random_normals(&a, (uint32_t)(first / 4));
        for (int j = 0; j < 4 && first + j < size; j++) y[r * size + first + j] = scale * z.v[j];
    }
};

void random_normal(real *y, uint64_t seed, uint64_t step, int purpose, int pass, long sample0, long B, long frame0,
                   long F, long size) {
    struct random_address address = {seed, step, purpose, pass, (uint32_t)sample0, (uint32_t)frame0};
    for_each_one(normals{y, address, F, size, 1}, B * F * ((size + 3) / 4));
}

void random_init(real *y, uint64_t seed, int tensor, real scale, long size) {
    struct random_address address = {seed, 0, RANDOM_INIT, 0, 0, (uint32_t)tensor};
    for_each_one(normals{y, address, 1, size, scale}, (size + 3) / 4);
}
