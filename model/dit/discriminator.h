/* discriminator.h: the Consistency-Aware Discriminator.
   A teacher-initialised DiT trunk, taps after three blocks, at each tap a Q-Former (q_former.h: learned queries per
   frame read that frame's tokens). A frame's feature: the three results, concatenated -> LayerNorm -> Linear -> GELU,
   [dim]. Local branch: one logit a frame 1..F-1, linear in its feature. Global branch: the reference frame's feature
   attends to those of all later frames -> LayerNorm -> one logit. Logits in real. Frame 0 is the clean reference at t =
   0. The trunk attends over all frames, so that in scope `clip` a frame's logit knows of the others and of the
   reference. In scope `frame` the trunk sees every frame as a clip of its own, at one position and with that frame's
   sound: its logits are those of an ordinary GAN of frames, and a loss that means one leaves the global logit out.
   Frame 0 goes through as one of the frames and has no local logit. */
#ifndef MODEL_DIT_DISCRIMINATOR_H
#define MODEL_DIT_DISCRIMINATOR_H

#include "model/dit/dit.h"

enum discriminator_scope { SCOPE_CLIP, SCOPE_FRAME };
extern const char *const discriminator_scope_names[];
struct discriminator_config {
    int scope;   /* enum discriminator_scope: what the trunk sees at once; the weights are the same */
    int taps[3]; /* block indices, rising; all -1: 13/30, 21/30 and 29/30 of the depth */
    int queries; /* learned queries a frame and tap (1) */
    int heads;   /* of the Q-Formers and the global branch; 0: the trunk's */
    int ffn_dim; /* of the Q-Formers; 0: the trunk's */
};
struct discriminator {
    struct dit trunk;                   /* its table holds the heads' slices too, after the trunk's */
    struct discriminator_config config; /* resolved */
    struct discriminator_heads *heads;  /* offsets; private */
    int head_slice; /* first slice of the heads, one a Q-Former and one for the branches: warm-up trains these alone */
};
struct discriminator_acts;
/* ERR_USAGE names what does not fit. */
int discriminator_create(struct discriminator *d, const struct dit_config *trunk,
                         const struct discriminator_config *config);
void discriminator_destroy(struct discriminator *d);
/* memory: the trunk's. Taps are read from what it saves, so DIT_FORWARD_ONLY is laid out as DIT_SAVE_BLOCKS. F >= 2. */
int discriminator_acts_layout(struct discriminator_acts **acts, const struct discriminator *d, int B, int F,
                              enum dit_memory memory, struct arena *arena);
void discriminator_acts_free(struct discriminator_acts *acts); /* NULL is allowed */
/* New text, audio or weights: what the trunk keeps of them is forgotten. */
void discriminator_condition_reset(struct discriminator_acts *acts);
/* in: a bidirectional input of F frames, as many as laid out, from the reference on; of at most the samples laid out.
   local [B, F-1], global [B], real. */
int discriminator_forward(const struct discriminator *d, const struct params *params, struct discriminator_acts *acts,
                          const struct dit_input *in, real *local, real *global);
/* After a forward of the same input. dlocal, dglobal: like the logits. Weight gradients are added when params has an
   arena for them. heads_only: no gradient beyond the taps (warm-up). dlatents: += or NULL. */
int discriminator_backward(const struct discriminator *d, const struct params *params, struct discriminator_acts *acts,
                           const struct dit_input *in, const real *dlocal, const real *dglobal, real *dlatents,
                           long dlatents_stride, int heads_only);

#endif
