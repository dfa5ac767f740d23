/* flow_matching.h: the flow-matching loss of a network that sees whole clips: the teacher's, and the critic's.
   x_t = (1 - sigma) x + sigma eps; loss = mean over samples and frames 1.. of mean |v(x_t, t) - (eps - x)|^2
   (Lipman et al. 2023; Liu et al. 2023). A clip has one level; frame 0 is clean and takes no part in the loss. */
#ifndef TRAIN_METHOD_FLOW_MATCHING_H
#define TRAIN_METHOD_FLOW_MATCHING_H

#include "model/dit/condition_batch.h"
#include "train/method/levels.h"
#include "train/optimiser/batch_split.h"

struct flow_matching {
    int B, F, batch; /* samples of the largest part, frames, samples of the global batch */
    long size, clip; /* elements of a latent frame, of a clip */
    struct levels levels;
    real *noise, *noisy, *target, *velocity, *slope; /* device [B, F, C, H, W]; slope: dloss/dvelocity */
    real *weight;                                    /* device [B, F]: 1 / (batch (F - 1)); 0 at frame 0 */
};
int flow_matching_layout(struct flow_matching *f, const struct dit_config *config, const struct batch_split *split,
                         int F, struct arena *arena);
void flow_matching_free(struct flow_matching *f);
/* Writes the constants, once the memory is there. */
void flow_matching_prepare(struct flow_matching *f);

/* Adds a part's share of the loss to loss [1], device; no gradients. x, purpose: as below. */
int flow_matching_loss(struct flow_matching *f, const struct dit *net, const struct params *params,
                       struct dit_acts *acts, const real *x, const struct condition_batch *condition,
                       const struct part *part, const struct level_config *level, int purpose,
                       const struct step_random *random, real *loss);
/* Adds a part's share of the loss to loss [1], device, and its gradients to params. x: its clips [B, F, C, H, W];
   purpose: the noise's (base/philox.h). */
int flow_matching_gradient(struct flow_matching *f, const struct dit *net, const struct params *params,
                           struct dit_acts *acts, const real *x, const struct condition_batch *condition,
                           const struct part *part, const struct level_config *level, int purpose,
                           const struct step_random *random, real *loss);

#endif
