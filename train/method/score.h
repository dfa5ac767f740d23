/* score.h: the gradient that distribution matching gives a generated clip, from a frozen real score R (the teacher,
   guided) and a fake score F (the critic). Both see the whole clip at one noise level; frame 0 is the clean reference
   and gets no gradient.
     x_t = (1 - sigma) x + sigma eps;  r = x_t - sigma v_R,  f = x_t - sigma v_F,  v_R = v_u + s (v_c - v_u)
     N = mean |x - r| per sample, held constant; v_u without audio, or without audio and text (config.guide_text)
   DMD (Yin et al. 2024):  g = (f - r) / N over the number of elements.
   SiD (Zhou et al. 2024): L = mean (r - f) ((r - x) - alpha (r - f)) / N, differentiated through R and F:
     a = r - f, b = (r - x) - alpha a, k = 1/(n B N): g_r = k (b + (1 - alpha) a), g_f = k (alpha a - b)
     g = -k a + (1 - sigma) (k a - sigma J),  J = s J_c^T g_r + (1 - s) J_u^T g_r + J_F^T g_f.
   B is the global batch. n counts frames 1..; sums and N run over all frames, where frame 0 adds nothing, so n N is the same.
   All velocities, differences and gradients are real. */
#ifndef TRAIN_METHOD_SCORE_H
#define TRAIN_METHOD_SCORE_H

#include "model/dit/condition_batch.h"
#include "train/method/flow_matching.h"
#include "train/method/levels.h"

struct score {
    const struct dit *net;
    struct score_config config;
    int B, F, batch; /* samples in hand, frames, samples of the global batch */
    long size, clip;
    struct levels levels;
    real *noise, *noisy;            /* device [B, F, C, H, W], as all below */
    real *v_conditional, *v_guided; /* of R; v_guided starts as the unconditional velocity */
    real *v_fake;
    real *r, *f;
    real *g_r, *g_f, *g_x;  /* SiD: by r, by f, by x directly */
    real *slope, *by_noisy; /* dL/dv of one network; dL/dx_t summed over networks */
    real *normaliser;       /* device [B]: N */
    real *scaled;           /* device [B]: N batch / B, with which a part's mean is its share of the batch's */
    real *part_loss;        /* device [1] */
};
int score_layout(struct score *s, const struct dit *net, const struct score_config *config, const struct share *share,
                 int F, struct arena *arena);
void score_free(struct score *s);

/* g [B, F, C, H, W] = dL/dx of a part's clips x; loss [1] += its share of L (DMD: mean (f - r)^2). `acts` can save; it is used by all
   networks in turn. teacher, critic: without gradient arenas. */
int score_gradient(struct score *s, real *g, real *loss, const real *x, const struct condition_batch *condition,
                   const struct params *teacher, const struct params *critic, struct dit_acts *acts,
                   const struct part *part, const struct step_random *random);
/* The two steps of score_gradient, for tests: r, f and N at a level already drawn and noised; then g from them. */
int score_compare(struct score *s, const real *x, const struct condition_batch *condition, const struct params *teacher,
                  const struct params *critic, struct dit_acts *acts);
int score_differentiate(struct score *s, real *g, real *loss, const real *x, const struct condition_batch *condition,
                        const struct params *teacher, const struct params *critic, struct dit_acts *acts);

#endif
