/* score.h: the gradient that distribution matching gives a generated clip, from a frozen real score R (the teacher,
   guided) and a fake score F (the critic). Both see the whole clip at one noise level; frame 0 is the clean reference
   and gets no gradient.
     x_t = (1 - sigma) x + sigma eps;  r = x_t - sigma v_R,  f = x_t - sigma v_F,  v_R = v_u + s (v_c - v_u)
     N = mean |x - r| per sample, held constant; v_u without audio, or without audio and text (config.guide_text)
   DMD (Yin et al. 2024):  g = (f - r) / N over the number of elements.
   SiD (Zhou et al. 2024): L = mean (r - f) ((r - x) - alpha (r - f)) / N, differentiated through R and F:
     a = r - f, b = (r - x) - alpha a, k = 1/(n B N): g_r = k (b + (1 - alpha) a), g_f = k (alpha a - b)
     g = -k a + (1 - sigma) (k a - sigma J),  J = s J_c^T g_r + (1 - s) J_u^T g_r + J_F^T g_f.
   B is the global batch. n counts frames 1..; sums and N run over all frames, where frame 0 adds nothing, so n N is
   the same. All velocities, differences and gradients are real. */
#ifndef TRAIN_METHOD_SCORE_H
#define TRAIN_METHOD_SCORE_H

#include "model/dit/condition_batch.h"
#include "train/method/levels.h"
#include "train/optimiser/optimiser.h"

/* The distribution matching part of a stage: real score (teacher), fake score (critic). */
struct score_config {
    int loss; /* index in score_losses */
    double guidance, alpha;
    int guide_text; /* what guidance leaves out is audio and text, not audio alone */
    struct level_config level;
    struct optimiser_config critic;
    long critic_warmup; /* critic updates before the first generator update */
    int critic_ratio;   /* critic updates a generator update */
    int critic_replay;  /* rollouts kept for the critic; 0: a fresh rollout for every critic update */
};

struct score;
/* A loss, by the name that distill.loss has for it. layout takes the buffers of its own. gradient: g = dL/dx and loss
   += L, from r, f and scaled. forwards, backwards: passes that it takes over each network, and back to its input, for
   the plan. */
struct score_loss {
    const char *name;
    void (*layout)(struct score *s, struct arena *arena);
    int (*gradient)(struct score *s, real *g, real *loss, const real *x, const struct condition_batch *condition,
                    const struct params *teacher, const struct params *critic, struct dit_acts *acts);
    int forwards, backwards;
};
extern const struct score_loss score_losses[]; /* the last has no name */

enum { SCORE_OWN = 8 };
struct score {
    const struct dit *net;
    struct score_config config;
    const struct score_loss *loss;
    int B, F, batch; /* samples in hand, frames, samples of the global batch */
    long size, clip;
    struct levels levels;
    real *noise, *noisy;            /* device [B, F, C, H, W], as all below */
    real *v_conditional, *v_guided; /* of R; v_guided starts as the unconditional velocity */
    real *v_fake;
    real *r, *f;
    real *normaliser;     /* device [B]: N */
    real *scaled;         /* device [B]: N batch / B, with which a part's mean is its share of the batch's */
    real *own[SCORE_OWN]; /* device: buffers of the loss's own, which numbers them */
};
int score_layout(struct score *s, const struct dit *net, const struct score_config *config,
                 const struct batch_split *split, int F, struct arena *arena);
void score_free(struct score *s);

/* g [B, F, C, H, W] = dL/dx of a part's clips x; loss [1] += its share of L (DMD: mean (f - r)^2). `acts` can save; it
   is used by all networks in turn. teacher, critic: without gradient arenas. */
int score_gradient(struct score *s, real *g, real *loss, const real *x, const struct condition_batch *condition,
                   const struct params *teacher, const struct params *critic, struct dit_acts *acts,
                   const struct part *part, const struct step_random *random);
/* The networks' input at x_t, for a loss that runs them again. Their text and audio are computed anew: another network
   used acts before. dropped: without what guidance leaves out. */
struct dit_input score_input(const struct score *s, const struct condition_batch *condition, int dropped,
                             struct dit_acts *acts);
/* The two steps of score_gradient, for tests: r, f and N at a level already drawn and noised; then g from them. */
int score_compare(struct score *s, const real *x, const struct condition_batch *condition, const struct params *teacher,
                  const struct params *critic, struct dit_acts *acts);
int score_differentiate(struct score *s, real *g, real *loss, const real *x, const struct condition_batch *condition,
                        const struct params *teacher, const struct params *critic, struct dit_acts *acts);

#endif
