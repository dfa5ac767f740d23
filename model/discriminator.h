/* discriminator.h: the Consistency-Aware Discriminator.
   A teacher-initialised DiT trunk, taps after three blocks, at each tap a Q-Former (learned queries per frame: cross-
   attention over the frame's tokens, then an FFN); the three features of a frame, concatenated, are its feature.
   Local branch: one logit a frame 1..F-1. Global branch: the reference frame's feature attends to those of all later
   frames, one logit. Logits in real. Frame 0 is the clean reference at t = 0. */
#ifndef MODEL_DISCRIMINATOR_H
#define MODEL_DISCRIMINATOR_H

#include "model/dit.h"

struct discriminator_config {
    int taps[3];      /* block indices; all -1: 13/30, 21/30 and 29/30 of the depth */
    int queries;      /* learned queries a frame and tap (1) */
    int heads;
    int ffn_dim;
};
struct discriminator {
    struct dit trunk;  /* its table holds the heads' slices too, after the trunk's */
    struct discriminator_config config;
    struct discriminator_heads *heads; /* offsets; private */
    int head_slice;    /* first slice of the heads: warm-up trains slices >= head_slice alone */
};
struct discriminator_acts;
int discriminator_create(struct discriminator *d, const struct dit_config *trunk, const struct discriminator_config *config);
void discriminator_destroy(struct discriminator *d);
int discriminator_acts_layout(struct discriminator_acts **acts, const struct discriminator *d, int B, int F,
                              enum dit_memory memory, struct arena *arena);
void discriminator_acts_free(struct discriminator_acts *acts);
void discriminator_condition_reset(struct discriminator_acts *acts);
/* in: a bidirectional input of F frames. local [B, F-1], global [B], real. */
int discriminator_forward(const struct discriminator *d, const struct params *params, struct discriminator_acts *acts,
                          const struct dit_input *in, real *local, real *global);
/* heads_only: no gradient beyond the taps (warm-up). dlatents: += or NULL. */
int discriminator_backward(const struct discriminator *d, const struct params *params, struct discriminator_acts *acts,
                           const struct dit_input *in, const real *dlocal, const real *dglobal, real *dlatents,
                           long dlatents_stride, int heads_only);

#endif
