/* mailbox.h: small device values that the host reads one step late, so that reading never waits for the step that was
   queued last. Two slots, by the step's parity; an event says when a slot is written. */
#ifndef TRAIN_OPTIMISER_MAILBOX_H
#define TRAIN_OPTIMISER_MAILBOX_H

#include "kernels/arena.h"
#include "kernels/device.h"

struct mailbox {
    size_t bytes;
    void *slot[2]; /* device */
    struct device_event *written[2];
    long step[2]; /* -1: empty */
    struct device_stream *reader;
};
void mailbox_layout(struct mailbox *m, size_t bytes, struct arena *arena);
void mailbox_free(struct mailbox *m);
/* Queues a copy of `bytes` from device memory as the letter of `step` (rising by one). */
void mailbox_post(struct mailbox *m, long step, const void *device_from);
/* The letter of `step`; waits until it is written. 0: it is not there (never was, or two newer ones are). */
int mailbox_read(struct mailbox *m, long step, void *host_to);

#endif
