/* levels.h: one noise level a clip, drawn by its address, and what a step derives from it on the device. Frame 0 is the
   clean reference: it is at level 0, is not noised and takes no part in losses.
   Levels stay in double on the host and in real on the device. */
#ifndef TRAIN_METHOD_LEVELS_H
#define TRAIN_METHOD_LEVELS_H

#include "base/config.h"
#include "base/philox.h"
#include "kernels/arena.h"
#include "train/optimiser/batch_split.h"

/* How the level of a network that sees a whole clip at one level is drawn. */
enum level_sampling { LEVEL_SHIFTED_UNIFORM, LEVEL_LOGIT_NORMAL };
struct level_config {
    int sampling;
    double shift;           /* shifted uniform: sigma = shift u / (1 + (shift - 1) u) */
    double mean, deviation; /* logit-normal: sigma = sigmoid(mean + deviation n) */
    double min, max;        /* clamp */
};
extern const char *const level_names[];
#define LEVEL_KEYS(key, member, sampling_default, shift_default, min_default, max_default)                             \
    CHOICE(key ".sampling", member.sampling, level_names, sampling_default, "how noise levels are drawn"),             \
        REAL(key ".shift", member.shift, 1, 100, shift_default, "of shifted_uniform"),                                 \
        REAL(key ".mean", member.mean, -20, 20, "0.3", "of logit_normal"),                                             \
        REAL(key ".deviation", member.deviation, 0, 20, "1.2", "of logit_normal"),                                     \
        REAL(key ".min", member.min, 0, 1, min_default, "smallest level"),                                             \
        REAL(key ".max", member.max, 0, 1, max_default, "largest level")
/* ERR_USAGE where the smallest lies above the largest; key: of the level. */
int level_check(const char *key, const struct level_config *config);

/* Addresses of a step's random numbers; samples by their number in the global batch. */
struct step_random {
    uint64_t seed, step;
    int pass, level_pass; /* of the noise, of the levels */
};
struct levels {
    int B, F;            /* samples in hand, at most those laid out */
    real *t;             /* device [B, F]: 1000 sigma; 0 at frame 0 */
    real *sigma;         /* 0 at frame 0 */
    real *clean;         /* 1 - sigma; 1 at frame 0 */
    real *minus_sigma;   /* 0 at frame 0 */
    real *one, *zero;    /* 1, 0 */
    real *generated;     /* 1; 0 at frame 0 */
    real *through_noise; /* 1 - sigma, the derivative of the noisy clip by the clip; 0 at frame 0 */
    double *drawn;       /* host [B] */
    real *host;          /* host staging [8, B, F] */
};
int levels_layout(struct levels *l, int B, int F, struct arena *arena);
void levels_free(struct levels *l);

/* A level from (address, sample) (pure). */
double level_draw(const struct level_config *config, const struct random_address *address);
/* Draws the levels of a part's samples, which are now in hand, and their noise [B, F, size]; purpose: of the noise. */
void levels_draw(struct levels *l, real *noise, const struct level_config *config, const struct step_random *random,
                 int purpose, const struct part *part, long size);
/* device [B, F] as laid out: value; 0 at frame 0. */
void levels_fill(const struct levels *l, real *device, double value);

/* noisy = (1 - sigma) x + sigma noise, frame by frame of `size` elements. */
void levels_noise(const struct levels *l, real *noisy, const real *x, const real *noise, long size);
/* x0 = noisy - sigma velocity. */
void levels_x0(const struct levels *l, real *x0, const real *noisy, const real *velocity, long size);

#endif
