/* batch_feed.h: a stage's batches on their way to the device. There are two of them in turn: one is uploaded on a
   stream of its own while the step before still works on the other.

     default stream   | step n, batch 0    | step n+1, batch 1  | step n+2, batch 0  |
     feed's stream    | copy into batch 1  | copy into batch 0  | copy into batch 1  |

   The copy into batch 0 waits for step n, which used it (event `used`); step n+2 waits for the copy (event `ready`);
   the host waits for neither. A copy includes what is made of it (windows of sound, conversion to elem). Device memory
   from the arena. Not thread-safe; a feed serves the default stream. */
#ifndef TRAIN_STAGE_BATCH_FEED_H
#define TRAIN_STAGE_BATCH_FEED_H

#include "data/loader.h"
#include "model/dit/condition_batch.h"

struct device_batch {
    real *clips;   /* device [B, F, C, H, W] */
    real *far;     /* device [B, C, H, W]: references from other moments of the clips, where the loader gives them */
    size_t frames; /* number of values in far */
    size_t values; /* number of values in clips */
    struct condition_batch condition;
};
void device_batch_layout(struct device_batch *batch, const struct dit_config *config,
                         const struct causal_config *causal, int B, int F, struct arena *arena);
/* Uploads on the current stream. empty: the prompt that stands for no text, host [text_len, text_dim]; NULL: the
   batch's own empty prompt. */
void device_batch_upload(struct device_batch *batch, const struct loader_batch *from, const float *empty);

struct batch_feed {
    struct device_batch batch[2];
    struct device_event *ready[2], *used[2];
    struct device_stream *stream;
    int now; /* index of the batch that the current step uses */
};
/* Called while planning and once more (arena.h). */
void batch_feed_layout(struct batch_feed *feed, const struct dit_config *config, const struct causal_config *causal,
                       int B, int F, struct arena *arena);
void batch_feed_free(struct batch_feed *feed);
/* Queues the upload of a batch and returns it. Work that is queued from here on must not use the batch before. */
const struct device_batch *batch_feed_next(struct batch_feed *feed, const struct loader_batch *from,
                                           const float *empty);

#endif
