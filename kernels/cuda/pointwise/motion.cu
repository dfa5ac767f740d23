/* motion.cu: measures how much pictures and latents of a clip move, and makes weights and noise of that for the
   training of decoders. A thread writes one number. */
#include "kernels/cuda/kernel.cuh"

enum { COLOURS = 3, GROUP = 4 };

struct picture_motion_at {
    real *y;
    const real *x;
    long G, size;
    template <int V> __device__ void at(long i) const {
        long g = i / size, clip = g / G, frame = COLOURS * size;
        const real *reference = x + clip * (1 + GROUP * G) * frame + (i - g * size);
        const real *group = reference + (1 + GROUP * (g - clip * G)) * frame;
        real spread = 0, moved = 0;
        for (int c = 0; c < COLOURS; c++, reference += size, group += size) {
            real mean = 0;
            for (int k = 0; k < GROUP; k++) mean += group[k * frame] / GROUP;
            for (int k = 0; k < GROUP; k++) spread = fmaxf(spread, fabsf(group[k * frame] - mean));
            moved = fmaxf(moved, fabsf(mean - *reference));
        }
        y[i] = spread + moved / 4;
    }
};

void picture_motion(real *y, const real *x, long B, long G, long size) {
    for_each(picture_motion_at{y, x, G, size}, B * G * size, 0);
}

struct largest_around_at {
    real *y;
    const real *x;
    long H, W;
    template <int V> __device__ void at(long i) const {
        long line = i / W, column = i - line * W, row = line % H;
        real most = x[i];
        for (long r = row > 0 ? -1 : 0; r <= (row + 1 < H ? 1 : 0); r++)
            for (long c = column > 0 ? -1 : 0; c <= (column + 1 < W ? 1 : 0); c++) most = fmaxf(most, x[i + r * W + c]);
        y[i] = most;
    }
};

void largest_around(real *y, const real *x, long n, long H, long W) {
    for_each(largest_around_at{y, x, H, W}, n * H * W, 0);
}

struct motion_weights_at {
    real *m;
    const real *motion, *first;
    real gain, limit;
    long G, size;
    template <int V> __device__ void at(long i) const {
        long frame = i / size, frames = 1 + GROUP * G, b = frame / frames, t = frame - b * frames, g = (t - 1) / GROUP;
        real weight = t ? 1 + gain * fminf(1, motion[(b * G + g) * size + (i - frame * size)] / limit) : 1;
        m[i] = t && !g && first[b] == 0 ? 0 : weight;
    }
};

void motion_weights(real *m, const real *motion, const real *first, real gain, real limit, long B, long G, long size) {
    for_each(motion_weights_at{m, motion, first, gain, limit, G, size}, B * (1 + GROUP * G) * size, 0);
}

struct latent_motion_at {
    real *y;
    const real *x;
    long F, C, size;
    template <int V> __device__ void at(long i) const {
        long b = i / size;
        const real *clip = x + b * F * C * size + (i - b * size);
        double sum = 0, share = 1.0 / (double)(F - 1); /* a division in the loop is a call, around which ptxas spills */
        for (long c = 0; c < C; c++) {
            double mean = 0;
            for (long f = 1; f < F; f++) mean += share * (double)clip[(f * C + c) * size];
            for (long f = 1; f < F; f++) {
                double off = (double)clip[(f * C + c) * size] - mean;
                sum += off * off;
            }
        }
        y[i] = F > 1 ? (real)sqrt(sum / (double)(C * (F - 1))) : 0;
    }
};

void latent_motion(real *y, const real *x, long B, long F, long C, long size) {
    for_each(latent_motion_at{y, x, F, C, size}, B * size, 0);
}

struct latent_noise_at {
    real *z;
    const real *still, *each, *motion, *level;
    long F, C, size;
    template <int V> __device__ void at(long i) const {
        long plane = i / size, place = i - plane * size, frame = plane / C, b = frame / F;
        if (frame == b * F) return; /* the first frame of a clip */
        real u = level[3 * b + 2] * fminf(1, motion[b * size + place]);
        z[i] +=
            (level[3 * b] + u) * still[(b * C + (plane - frame * C)) * size + place] + (level[3 * b + 1] + u) * each[i];
    }
};

void latent_noise(real *z, const real *still, const real *each, const real *motion, const real *level, long B, long F,
                  long C, long size) {
    for_each(latent_noise_at{z, still, each, motion, level, F, C, size}, B * F * C * size, 0);
}
