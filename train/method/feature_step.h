/* feature_step.h: one update of a network of features (model/features/feature_net.h). Opens no file: the batch comes as
   device arrays. A sample i is a picture a_i with the sound at its moment, another picture b_i of the same shot, taken
   closer, and a picture c_i in which some places were tampered with. Nothing has to be known about the people:
     person   whose picture: rows of a and b are compared as cosines S_ij = cos(person(a_i), person(b_j)), which should
              be 1 for i = j and 0 otherwise
     sound    which moment: cosines of sound(a_i) and heard(window_j), likewise
     spoiled  which places of c were tampered with: 1 there, 0 elsewhere
   Each is a mean square: half the mean over i = j of (S - 1)^2 + half the mean over the others of S^2 (a regression of
   the cosines, close to the spectral contrastive loss of HaoChen et al. 2021), and half the mean over the places of
   each kind of (spoiled - label)^2. The loss is their sum. The first makes features of looks, the second of mouth and
   hands, the third of how neighbouring places go together. */
#ifndef TRAIN_METHOD_FEATURE_STEP_H
#define TRAIN_METHOD_FEATURE_STEP_H

#include "model/features/feature_net.h"
#include "train/optimiser/optimiser.h"

struct feature_figures { /* parts of the loss; device */
    real person, sound, spoiled;
};
struct feature_batch {    /* device */
    const real *pictures; /* [3 n, 3, height, width]: a, b, c */
    const real *windows;  /* [n, window] */
    const real *labels;   /* [n, h w]: 1 where c was tampered with */
    const real *weights;  /* [n h w]: weight of each label's squared error; sums to 1 */
};
/* Rows of one kind: before and after they are made equally long, and the gradients. */
struct feature_rows {
    elem *raw, *row, *drow; /* [n, embedding] */
    real *rstd;             /* [n] */
};
struct feature_step {
    const struct feature_net *net;
    struct optimiser optimiser;
    struct feature_acts acts;
    int n;
    elem *ones;                               /* [embedding] */
    struct feature_rows person, sound, heard; /* person: [2 n] */
    elem *window, *hidden, *pre, *dhidden;    /* [n, window]; [n, hearing]: the layer that hears */
    real *cosine[2], *dcosine;                /* [n, n]: embedding times the cosines of person and sound */
    elem *dcosine_elem;
    real *target, *weight;       /* [n, n] */
    real *logit, *dlogit, *sums; /* [n h w] twice; [n, embedding] */
    elem *dlogit_elem, *dmap;
    struct feature_figures *figures;
};
/* Lays out everything for batches of n samples, n >= 2 (arena.h: called while planning and once more). */
int feature_step_layout(struct feature_step *s, const struct feature_net *net, const struct optimiser_config *config,
                        long steps, int n, struct arena *state, struct arena *activations);
void feature_step_free(struct feature_step *s);
/* Writes the constants once the memory is there, and starts with random weights from the seed. */
int feature_step_fresh(struct feature_step *s, uint64_t seed);
/* Computes the loss and its parts, and adds the gradients (params->grads NULL: none are wanted). */
void feature_step_gradient(struct feature_step *s, const struct params *params, const struct feature_batch *batch);
/* Makes update number `step` (0, 1, ...). */
int feature_step_run(struct feature_step *s, const struct feature_batch *batch, long step);

#endif
