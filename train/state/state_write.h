/* state_write.h: a write of a state that is under way, shared by state.c, which starts it and waits for it, and the
   thread in state_write.c. */
#ifndef TRAIN_STATE_STATE_WRITE_H
#define TRAIN_STATE_STATE_WRITE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/fileio.h"
#include "train/optimiser/copy_gate.h"
#include "train/state/state.h"

/* Belongs to the thread until it is joined, but for the gates. */
struct state_write {
    struct train_state *state;
    char folder[FILE_PATH_MAX], path[FILE_PATH_MAX];
    char *config;
    int keep;
    long every;
    int64_t number;               /* number of the save in this run, the same on all ranks */
    struct device_stream *stream; /* stream that copies to the staging */
    long failures;                /* device_failures before the copies */
    struct copy_gate copied[STATE_NETWORKS_MAX];
    double paused, seconds; /* seconds that train_state_save took; that the thread took */
    int code;
    char text[512];
    atomic_int ended;
    pthread_t thread;
};

/* The thread's function for pthread_create; job: struct state_write. */
void *state_write_work(void *job);
/* The part of a slice that this rank saves: its piece, or, where every rank has all of it, a part as large. */
struct shard_piece state_write_piece(const struct train_state *s, const struct optimiser *o, int slice);
int state_write_ranks(const struct train_state *s);

#endif
