/* step_work.h: what one step of a stage costs a rank, for the plan: passes over each network, arithmetic, and the bytes
   that sharding sends. Pure arithmetic of the layout.
   Adapters: T is theirs for gradients and updates; zero 3 gathers them and the frozen weights that they are over.
   With N ranks, T elements of a table (padded), f = (N - 1)/N; a ring sends and receives as much on every rank:
     gradients  zero 0: all-reduce, 2 f 4T an update; zero 1: reduce-scatter, f 4T an update; zero 2, 3: f 4T a backward
     weights    zero 1, 2: all-gather, f eT an update; zero 3: f eT a forward and a backward (e: bytes of an elem)
   With S ranks that divide the clips' tokens (model/params/sequence.h), n = tokens / S of a pass, g = (S - 1)/S:
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
    const struct param_table *table;   /* of its weights */
    const struct param_table *trained; /* of what is updated: the table itself, or adapters' */
    double forwards, backwards;        /* passes over its weights: of all parts of a step */
    double updates;                    /* 0: frozen */
};
struct step_work {
    struct network_work list[WORK_NETWORKS];
    int count;
    int sequence;     /* S; 0, 1: nothing is divided */
    double flops;     /* multiply-adds times two, of all ranks that divide this rank's samples */
    double exchanged; /* bytes that this rank sends in exchanges */
};
/* The network's entry, made when it is not there: of a frozen one by its table, of one that trains by its optimiser. */
struct network_work *step_work_network(struct step_work *w, const char *name, const struct param_table *table);
struct network_work *step_work_trained(struct step_work *w, const char *name, const struct optimiser *optimiser);
/* n passes over clips of the rank's share: forwards, and backwards that give weight gradients too or only the
   input's. */
enum work_pass { WORK_FORWARD, WORK_BACKWARD, WORK_BACKWARD_INPUT };
void step_work_clips(struct step_work *w, struct network_work *network, const struct dit_config *config,
                     const struct batch_split *split, int F, enum work_pass kind, int recompute, double n);
/* Exchanges of n passes through `count` samples of F frames, and the same of the ways back through them. */
void step_work_exchanges(struct step_work *w, const struct dit_config *config, int count, int F, enum work_pass kind,
                         int recompute, double n);
/* A rollout of the student of mean length, and the way back through its exit passes. */
void step_work_rollout(struct step_work *w, struct network_work *student, const struct self_forcing *s,
                       const struct batch_split *split, double n);
void step_work_rollout_backward(struct step_work *w, struct network_work *student, const struct self_forcing *s,
                                const struct batch_split *split, int recompute);
/* Bytes that a rank sends in a step, exchanges among them. */
double step_work_sent(const struct step_work *w, int ranks, int zero);

#endif
