/* copy_gate.c: see copy_gate.h. */
#include "train/optimiser/copy_gate.h"

#include "base/progress.h"

void copy_gate_make(struct copy_gate *gate) {
    *gate = (struct copy_gate){.open = 0};
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->opened, NULL);
}

void copy_gate_destroy(struct copy_gate *gate) {
    pthread_cond_destroy(&gate->opened);
    pthread_mutex_destroy(&gate->lock);
}

void copy_gate_open(struct copy_gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->open = 1;
    pthread_cond_broadcast(&gate->opened);
    pthread_mutex_unlock(&gate->lock);
}

void copy_gate_pass(struct copy_gate *gate) {
    double start = clock_seconds();
    pthread_mutex_lock(&gate->lock);
    while (!gate->open) pthread_cond_wait(&gate->opened, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
    gate->waited += clock_seconds() - start;
}
