/* optimiser.h: what a network has while it trains: fp32 master weights, moments and average, the gradients, the elem
   weights that the network reads, and the device's own account of the updates.
   Loss, norm, clip factor and the non-finite flag stay on the device; a step with a non-finite loss or gradient is
   skipped there. The host learns of a step when it has queued the next one (mailbox.h).
   AdamW: Loshchilov and Hutter 2019; clipping by the norm of all gradients. */
#ifndef TRAIN_OPTIMISER_H
#define TRAIN_OPTIMISER_H

#include "kernels/arena.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "model/params.h"
#include "train/mailbox.h"
#include "train/run_config.h"

struct optimiser_report {
    long step; /* -1: that step's account is not there */
    double loss, norm, rate;
    int skipped; /* 1: that step was non-finite */
    long skipped_in_row, updates;
};

struct optimiser {
    const struct param_table *table;
    struct optimiser_config config;
    long steps;                   /* of the whole run, for the cool-down */
    real *master, *m, *v, *grads; /* device [table->total] */
    real *ema;                    /* NULL when config.ema is 0 */
    elem *weights;
    struct optim_state *state;      /* device */
    real *loss;                     /* device [1]: the loss of this step, added to by the step */
    struct mailbox account, losses; /* of the last two steps */
};

/* Lays out everything for `table` (arena.h: called while planning and once more). The caller frees with
   optimiser_free. network: what the plan calls it ("student"). */
int optimiser_layout(struct optimiser *o, const char *network, const struct param_table *table,
                     const struct optimiser_config *config, long steps, struct arena *arena);
void optimiser_free(struct optimiser *o);
/* From master weights already there: moments zero, average equal to the weights, no updates made. */
void optimiser_start(struct optimiser *o);
/* The weights that the network reads, from the master weights. */
void optimiser_publish(struct optimiser *o);
/* The network's parameters with gradients. */
struct params optimiser_params(const struct optimiser *o);

/* Learning rate of step 0, 1, ... (pure): linear warm-up, constant, linear cool-down over the last steps. */
double optimiser_rate(const struct optimiser_config *config, long step, long steps);

/* Clears gradients and loss. */
void optimiser_begin(struct optimiser *o);
/* The update of slices first_slice .. from gradients and loss; puts a copy of its account in a mailbox. */
void optimiser_step(struct optimiser *o, long step, int first_slice);
/* The account of `step`, which is the last one queued or the one before. */
void optimiser_report(struct optimiser *o, long step, struct optimiser_report *report);

#endif
