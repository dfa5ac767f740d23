/* history_spoil.h: spoils what a causal student sees of its past in training, so that it learns to make good chunks
   from a history with errors in it, as a long stream comes to. One chunk of a rollout is spoiled, in each sample with
   probability p; only its keys and values in the cache are, so that the chunk itself is judged as it was made:

     chunk's clean latents   z     the prediction (rollouts) or the trajectory's end (ode_init)
     input of the pass whose keys and values the cache keeps, at noise level sigma
                             x     (1 - sigma) z + sigma noise
     spoiled input           x + (1 - sigma) ((a - 1) z + b + c n)
     a = exp(scale g)        one factor a sample: contrast and saturation, which drift lessens or raises
     b = shift g             one number a channel and sample: colour and brightness
     c = noise u             one deviation a sample; n is normal noise, anew for every element

   with g normal and u even in [0, 1]. The spoiled chunk is the one before the clip that is trained, or up to `rolled`
   chunks earlier (then the student's own chunks carry the error on), but never one of the sink: the reference and the
   sink's chunk are what a student can hold on to. So in a rollout that begins with its clip it is the first chunk
   behind the sink, which later chunks of the clip see. The history carries no gradient into the spoiled pass.
   From Avatar-Forever: the spoiled first chunk of the history, probability one half, chunks rolled on from it; from
   Helios: changes of exposure and noise as what spoils. Different from both: latents are shifted, not pixels, no blur,
   and the loss is the stage's own.
   Random numbers: purpose RANDOM_SPOIL, addressed by step, the rollout's purpose and sample. Which chunk is spoiled is
   the same for all samples, parts and ranks, so that all ranks run the same passes. */
#ifndef TRAIN_METHOD_HISTORY_SPOIL_H
#define TRAIN_METHOD_HISTORY_SPOIL_H

#include "base/config.h"
#include "kernels/arena.h"
#include "model/dit/rollout.h"

struct spoil_config {
    double probability;         /* 0: nothing is spoiled, nothing is laid out */
    double noise, shift, scale; /* amounts, in units of the latents */
    int rolled;                 /* most chunks between the spoiled one and the trained clip */
};
#define SPOIL_KEYS(key, member)                                                                                        \
    REAL(key ".probability", member.probability, 0, 1, "0",                                                            \
         "Probability with which the first chunk of a sample's history is spoiled in the cache, so that the student "  \
         "learns to go on from a past with errors in it; 0: none is."),                                                \
        REAL(key ".noise", member.noise, 0, 10, "0.2",                                                                 \
             "Largest standard deviation of the noise on a spoiled chunk's latents; drawn evenly from 0 up."),         \
        REAL(key ".shift", member.shift, 0, 10, "0.2",                                                                 \
             "Standard deviation of what is added to each channel of a spoiled chunk: colour and brightness."),        \
        REAL(key ".scale", member.scale, 0, 10, "0.2",                                                                 \
             "Standard deviation of the logarithm of a spoiled chunk's factor: contrast and saturation.")
/* For stages whose rollouts may be longer than a clip. */
#define SPOIL_ROLLED_KEY(key, member)                                                                                  \
    INT(key ".rolled", member.rolled, 0, 65536, "0",                                                                   \
        "Largest number of chunks, drawn evenly, that the student makes without gradient between the spoiled chunk "   \
        "and the clip that is trained, as far as the rollout has chunks before its clip.")

/* Names the rollout whose history is spoiled. */
struct spoil_address {
    uint64_t seed, step;
    int purpose;  /* that of the rollout's noise, below 128 */
    long sample0; /* number of the rollout's first sample of the whole batch */
};
/* What one sample's chunk suffers. */
struct spoil_draw {
    int spoiled; /* 0: nothing, and the amounts are those of nothing */
    double factor, noise;
};
struct history_spoil {
    struct spoil_config config;
    int B, frames, channels; /* samples laid out at most, frames of the present chunk, channels */
    long plane;              /* elements of a frame's channel */
    double *clean;           /* host [B]: 1 - sigma of each sample's input, which the caller sets */
    real *host, *device;     /* [4, B, frames, channels]: ones, and the weights of z, of 1 and of n */
};
/* Lays out what spoiling B samples takes; nothing where the probability is 0. chunks: those of the trained clip, of
   which one behind the sink must see another (else ERR_USAGE). key: the config's name, for that error. */
int history_spoil_layout(struct history_spoil *s, const char *key, const struct spoil_config *config,
                         const struct dit_config *net, const struct causal_config *causal, int B, int chunks,
                         struct arena *arena);
void history_spoil_free(struct history_spoil *s);
/* Number of the first chunk of which no frame lies in the sink. */
int history_spoil_first(const struct causal_config *causal);
/* Number of the chunk that is spoiled in a rollout with `before` chunks before its clip (a pure function). */
int history_spoil_chunk(const struct spoil_config *config, const struct causal_config *causal, int before,
                        const struct spoil_address *address);
/* What happens to sample `sample`, counted from address->sample0 (a pure function). */
struct spoil_draw history_spoil_draw(const struct spoil_config *config, const struct spoil_address *address,
                                     long sample);
/* Spoils the input x [count, frames, channels, plane] of the pass that leaves a chunk, whose first frame is `first`, in
   the cache; of samples that are not spoiled no bit changes. `sample` is the number of the first, counted from
   address->sample0. z, of the same shape, holds the chunk's clean latents and is overwritten. frames: the chunk's, at
   most those laid out. */
void history_spoil_apply(struct history_spoil *s, real *x, real *z, const struct spoil_address *address, long sample,
                         int count, int first, int frames);

#endif
