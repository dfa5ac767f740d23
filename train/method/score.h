/* score.h: the gradient that distribution matching gives a generated clip x, from a frozen real score R (the teacher,
   with guidance) and a fake score F (the critic). Both see the whole clip at one noise level; frame 0 is the clean
   reference and gets no gradient.
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

/* Settings of distribution matching and of its critic. */
struct score_config {
    int loss; /* index in score_losses */
    double guidance, alpha;
    int guide_text; /* 1: guidance leaves out audio and text, not audio alone */
    struct level_config level;
    struct optimiser_config critic;
    long critic_warmup; /* critic updates before the first generator update */
    int critic_ratio;   /* critic updates after each generator update */
    int critic_replay;  /* rollouts kept for the critic; 0: every critic update makes a fresh one */
};

struct score;
/* A loss. name: its value of distill.loss. layout takes its own buffers from the arena. gradient sets g = dL/dx and
   adds L to loss, from r, f and scaled. forwards, backwards: its passes over each network, and back to that network's
   input, for the plan. */
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
    int B, F, batch; /* samples of the part at work, frames, samples of the global batch */
    long size, clip;
    struct levels levels;
    real *noise, *noisy;            /* device [B, F, C, H, W], as all below */
    real *v_conditional, *v_guided; /* velocities of R; v_guided holds v_u first */
    real *v_fake;                   /* velocity of F */
    real *r, *f;                    /* the clean clips that R and F predict */
    real *normaliser;               /* device [B]: N */
    real *scaled;         /* device [B]: N batch / B, by which a part's mean becomes its share of the batch's */
    real *own[SCORE_OWN]; /* device: buffers of the loss, which numbers them itself */
};
int score_layout(struct score *s, const struct dit *net, const struct score_config *config,
                 const struct batch_split *split, int F, struct arena *arena);
void score_free(struct score *s);

/* Sets g [B, F, C, H, W] to dL/dx of a part's clips x and adds its share of L to loss [1] (DMD: mean (f - r)^2). acts:
   laid out for saving; all networks use it in turn. teacher, critic: parameters without gradients. */
int score_gradient(struct score *s, real *g, real *loss, const real *x, const struct condition_batch *condition,
                   const struct params *teacher, const struct params *critic, struct dit_acts *acts,
                   const struct part *part, const struct step_random *random);
/* The networks' input at x_t, for a loss that runs them again. Keys and values of text and audio are computed anew,
   because another network used acts before. dropped: 1 leaves out the conditions that guidance leaves out. */
struct dit_input score_input(const struct score *s, const struct condition_batch *condition, int dropped,
                             struct dit_acts *acts);
/* For tests, the two steps of score_gradient: score_compare computes r, f and N at a level that is drawn and noised;
   score_differentiate computes g from them. */
int score_compare(struct score *s, const real *x, const struct condition_batch *condition, const struct params *teacher,
                  const struct params *critic, struct dit_acts *acts);
int score_differentiate(struct score *s, real *g, real *loss, const real *x, const struct condition_batch *condition,
                        const struct params *teacher, const struct params *critic, struct dit_acts *acts);

#endif
