/* resample.c: see resample.h. On the common grid of 48 kHz, samples of 24 kHz lie at the points 2n, those of 16 kHz at
   3m. With h the low pass of gain 2, because only every second grid point holds a 24 kHz sample:
     down  out[m] = sum over n of h(3m - 2n) in[n]
     up    out[n] = sum over m of 1.5 h(2n - 3m) in[m] */
#include "infer/serve/resample.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

enum { GRID = 2 * RESAMPLE_TAPS };
static const double cutoff = 7200. / 48000, pi = 3.14159265358979323846;
static float filter[GRID];
static pthread_once_t made = PTHREAD_ONCE_INIT;

/* Makes the low pass: a sinc under Blackman's window. */
static void make_filter(void) {
    for (int i = 0; i < GRID; i++) {
        double t = i - GRID / 2, angle = 2 * pi * i / GRID;
        double window = 0.42 - 0.5 * cos(angle) + 0.08 * cos(2 * angle);
        double sinc = t == 0 ? 2 * cutoff : sin(2 * pi * cutoff * t) / (pi * t);
        filter[i] = (float)(2 * sinc * window);
    }
}

void resample_reset(struct resampler *r) { memset(r, 0, sizeof *r); }

/* A direction of conversion: grid points from one input sample to the next, and from one output sample to the next. */
struct way {
    int in, out;
    float gain; /* factor on top of the filter's gain */
};
static const struct way down = {2, 3, 1}, up = {3, 2, 1.5f};

/* Computes the output that lies `after` grid points (fewer than way->in) after the newest input. */
static float output(const struct resampler *r, const struct way *w, int after) {
    float sum = 0;
    for (int k = 0; after + w->in * k < GRID; k++) sum += filter[after + w->in * k] * r->history[RESAMPLE_TAPS - 1 - k];
    return w->gain * sum;
}

static long push(struct resampler *r, const struct way *w, const float *in, long samples, float *out) {
    long made_now = 0;
    pthread_once(&made, make_filter);
    for (long i = 0; i < samples; i++) {
        memmove(r->history, r->history + 1, sizeof r->history - sizeof *r->history);
        r->history[RESAMPLE_TAPS - 1] = in[i];
        for (; r->phase < w->in; r->phase += w->out) out[made_now++] = output(r, w, r->phase);
        r->phase -= w->in;
    }
    return made_now;
}

long resample_push(struct resampler *r, const float *in, long samples, float *out) {
    return push(r, &down, in, samples, out);
}

long resample_up(struct resampler *r, const float *in, long samples, float *out) {
    return push(r, &up, in, samples, out);
}
