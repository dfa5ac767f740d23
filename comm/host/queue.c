/* queue.c: see queue.h. */
#include "comm/host/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"
#include "kernels/host/denormals.h"

enum { QUEUE_CALLS = 256 };

static int run(struct comm_queue *q, const struct queued_call *c) {
    KERNEL_SCOPE;
    struct wire *w = q->rounds->wire;
    int code = wire_begin(w, &c->place);
    if (!code) code = rounds_run(q->rounds, &c->call);
    return wire_end(w, code);
}

static void *work(void *argument) {
    struct comm_queue *q = argument;
    flush_denormals();
    pthread_mutex_lock(&q->lock);
    for (;;) {
        while (q->finished == q->taken && !q->stop) pthread_cond_wait(&q->added, &q->lock);
        if (q->finished == q->taken) break;
        const struct queued_call *c = &q->calls[q->finished % QUEUE_CALLS];
        int failed = q->code;
        pthread_mutex_unlock(&q->lock);
        int code = failed ? failed : run(q, c);
        pthread_mutex_lock(&q->lock);
        if (code && !q->code) {
            q->code = code;
            snprintf(q->text, sizeof q->text, "%s", error_text());
        }
        q->finished++;
        pthread_cond_broadcast(&q->done);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

size_t comm_queue_memory(int ranks) {
    return QUEUE_CALLS * (sizeof(struct queued_call) + 2 * (size_t)ranks * sizeof(long));
}

int comm_queue_open(struct comm_queue *q, struct rounds *rounds) {
    *q = (struct comm_queue){.rounds = rounds};
    q->calls = calloc(QUEUE_CALLS, sizeof *q->calls);
    q->counts = calloc((size_t)QUEUE_CALLS * 2 * (size_t)rounds->wire->size, sizeof *q->counts);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->added, NULL);
    pthread_cond_init(&q->done, NULL);
    int code = q->calls && q->counts ? OK : error_set(ERR_DEVICE, "out of memory for the queue of collectives");
    if (!code && pthread_create(&q->thread, NULL, work, q)) code = error_set(ERR_DEVICE, "cannot start a thread");
    q->running = !code;
    if (code) comm_queue_close(q);
    return code;
}

void comm_queue_close(struct comm_queue *q) {
    if (q->running) {
        pthread_mutex_lock(&q->lock);
        q->stop = 1;
        pthread_cond_broadcast(&q->added);
        pthread_mutex_unlock(&q->lock);
        pthread_join(q->thread, NULL);
    }
    q->running = 0;
    free(q->calls);
    free(q->counts);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->added);
    pthread_cond_destroy(&q->done);
}

static const long *keep(const struct comm_queue *q, long *place, const long *counts) {
    if (!counts) return NULL;
    memcpy(place, counts, (size_t)q->rounds->wire->size * sizeof *counts);
    return place;
}

static int failure(const struct comm_queue *q) { return q->code ? error_set(q->code, "%s", q->text) : OK; }

int comm_queue_start(struct comm_queue *q, const struct comm *comm, const struct comm_call *call, comm_ticket *ticket) {
    pthread_mutex_lock(&q->lock);
    while (q->taken - q->finished == QUEUE_CALLS) pthread_cond_wait(&q->done, &q->lock);
    int code = failure(q);
    if (!code) {
        struct queued_call *c = &q->calls[q->taken % QUEUE_CALLS];
        size_t n = (size_t)q->rounds->wire->size;
        long *counts = q->counts + (size_t)(q->taken % QUEUE_CALLS) * 2 * n;
        c->call = *call;
        c->call.to_counts = keep(q, counts, call->to_counts);
        c->call.from_counts = keep(q, counts + n, call->from_counts);
        *ticket = ++q->taken;
        c->place = comm_place(comm, call->kind, q->taken);
        pthread_cond_signal(&q->added);
    }
    pthread_mutex_unlock(&q->lock);
    return code;
}

int comm_queue_wait(struct comm_queue *q, comm_ticket ticket) {
    pthread_mutex_lock(&q->lock);
    while (q->finished < ticket && q->finished < q->taken) pthread_cond_wait(&q->done, &q->lock);
    int code = failure(q);
    pthread_mutex_unlock(&q->lock);
    return code;
}
