/* speech.c: see speech.h. */
#include "infer/serve/speech.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/audio/encoder.h"

enum { FIRST_SECONDS = 2 };

void speech_open(struct speech *s, int rate) { *s = (struct speech){.rate = rate}; }

void speech_close(struct speech *s) {
    free(s->samples);
    memset(s, 0, sizeof *s);
}

static long frame_samples(const struct speech *s) { return s->rate / VIDEO_RATE; }

/* A larger ring, unrolled. */
static int grow(struct speech *s, long wanted) {
    long most = (long)SPEECH_SECONDS * s->rate, capacity = s->capacity ? s->capacity : (long)FIRST_SECONDS * s->rate;
    while (capacity < wanted) capacity *= 2;
    if (capacity > most) capacity = most;
    if (capacity < wanted) return 0;
    int16_t *samples = malloc((size_t)capacity * sizeof *samples);
    if (!samples) return 0;
    for (long i = 0; i < s->waiting; i++) samples[i] = s->samples[(s->head + i) % s->capacity];
    free(s->samples);
    s->samples = samples;
    s->capacity = capacity;
    s->head = 0;
    return 1;
}

/* The turn that is being filled, begun if need be; NULL: too many wait. */
static struct speech_turn *filled(struct speech *s, uint32_t turn) {
    struct speech_turn *last = s->count ? &s->turns[s->count - 1] : NULL;
    if (last && last->turn == turn) return last;
    if (s->count == SPEECH_TURNS) return NULL;
    if (last) speech_end(s, last->turn);
    s->turns[s->count] = (struct speech_turn){.turn = turn};
    return &s->turns[s->count++];
}

enum speech_result speech_push(struct speech *s, uint32_t turn, const unsigned char *pcm, long samples, double now) {
    if (turn <= s->over || (s->count && turn < s->turns[s->count - 1].turn)) return SPEECH_STALE;
    if (s->waiting + samples > s->capacity && !grow(s, s->waiting + samples)) return SPEECH_FULL;
    struct speech_turn *t = filled(s, turn);
    if (!t) return SPEECH_FULL;
    for (long i = 0; i < samples; i++) {
        uint16_t bits = (uint16_t)(pcm[2 * i] | pcm[2 * i + 1] << 8);
        memcpy(&s->samples[(s->head + s->waiting + i) % s->capacity], &bits, sizeof bits);
    }
    s->waiting += samples;
    t->waiting += samples;
    arrivals_push(&s->arrivals, samples, now);
    return SPEECH_TAKEN;
}

/* Ended turns of which nothing waits are done with. */
static void drop_empty(struct speech *s) {
    int kept = 0;
    for (int i = 0; i < s->count; i++)
        if (s->turns[i].waiting || !s->turns[i].ended) s->turns[kept++] = s->turns[i];
    s->count = kept;
}

void speech_end(struct speech *s, uint32_t turn) {
    if (!turn && s->count) turn = s->turns[s->count - 1].turn;
    if (turn > s->over) s->over = turn;
    for (int i = 0; i < s->count; i++)
        if (s->turns[i].turn <= turn) s->turns[i].ended = 1;
    drop_empty(s);
}

uint32_t speech_interrupt(struct speech *s, uint32_t turn) {
    if (!turn) turn = s->count ? s->turns[s->count - 1].turn : s->over;
    speech_end(s, turn);
    while (s->count && s->turns[0].turn <= turn) {
        s->head = (s->head + s->turns[0].waiting) % s->capacity;
        s->waiting -= s->turns[0].waiting;
        arrivals_take(&s->arrivals, s->turns[0].waiting);
        s->count--;
        memmove(s->turns, s->turns + 1, (size_t)s->count * sizeof *s->turns);
    }
    return turn;
}

uint32_t speech_next(const struct speech *s, long *frames, int *ended) {
    *frames = *ended = 0;
    if (!s->count) return 0;
    const struct speech_turn *t = &s->turns[0];
    *ended = t->ended;
    *frames = (t->waiting + (t->ended ? frame_samples(s) - 1 : 0)) / frame_samples(s);
    return t->turn;
}

double speech_take(struct speech *s, int16_t *frame, int *last) {
    struct speech_turn *t = &s->turns[0];
    long want = frame_samples(s), n = t->waiting < want ? t->waiting : want;
    for (long i = 0; i < n; i++) frame[i] = s->samples[(s->head + i) % s->capacity];
    memset(frame + n, 0, (size_t)(want - n) * sizeof *frame);
    s->head = (s->head + n) % s->capacity;
    s->waiting -= n;
    t->waiting -= n;
    *last = t->ended && !t->waiting;
    drop_empty(s);
    return arrivals_take(&s->arrivals, n);
}
