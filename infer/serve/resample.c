/* resample.c: see resample.h. On the common grid of 48 kHz input n lies at 2n and output m at 3m; out[m] = sum over n
   of h(3m - 2n) in[n], with h the low pass of twice the gain, as every other grid point is empty. */
#include "infer/serve/resample.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

enum { GRID = 2 * RESAMPLE_TAPS };
static const double cutoff = 7200. / 48000, pi = 3.14159265358979323846;
static float filter[GRID];
static pthread_once_t made = PTHREAD_ONCE_INIT;

/* A sinc under Blackman's window. */
static void make_filter(void) {
    for (int i = 0; i < GRID; i++) {
        double t = i - GRID / 2, angle = 2 * pi * i / GRID;
        double window = 0.42 - 0.5 * cos(angle) + 0.08 * cos(2 * angle);
        double sinc = t == 0 ? 2 * cutoff : sin(2 * pi * cutoff * t) / (pi * t);
        filter[i] = (float)(2 * sinc * window);
    }
}

void resample_reset(struct resampler *r) { memset(r, 0, sizeof *r); }

/* The output that lies `after` grid points (0 or 1) after the newest input. */
static float output(const struct resampler *r, int after) {
    float sum = 0;
    for (int k = 0; k < RESAMPLE_TAPS; k++) sum += filter[2 * k + after] * r->history[RESAMPLE_TAPS - 1 - k];
    return sum;
}

long resample_push(struct resampler *r, const float *in, long samples, float *out) {
    long made_now = 0;
    pthread_once(&made, make_filter);
    for (long i = 0; i < samples; i++) {
        memmove(r->history, r->history + 1, sizeof r->history - sizeof *r->history);
        r->history[RESAMPLE_TAPS - 1] = in[i];
        if (r->phase < 2) {
            out[made_now++] = output(r, r->phase);
            r->phase += 3;
        }
        r->phase -= 2;
    }
    return made_now;
}
