/* copy_gate.h: a gate between a thread that copies memory and the thread that changes it. The gate is closed when a
   copy is begun; the copying thread opens it when the copy is complete; whoever is about to change that memory passes
   the gate first and so waits for the copy. */
#ifndef TRAIN_OPTIMISER_COPY_GATE_H
#define TRAIN_OPTIMISER_COPY_GATE_H

#include <pthread.h>

struct copy_gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    int open;
    double waited; /* seconds that copy_gate_pass has waited, in all; the passing thread's own */
};
/* Makes a gate that is closed. */
void copy_gate_make(struct copy_gate *gate);
/* Nobody may wait at the gate any more. */
void copy_gate_destroy(struct copy_gate *gate);
void copy_gate_open(struct copy_gate *gate);
/* Waits until it is open. */
void copy_gate_pass(struct copy_gate *gate);

#endif
