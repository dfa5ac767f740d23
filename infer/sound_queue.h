/* sound_queue.h: the two parties' sound on its way to the network: PCM goes in, a feature and a mask for each video
   frame come out and are kept until no later window reaches them. Host memory of constant size; not thread-safe. */
#ifndef INFER_SOUND_QUEUE_H
#define INFER_SOUND_QUEUE_H

#include "checkpoints/sound_encoder.h"
#include "model/audio/voice_activity.h"
#include "model/dit/dit.h"

struct sound_party {
    struct audio_encoder encoder;
    struct voice_activity vad;
    float pcm[AUDIO_SAMPLES_PER_FRAME]; /* the video frame that is being filled */
    float *features, *mask;             /* queues [capacity, dim], [capacity], from video frame `start` on */
    long features_end, mask_end;        /* video frames whose feature, whose mask is known */
};
struct sound_queue {
    struct sound_party party[AUDIO_STREAMS];
    int dim;              /* numbers of a feature */
    long start, capacity; /* first video frame in the queues; frames that they can hold */
    int filled;           /* samples of the present video frame */
    int ended;
    int failure;    /* code of an audio encoder that failed */
    long end_frame; /* video frames of sound in all, known once it has ended */
};
/* Opens a stream of the encoder for each party, with room for `frames` video frames besides those by which the encoder
   lags behind. The encoder must outlive the queue. ERR_USAGE: its recipe needs whole clips. */
int sound_queue_open(struct sound_queue *queue, struct sound_encoder *encoder, long frames);
void sound_queue_close(struct sound_queue *queue);
void sound_queue_reset(struct sound_queue *queue); /* begins a new stream */

/* See session_push and session_end (session.h). */
long sound_queue_push(struct sound_queue *queue, const float *agent, const float *user, long samples, const float *talk,
                      const float *listen);
void sound_queue_end(struct sound_queue *queue);

/* Number of video frames for which masks and features of both parties are known. */
long sound_queue_known(const struct sound_queue *queue);
/* Whole video frames that the encoder has to hear ahead. */
int sound_queue_behind(const struct sound_queue *queue);
/* Features [.., dim] and mask [..] from a video frame on, which must be in the queue. */
static inline const float *sound_queue_features(const struct sound_queue *q, int party, long frame) {
    return q->party[party].features + (frame - q->start) * q->dim;
}
static inline const float *sound_queue_mask(const struct sound_queue *q, int party, long frame) {
    return q->party[party].mask + (frame - q->start);
}
/* Forgets the video frames before `keep`. */
void sound_queue_drop(struct sound_queue *queue, long keep);

#endif
