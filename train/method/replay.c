/* replay.c: see replay.h. */
#include "train/method/replay.h"

#include "base/error.h"
#include "kernels/device.h"

void replay_layout(struct replay *r, int slots, int B, const struct condition_batch *like, long clip,
                   struct arena *arena) {
    size_t n = (size_t)slots * (size_t)B;
    r->slots = slots;
    r->B = B;
    r->clips = (size_t)clip;
    r->text = (size_t)like->text_len * like->text_dim;
    r->features = (size_t)like->T * like->audio_dim;
    r->mask = (size_t)like->T;
    r->x = ARENA_TAKE(arena, "replay of rollouts", real, n * r->clips);
    r->text_values = ARENA_TAKE(arena, "replay of text", real, n * r->text);
    for (int s = 0; s < AUDIO_STREAMS; s++) {
        r->feature_values[s] = ARENA_TAKE(arena, "replay of audio", real, n * r->features);
        r->mask_values[s] = ARENA_TAKE(arena, "replay of masks", real, n * r->mask);
    }
}

static size_t samples_of(const struct replay *r) { return (size_t)r->slots * (size_t)r->B; }

void replay_clear(struct replay *r) {
    size_t n = samples_of(r) * sizeof(real);
    r->pushed = 0;
    mem_zero(r->x, n * r->clips);
    mem_zero(r->text_values, n * r->text);
    for (int s = 0; s < AUDIO_STREAMS; s++) {
        mem_zero(r->feature_values[s], n * r->features);
        mem_zero(r->mask_values[s], n * r->mask);
    }
}

int replay_slot(const struct replay *r, long offset, int index) {
    int filled = replay_filled(r), newest = (int)((r->pushed - 1) % r->slots), turn = index % filled;
    if (!turn) return newest;
    return (int)((newest + 1 + (offset + turn - 1) % (filled - 1)) % filled);
}

/* Where a part's values lie in an array of the replay; `size`: elements of a sample. */
static real *place(const struct replay *r, real *values, int slot, const struct part *part, size_t size) {
    return values + ((size_t)slot * (size_t)r->B + (size_t)part->first) * size;
}

void replay_push(struct replay *r, const struct part *part, const real *x, const struct condition_batch *condition) {
    int slot = (int)(r->pushed % r->slots);
    size_t bytes = sizeof(real) * (size_t)part->count;
    mem_copy(place(r, r->x, slot, part, r->clips), x, bytes * r->clips);
    mem_copy(place(r, r->text_values, slot, part, r->text), condition->text_real, bytes * r->text);
    for (int s = 0; s < AUDIO_STREAMS; s++) {
        mem_copy(place(r, r->feature_values[s], slot, part, r->features), condition->features[s], bytes * r->features);
        mem_copy(place(r, r->mask_values[s], slot, part, r->mask), condition->mask[s], bytes * r->mask);
    }
    r->pushed += part->last;
}

void replay_draw(const struct replay *r, int slot, const struct part *part, real *x,
                 struct condition_batch *condition) {
    size_t bytes = sizeof(real) * (size_t)part->count;
    mem_copy(x, place(r, r->x, slot, part, r->clips), bytes * r->clips);
    mem_copy(condition->text_real, place(r, r->text_values, slot, part, r->text), bytes * r->text);
    for (int s = 0; s < AUDIO_STREAMS; s++) {
        mem_copy(condition->features[s], place(r, r->feature_values[s], slot, part, r->features), bytes * r->features);
        mem_copy(condition->mask[s], place(r, r->mask_values[s], slot, part, r->mask), bytes * r->mask);
    }
    condition->B = part->count;
    condition_batch_refresh(condition);
}
