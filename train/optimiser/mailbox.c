/* mailbox.c: see mailbox.h. */
#include "train/optimiser/mailbox.h"

#include <string.h>

void mailbox_layout(struct mailbox *m, size_t bytes, struct arena *arena) {
    m->bytes = bytes;
    for (int i = 0; i < 2; i++) {
        m->slot[i] = arena_take(arena, "mailbox", bytes);
        m->step[i] = -1;
        if (arena->base && !m->written[i]) m->written[i] = device_event_create(); /* a plan needs no device */
    }
    if (arena->base && !m->reader) m->reader = device_stream_create();
}

void mailbox_free(struct mailbox *m) {
    for (int i = 0; i < 2; i++)
        if (m->written[i]) device_event_destroy(m->written[i]);
    if (m->reader) device_stream_destroy(m->reader);
    memset(m, 0, sizeof *m);
}

void mailbox_post(struct mailbox *m, long step, const void *device_from) {
    int i = (int)(step & 1);
    mem_copy(m->slot[i], device_from, m->bytes);
    m->step[i] = step;
    device_event_record(m->written[i]);
}

int mailbox_read(struct mailbox *m, long step, void *host_to) {
    int i = (int)(step & 1);
    if (step < 0 || m->step[i] != step) return 0;
    device_stream_use(m->reader);
    device_event_wait(m->written[i]);
    mem_download(host_to, m->slot[i], m->bytes);
    device_stream_use(NULL);
    return 1;
}
