/* step_work.h: counts what one step of a stage costs a rank, for the plan: passes over each network, arithmetic, and
   bytes sent. It is computed from the layout alone.
   Bytes of sharding, with N ranks, T elements of a table (padded), f = (N - 1)/N, e bytes of an elem; a ring sends and
   receives as much on every rank:
     gradients  zero 0: all-reduce, 2 f 4T an update; zero 1: reduce-scatter, f 4T an update; zero 2, 3: f 4T a backward
     weights    zero 1, 2: all-gather, f eT an update; zero 3: f eT a forward and a backward
   With adapters T is their elements for gradients and updates; zero 3 gathers them and the frozen weights under them.
   Bytes of divided tokens, with S ranks that divide them (model/params/sequence.h), n = tokens / S of a pass,
   g = (S - 1)/S:
     exchanges  4 g e n d a block: queries, keys, values and the output, forward, again when run again, and back
     velocity   4 (S - 1) n C sizeof(real) a forward: the head's output of C channels, to all */
#ifndef TRAIN_METHOD_STEP_WORK_H
#define TRAIN_METHOD_STEP_WORK_H

#include "model/params/shard.h"
#include "train/optimiser/optimiser.h"
#include "train/method/self_forcing.h"

enum { WORK_NETWORKS = 4 };
struct network_work {
    const char *name;
    const struct param_table *table;   /* its weights */
    const struct param_table *trained; /* the weights that are updated: `table` itself, or the adapters' */
    double forwards, backwards;        /* passes over its weights, of all parts of a step together */
    double updates;                    /* updates a step; 0: frozen */
};
struct step_work {
    struct network_work list[WORK_NETWORKS];
    int count;
    int sequence;     /* S; 0 or 1: tokens are not divided */
    double flops;     /* multiply-adds times two, over all ranks that divide this rank's samples */
    double exchanged; /* bytes that this rank sends in exchanges */
};
/* The entry of a network, made when it is not there: of a frozen network from its table, of one that trains from its
   optimiser. */
struct network_work *step_work_network(struct step_work *w, const char *name, const struct param_table *table);
struct network_work *step_work_trained(struct step_work *w, const char *name, const struct optimiser *optimiser);
/* Count n passes over the rank's clips. WORK_BACKWARD gives gradients by weights and input, WORK_BACKWARD_INPUT by the
   input alone. */
enum work_pass { WORK_FORWARD, WORK_BACKWARD, WORK_BACKWARD_INPUT };
void step_work_clips(struct step_work *w, struct network_work *network, const struct dit_config *config,
                     const struct batch_split *split, int F, enum work_pass kind, int recompute, double n);
/* Counts the exchanges of tokens in n passes of a kind over `count` samples of F frames. */
void step_work_exchanges(struct step_work *w, const struct dit_config *config, int count, int F, enum work_pass kind,
                         int recompute, double n);
/* Count n rollouts of the student, of mean length; and the backward through the exit passes of one. */
void step_work_rollout(struct step_work *w, struct network_work *student, const struct self_forcing *s,
                       const struct batch_split *split, double n);
void step_work_rollout_backward(struct step_work *w, struct network_work *student, const struct self_forcing *s,
                                const struct batch_split *split, int recompute);
/* Bytes that a rank sends in a step, exchanges of tokens included. */
double step_work_sent(const struct step_work *w, int ranks, int zero);

#endif
