/* attention_merge.cu: see attention_merge.h. */
#include "kernels/cuda/kernel.cuh"
#include "kernels/cuda/attention/attention_merge.h"

struct merge {
    elem *o;
    real *lse;
    const elem *part;
    const real *sums;
    int count;
    long S, H, D, size, pitch; /* size: B S H D */
    template <int V, class I> __device__ void at(I i) const {
        I row = quotient(i, D), token = quotient(row, H), b = quotient(token, S);
        I place = (b * (I)H + (row - token * (I)H)) * (I)S + (token - b * (I)S);
        const real *range = sums + place;
        const elem *from = part + i;
        float most = -INFINITY, total = 0, sum[V] = {0};
        for (int r = 0; r < count; r++) most = fmaxf(most, range[r * pitch]);
        for (int r = 0; r < count; r++) total += expf(range[r * pitch] - most);
        if (i == row * (I)D) lse[place] = most + logf(total);
        float share = 1 / total; /* computed before the vectors are loaded, because registers do not suffice for both */
        for (int r = 0; r < count; r++, range += pitch, from += size) {
            float weight = expf(*range - most) * share, v[V];
            load(v, from);
#pragma unroll
            for (int j = 0; j < V; j++) sum[j] += weight * v[j];
        }
        store(o + i, sum);
    }
};

void attention_merge(elem *o, real *lse, const elem *part, const real *sums, int count, long B, long S, long H,
                     long D) {
    for_each_place(merge{o, lse, part, sums, count, S, H, D, B * S * H * D, attention_pitch(B, S, H)}, B * S * H * D,
                   aligned16(o) && aligned16(part) && D % VECTOR == 0);
}
