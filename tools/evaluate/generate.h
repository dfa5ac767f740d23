/* generate.h: makes puppet dialogues with the teacher, whose bidirectional sampler goes over consecutive windows, for
   the evaluation and its contact sheets. (Students stream: infer/dialogue.h.) Host memory. */
#ifndef TOOLS_EVALUATE_GENERATE_H
#define TOOLS_EVALUATE_GENERATE_H

#include "data/puppet.h"
#include "checkpoints/sound_encoder.h"
#include "infer/dialogue.h"
#include "model/dit/sampler.h"

/* The sound and masks of a puppet's dialogue, as a model gets them. */
struct dialogue_sound dialogue_sound(const struct puppet *puppet);

/* Seed of the noise of item `index`, a dialogue or clip, of a report with `seed`. Every item has noise of its own, so
   that intervals over items contain what noise decides; the same items of two students have the same. again: 1 for
   other noise of the same item. */
static inline uint64_t noise_seed(uint64_t seed, int index, int again) {
    enum { ITEMS_MAX = 100000 };
    return 2 * (seed * ITEMS_MAX + (uint64_t)index) + (uint64_t)again;
}

/* The teacher, which makes windows of 1 + 4 (F-1) frames, each from the true frame at its start, as in training. */
struct teacher_generator {
    struct student model;
    struct sound_encoder sound;
    struct sampler sampler;
    struct condition_batch condition;
    struct arena buffers;
    int B, F, T;
    real *references;                                     /* device [B, C, H, W] */
    float *encoded, *text;                                /* host: references [B, C, H, W]; [B, text_len, text_dim] */
    float *features[AUDIO_STREAMS], *mask[AUDIO_STREAMS]; /* host [B, T, D], [B, T] */
    float *frames;                                        /* host [T, 3, H, W] */
};
int teacher_generator_open(struct teacher_generator *g, const char *folder, const struct sampler_config *config, int F,
                           int B);
void teacher_generator_close(struct teacher_generator *g);
int generate_teacher(struct teacher_generator *g, struct puppet *puppet, uint64_t seed, frame_receiver take,
                     void *user);

#endif
