/* optimiser.h: a network that trains: fp32 master weights, moments and average, the weights that passes read and their
   gradients (shard.h), and an account of each update. The update is AdamW (Loshchilov and Hutter 2019) with clipping by
   the norm of all gradients.
   With sharding a rank has this state for its pieces of the slices only; with offload it lies in host memory and an
   update goes through a staging buffer, piece by piece.
   Loss, norm, clip factor and the non-finite flag stay on the device, the same on all ranks. A step with a non-finite
   loss or gradient is skipped there. The host reads a step's account when it has queued the next step (mailbox.h).
   With adapters (config.lora, model/params/lora.h) `table` is the adapters' and all of this is for them. The network's
   own weights stay frozen, in the optimiser's memory or, after optimiser_share, in that of a frozen network. */
#ifndef TRAIN_OPTIMISER_OPTIMISER_H
#define TRAIN_OPTIMISER_OPTIMISER_H

#include "base/config.h"
#include "kernels/arena.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "model/params/lora.h"
#include "model/params/params.h"
#include "model/params/shard.h"
#include "train/optimiser/copy_gate.h"
#include "train/optimiser/mailbox.h"
#include "train/optimiser/frozen.h"

struct optimiser_config {
    double lr, beta1, beta2, eps, decay, clip;
    long warmup, cooldown;   /* updates over which the rate rises from 0, and falls to 0 at the end, linearly */
    double ema, ema_warmup;  /* the average's decay after u updates: min(ema, (1 + u)/(ema_warmup + u)) */
    double spike;            /* faults.spike, the same for all optimisers of a run */
    struct lora_config lora; /* rank 0 where the network is not among lora.networks */
};
/* Its rows for a table of keys. */
#define OPTIMISER_KEYS(key, member, lr_default, beta1_default, beta2_default, decay_default, clip_default,             \
                       warm_default, cool_default, ema_default)                                                        \
    REAL(key ".lr", member.lr, 0, 1, lr_default, "Learning rate."),                                                    \
        REAL(key ".beta1", member.beta1, 0, 0.9999999, beta1_default,                                                  \
             "Decay of AdamW's first moment, the running mean of the gradients."),                                     \
        REAL(key ".beta2", member.beta2, 0, 0.9999999, beta2_default,                                                  \
             "Decay of AdamW's second moment, the running mean of their squares."),                                    \
        REAL(key ".eps", member.eps, 1e-20, 1, "1e-8",                                                                 \
             "Number added to the root of the second moment, against division by zero."),                              \
        REAL(key ".decay", member.decay, 0, 1, decay_default, "Weight decay, apart from the gradient (AdamW)."),       \
        REAL(key ".clip", member.clip, 0, 1e9, clip_default,                                                           \
             "Largest norm of all gradients together; larger ones are scaled down to it. 0: none are."),               \
        LONG(key ".warmup", member.warmup, 0, 1e9, warm_default,                                                       \
             "Number of updates over which the learning rate rises from 0 at the start."),                             \
        LONG(key ".cooldown", member.cooldown, 0, 1e9, cool_default,                                                   \
             "Number of updates over which the learning rate falls to 0 at the end."),                                 \
        REAL(key ".ema", member.ema, 0, 0.9999999, ema_default,                                                        \
             "Decay of the running average of the weights (EMA) that exports take; 0: no average is kept."),           \
        REAL(key ".ema_warmup", member.ema_warmup, 1, 1e9, "10",                                                       \
             "Limit of the average's decay while it is young: after u updates it is at most (1 + u) / (this + u).")

struct optimiser_report {
    long step; /* -1: the account of that step is not there */
    double loss, norm, rate;
    int skipped;    /* 1: the update was skipped, as non-finite or as a spike */
    int spiked;     /* 1: as a spike */
    double typical; /* running mean of the norms */
    long skipped_in_row, updates;
};

/* The arrays of the state, each with this rank's pieces. */
enum optimiser_array { OPTIMISER_MASTER, OPTIMISER_M, OPTIMISER_V, OPTIMISER_EMA, OPTIMISER_ARRAYS };

struct optimiser {
    const struct param_table *table; /* the parameters that are trained */
    const struct param_table *net;   /* the network's; the same without adapters */
    struct optimiser_config config;
    long steps; /* number of steps of the whole run, for the cool-down */
    /* Number of steps that made no update, or whose moments were thrown away: the learning rate begins to rise after
       them. The caller sets it, at the start and whenever it changes; no state holds it. */
    long idle;
    double rates[2]; /* learning rates of the last two steps, by the step's parity */
    int held[2];     /* 1: optimiser_hold took the place of that step's update */
    struct sharded shard;
    struct lora lora;               /* laid out with adapters */
    struct frozen_weights own_base; /* weights under the adapters, unless they are shared */
    struct frozen_weights *base;    /* the weights under the adapters: own_base or shared */
    struct frozen_weights *shared;  /* those of another network; NULL: the optimiser has its own */
    union { /* [shard_pieces], on the device, or on the host with offload; ema is NULL when config.ema is 0 */
        real *array[OPTIMISER_ARRAYS];
        struct {
            real *master, *m, *v, *ema;
        };
    };
    real *staging[OPTIMISER_ARRAYS]; /* device [staging_size]: pieces that an offloaded update works on */
    size_t staging_size;             /* 0: the state is on the device */
    struct optim_state *state;       /* device: the account */
    struct optim_state *all;         /* device [ranks]: every rank's, from which the norm is summed */
    real *loss;                      /* device [1]: loss of this step; the stage's step adds to it */
    struct mailbox account, losses;  /* accounts and losses of the last two steps */
    int keep_gradients;              /* 1: an update leaves the gradients as they are, for tests that read them */
    struct copy_gate *copying;       /* gate of a thread that copies the arrays, which an update waits at; NULL: none */
};

/* Lays out everything for `table` (arena.h: called while planning and once more). The caller frees with
   optimiser_free. network: what the plan calls it ("student"). shards NULL: one process. */
int optimiser_layout(struct optimiser *o, const char *network, const struct param_table *table,
                     const struct optimiser_config *config, long steps, struct sharding *shards, struct arena *arena);
void optimiser_free(struct optimiser *o);
/* Called before the layout: puts the adapters over these weights, of the same network or of its first slices, instead
   of over weights of the optimiser's own. */
void optimiser_share(struct optimiser *o, struct frozen_weights *base);
static inline int optimiser_adapted(const struct optimiser *o) { return o->config.lora.rank > 0; }
/* Makes new master weights with the table's initialisers; new adapters change nothing. */
void optimiser_initialise(struct optimiser *o, uint64_t seed);
/* Starts afresh from the master weights that are there: moments zero, average equal to the weights, no updates made. */
void optimiser_start(struct optimiser *o);
/* Makes the weights that passes read from the master weights. */
void optimiser_publish(struct optimiser *o);
/* The network's parameters for passes: with gradients (.last set, as for the last backward of an update); without. */
struct params optimiser_params(const struct optimiser *o);
struct params optimiser_frozen(const struct optimiser *o);
/* Writes the average (the weights when there is none), adapters merged, as the weights of another shard of the
   network's table. */
void optimiser_average(struct optimiser *o, struct sharded *weights);

/* Sets the master weights of the first `slices` slices to zero, padding too, before they are written in parts. */
void optimiser_clear(struct optimiser *o, int slices);
/* Copies elements at .. at + count - 1 of this rank's pieces of an array to host floats. Any thread may call it beside
   the steps, as long as no update changes the array meanwhile (copying). */
void optimiser_copy(const struct optimiser *o, enum optimiser_array which, size_t at, size_t count, float *to);
/* Gathers a slice of an array from the ranks to host floats [its size]. All ranks call it; the first has the result. */
int optimiser_read(struct optimiser *o, enum optimiser_array which, int slice, float *to);
/* Write this rank's piece of a slice from host floats: from all of the slice; from `count` of its elements, the first
   of them at `at`. */
void optimiser_write(struct optimiser *o, enum optimiser_array which, int slice, const float *from);
void optimiser_write_part(struct optimiser *o, enum optimiser_array which, int slice, size_t at, size_t count,
                          const float *from);

/* Learning rate of step 0, 1, ..., a pure function: linear warm-up, constant, linear cool-down over the last steps. */
double optimiser_rate(const struct optimiser_config *config, long step, long steps);

/* Clears gradients and loss. */
void optimiser_begin(struct optimiser *o);
/* Makes the update of slices first_slice .. from gradients and loss, both of which it sums over the ranks, and posts
   its account. */
int optimiser_step(struct optimiser *o, long step, int first_slice);
/* Takes the place of an update: the weights stay as they are, and the step's account has the loss alone (summed over
   the ranks here), with norm and rate 0. */
int optimiser_hold(struct optimiser *o, long step);
/* The account of `step`, which is the last one queued or the one before. */
void optimiser_report(struct optimiser *o, long step, struct optimiser_report *report);

#endif
