/* sampler.h: the bidirectional teacher's sampler: a solver of the flow's ODE with guidance, the reference frame kept
   clean. Levels and timesteps: base/schedule.h (schedule_sampler). Solvers: Euler, x += v (sigma_{i+1} - sigma_i), and
   UniPC (solver.h).
   Guidance, with c both conditions, w without text, a without audio, u without either:
     audio   v = a + s (c - a)
     text    v = w + g (c - w)
     both    v = u + g (c - w) + s (w - u)   (MultiTalk's two scales)
   Where the other party's sound has a scale l of its own, its part of what audio changes has that one: with k what talk
   alone gives in place of both, s (c - a) becomes s (k - a) + l (c - k), and s (w - u) alike. A teacher that is to be
   guided so has dropped one party alone in training (teacher.drop_talk, drop_listen).
   Dropped audio is silence in talk and listen, dropped text is the empty prompt, as in training. */
#ifndef MODEL_DIT_SAMPLER_H
#define MODEL_DIT_SAMPLER_H

#include "base/schedule.h"
#include "model/dit/condition_batch.h"

enum { SAMPLER_STEPS_MAX = 1000 };
enum sampler_solver { SOLVER_EULER, SOLVER_UNIPC };
struct sampler_config {
    int steps;
    int solver;   /* enum sampler_solver */
    int schedule; /* enum schedule_kind */
    double shift;
    double guidance, text_guidance; /* s of audio, g of text; 1: none */
    double listen_guidance;         /* l of the other party's sound; negative: as guidance */
};
/* Weights of a step, one a latent frame, because the reference frame stays where it is. */
enum sampler_weight {
    SAMPLER_T,
    SAMPLER_ONE,
    SAMPLER_SIGMA, /* -sigma_i: the prediction's */
    SAMPLER_MOVE,  /* Euler's */
    SAMPLER_START, /* the corrector's */
    SAMPLER_CORRECT0,
    SAMPLER_CORRECT1,
    SAMPLER_CORRECT2,
    SAMPLER_STAY, /* the predictor's */
    SAMPLER_PREDICT0,
    SAMPLER_PREDICT1,
    SAMPLER_WEIGHTS
};
struct sampler {
    const struct dit *net;
    struct sampler_config config;
    double sigma[SAMPLER_STEPS_MAX + 1]; /* down to sigma[steps] = 0 */
    double timestep[SAMPLER_STEPS_MAX];
    int B, F;                    /* samples in hand, at most those laid out; frames */
    long size, clip;             /* elements of a latent frame, of a clip */
    real *x;                     /* device [B, F, C, H, W]: the state; frame 0 is the reference */
    real *velocity, *without;    /* guided; without a condition */
    real *start, *prediction[3]; /* UniPC: what the step before started from; predictions, step i's at i % 3 */
    real *weights;               /* device [SAMPLER_WEIGHTS, B, F] */
    real *host;                  /* host, alike */
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
/* x from sigma[i] to sigma[i + 1]; steps come in order. */
int sampler_step(struct sampler *s, const struct params *params, const struct condition_batch *condition, int i);
/* All steps. */
int sampler_run(struct sampler *s, const struct params *params, const struct condition_batch *condition);

#endif
