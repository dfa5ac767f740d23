/* logmel.c: log-mel energies, one vector a video frame, on a fixed scale. See encoder.h.
   Frame f is samples 640 f .. 640 f + 639. Two Hann windows of 640 samples are centred on its quarters (640 f + 160 and
   640 f + 480), so that together they weigh the frame evenly and reach 160 samples beyond it on both sides; the power
   spectra of both are added. The sound before the first sample counts as silence.
     P_k = (|X1_k|^2 + |X2_k|^2) / (2 sum w^2) e_k          power a bin; white noise of variance s gives s e_k
     E_b = sum_k m_bk P_k / sum_k m_bk                      triangles, evenly spaced on the mel scale, 60 to 7600 Hz
     feature_b = (10 log10(E_b + FLOOR) - CENTRE) / SPREAD
   mel(f) = 2595 log10(1 + f / 700) (O'Shaughnessy 1987). e_k = |1 - 0.97 exp(-i w_k)|^2 is the usual pre-emphasis,
   which removes most of the spectral tilt of a voice. CENTRE and SPREAD are about the mean and deviation of speech at a
   usual level; digital silence is -2.6 in all bands.
   Both windows are real, so one complex transform of x1 + i x2 gives the sum: |Z_k|^2 + |Z_-k|^2 = 2 (|X1_k|^2 +
   |X2_k|^2). */
#include "model/audio/encoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "model/audio/internal.h"

enum {
    WINDOW = 640,
    REACH = 160,
    SPAN = REACH + AUDIO_SAMPLES_PER_FRAME + REACH,
    POINTS = 1024,
    BINS = POINTS / 2,
    BANDS_MAX = 96
};
static const double LOWEST = 60, HIGHEST = 7600;             /* Hz */
static const double FLOOR = 1e-8, CENTRE = -46, SPREAD = 13; /* FLOOR: power; the others dB of full scale */

struct logmel {
    int bands;
    float window[WINDOW]; /* Hann window divided by the root of 2 sum w^2 */
    float cosine[POINTS / 2], sine[POINTS / 2];
    float *weights;                        /* [bands, BINS], pre-emphasis included */
    int first[BANDS_MAX], last[BANDS_MAX]; /* bins first .. last - 1 of each band */
    float *buffer;                         /* samples, from REACH before the next frame on */
    long held, capacity;
    long frames_due; /* frames that are still to come after the flush; -1: not flushed */
    long samples;    /* samples pushed so far */
    long frames;     /* frames written so far */
};

static double mel(double hertz) { return 2595 * log10(1 + hertz / 700); }
static double hertz_of(double m) { return 700 * (pow(10, m / 2595) - 1); }

/* Fourier transform in place, by decimation in time; re and im [POINTS]. */
static void transform(const struct logmel *lm, float *re, float *im) {
    for (int i = 1, j = 0; i < POINTS; i++) {
        int bit = POINTS >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i < j) {
            float swap = re[i];
            re[i] = re[j];
            re[j] = swap;
            swap = im[i];
            im[i] = im[j];
            im[j] = swap;
        }
    }
    for (int half = 1; half < POINTS; half *= 2) {
        int step = POINTS / (2 * half);
        for (int start = 0; start < POINTS; start += 2 * half)
            for (int k = 0; k < half; k++) {
                float c = lm->cosine[k * step], s = -lm->sine[k * step];
                int a = start + k, b = a + half;
                float x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
                re[b] = re[a] - x;
                im[b] = im[a] - y;
                re[a] += x;
                im[a] += y;
            }
    }
}

/* Computes the feature vector of the SPAN samples at pcm. */
static void encode(const struct logmel *lm, const float *pcm, float *feature) {
    float re[POINTS] = {0}, im[POINTS] = {0}, power[BINS];
    for (int i = 0; i < WINDOW; i++) {
        re[i] = pcm[i] * lm->window[i];
        im[i] = pcm[i + AUDIO_SAMPLES_PER_FRAME / 2] * lm->window[i];
    }
    transform(lm, re, im);
    power[0] = 0;
    for (int k = 1; k < BINS; k++) {
        int m = POINTS - k;
        power[k] = 0.5f * (re[k] * re[k] + im[k] * im[k] + re[m] * re[m] + im[m] * im[m]);
    }
    for (int b = 0; b < lm->bands; b++) {
        double energy = 0;
        const float *w = lm->weights + (size_t)b * BINS;
        for (int k = lm->first[b]; k < lm->last[b]; k++) energy += (double)w[k] * power[k];
        if (!(energy < 1e4)) energy = 1e4; /* keeps NaN and infinity out of the network */
        feature[b] = (float)((10 * log10(energy + FLOOR) - CENTRE) / SPREAD);
    }
}

static void fill_bands(struct logmel *lm) {
    double low = mel(LOWEST), step = (mel(HIGHEST) - low) / (lm->bands + 1), width = (double)AUDIO_RATE / POINTS;
    for (int b = 0; b < lm->bands; b++) {
        double left = hertz_of(low + b * step), peak = hertz_of(low + (b + 1) * step),
               right = hertz_of(low + (b + 2) * step), sum = 0;
        float *w = lm->weights + (size_t)b * BINS;
        lm->first[b] = BINS;
        lm->last[b] = 0;
        for (int k = 1; k < BINS; k++) {
            double f = k * width, m = fmin((f - left) / (peak - left), (right - f) / (right - peak));
            if (m <= 0) continue;
            double angle = 2 * M_PI * k / POINTS;
            sum += m;
            w[k] = (float)(m * (1 + 0.97 * 0.97 - 2 * 0.97 * cos(angle)));
            if (k < lm->first[b]) lm->first[b] = k;
            lm->last[b] = k + 1;
        }
        for (int k = lm->first[b]; k < lm->last[b]; k++) w[k] /= (float)sum;
    }
}

static void logmel_reset(struct audio_encoder *encoder) {
    struct logmel *lm = encoder->state;
    memset(lm->buffer, 0, REACH * sizeof(float));
    lm->held = REACH;
    lm->samples = lm->frames = 0;
    lm->frames_due = -1;
}

static void logmel_close(struct audio_encoder *encoder) {
    struct logmel *lm = encoder->state;
    free(lm->buffer);
    free(lm->weights);
    free(lm);
    encoder->state = NULL;
}

/* Writes the features that the buffer has samples for, up to capacity, and moves the other samples to its start. */
static int drain(struct logmel *lm, float *features, int capacity) {
    int out = 0;
    long used = 0;
    for (; out < capacity && lm->held - used >= SPAN; out++, used += AUDIO_SAMPLES_PER_FRAME)
        encode(lm, lm->buffer + used, features + (size_t)out * lm->bands);
    memmove(lm->buffer, lm->buffer + used, sizeof(float) * (size_t)(lm->held - used));
    lm->held -= used;
    lm->frames += out;
    return out;
}

/* Makes room for `more` samples behind those in the buffer. */
static int reserve(struct logmel *lm, long more) {
    if (lm->held + more <= lm->capacity) return OK;
    long capacity = 2 * (lm->held + more);
    float *buffer = realloc(lm->buffer, sizeof(float) * (size_t)capacity);
    if (!buffer) return error_set(ERR_DEVICE, "audio encoder: out of memory");
    lm->buffer = buffer;
    lm->capacity = capacity;
    return OK;
}

static int logmel_push(struct audio_encoder *encoder, const float *pcm, long samples, float *features, int capacity) {
    struct logmel *lm = encoder->state;
    int out = drain(lm, features, capacity);
    while (samples > 0) {
        long take = lm->capacity - lm->held;
        if (take < samples && out == capacity) { /* no room for more features: keep the other samples */
            int code = reserve(lm, samples);
            if (code) return -code;
            take = samples;
        }
        if (take > samples) take = samples;
        memcpy(lm->buffer + lm->held, pcm, sizeof(float) * (size_t)take);
        lm->held += take;
        lm->samples += take;
        pcm += take;
        samples -= take;
        out += drain(lm, features + (size_t)out * lm->bands, capacity - out);
    }
    return out;
}

static int logmel_flush(struct audio_encoder *encoder, float *features, int capacity) {
    struct logmel *lm = encoder->state;
    if (lm->frames_due < 0) {
        long all = (lm->samples + AUDIO_SAMPLES_PER_FRAME - 1) / AUDIO_SAMPLES_PER_FRAME;
        lm->frames_due = all - lm->frames;
        long needed = lm->frames_due * AUDIO_SAMPLES_PER_FRAME + 2 * REACH - lm->held;
        if (needed > 0) {
            int code = reserve(lm, needed);
            if (code) return -code;
            memset(lm->buffer + lm->held, 0, sizeof(float) * (size_t)needed);
            lm->held += needed;
        }
    }
    int out = drain(lm, features, capacity < lm->frames_due ? capacity : (int)lm->frames_due);
    lm->frames_due -= out;
    return out;
}

static const struct audio_operations logmel_operations = {logmel_close, logmel_reset, logmel_push, logmel_flush};

int audio_logmel_open(struct audio_encoder *encoder, int dim) {
    if (dim < 1 || dim > BANDS_MAX)
        return error_set(ERR_USAGE, "audio encoder logmel: %d features a frame, expected 1 to %d", dim, BANDS_MAX);
    struct logmel *lm = calloc(1, sizeof *lm);
    if (!lm) return error_set(ERR_DEVICE, "audio encoder: out of memory");
    lm->bands = dim;
    lm->capacity = 8 * SPAN;
    lm->buffer = malloc(sizeof(float) * (size_t)lm->capacity);
    lm->weights = calloc((size_t)dim * BINS, sizeof(float));
    encoder->operations = &logmel_operations;
    encoder->state = lm;
    if (!lm->buffer || !lm->weights) {
        audio_encoder_close(encoder);
        return error_set(ERR_DEVICE, "audio encoder: out of memory");
    }
    double sum = 0;
    for (int i = 0; i < WINDOW; i++) {
        double w = 0.5 - 0.5 * cos(2 * M_PI * (i + 0.5) / WINDOW);
        lm->window[i] = (float)w;
        sum += w * w;
    }
    for (int i = 0; i < WINDOW; i++) lm->window[i] /= (float)sqrt(2 * sum);
    for (int k = 0; k < POINTS / 2; k++) {
        lm->cosine[k] = (float)cos(2 * M_PI * k / POINTS);
        lm->sine[k] = (float)sin(2 * M_PI * k / POINTS);
    }
    fill_bands(lm);
    encoder->dim = dim;
    encoder->lookahead = REACH;
    logmel_reset(encoder);
    return OK;
}
