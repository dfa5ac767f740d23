/* replay.h: work that is queued again and again, kept as recordings (device.h) by a key. Thousands of small launches cost the
   host more time than the device; a recording is one. Host memory; one stream's work; not thread-safe. */
#ifndef KERNELS_REPLAY_H
#define KERNELS_REPLAY_H

#include <stddef.h>

struct replay;
struct replay_counts {
    long direct, recorded, replayed; /* runs */
    int kept;                        /* recordings now */
};
/* Room for `most` keys of at most `key_bytes`. ERR_DEVICE: out of memory. */
int replay_open(struct replay **replay, int most, size_t key_bytes);
void replay_close(struct replay *replay); /* NULL is allowed */
/* Runs work(user), which must queue the same kernels with the same arguments whenever the key is the same. The first time
   it runs as it is, so that libraries make their plans and tables outside a recording; the second time it is recorded; from
   then on the recording is queued and `work` is not called. What cannot be recorded, and keys beyond `most`, always run
   as they are. Returns what work returned, OK for a recording. */
int replay_run(struct replay *replay, const void *key, size_t bytes, int (*work)(void *user), void *user);
struct replay_counts replay_counts(const struct replay *replay);

#endif
