/* motion.c: measures how much pictures and latents of a clip move, and makes weights and noise of that for the training
   of decoders, as the definition. */
#include "kernels/kernels.h"
#include "kernels/device.h"

#include <math.h>

enum { COLOURS = 3, GROUP = 4 };

static real larger(real a, real b) { return a > b ? a : b; }
static real at_most_one(real v) { return v < 1 ? v : 1; }

/* Motion of one colour at one place; pictures of a group lie `frame` numbers apart. */
static void colour_motion(const real *group, const real *reference, long frame, real *spread, real *moved) {
    real mean = 0;
    for (int k = 0; k < GROUP; k++) mean += group[k * frame] / GROUP;
    for (int k = 0; k < GROUP; k++) *spread = larger(*spread, (real)fabs(group[k * frame] - mean));
    *moved = larger(*moved, (real)fabs(mean - *reference));
}

void picture_motion(real *y, const real *x, long B, long G, long size) {
    KERNEL_SCOPE;
    long frame = COLOURS * size;
#pragma omp parallel for
    for (long g = 0; g < B * G; g++) {
        const real *reference = x + g / G * (1 + GROUP * G) * frame, *group = reference + (1 + GROUP * (g % G)) * frame;
        for (long i = 0; i < size; i++) {
            real spread = 0, moved = 0;
            for (int c = 0; c < COLOURS; c++)
                colour_motion(group + c * size + i, reference + c * size + i, frame, &spread, &moved);
            y[g * size + i] = spread + moved / 4;
        }
    }
}

void largest_around(real *y, const real *x, long n, long H, long W) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long line = 0; line < n * H; line++) {
        long plane = line / H, row = line % H;
        for (long column = 0; column < W; column++) {
            real most = x[line * W + column];
            for (long r = row > 0 ? row - 1 : 0; r <= row + 1 && r < H; r++)
                for (long c = column > 0 ? column - 1 : 0; c <= column + 1 && c < W; c++)
                    most = larger(most, x[(plane * H + r) * W + c]);
            y[line * W + column] = most;
        }
    }
}

void motion_weights(real *m, const real *motion, const real *first, real gain, real limit, long B, long G, long size) {
    KERNEL_SCOPE;
    long frames = 1 + GROUP * G;
#pragma omp parallel for
    for (long f = 0; f < B * frames; f++) {
        long b = f / frames, t = f % frames, g = (t - 1) / GROUP;
        for (long i = 0; i < size; i++) {
            real weight = t ? 1 + gain * at_most_one(motion[(b * G + g) * size + i] / limit) : 1;
            m[f * size + i] = t && !g && first[b] == 0 ? 0 : weight;
        }
    }
}

void latent_motion(real *y, const real *x, long B, long F, long C, long size) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long k = 0; k < B * size; k++) {
        const real *clip = x + k / size * F * C * size + k % size;
        double sum = 0;
        for (long c = 0; c < C; c++) {
            double mean = 0;
            for (long f = 1; f < F; f++) mean += (double)clip[(f * C + c) * size] / (double)(F - 1);
            for (long f = 1; f < F; f++) {
                double off = (double)clip[(f * C + c) * size] - mean;
                sum += off * off;
            }
        }
        y[k] = F > 1 ? (real)sqrt(sum / (double)(C * (F - 1))) : 0;
    }
}

void latent_noise(real *z, const real *still, const real *each, const real *motion, const real *level, long B, long F,
                  long C, long size) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long p = 0; p < B * F * C; p++) {
        long b = p / (F * C), f = p / C % F, c = p % C;
        for (long i = 0; f && i < size; i++) {
            real u = level[3 * b + 2] * at_most_one(motion[b * size + i]);
            z[p * size + i] +=
                (level[3 * b] + u) * still[(b * C + c) * size + i] + (level[3 * b + 1] + u) * each[p * size + i];
        }
    }
}
