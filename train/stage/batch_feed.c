/* batch_feed.c: see batch_feed.h. */
#include "train/stage/batch_feed.h"

#include <string.h>

#include "kernels/device.h"
#include "model/params/transfer.h"

void device_batch_layout(struct device_batch *b, const struct dit_config *c, const struct causal_config *causal, int B,
                         int F, struct arena *arena) {
    b->values = (size_t)B * (size_t)F * (size_t)c->in_channels * (size_t)c->height * (size_t)c->width;
    b->clips = ARENA_TAKE(arena, "clips", real, b->values);
    b->frames = b->values / (size_t)F;
    b->far = ARENA_TAKE(arena, "far references", real, b->frames);
    condition_batch_layout(&b->condition, c, causal, B, F, arena);
}

void device_batch_upload(struct device_batch *b, const struct loader_batch *from, const float *empty) {
    struct condition_host host = {.features = {from->talk_audio, from->listen_audio},
                                  .mask = {from->talk, from->listen},
                                  .text = from->text,
                                  .empty = empty ? empty : from->empty};
    transfer_to_real(b->clips, from->latents, (long)b->values);
    if (from->far) transfer_to_real(b->far, from->far, (long)b->frames);
    condition_batch_upload(&b->condition, &host);
}

void batch_feed_layout(struct batch_feed *f, const struct dit_config *config, const struct causal_config *causal, int B,
                       int F, struct arena *arena) {
    for (int i = 0; i < 2; i++) {
        device_batch_layout(&f->batch[i], config, causal, B, F, arena);
        if (!arena->base) continue; /* a plan needs no device */
        if (!f->ready[i]) f->ready[i] = device_event_create();
        if (!f->used[i]) f->used[i] = device_event_create();
    }
    if (arena->base && !f->stream) f->stream = device_stream_create();
}

void batch_feed_free(struct batch_feed *f) {
    for (int i = 0; i < 2; i++) {
        if (f->ready[i]) device_event_destroy(f->ready[i]);
        if (f->used[i]) device_event_destroy(f->used[i]);
    }
    if (f->stream) device_stream_destroy(f->stream);
    memset(f, 0, sizeof *f);
}

const struct device_batch *batch_feed_next(struct batch_feed *f, const struct loader_batch *from, const float *empty) {
    device_event_record(f->used[f->now]);
    f->now = 1 - f->now;
    device_stream_use(f->stream);
    device_event_wait(f->used[f->now]);
    device_batch_upload(&f->batch[f->now], from, empty);
    device_event_record(f->ready[f->now]);
    device_stream_use(NULL);
    device_event_wait(f->ready[f->now]);
    return &f->batch[f->now];
}
