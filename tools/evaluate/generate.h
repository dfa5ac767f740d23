/* generate.h: puppet dialogues through a model, frame by frame: a student by streaming, the teacher by its bidirectional
   sampler over consecutive windows. For the evaluation and the contact sheets. Host memory. */
#ifndef TOOLS_EVALUATE_GENERATE_H
#define TOOLS_EVALUATE_GENERATE_H

#include "data/puppet.h"
#include "checkpoints/sound_encoder.h"
#include "infer/session.h"
#include "model/dit/sampler.h"

/* What is said to the model in a dialogue: sound and masks, one value of a mask a video frame (NULL: by voice activity). */
struct dialogue_sound {
    long frames;
    const float *agent, *user; /* [frames * AUDIO_SAMPLES_PER_FRAME] */
    const float *talk, *listen;
};
struct dialogue_sound dialogue_sound(const struct puppet *puppet);

/* Gets video frame `frame` (1 .. frames-1), planar [3, H, W]; a code other than OK stops. */
typedef int (*frame_taker)(void *user, long frame, const float *picture);

/* Streams the whole dialogue from the reference. times: added to (first: of the first chunk); NULL: not wanted. */
struct stream_times {
    double network, codec, first; /* seconds */
    long streams, frames;
};
int generate_stream(struct session *session, const float *reference, const struct dialogue_sound *sound,
                    frame_taker take, void *user, struct stream_times *times);

/* The teacher, window by window of 1 + 4 (F-1) frames, each from the true frame at its start (as in training). */
struct teacher_generator {
    struct student model;
    struct sound_encoder sound;
    struct sampler sampler;
    struct condition_batch condition;
    struct arena buffers;
    int B, F, T;
    real *references;                                     /* device [B, C, H, W] */
    float *encoded, *text;                                /* host: those [B, C, H, W], [B, text_len, text_dim] */
    float *features[AUDIO_STREAMS], *mask[AUDIO_STREAMS]; /* host [B, T, D], [B, T] */
    float *frames;                                        /* host [T, 3, H, W] */
};
int teacher_generator_open(struct teacher_generator *g, const char *folder, const struct sampler_config *config, int F,
                           int B);
void teacher_generator_close(struct teacher_generator *g);
int generate_teacher(struct teacher_generator *g, struct puppet *puppet, uint64_t seed, frame_taker take, void *user);

#endif
