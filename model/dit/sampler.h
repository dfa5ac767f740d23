/* sampler.h: the bidirectional teacher's sampler: solves the flow's ODE with guidance; the reference frame stays clean.
   Levels and timesteps: base/schedule.h (schedule_sampler). Solvers: Euler, x += v (sigma_{i+1} - sigma_i), and UniPC
   (solver.h).
   Guidance combines velocities under several conditions: c has text and audio, w has no text, a no audio, u neither:
     audio   v = a + s (c - a)
     text    v = w + g (c - w)
     both    v = u + g (c - w) + s (w - u)   (MultiTalk's two scales)
   The other party's sound may have a scale l of its own. With k the velocity under talk without listen, s (c - a) then
   becomes s (k - a) + l (c - k), and s (w - u) likewise. Such guidance needs a teacher whose training dropped each
   party alone (teacher.drop_talk, drop_listen).
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
    double guidance, text_guidance; /* s, scale of audio; g, scale of text; 1: no guidance */
    double listen_guidance;         /* l, scale of the other party's sound; negative: the same as guidance */
};
/* Weights of a step, one for each latent frame, because the reference frame's differ: it stays where it is. */
enum sampler_weight {
    SAMPLER_T,
    SAMPLER_ONE,
    SAMPLER_SIGMA, /* -sigma_i, for the prediction */
    SAMPLER_MOVE,  /* Euler's step */
    SAMPLER_START, /* the corrector's, to the last CORRECT */
    SAMPLER_CORRECT0,
    SAMPLER_CORRECT1,
    SAMPLER_CORRECT2,
    SAMPLER_STAY, /* the predictor's, to the last PREDICT */
    SAMPLER_PREDICT0,
    SAMPLER_PREDICT1,
    SAMPLER_WEIGHTS
};
struct sampler {
    const struct dit *net;
    struct sampler_config config;
    double sigma[SAMPLER_STEPS_MAX + 1]; /* noise levels, falling to sigma[steps] = 0 */
    double timestep[SAMPLER_STEPS_MAX];
    int B, F;                    /* samples of the current clips, at most those laid out; frames */
    long size, clip;             /* elements of a latent frame; of a clip */
    real *x;                     /* device [B, F, C, H, W], the state; frame 0 is the reference */
    real *velocity, *without;    /* the guided velocity; one without a condition */
    real *start, *prediction[3]; /* UniPC: start of the last step; x0 predictions, step i's at i % 3 */
    real *weights;               /* device [SAMPLER_WEIGHTS, B, F] */
    real *host;                  /* host, the same shape */
    struct dit_acts *acts;
};

/* Takes device memory from the arena (arena.h: called while planning and once more); sampler_free frees the host
   tables. */
int sampler_layout(struct sampler *s, const struct dit *net, const struct sampler_config *config, int B, int F,
                   struct arena *arena);
void sampler_free(struct sampler *s);

/* Sets the number of samples of the clips that follow, at most the number laid out. */
static inline void sampler_batch(struct sampler *s, int B) { s->B = B; }
/* Starts a clip: s->x gets noise in frames 1.. and the reference, frame 0 of latents (`stride` elements between
   samples), in frame 0. */
void sampler_begin(struct sampler *s, const real *latents, long stride, uint64_t seed, uint64_t step, long sample0);
/* Takes s->x from sigma[i] to sigma[i + 1]; steps come in order. */
int sampler_step(struct sampler *s, const struct params *params, const struct condition_batch *condition, int i);
/* Takes every sample of s->x one step of order 1 (Euler's, whatever the solver) of its own: sample b from
   sigma[step[b]] to sigma[step[b] + 1]. The caller has filled s->x; frame 0 stays. step: host [B]. */
int sampler_step_each(struct sampler *s, const struct params *params, const struct condition_batch *condition,
                      const int *step);
/* Number of the network's passes that a step takes: one, and more with guidance. */
int sampler_passes(const struct sampler *s);
/* Runs all steps. */
int sampler_run(struct sampler *s, const struct params *params, const struct condition_batch *condition);

#endif
