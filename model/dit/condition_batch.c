/* condition_batch.c: see condition_batch.h. */
#include "model/dit/condition_batch.h"

#include "kernels/device.h"
#include "model/params/transfer.h"

static size_t text_count(const struct condition_batch *c) { return (size_t)c->B * c->text_len * c->text_dim; }
static size_t feature_count(const struct condition_batch *c) { return (size_t)c->B * c->T * c->audio_dim; }
static size_t mask_count(const struct condition_batch *c) { return (size_t)c->B * c->T; }
static size_t window_count(const struct condition_batch *c) {
    return (size_t)c->B * c->F * AUDIO_WINDOW * c->audio_dim;
}

/* 1: the student hears less than networks that see the whole clip. */
static int is_limited(const struct condition_batch *c) { return c->reach.chunk && c->reach.ahead < AUDIO_MARGIN; }

void condition_batch_layout(struct condition_batch *c, const struct dit_config *config,
                            const struct causal_config *causal, int B, int F, struct arena *arena) {
    c->B = B;
    c->F = F;
    c->T = (int)video_frames(F);
    c->text_len = config->text_len;
    c->text_dim = config->text_dim;
    c->audio_dim = config->audio_dim;
    c->mute_input = config->mute_input;
    c->reach = causal ? causal_reach(causal) : (struct audio_reach){0};
    for (int f = 0; f < F; f++) c->positions[f] = f;
    c->text_real = ARENA_TAKE(arena, "text", real, text_count(c));
    c->text = ARENA_TAKE(arena, "text, elem", elem, text_count(c));
    c->no_text = ARENA_TAKE(arena, "no text", elem, text_count(c));
    for (int s = 0; s < AUDIO_STREAMS; s++) {
        c->features[s] = ARENA_TAKE(arena, "audio features", real, feature_count(c));
        c->mask[s] = ARENA_TAKE(arena, "audio mask", real, mask_count(c));
        c->windows[s] = c->heard[s] = ARENA_TAKE(arena, "audio windows", elem, window_count(c));
        if (is_limited(c)) c->heard[s] = ARENA_TAKE(arena, "audio windows as far as heard", elem, window_count(c));
    }
    c->silence = ARENA_TAKE(arena, "silence", elem, window_count(c));
}

void condition_batch_upload(struct condition_batch *c, const struct condition_host *host) {
    long text = (long)c->text_len * c->text_dim;
    transfer_to_real(c->text_real, host->text, (long)text_count(c));
    mem_zero(c->no_text, text_count(c) * sizeof(elem));
    for (int b = 0; host->empty && b < c->B; b++) transfer_to_elem(c->no_text + b * text, host->empty, text);
    for (int s = 0; s < AUDIO_STREAMS; s++) {
        transfer_to_real(c->features[s], host->features[s], (long)feature_count(c));
        transfer_to_real(c->mask[s], host->mask[s], (long)mask_count(c));
    }
    condition_batch_refresh(c);
}

/* Makes the windows of a stream, whole or as far as the student hears. */
static void make_windows(const struct condition_batch *c, int stream, elem *windows, struct audio_reach reach) {
    if (c->mute_input >> stream & 1)
        mem_zero(windows, window_count(c) * sizeof(elem));
    else
        audio_windows(windows, c->features[stream], c->mask[stream], c->B, c->T, c->audio_dim, 0, c->F, 0, reach);
}

void condition_batch_refresh(struct condition_batch *c) {
    elem_from_real(c->text, c->text_real, (long)text_count(c));
    mem_zero(c->silence, window_count(c) * sizeof(elem));
    for (int s = 0; s < AUDIO_STREAMS && c->audio_dim; s++) {
        make_windows(c, s, c->windows[s], (struct audio_reach){0});
        if (is_limited(c)) make_windows(c, s, c->heard[s], c->reach);
    }
}

void condition_batch_part(struct condition_batch *part, const struct condition_batch *whole, int first, int count) {
    *part = *whole;
    part->B = count;
    part->text_real += (size_t)first * text_count(whole) / whole->B;
    part->text += (size_t)first * text_count(whole) / whole->B;
    for (int s = 0; s < AUDIO_STREAMS; s++) {
        part->features[s] += (size_t)first * feature_count(whole) / whole->B;
        part->mask[s] += (size_t)first * mask_count(whole) / whole->B;
        part->windows[s] += (size_t)first * window_count(whole) / whole->B;
        part->heard[s] += (size_t)first * window_count(whole) / whole->B;
    }
}

struct dit_input condition_batch_clip(const struct condition_batch *c, int dropped, const real *latents,
                                      long latent_stride, const real *t) {
    struct dit_input in = {.batch = c->B,
                           .frames = c->F,
                           .positions = c->positions,
                           .latents = latents,
                           .latent_stride = latent_stride,
                           .t = t,
                           .text = c->text,
                           .audio_stride = (long)c->F * AUDIO_WINDOW * c->audio_dim};
    for (int s = 0; s < AUDIO_STREAMS; s++) in.audio[s] = dropped >> s & 1 ? c->silence : c->windows[s];
    return in;
}

struct rollout_condition condition_batch_rollout(const struct condition_batch *c) {
    return (struct rollout_condition){.text = c->text,
                                      .audio = {c->heard[AUDIO_TALK], c->heard[AUDIO_LISTEN]},
                                      .audio_stride = (long)c->F * AUDIO_WINDOW * c->audio_dim,
                                      .window_first = 0};
}
