/* generate.c: see generate.h. */
#include "tools/evaluate/generate.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"
#include "model/audio/encoder.h"
#include "model/params/transfer.h"

struct dialogue_sound dialogue_sound(const struct puppet *puppet) {
    return (struct dialogue_sound){
        .frames = puppet_frames(puppet),
        .agent = puppet_pcm(puppet, PUPPET_AGENT),
        .user = puppet_pcm(puppet, PUPPET_USER),
        .talk = puppet_mask(puppet, PUPPET_AGENT),
        .listen = puppet_mask(puppet, PUPPET_USER),
    };
}

static int layout(struct teacher_generator *g, const struct sampler_config *config) {
    const struct dit_config *c = &g->model.description.dit;
    condition_batch_layout(&g->condition, c, NULL, g->B, g->F, &g->buffers);
    g->references = ARENA_TAKE(&g->buffers, "references", real, (long)g->B * c->in_channels * c->height * c->width);
    return sampler_layout(&g->sampler, &g->model.net, config, g->B, g->F, &g->buffers);
}

static int open_generator(struct teacher_generator *g, const char *folder, const struct sampler_config *config) {
    TRY(student_open(&g->model, folder));
    TRY(student_load(&g->model, folder));
    const struct dit_config *c = &g->model.description.dit;
    const struct student_description *d = &g->model.description;
    TRY(sound_encoder_open_text(&g->sound, d->audio_recipe, c->audio_dim, d->audio_weights));
    arena_begin(&g->buffers, "teacher sampler");
    TRY(layout(g, config));
    sampler_free(&g->sampler);
    TRY(arena_commit(&g->buffers));
    TRY(layout(g, config));
    size_t text = (size_t)(c->text_len * c->text_dim), B = (size_t)g->B, T = (size_t)g->T;
    g->encoded = calloc(B * (size_t)g->sampler.size, sizeof(float));
    g->text = malloc(B * text * sizeof(float));
    g->frames = malloc(T * 3 * (size_t)d->pixel_height * (size_t)d->pixel_width * sizeof(float));
    int whole = g->encoded && g->text && g->frames;
    for (int k = 0; k < AUDIO_STREAMS; k++) {
        g->features[k] = calloc(B * T * (size_t)c->audio_dim, sizeof(float));
        g->mask[k] = calloc(B * T, sizeof(float));
        whole = whole && g->features[k] && g->mask[k];
    }
    if (!whole) return error_set(ERR_DEVICE, "out of memory for the teacher's windows");
    for (size_t b = 0; b < B; b++) memcpy(g->text + b * text, g->model.text, text * sizeof(float));
    return OK;
}

int teacher_generator_open(struct teacher_generator *g, const char *folder, const struct sampler_config *config, int F,
                           int B) {
    *g = (struct teacher_generator){.B = B, .F = F, .T = (int)video_frames(F)};
    int code = open_generator(g, folder, config);
    if (code) teacher_generator_close(g);
    return code;
}

void teacher_generator_close(struct teacher_generator *g) {
    sampler_free(&g->sampler);
    arena_free(&g->buffers);
    sound_encoder_close(&g->sound);
    student_close(&g->model);
    free(g->encoded);
    free(g->text);
    free(g->frames);
    for (int k = 0; k < AUDIO_STREAMS; k++) {
        free(g->features[k]);
        free(g->mask[k]);
    }
    memset(g, 0, sizeof *g);
}

/* Makes the features of a whole track, malloc'd [frames, dim]. */
static int track_features(struct sound_encoder *sound, const float *pcm, long frames, float **features) {
    struct audio_encoder encoder;
    TRY(sound_encoder_stream(sound, &encoder));
    *features = calloc((size_t)frames * (size_t)sound->dim, sizeof(float));
    int code = *features ? OK : error_set(ERR_DEVICE, "out of memory for the features");
    if (!code) {
        int done = audio_encoder_push(&encoder, pcm, frames * AUDIO_SAMPLES_PER_FRAME, *features, (int)frames);
        if (done >= 0) done = audio_encoder_flush(&encoder, *features + (long)done * sound->dim, (int)(frames - done));
        if (done < 0) code = -done;
    }
    audio_encoder_close(&encoder);
    return code;
}

/* Puts window `w` of the dialogue in place b of the batch. */
static int fill_window(struct teacher_generator *g, struct puppet *puppet, float *const *features, long w, int b) {
    const struct student_description *d = &g->model.description;
    const struct dit_config *c = &d->dit;
    long start = w * (g->T - 1);
    TRY(puppet_draw(puppet, (int)start, d->pixel_height, d->pixel_width, g->frames));
    codec_encode_reset(&g->model.codec);
    int encoded = codec_encode(&g->model.codec, g->frames, 1, g->encoded + b * g->sampler.size);
    if (encoded != 1)
        return encoded < 0 ? -encoded : error_set(ERR_DEVICE, "the codec gave no latent frame for the reference");
    for (int k = 0; k < AUDIO_STREAMS; k++) {
        long dim = c->audio_dim;
        const float *mask = puppet_mask(puppet, k == AUDIO_TALK ? PUPPET_AGENT : PUPPET_USER);
        memcpy(g->features[k] + (long)b * g->T * dim, features[k] + start * dim, sizeof(float) * (size_t)(g->T * dim));
        memcpy(g->mask[k] + (long)b * g->T, mask + start, sizeof(float) * (size_t)g->T);
    }
    return OK;
}

static int sample_batch(struct teacher_generator *g, uint64_t seed, uint64_t step) {
    struct condition_host host = {.features = {g->features[0], g->features[1]},
                                  .mask = {g->mask[0], g->mask[1]},
                                  .text = g->text,
                                  .empty = g->model.empty};
    condition_batch_upload(&g->condition, &host);
    transfer_to_real(g->references, g->encoded, g->B * g->sampler.size);
    sampler_begin(&g->sampler, g->references, g->sampler.size, seed, step, 0);
    TRY(sampler_run(&g->sampler, &g->model.params, &g->condition));
    return device_sync();
}

/* Gives out a window's pictures but for its reference, which is decoded with them. */
static int hand_out(struct teacher_generator *g, struct puppet *puppet, long w, int b, frame_receiver take,
                    void *user) {
    const struct student_description *d = &g->model.description;
    long picture = 3L * d->pixel_height * d->pixel_width;
    TRY(puppet_draw(puppet, (int)(w * (g->T - 1)), d->pixel_height, d->pixel_width, g->frames));
    codec_decode_begin(&g->model.codec, g->frames);
    int count = codec_decode(&g->model.codec, g->sampler.x + b * g->sampler.clip, g->F, g->frames);
    for (int i = 1; i < count; i++) TRY(take(user, w * (g->T - 1) + i, g->frames + i * picture));
    return OK;
}

int generate_teacher(struct teacher_generator *g, struct puppet *puppet, uint64_t seed, frame_receiver take,
                     void *user) {
    long frames = puppet_frames(puppet), windows = (frames - 1) / (g->T - 1);
    float *features[AUDIO_STREAMS] = {NULL, NULL};
    int code = track_features(&g->sound, puppet_pcm(puppet, PUPPET_AGENT), frames, &features[AUDIO_TALK]);
    if (!code) code = track_features(&g->sound, puppet_pcm(puppet, PUPPET_USER), frames, &features[AUDIO_LISTEN]);
    for (long w = 0; w < windows && !code; w += g->B) {
        int n = windows - w < g->B ? (int)(windows - w) : g->B;
        for (int b = 0; b < n && !code; b++) code = fill_window(g, puppet, features, w + b, b);
        if (!code) code = sample_batch(g, seed, (uint64_t)w);
        for (int b = 0; b < n && !code; b++) code = hand_out(g, puppet, w + b, b, take, user);
    }
    for (int k = 0; k < AUDIO_STREAMS; k++) free(features[k]);
    return code;
}
