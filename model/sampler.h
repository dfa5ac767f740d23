/* sampler.h: the bidirectional teacher's sampler: Euler steps of the flow's ODE with guidance, the reference frame kept
   clean. sigma_i = shift u / (1 + (shift - 1) u), u = 1 - i / steps; x += v (sigma_{i+1} - sigma_i). Guidance is the
   standard form v = v_u + s (v_c - v_u); the unconditional pass drops both audio inputs and keeps the text. */
#ifndef MODEL_SAMPLER_H
#define MODEL_SAMPLER_H

#include "model/condition_batch.h"

enum { SAMPLER_STEPS_MAX = 1000 };
struct sampler_config {
    int steps;
    double shift, guidance; /* guidance 1: one pass a step */
};
struct sampler {
    const struct dit *net;
    struct sampler_config config;
    double sigma[SAMPLER_STEPS_MAX + 1]; /* sigma[0] = 1 .. sigma[steps] = 0 */
    int B, F;        /* samples in hand, at most those laid out; frames */
    long size, clip; /* elements of a latent frame, of a clip */
    real *x;         /* device [B, F, C, H, W]: the state; frame 0 is the reference */
    real *conditional, *unconditional;
    real *t, *move, *one; /* device [B, F] */
    real *host;           /* host [2, B, F] */
    struct dit_acts *acts;
};

/* Device memory from the arena (arena.h: called while planning and once more); sampler_free frees the host tables. */
int sampler_layout(struct sampler *s, const struct dit *net, const struct sampler_config *config, int B, int F,
                   struct arena *arena);
void sampler_free(struct sampler *s);

/* Clips of B samples from here on. */
static inline void sampler_batch(struct sampler *s, int B) { s->B = B; }
/* x: noise in frames 1.., the reference (frame 0 of the clips latents, sample stride given) in frame 0. */
void sampler_begin(struct sampler *s, const real *latents, long stride, uint64_t seed, uint64_t step, long sample0);
/* x from sigma[i] to sigma[i + 1]. */
int sampler_step(struct sampler *s, const struct params *params, const struct condition_batch *condition, int i);
/* All steps. */
int sampler_run(struct sampler *s, const struct params *params, const struct condition_batch *condition);

#endif
