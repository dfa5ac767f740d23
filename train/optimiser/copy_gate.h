/* copy_gate.h: a thread that copies memory closes the gate before another may go on, and opens it when the copy is
   there; whoever is about to change that memory passes the gate first. */
#ifndef TRAIN_OPTIMISER_COPY_GATE_H
#define TRAIN_OPTIMISER_COPY_GATE_H

#include <pthread.h>

struct copy_gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    int open;
    double waited; /* seconds that passing took, all together: of the passing thread */
};
/* Closed. */
void copy_gate_make(struct copy_gate *gate);
/* Nobody waits at it any more. */
void copy_gate_destroy(struct copy_gate *gate);
void copy_gate_open(struct copy_gate *gate);
/* Waits until it is open. */
void copy_gate_pass(struct copy_gate *gate);

#endif
