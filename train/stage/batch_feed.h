/* batch_feed.h: a stage's batches on their way to the device. Two take turns, and a batch is uploaded on a stream of
   its own while the step before still works on the other: the copy and what is made of it (windows of sound, elems)
   wait for the last step that used their memory, and the step that uses them waits for them; the host waits for
   neither. Device memory from the arena; not thread-safe; one feed feeds the default stream. */
#ifndef TRAIN_STAGE_BATCH_FEED_H
#define TRAIN_STAGE_BATCH_FEED_H

#include "data/loader.h"
#include "model/dit/condition_batch.h"

struct device_batch {
    real *clips;   /* device [B, F, C, H, W] */
    real *far;     /* device [B, C, H, W]: the loader's references from elsewhere */
    size_t frames; /* values of all B of them */
    size_t values;
    struct condition_batch condition;
};
void device_batch_layout(struct device_batch *batch, const struct dit_config *config, int B, int F,
                         struct arena *arena);
/* On the current stream. empty: what stands for no text, host [text_len, text_dim]; NULL: the batch's own empty
   prompt. */
void device_batch_upload(struct device_batch *batch, const struct loader_batch *from, const float *empty);

struct batch_feed {
    struct device_batch batch[2];
    struct device_event *ready[2], *used[2];
    struct device_stream *stream;
    int now;
};
/* Called while planning and once more (arena.h). */
void batch_feed_layout(struct batch_feed *feed, const struct dit_config *config, int B, int F, struct arena *arena);
void batch_feed_free(struct batch_feed *feed);
/* Queues the upload. The batch before must not be used by what is queued from here on. */
const struct device_batch *batch_feed_next(struct batch_feed *feed, const struct loader_batch *from,
                                           const float *empty);

#endif
