/* consistency.h: pairs of states that lie one step of the teacher's solver apart, for causal consistency distillation
   (Song et al. 2023, Consistency Models; on a causal student with clean data: Causal-Forcing++ and FastGen, 2026).
   A clip x of the data set is noised, eps the same for all of its states, sigma[0] > ... > sigma[N] = 0 the levels of
   the teacher's sampler, and n drawn evenly from 0 .. N-1 for each clip, because the teacher, which sees whole clips,
   takes one level a clip:
     drawn    x_n = (1 - sigma[n]) x + sigma[n] eps
     lower    x_n + (sigma[n + 1] - sigma[n]) v(x_n, sigma[n]),  v the teacher's velocity, with the sampler's guidance
     history  (1 - h) x + h eps,  h the level at which the student's cache is written; h = 0: x itself
   Frame 0 of all of them is the clean reference. */
#ifndef TRAIN_METHOD_CONSISTENCY_H
#define TRAIN_METHOD_CONSISTENCY_H

#include "model/dit/sampler.h"
#include "train/optimiser/batch_split.h"

struct consistency {
    uint64_t seed;
    int F;               /* latent frames of a clip */
    long size, clip;     /* elements of a latent frame, of a clip */
    double history;      /* h */
    int *step;           /* host [largest part]: n of each sample of the part at work */
    real *noise;         /* device [largest part, F, C, H, W] */
    real *clean, *sigma; /* device [largest part, F]: 1 - sigma and sigma of the state that is being made */
    real *host;          /* host [2, largest part, F]: those two */
};
int consistency_layout(struct consistency *c, const struct dit_config *config, const struct batch_split *split, int F,
                       struct arena *arena);
void consistency_free(struct consistency *c);
/* n of a sample of the global batch, for a sampler of N steps (a pure function). */
int consistency_step(uint64_t seed, long step, long sample, int N);
/* Makes the three states of a part, each device [part, F, C, H, W], at update number `step`. The sampler is laid out
   for the largest part; its memory is free again afterwards. */
int consistency_pair(struct consistency *c, struct sampler *sampler, const struct params *teacher,
                     const struct batch_part *b, long step, real *drawn, real *lower, real *history);

#endif
