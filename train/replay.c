/* replay.c: see replay.h. */
#include "train/replay.h"

#include "base/error.h"
#include "kernels/device.h"

void replay_layout(struct replay *r, int slots, const struct condition_batch *like, long clip, struct arena *arena) {
    size_t n = (size_t)slots;
    r->slots = slots;
    r->clips = (size_t)like->B * (size_t)clip;
    r->text = (size_t)like->B * like->text_len * like->text_dim;
    r->features = (size_t)like->B * like->T * like->audio_dim;
    r->mask = (size_t)like->B * like->T;
    r->x = ARENA_TAKE(arena, "replay of rollouts", real, n * r->clips);
    r->text_values = ARENA_TAKE(arena, "replay of text", real, n * r->text);
    for (int s = 0; s < AUDIO_STREAMS; s++) {
        r->feature_values[s] = ARENA_TAKE(arena, "replay of audio", real, n * r->features);
        r->mask_values[s] = ARENA_TAKE(arena, "replay of masks", real, n * r->mask);
    }
}

void replay_clear(struct replay *r) {
    size_t n = (size_t)r->slots * sizeof(real);
    r->pushed = 0;
    mem_zero(r->x, n * r->clips);
    mem_zero(r->text_values, n * r->text);
    for (int s = 0; s < AUDIO_STREAMS; s++) {
        mem_zero(r->feature_values[s], n * r->features);
        mem_zero(r->mask_values[s], n * r->mask);
    }
}

int replay_save_with(struct replay *r, struct train_state *state) {
    size_t n = (size_t)r->slots;
    train_state_integer(state, "replay/pushed", &r->pushed);
    TRY(train_state_array(state, "replay/clips", r->x, n * r->clips));
    TRY(train_state_array(state, "replay/text", r->text_values, n * r->text));
    TRY(train_state_array(state, "replay/talk_features", r->feature_values[AUDIO_TALK], n * r->features));
    TRY(train_state_array(state, "replay/listen_features", r->feature_values[AUDIO_LISTEN], n * r->features));
    TRY(train_state_array(state, "replay/talk_mask", r->mask_values[AUDIO_TALK], n * r->mask));
    return train_state_array(state, "replay/listen_mask", r->mask_values[AUDIO_LISTEN], n * r->mask);
}

void replay_push(struct replay *r, const real *x, const struct condition_batch *condition) {
    size_t slot = (size_t)(r->pushed++ % r->slots);
    mem_copy(r->x + slot * r->clips, x, sizeof(real) * r->clips);
    mem_copy(r->text_values + slot * r->text, condition->text_real, sizeof(real) * r->text);
    for (int s = 0; s < AUDIO_STREAMS; s++) {
        mem_copy(r->feature_values[s] + slot * r->features, condition->features[s], sizeof(real) * r->features);
        mem_copy(r->mask_values[s] + slot * r->mask, condition->mask[s], sizeof(real) * r->mask);
    }
}

void replay_draw(const struct replay *r, int slot, real *x, struct condition_batch *condition) {
    size_t i = (size_t)slot;
    mem_copy(x, r->x + i * r->clips, sizeof(real) * r->clips);
    mem_copy(condition->text_real, r->text_values + i * r->text, sizeof(real) * r->text);
    for (int s = 0; s < AUDIO_STREAMS; s++) {
        mem_copy(condition->features[s], r->feature_values[s] + i * r->features, sizeof(real) * r->features);
        mem_copy(condition->mask[s], r->mask_values[s] + i * r->mask, sizeof(real) * r->mask);
    }
    condition_batch_refresh(condition);
}
