/* recordings.h: keeps work that is queued again and again as recordings (device.h), each under a key.
   Thousands of small launches cost the host more time than the device; a recording is one launch. Host
   memory; the work of one stream; not thread-safe. */
#ifndef KERNELS_RECORDINGS_H
#define KERNELS_RECORDINGS_H

#include <stddef.h>

struct recordings;
struct recording_counts {
    long direct, recorded, replayed; /* runs: without a recording, while one was made, from one */
    int kept;                        /* recordings kept now */
};
/* Makes room for `most` keys of at most `key_bytes` bytes. ERR_DEVICE: out of memory. */
int recordings_open(struct recordings **recordings, int most, size_t key_bytes);
void recordings_close(struct recordings *recordings); /* NULL is allowed */
/* Runs work(user), which must queue the same kernels with the same arguments whenever the key is the same. The first
   time it runs as it is, so that libraries make their plans and tables outside a recording; the second time it is
   recorded; from then on the recording is queued and `work` is not called. Work that cannot be recorded, and work of
   keys beyond `most`, always runs as it is. Returns what work returned; OK for a recording. */
int recordings_run(struct recordings *recordings, const void *key, size_t bytes, int (*work)(void *user), void *user);
struct recording_counts recordings_counts(const struct recordings *recordings);

#endif
