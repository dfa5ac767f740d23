/* levels.c: see levels.h. */
#include "train/method/levels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/schedule.h"
#include "kernels/device.h"

enum { ARRAYS = 8 };
const char *const level_names[] = {"shifted_uniform", "logit_normal", NULL};

int level_check(const char *key, const struct level_config *level) {
    if (level->min <= level->max) return OK;
    return error_set(ERR_USAGE, "%s: min %g lies above max %g", key, level->min, level->max);
}

int levels_layout(struct levels *l, int B, int F, struct arena *arena) {
    levels_free(l);
    size_t n = (size_t)B * F;
    l->B = B;
    l->F = F;
    real **arrays[ARRAYS] = {&l->t,   &l->sigma, &l->clean,     &l->minus_sigma,
                             &l->one, &l->zero,  &l->generated, &l->through_noise};
    for (int i = 0; i < ARRAYS; i++) *arrays[i] = ARENA_TAKE(arena, "levels", real, n);
    l->drawn = malloc((size_t)B * sizeof *l->drawn);
    l->host = malloc(ARRAYS * n * sizeof *l->host);
    return l->drawn && l->host ? OK : error_set(ERR_DEVICE, "levels: out of memory");
}

void levels_free(struct levels *l) {
    free(l->drawn);
    free(l->host);
    memset(l, 0, sizeof *l);
}

/* Standard normal from two uniforms (Box and Muller 1958), on the host in double. */
static double normal_draw(const struct random_address *address) {
    double u = 1 - random_uniform(address, 0), v = random_uniform(address, 1);
    return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v);
}

double level_draw(const struct level_config *config, const struct random_address *address) {
    if (config->sampling == LEVEL_SHIFTED_UNIFORM)
        return schedule_level(random_uniform(address, 0), config->shift, config->min, config->max);
    double sigma = 1 / (1 + exp(-(config->mean + config->deviation * normal_draw(address))));
    return sigma < config->min ? config->min : sigma > config->max ? config->max : sigma;
}

/* The arrays of given levels sigma [B]. */
static void set_levels(struct levels *l, const double *sigma) {
    size_t n = (size_t)l->B * l->F;
    for (size_t g = 0; g < n; g++) {
        int generated = g % l->F != 0;
        double s = generated ? sigma[g / l->F] : 0;
        double values[ARRAYS] = {schedule_timestep(s), s, 1 - s, -s, 1, 0, generated, generated ? 1 - s : 0};
        for (int i = 0; i < ARRAYS; i++) l->host[i * n + g] = (real)values[i];
    }
    real *arrays[ARRAYS] = {l->t, l->sigma, l->clean, l->minus_sigma, l->one, l->zero, l->generated, l->through_noise};
    for (int i = 0; i < ARRAYS; i++) mem_upload(arrays[i], l->host + i * n, n * sizeof(real));
}

void levels_draw(struct levels *l, real *noise, const struct level_config *config, const struct step_random *random,
                 int purpose, const struct part *part, long size) {
    l->B = part->count;
    for (int b = 0; b < l->B; b++) {
        struct random_address a = {.seed = random->seed,
                                   .step = random->step,
                                   .purpose = RANDOM_TIMESTEP,
                                   .pass = random->level_pass,
                                   .sample = (uint32_t)(part->sample0 + b)};
        l->drawn[b] = level_draw(config, &a);
    }
    set_levels(l, l->drawn);
    random_normal(noise, random->seed, random->step, purpose, random->pass, part->sample0, l->B, 0, l->F, size);
}

void levels_fill(const struct levels *l, real *device, double value) {
    size_t n = (size_t)l->B * l->F;
    for (size_t g = 0; g < n; g++) l->host[g] = g % l->F ? (real)value : 0;
    mem_upload(device, l->host, n * sizeof(real));
}

void levels_noise(const struct levels *l, real *noisy, const real *x, const real *noise, long size) {
    real_group_combine(noisy, l->clean, x, l->sigma, noise, (long)l->B * l->F, size);
}

void levels_x0(const struct levels *l, real *x0, const real *noisy, const real *velocity, long size) {
    real_group_combine(x0, l->one, noisy, l->minus_sigma, velocity, (long)l->B * l->F, size);
}
