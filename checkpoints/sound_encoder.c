/* sound_encoder.c: see sound_encoder.h. */
#include "checkpoints/sound_encoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "kernels/device.h"

static int open_wav2vec2(struct sound_encoder *e, int dim, const char *weights) {
    struct audio_recipe *r = &e->recipe;
    TRY(audio_recipe_check(r));
    if (!weights || !*weights)
        return error_set(ERR_USAGE, "the audio encoder wav2vec2 needs weights: name them with audio_weights=PATH%s%s%s",
                         *r->weights ? " (checksum " : "", r->weights, *r->weights ? ")" : "");
    TRY(wav2vec2_file_open(&e->file, weights));
    if (*r->weights && strcmp(r->weights, e->file.id))
        return error_set(ERR_INPUT, "%s: these weights have the checksum %s, the features were made with %s",
                         e->file.path, e->file.id, r->weights);
    snprintf(r->weights, sizeof r->weights, "%s", e->file.id);
    if (r->normalise < 0) r->normalise = e->file.net.config.normalise;
    e->file.net.config.normalise = r->normalise;
    int state[WAV2VEC2_STATES_MAX], count, mean;
    TRY(audio_states(r->states, e->file.net.config.layers, state, WAV2VEC2_STATES_MAX, &count, &mean));
    e->dim = mean ? e->file.net.config.dim : count * e->file.net.config.dim;
    if (dim && dim != e->dim)
        return error_set(ERR_USAGE, "audio_dim: %d, but the states %s of %s are %d features a frame", dim, r->states,
                         e->file.path, e->dim);
    return OK;
}

int sound_encoder_open(struct sound_encoder *e, const struct audio_recipe *recipe, int dim, const char *weights) {
    memset(e, 0, sizeof *e);
    e->recipe = *recipe;
    int code = OK;
    if (!strcmp(recipe->encoder, "wav2vec2")) {
        code = open_wav2vec2(e, dim, weights);
    } else {
        struct audio_encoder trial;
        e->dim = dim ? dim : LOGMEL_BANDS;
        code = audio_encoder_open(&trial, recipe->encoder, e->dim);
        if (!code) audio_encoder_close(&trial);
    }
    if (code) sound_encoder_close(e);
    return code;
}

int sound_encoder_open_text(struct sound_encoder *e, const char *text, int dim, const char *weights) {
    struct audio_recipe recipe;
    memset(e, 0, sizeof *e);
    TRY(audio_recipe_parse(&recipe, text));
    return sound_encoder_open(e, &recipe, dim, weights);
}

static int learned(const struct sound_encoder *e) { return !strcmp(e->recipe.encoder, "wav2vec2"); }

static void plan_weights(const struct sound_encoder *e, struct arena *weights) {
    arena_begin(weights, "wav2vec2 weights");
    ARENA_TAKE(weights, "weights", elem, e->file.net.table.total);
}

int sound_encoder_plan(const struct sound_encoder *e, struct memory_plan *shared, struct memory_plan *stream) {
    struct arena weights;
    if (!learned(e)) return OK; /* the host computes logmel, in a few kilobytes */
    plan_weights(e, &weights);
    memory_plan_arena(shared, &weights);
    arena_free(&weights);
    return audio_encoder_plan_wav2vec2(&e->file.net, &e->recipe, stream);
}

static int load(struct sound_encoder *e) {
    size_t total = e->file.net.table.total;
    plan_weights(e, &e->weights);
    TRY(arena_commit(&e->weights));
    elem *weights = ARENA_TAKE(&e->weights, "weights", elem, total);
    mem_zero(weights, sizeof *weights * total);
    int code = wav2vec2_file_load(&e->file, weights);
    if (!code) code = device_sync();
    if (code) {
        arena_free(&e->weights);
        return code;
    }
    e->params = (struct params){.table = &e->file.net.table, .weights = weights};
    return OK;
}

int sound_encoder_stream(struct sound_encoder *e, struct audio_encoder *stream) {
    memset(stream, 0, sizeof *stream);
    if (!learned(e)) return audio_encoder_open(stream, e->recipe.encoder, e->dim);
    if (!e->params.weights) TRY(load(e));
    return audio_encoder_open_wav2vec2(stream, &e->file.net, &e->params, &e->recipe);
}

int sound_encoder_silence(struct sound_encoder *e, const float **silence) {
    enum { AT = VIDEO_RATE / 2 };
    static const float quiet[AUDIO_RATE];
    if (!e->silence) {
        struct audio_encoder stream;
        TRY(sound_encoder_stream(e, &stream));
        float *all = calloc((size_t)e->dim * VIDEO_RATE, sizeof *all);
        int got = all ? audio_encoder_push(&stream, quiet, AUDIO_RATE, all, VIDEO_RATE)
                      : -error_set(ERR_DEVICE, "out of memory for silence");
        if (got >= 0 && got < VIDEO_RATE) {
            int more = audio_encoder_flush(&stream, all + got * e->dim, VIDEO_RATE - got);
            got = more < 0 ? more : got + more;
        }
        audio_encoder_close(&stream);
        if (got > AT) {
            memmove(all, all + AT * e->dim, sizeof *all * (size_t)e->dim);
            e->silence = all;
        } else {
            free(all);
            return got < 0 ? -got : error_set(ERR_DEVICE, "the audio encoder gave no feature of silence");
        }
    }
    *silence = e->silence;
    return OK;
}

void sound_encoder_close(struct sound_encoder *e) {
    free(e->silence);
    arena_free(&e->weights);
    wav2vec2_file_close(&e->file);
    memset(e, 0, sizeof *e);
}
