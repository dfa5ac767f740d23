/* state_write.h: a write of a state under way, between state.c, which starts it and waits for it, and the thread
   in state_write.c. */
#ifndef TRAIN_STATE_STATE_WRITE_H
#define TRAIN_STATE_STATE_WRITE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/fileio.h"
#include "train/optimiser/copy_gate.h"
#include "train/state/state.h"

/* The thread's own until it is joined, but for the gates. */
struct state_write {
    struct train_state *state;
    char folder[FILE_PATH_MAX], path[FILE_PATH_MAX];
    char *config;
    int keep;
    long every;
    int64_t number;               /* of the saves of this run: the same on all ranks */
    struct device_stream *stream; /* of the copies */
    long failures;                /* of the device, before them */
    struct copy_gate copied[STATE_NETWORKS_MAX];
    double paused, seconds; /* in train_state_save; of the thread */
    int code;
    char text[512];
    atomic_int ended;
    pthread_t thread;
};

/* What pthread_create takes; the argument: struct state_write. */
void *state_write_work(void *job);
/* What this rank saves of a slice: its piece, or, where every rank has all of it, a part as large. */
struct shard_piece state_write_piece(const struct train_state *s, const struct optimiser *o, int slice);
int state_write_ranks(const struct train_state *s);

#endif
