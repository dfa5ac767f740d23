/* recordings.h: work that is queued again and again, kept as recordings (device.h) by a key. Thousands of small
   launches cost the host more time than the device; a recording is one. Host memory; one stream's work; not
   thread-safe. */
#ifndef KERNELS_RECORDINGS_H
#define KERNELS_RECORDINGS_H

#include <stddef.h>

struct recordings;
struct recording_counts {
    long direct, recorded, replayed; /* runs */
    int kept;                        /* recordings now */
};
/* Room for `most` keys of at most `key_bytes`. ERR_DEVICE: out of memory. */
int recordings_open(struct recordings **recordings, int most, size_t key_bytes);
void recordings_close(struct recordings *recordings); /* NULL is allowed */
/* Runs work(user), which must queue the same kernels with the same arguments whenever the key is the same. The first
   time it runs as it is, so that libraries make their plans and tables outside a recording; the second time it is
   recorded; from then on the recording is queued and `work` is not called. What cannot be recorded, and keys beyond
   `most`, always run as they are. Returns what work returned, OK for a recording. */
int recordings_run(struct recordings *recordings, const void *key, size_t bytes, int (*work)(void *user), void *user);
struct recording_counts recordings_counts(const struct recordings *recordings);

#endif
