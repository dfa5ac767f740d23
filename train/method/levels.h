/* levels.h: the noise levels of a batch, one a clip, and the arrays that a step derives from them on the device. A
   level is drawn from a counter-based generator by its address, so that it does not depend on how the batch is divided.
   Frame 0 is the clean reference: it is at level 0, is not noised and takes no part in losses. Levels are double on the
   host and real on the device. */
#ifndef TRAIN_METHOD_LEVELS_H
#define TRAIN_METHOD_LEVELS_H

#include "base/config.h"
#include "base/philox.h"
#include "kernels/arena.h"
#include "train/optimiser/batch_split.h"

/* How the level of a clip is drawn. */
enum level_sampling { LEVEL_SHIFTED_UNIFORM, LEVEL_LOGIT_NORMAL };
struct level_config {
    int sampling;
    double shift;           /* shifted uniform: sigma = shift u / (1 + (shift - 1) u) */
    double mean, deviation; /* logit-normal: sigma = sigmoid(mean + deviation n) */
    double min, max;        /* limits that sigma is kept within */
};
extern const char *const level_names[];
#define LEVEL_KEYS(key, member, sampling_default, shift_default, min_default, max_default)                             \
    CHOICE(key ".sampling", member.sampling, level_names, sampling_default,                                            \
           "How noise levels sigma are drawn. shifted_uniform: uniform, then shifted; logit_normal: the sigmoid of a " \
           "normal number."),                                                                                          \
        REAL(key ".shift", member.shift, 1, 100, shift_default,                                                        \
             "Shift s of shifted_uniform: sigma = s u / (1 + (s - 1) u) with u uniform; above 1 high levels are more " \
             "frequent."),                                                                                             \
        REAL(key ".mean", member.mean, -20, 20, "0.3", "Mean of the normal number of logit_normal."),                  \
        REAL(key ".deviation", member.deviation, 0, 20, "1.2",                                                         \
             "Standard deviation of the normal number of logit_normal."),                                              \
        REAL(key ".min", member.min, 0, 1, min_default, "Smallest noise level; lower ones are raised to it."),         \
        REAL(key ".max", member.max, 0, 1, max_default, "Largest noise level; higher ones are lowered to it.")
/* ERR_USAGE where the smallest level lies above the largest; key: the config's name of the level, for the text. */
int level_check(const char *key, const struct level_config *config);

/* Addresses of a step's random numbers; a sample is addressed by its number in the global batch. */
struct step_random {
    uint64_t seed, step;
    int pass, level_pass; /* numbers of the draw, for the noise and for the levels (base/philox.h) */
};
/* The device arrays have one number for each frame of each sample. */
struct levels {
    int B, F;            /* samples of the part at work, at most those laid out; frames */
    real *t;             /* device [B, F], as those below: the timestep 1000 sigma; 0 at frame 0 */
    real *sigma;         /* sigma; 0 at frame 0 */
    real *clean;         /* 1 - sigma; 1 at frame 0 */
    real *minus_sigma;   /* -sigma; 0 at frame 0 */
    real *one, *zero;    /* 1 and 0 everywhere */
    real *generated;     /* 1; 0 at frame 0 */
    real *through_noise; /* 1 - sigma, the derivative of the noisy clip by the clip; 0 at frame 0 */
    double *drawn;       /* host [B]: the levels drawn */
    real *host;          /* host staging [8, B, F] */
};
int levels_layout(struct levels *l, int B, int F, struct arena *arena);
void levels_free(struct levels *l);

/* The level at an address (a pure function). */
double level_draw(const struct level_config *config, const struct random_address *address);
/* Draws the levels of a part's samples, which the arrays hold from then on, and their noise [B, F, size]. purpose: the
   noise's (enum in base/philox.h). */
void levels_draw(struct levels *l, real *noise, const struct level_config *config, const struct step_random *random,
                 int purpose, const struct part *part, long size);
/* Fills an array device [B, F] with a value, and with 0 at frame 0, for all samples laid out. */
void levels_fill(const struct levels *l, real *device, double value);

/* noisy = (1 - sigma) x + sigma noise, frame by frame of `size` elements. */
void levels_noise(const struct levels *l, real *noisy, const real *x, const real *noise, long size);
/* x0 = noisy - sigma velocity. */
void levels_x0(const struct levels *l, real *x0, const real *noisy, const real *velocity, long size);

#endif
