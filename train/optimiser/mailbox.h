/* mailbox.h: carries small device values to the host, which reads them one step late, so that reading never waits for
   the step that was queued last. There are two slots, taken in turn; an event tells when a slot is written:

     device    | step 3: post to slot 1 | step 4: post to slot 0 |
     host        queues step 3            queues step 4, reads step 3 from slot 1 */
#ifndef TRAIN_OPTIMISER_MAILBOX_H
#define TRAIN_OPTIMISER_MAILBOX_H

#include "kernels/arena.h"
#include "kernels/device.h"

struct mailbox {
    size_t bytes;
    void *slot[2]; /* device */
    struct device_event *written[2];
    long step[2]; /* step whose values the slot holds; -1: it is empty */
    struct device_stream *reader;
};
void mailbox_layout(struct mailbox *m, size_t bytes, struct arena *arena);
void mailbox_free(struct mailbox *m);
/* Queues a copy of `bytes` of device memory as the values of `step`, which rises by one from call to call. */
void mailbox_post(struct mailbox *m, long step, const void *device_from);
/* Reads the values of `step`, once they are written. Returns 0 where they are not there: they were never posted, or two
   newer posts have replaced them. */
int mailbox_read(struct mailbox *m, long step, void *host_to);

#endif
