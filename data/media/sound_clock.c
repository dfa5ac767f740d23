/* sound_clock.c: see sound_clock.h. Differences below DEAD are ignored, because time stamps jitter; a difference e
   beyond it shrinks at the rate of e a second. So a clock that is wrong by half a percent lags by 4 + 5 ms. */
#include "data/media/sound_clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/media_rates.h"

enum { HALF = 16 /* taps to each side */ };
static const double DEAD = 0.004 * AUDIO_RATE, FASTEST = 0.012, EXACT = 1e-9;

void sound_clock_open(struct sound_clock *c, int channels) {
    memset(c, 0, sizeof *c);
    c->channels = channels;
    c->step = 1;
}

double sound_clock_check(struct sound_clock *c, double index, double due) {
    double ahead = (double)c->given - ((double)c->dropped + c->position); /* current output number minus input number */
    double apart = due - index - ahead;
    double beyond = apart > DEAD ? apart - DEAD : apart < -DEAD ? apart + DEAD : 0;
    double stretch = fmin(fmax(beyond / AUDIO_RATE, -FASTEST), FASTEST);
    c->step = 1 / (1 + stretch);
    return apart;
}

int sound_clock_push(struct sound_clock *c, const float *samples, long count) {
    long unused = (long)c->position - HALF - 1; /* held samples that no later output needs */
    if (unused > 0) {
        if (unused > c->count) unused = c->count;
        c->count -= unused;
        memmove(c->held, c->held + unused * c->channels, sizeof(float) * (size_t)(c->count * c->channels));
        c->position -= (double)unused;
        c->dropped += unused;
    }
    if (!count) return OK;
    if (c->count + count > c->capacity) {
        long capacity = 2 * (c->count + count);
        float *held = realloc(c->held, sizeof(float) * (size_t)(capacity * c->channels));
        if (!held) return error_set(ERR_DEVICE, "out of memory for sound");
        c->held = held;
        c->capacity = capacity;
    }
    memcpy(c->held + c->count * c->channels, samples, sizeof(float) * (size_t)(count * c->channels));
    c->count += count;
    return OK;
}

/* Computes the sound between samples, at held position at = whole + part: the sum of x[k] sinc(at - k) w(at - k), where
   w is the square of Welch's window. */
static void interpolate(const struct sound_clock *c, long whole, double part, float *to) {
    double sums[64] = {0}, all = 0, wave = sin(M_PI * part) / M_PI;
    for (long k = 1 - HALF; k <= HALF; k++) {
        double away = part - (double)k, window = 1 - away * away / (HALF * HALF);
        double weight = (k % 2 ? -wave : wave) / away * window * window;
        all += weight;
        if (whole + k < 0 || whole + k >= c->count) continue; /* beyond both ends there is silence */
        for (int i = 0; i < c->channels; i++) sums[i] += weight * c->held[(whole + k) * c->channels + i];
    }
    for (int i = 0; i < c->channels; i++) to[i] = (float)(sums[i] / all);
}

long sound_clock_pull(struct sound_clock *c, float *samples, long room, int last) {
    long got = 0;
    for (; got < room; got++) {
        long whole = (long)floor(c->position + EXACT);
        double part = c->position - (double)whole;
        int exact = part < EXACT;
        if (whole + (exact || last ? 0 : HALF) >= c->count) break;
        if (exact)
            memcpy(samples + got * c->channels, c->held + whole * c->channels, sizeof(float) * (size_t)c->channels);
        else
            interpolate(c, whole, part, samples + got * c->channels);
        c->position += c->step;
    }
    c->given += got;
    return got;
}

void sound_clock_close(struct sound_clock *c) { free(c->held); }
