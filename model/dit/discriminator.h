/* discriminator.h: the Consistency-Aware Discriminator.
   A DiT trunk that starts from the teacher's weights, taps after three of its blocks, and at each tap a Q-Former
   (q_former.h: learned queries read each frame's tokens). A frame's feature: the three results, concatenated ->
   LayerNorm -> Linear -> GELU, [dim]. Local branch: one logit for each frame 1..F-1, linear in its feature. Global
   branch: to each later frame's feature GELU(Linear(feature - reference's)) is added, what has changed since the
   reference; the reference's feature attends to these sums -> LayerNorm -> one logit. (Attention averages features, and
   an average alone tells a drift up from one down, but not either from none.) Logits in real.
   Frame 0 is the clean reference at t = 0. The trunk attends over all frames, so that in scope `clip` a frame's logit
   depends on the other frames and on the reference too. In scope `frame` the trunk sees every frame as a clip of its
   own, always at the same position, with that frame's sound: the local logits are those of an ordinary GAN of single
   frames, whose loss leaves the global logit out. Frame 0 passes through the trunk like the others and has no local
   logit in either scope. */
#ifndef MODEL_DIT_DISCRIMINATOR_H
#define MODEL_DIT_DISCRIMINATOR_H

#include "model/dit/dit.h"

enum discriminator_scope { SCOPE_CLIP, SCOPE_FRAME };
extern const char *const discriminator_scope_names[];
struct discriminator_config {
    int scope;   /* enum discriminator_scope, what the trunk sees at once; the parameters are the same */
    int taps[3]; /* indices of blocks, rising; all -1: at 13/30, 21/30 and 29/30 of the depth */
    int queries; /* learned queries a frame and tap (1) */
    int heads;   /* attention heads of the Q-Formers and the global branch; 0: as many as the trunk */
    int ffn_dim; /* hidden width of the Q-Formers' FFN; 0: the trunk's */
};
struct discriminator {
    struct dit trunk;                   /* its table holds the heads' slices too, after the trunk's */
    struct discriminator_config config; /* its defaults are resolved */
    struct discriminator_heads *heads;  /* parameter offsets; private */
    int head_slice; /* first slice of the heads: one a Q-Former, then one for the branches; warm-up trains only these */
};
struct discriminator_acts;
/* Makes the parameter tables. ERR_USAGE names what does not fit. */
int discriminator_create(struct discriminator *d, const struct dit_config *trunk,
                         const struct discriminator_config *config);
void discriminator_destroy(struct discriminator *d);
/* Lays out the activations for B samples of F >= 2 frames. memory: what the trunk keeps. Taps are read from what it
   saves, so DIT_FORWARD_ONLY is laid out as DIT_SAVE_BLOCKS. */
int discriminator_acts_layout(struct discriminator_acts **acts, const struct discriminator *d, int B, int F,
                              enum dit_memory memory, struct arena *arena);
void discriminator_acts_free(struct discriminator_acts *acts); /* NULL is allowed */
/* Forgets what the trunk has computed from text and audio; call it when text, audio or weights are new. */
void discriminator_condition_reset(struct discriminator_acts *acts);
/* Computes the logits local [B, F-1] and global [B], both real. in: a bidirectional input of all F frames laid out,
   from the reference on, and of at most the samples laid out. */
int discriminator_forward(const struct discriminator *d, const struct params *params, struct discriminator_acts *acts,
                          const struct dit_input *in, real *local, real *global);
/* Backward, called after a forward of the same input. dlocal, dglobal: shaped like the logits. Weight gradients are
   added when params has an arena for them. heads_only: gradients end at the taps (warm-up). dlatents: gradients are
   added to it; NULL: not wanted. */
int discriminator_backward(const struct discriminator *d, const struct params *params, struct discriminator_acts *acts,
                           const struct dit_input *in, const real *dlocal, const real *dglobal, real *dlatents,
                           long dlatents_stride, int heads_only);

#endif
