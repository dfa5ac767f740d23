/* speech.c: see speech.h. */
#include "infer/serve/speech.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/audio/encoder.h"

enum { FIRST_SECONDS = 2 };
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "samples lie in memory as they come");

void speech_open(struct speech *s, int rate) { *s = (struct speech){.rate = rate}; }

void speech_close(struct speech *s) {
    free(s->samples);
    memset(s, 0, sizeof *s);
}

static long frame_samples(const struct speech *s) { return s->rate / VIDEO_RATE; }

/* Copies the oldest n samples that wait, which are one run of the ring or two. */
static void copy_oldest(const struct speech *s, int16_t *out, long n) {
    long run = s->capacity - s->head < n ? s->capacity - s->head : n;
    if (!n) return;
    memcpy(out, s->samples + s->head, (size_t)run * sizeof *out);
    memcpy(out + run, s->samples, (size_t)(n - run) * sizeof *out);
}

/* Moves the samples to a larger ring, from its beginning on. 0: there is no memory, or SPEECH_SECONDS are reached. */
static int grow(struct speech *s, long wanted) {
    long most = (long)SPEECH_SECONDS * s->rate, capacity = s->capacity ? s->capacity : (long)FIRST_SECONDS * s->rate;
    while (capacity < wanted) capacity *= 2;
    if (capacity > most) capacity = most;
    if (capacity < wanted) return 0;
    int16_t *samples = malloc((size_t)capacity * sizeof *samples);
    if (!samples) return 0;
    copy_oldest(s, samples, s->waiting);
    free(s->samples);
    s->samples = samples;
    s->capacity = capacity;
    s->head = 0;
    return 1;
}

/* Removes ended turns of which nothing waits, except those that never had any sound: speech_pass takes those. */
static void drop_empty(struct speech *s) {
    int kept = 0;
    for (int i = 0; i < s->count; i++) {
        const struct speech_turn *t = &s->turns[i];
        if (t->waiting || !t->ended || !t->sounded) s->turns[kept++] = *t;
    }
    s->count = kept;
}

/* Closes the turns up to this one for more sound. */
static void close_turns(struct speech *s, uint32_t turn) {
    if (turn > s->over) s->over = turn;
    for (int i = 0; i < s->count; i++)
        if (s->turns[i].turn <= turn) s->turns[i].ended = 1;
    drop_empty(s);
}

/* Returns the turn to be filled, which may be a new one; NULL: too many wait. */
static struct speech_turn *filled(struct speech *s, uint32_t turn) {
    struct speech_turn *last = s->count ? &s->turns[s->count - 1] : NULL;
    if (last && last->turn == turn) return last;
    if (s->count == SPEECH_TURNS) return NULL;
    if (last) close_turns(s, last->turn);
    s->turns[s->count] = (struct speech_turn){.turn = turn};
    return &s->turns[s->count++];
}

/* Appends samples to those that wait, in one run of the ring or two. */
static void append(struct speech *s, const unsigned char *pcm, long samples) {
    while (samples > 0) {
        long at = (s->head + s->waiting) % s->capacity, run = s->capacity - at < samples ? s->capacity - at : samples;
        memcpy(s->samples + at, pcm, (size_t)run * sizeof *s->samples);
        s->waiting += run;
        pcm += 2 * run;
        samples -= run;
    }
}

enum speech_result speech_push(struct speech *s, uint32_t turn, const unsigned char *pcm, long samples, double now) {
    if (turn <= s->over || (s->count && turn < s->turns[s->count - 1].turn)) return SPEECH_STALE;
    if (s->waiting + samples > s->capacity && !grow(s, s->waiting + samples)) return SPEECH_FULL;
    struct speech_turn *t = filled(s, turn);
    if (!t) return SPEECH_FULL;
    append(s, pcm, samples);
    t->waiting += samples;
    t->sounded |= samples > 0;
    arrivals_push(&s->arrivals, samples, now);
    return SPEECH_TAKEN;
}

enum speech_result speech_end(struct speech *s, uint32_t turn) {
    uint32_t newest = s->count ? s->turns[s->count - 1].turn : 0;
    if (!turn) turn = newest;
    if (turn <= s->over) return SPEECH_STALE;
    close_turns(s, turn);
    if (turn <= newest) return SPEECH_TAKEN;
    struct speech_turn *silent = filled(s, turn);
    if (!silent) return SPEECH_FULL;
    silent->ended = 1;
    return SPEECH_TAKEN;
}

uint32_t speech_pass(struct speech *s) {
    if (!s->count || !s->turns[0].ended || s->turns[0].waiting) return 0;
    uint32_t turn = s->turns[0].turn;
    memmove(s->turns, s->turns + 1, (size_t)--s->count * sizeof *s->turns);
    return turn;
}

/* Drops the oldest samples; returns when the last of them came. Turns without sound have none. */
static double drop(struct speech *s, long samples) {
    if (samples) s->head = (s->head + samples) % s->capacity;
    s->waiting -= samples;
    return arrivals_take(&s->arrivals, samples);
}

uint32_t speech_interrupt(struct speech *s, uint32_t turn) {
    if (!turn) turn = s->count ? s->turns[s->count - 1].turn : s->over;
    close_turns(s, turn);
    while (s->count && s->turns[0].turn <= turn) {
        drop(s, s->turns[0].waiting);
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
    copy_oldest(s, frame, n);
    memset(frame + n, 0, (size_t)(want - n) * sizeof *frame);
    t->waiting -= n;
    *last = t->ended && !t->waiting;
    drop_empty(s);
    return drop(s, n);
}
