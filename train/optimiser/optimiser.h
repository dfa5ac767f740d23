/* optimiser.h: what a network has while it trains: fp32 master weights, moments and average, its weights and gradients
   (shard.h), and the device's own account of the updates.
   With sharding a rank has the state of its piece of every slice only; with offload that state lies in host memory and
   an update goes through a staging buffer, piece by piece.
   Loss, norm, clip factor and the non-finite flag stay on the device, the same on all ranks; a step with a non-finite
   loss or gradient is skipped there. The host learns of a step when it has queued the next one (mailbox.h).
   With adapters (config.lora, model/params/lora.h) `table` is the adapters' and all of this is theirs; the network's
   own weights stay frozen, in memory of the optimiser's or, where the stage says so, shared with a frozen network.
   AdamW: Loshchilov and Hutter 2019; clipping by the norm of all gradients. */
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
    long warmup, cooldown;   /* updates of linear rise from 0 and of linear fall to 0 at the end */
    double ema, ema_warmup;  /* min(ema, (1 + u)/(ema_warmup + u)) */
    double spike;            /* faults.spike, the same for all optimisers of a run */
    struct lora_config lora; /* where the network is among lora.networks */
};
/* Its rows in the table of a config. */
#define OPTIMISER_KEYS(key, member, lr_default, beta1_default, beta2_default, decay_default, clip_default,             \
                       warm_default, cool_default, ema_default)                                                        \
    REAL(key ".lr", member.lr, 0, 1, lr_default, "learning rate"),                                                     \
        REAL(key ".beta1", member.beta1, 0, 0.9999999, beta1_default, "decay of the first moment"),                    \
        REAL(key ".beta2", member.beta2, 0, 0.9999999, beta2_default, "decay of the second moment"),                   \
        REAL(key ".eps", member.eps, 1e-20, 1, "1e-8", "added to the root of the second moment"),                      \
        REAL(key ".decay", member.decay, 0, 1, decay_default, "decoupled weight decay"),                               \
        REAL(key ".clip", member.clip, 0, 1e9, clip_default, "largest gradient norm; 0: no clipping"),                 \
        LONG(key ".warmup", member.warmup, 0, 1e9, warm_default, "updates of linear rise"),                            \
        LONG(key ".cooldown", member.cooldown, 0, 1e9, cool_default, "updates of linear fall at the end"),             \
        REAL(key ".ema", member.ema, 0, 0.9999999, ema_default, "decay of the averaged weights"),                      \
        REAL(key ".ema_warmup", member.ema_warmup, 1, 1e9, "10", "decay is at most (1 + u)/(this + u)")

struct optimiser_report {
    long step; /* -1: that step's account is not there */
    double loss, norm, rate;
    int skipped;    /* 1: that step was non-finite or a spike */
    int spiked;     /* 1: a spike */
    double typical; /* running mean of the norms */
    long skipped_in_row, updates;
};

/* The arrays of the state, each of this rank's pieces. */
enum optimiser_array { OPTIMISER_MASTER, OPTIMISER_M, OPTIMISER_V, OPTIMISER_EMA, OPTIMISER_ARRAYS };

struct optimiser {
    const struct param_table *table; /* of what is trained */
    const struct param_table *net;   /* the network's: the same without adapters */
    struct optimiser_config config;
    long steps; /* of the whole run, for the cool-down */
    /* Steps that made no update, or whose moments were thrown away: the rise of the learning rate begins after them.
       The caller sets it, at the start and whenever it changes; no state holds it. */
    long idle;
    double rates[2]; /* of the last two steps, by their parity; of a step that was held: */
    int held[2];
    struct sharded shard;
    struct lora lora;                     /* with adapters */
    struct frozen_weights own_base;       /* their frozen weights, */
    struct frozen_weights *base, *shared; /* or those of another network; NULL: own */
    union { /* [shard_pieces]: device, or host with offload; the average NULL when config.ema is 0 */
        real *array[OPTIMISER_ARRAYS];
        struct {
            real *master, *m, *v, *ema;
        };
    };
    real *staging[OPTIMISER_ARRAYS]; /* device [staging_size]: what an offloaded update works on */
    size_t staging_size;             /* 0: the state is on the device */
    struct optim_state *state;       /* device */
    struct optim_state *all;         /* device [ranks] */
    real *loss;                      /* device [1]: the loss of this step, added to by the step */
    struct mailbox account, losses;  /* of the last two steps */
    int keep_gradients;              /* an update leaves them as they are, for who looks at them behind it: tests */
    struct copy_gate *copying;       /* another thread copies the arrays: an update waits for it; NULL: none does */
};

/* Lays out everything for `table` (arena.h: called while planning and once more). The caller frees with
   optimiser_free. network: what the plan calls it ("student"). shards NULL: one process. */
int optimiser_layout(struct optimiser *o, const char *network, const struct param_table *table,
                     const struct optimiser_config *config, long steps, struct sharding *shards, struct arena *arena);
void optimiser_free(struct optimiser *o);
/* Before the layout: adapters are over these weights, of the same network or of its first slices. */
void optimiser_share(struct optimiser *o, struct frozen_weights *base);
static inline int optimiser_adapted(const struct optimiser *o) { return o->config.lora.rank > 0; }
/* New master weights from the table's initialisers; adapters that change nothing. */
void optimiser_initialise(struct optimiser *o, uint64_t seed);
/* From master weights already there: moments zero, average equal to the weights, no updates made. */
void optimiser_start(struct optimiser *o);
/* The weights that the network reads, from the master weights. */
void optimiser_publish(struct optimiser *o);
/* The network's parameters with gradients, as of an update's last backward; and without gradients. */
struct params optimiser_params(const struct optimiser *o);
struct params optimiser_frozen(const struct optimiser *o);
/* The average (the weights when there is none) as weights of another shard of the network's table, adapters merged. */
void optimiser_average(struct optimiser *o, struct sharded *weights);

/* Zero master weights in the first `slices` slices, padding too: before they are written in parts. */
void optimiser_clear(struct optimiser *o, int slices);
/* Elements at .. at + count - 1 of what this rank has of an array, to host floats: from any thread, beside the steps as
   long as no update changes them (copying). */
void optimiser_copy(const struct optimiser *o, enum optimiser_array which, size_t at, size_t count, float *to);
/* A slice of an array to host floats [its size]; over the ranks, so all of them call it, and the first has the
   result. */
int optimiser_read(struct optimiser *o, enum optimiser_array which, int slice, float *to);
/* This rank's piece of it from host floats of the whole slice; from those of `count` of its elements, the first at
   `at`. */
void optimiser_write(struct optimiser *o, enum optimiser_array which, int slice, const float *from);
void optimiser_write_part(struct optimiser *o, enum optimiser_array which, int slice, size_t at, size_t count,
                          const float *from);

/* Learning rate of step 0, 1, ... (pure): linear warm-up, constant, linear cool-down over the last steps. */
double optimiser_rate(const struct optimiser_config *config, long step, long steps);

/* Clears gradients and loss. */
void optimiser_begin(struct optimiser *o);
/* The update of slices first_slice .. from gradients and loss (both summed over ranks here); puts a copy of its account
   in a mailbox. */
int optimiser_step(struct optimiser *o, long step, int first_slice);
/* In place of an update: the weights stay what they are, and the step's account has the loss alone (summed over ranks
   here), norm and rate 0. */
int optimiser_hold(struct optimiser *o, long step);
/* The account of `step`, which is the last one queued or the one before. */
void optimiser_report(struct optimiser *o, long step, struct optimiser_report *report);

#endif
