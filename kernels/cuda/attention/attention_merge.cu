/* attention_merge.cu: see attention_merge.h. */
#include "kernels/cuda/kernel.cuh"
#include "kernels/cuda/attention/attention_merge.h"

struct merge {
    elem *o;
    real *lse;
    const elem *part;
    const real *sums;
    int count;
    long S, H, D, rows, pitch; /* rows: B S H */
    template <int V, class I> __device__ void at(I i) const {
        I row = quotient(i, D), token = quotient(row, H), b = quotient(token, S);
        long place = ((long)b * H + (row - token * (I)H)) * S + (token - b * (I)S);
        float most = -INFINITY, total = 0, sum[V] = {0};
        for (int r = 0; r < count; r++) most = fmaxf(most, sums[r * pitch + place]);
        for (int r = 0; r < count; r++) {
            float weight = expf(sums[r * pitch + place] - most), v[V];
            load(v, part + r * rows * D + i);
            total += weight;
#pragma unroll
            for (int j = 0; j < V; j++) sum[j] += weight * v[j];
        }
#pragma unroll
        for (int j = 0; j < V; j++) sum[j] /= total;
        store(o + i, sum);
        if (i == row * (I)D) lse[place] = most + logf(total);
    }
};

void attention_merge(elem *o, real *lse, const elem *part, const real *sums, int count, long B, long S, long H,
                     long D) {
    for_each_place(merge{o, lse, part, sums, count, S, H, D, B * S * H, attention_pitch(B, S, H)}, B * S * H * D,
                   aligned16(o) && aligned16(part) && D % VECTOR == 0);
}
