/* sound_queue.c: see sound_queue.h. */
#include "infer/sound_queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

int sound_queue_behind(const struct sound_queue *q) {
    return (q->party[0].encoder.lookahead + AUDIO_SAMPLES_PER_FRAME - 1) / AUDIO_SAMPLES_PER_FRAME;
}

int sound_queue_open(struct sound_queue *q, struct sound_encoder *encoder, long frames) {
    q->dim = encoder->dim;
    for (int k = 0; k < AUDIO_STREAMS; k++) TRY(sound_encoder_stream(encoder, &q->party[k].encoder));
    if (q->party[0].encoder.lookahead == AUDIO_LOOKAHEAD_ALL)
        return error_set(ERR_USAGE, "the student was trained on features of whole clips (audio_mode: whole): it cannot "
                                    "stream");
    q->capacity = frames + sound_queue_behind(q);
    for (int k = 0; k < AUDIO_STREAMS; k++) {
        struct sound_party *p = &q->party[k];
        p->features = calloc((size_t)q->capacity * (size_t)q->dim, sizeof(float));
        p->mask = calloc((size_t)q->capacity, sizeof(float));
        if (!p->features || !p->mask) return error_set(ERR_DEVICE, "out of memory for the sound queues");
    }
    return OK;
}

void sound_queue_close(struct sound_queue *q) {
    for (int k = 0; k < AUDIO_STREAMS; k++) {
        audio_encoder_close(&q->party[k].encoder);
        free(q->party[k].features);
        free(q->party[k].mask);
    }
    memset(q, 0, sizeof *q);
}

void sound_queue_reset(struct sound_queue *q) {
    for (int k = 0; k < AUDIO_STREAMS; k++) {
        struct sound_party *p = &q->party[k];
        audio_encoder_reset(&p->encoder);
        voice_activity_reset(&p->vad);
        p->features_end = p->mask_end = 0;
    }
    q->start = q->filled = q->ended = q->failure = 0;
}

/* Number of the video frame after the last one that fits in the queues. */
static long queue_end(const struct sound_queue *q) { return q->start + q->capacity; }

static void take_features(struct sound_queue *q, struct sound_party *p, int samples) {
    int dim = q->dim, room = (int)(queue_end(q) - p->features_end);
    float *out = p->features + (p->features_end - q->start) * dim;
    int more = samples ? audio_encoder_push(&p->encoder, p->pcm, samples, out, room)
                       : audio_encoder_flush(&p->encoder, out, room);
    if (more < 0)
        q->failure = -more;
    else
        p->features_end += more;
}

/* Finishes the present video frame, which has all its samples: makes its mask and, as they come, features. */
static void close_frame(struct sound_queue *q, const float *talk, const float *listen) {
    for (int k = 0; k < AUDIO_STREAMS; k++) {
        struct sound_party *p = &q->party[k];
        const float *given = k == AUDIO_TALK ? talk : listen;
        p->mask[p->mask_end++ - q->start] = given ? *given : voice_activity_push(&p->vad, p->pcm);
        take_features(q, p, AUDIO_SAMPLES_PER_FRAME);
    }
    q->filled = 0;
}

long sound_queue_push(struct sound_queue *q, const float *agent, const float *user, long samples, const float *talk,
                      const float *listen) {
    long taken = 0, frame = 0;
    while (taken < samples && q->party[AUDIO_TALK].mask_end < queue_end(q)) {
        long want = AUDIO_SAMPLES_PER_FRAME - q->filled, n = samples - taken < want ? samples - taken : want;
        memcpy(q->party[AUDIO_TALK].pcm + q->filled, agent + taken, (size_t)n * sizeof(float));
        if (user)
            memcpy(q->party[AUDIO_LISTEN].pcm + q->filled, user + taken, (size_t)n * sizeof(float));
        else
            memset(q->party[AUDIO_LISTEN].pcm + q->filled, 0, (size_t)n * sizeof(float));
        q->filled += (int)n;
        taken += n;
        if (q->filled < AUDIO_SAMPLES_PER_FRAME) break;
        close_frame(q, talk ? talk + frame : NULL, listen ? listen + frame : NULL);
        if (q->failure) return -q->failure;
        frame++;
    }
    return taken;
}

void sound_queue_end(struct sound_queue *q) {
    if (q->ended) return;
    const float silent = 0;
    for (int k = 0; k < AUDIO_STREAMS; k++)
        memset(q->party[k].pcm + q->filled, 0, (size_t)(AUDIO_SAMPLES_PER_FRAME - q->filled) * sizeof(float));
    if (q->filled && q->party[AUDIO_TALK].mask_end < queue_end(q)) close_frame(q, &silent, &silent);
    for (int k = 0; k < AUDIO_STREAMS; k++) take_features(q, &q->party[k], 0);
    q->ended = 1;
    q->end_frame = q->party[AUDIO_TALK].mask_end;
}

long sound_queue_known(const struct sound_queue *q) {
    long end = q->party[AUDIO_TALK].mask_end;
    for (int k = 0; k < AUDIO_STREAMS; k++)
        if (q->party[k].features_end < end) end = q->party[k].features_end;
    return end;
}

void sound_queue_drop(struct sound_queue *q, long keep) {
    long dim = q->dim, drop = keep - q->start;
    if (drop <= 0) return;
    for (int k = 0; k < AUDIO_STREAMS; k++) {
        struct sound_party *p = &q->party[k];
        long features = p->features_end - keep, mask = p->mask_end - keep;
        if (features > 0) memmove(p->features, p->features + drop * dim, (size_t)(features * dim) * sizeof(float));
        if (mask > 0) memmove(p->mask, p->mask + drop, (size_t)mask * sizeof(float));
    }
    q->start = keep;
}
