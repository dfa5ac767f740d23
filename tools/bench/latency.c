/* latency.c: see latency.h. */
#include "tools/bench/latency.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/philox.h"
#include "base/sorting.h"
#include "tools/bench/measure.h"

static float noise(uint32_t sample, uint32_t i) {
    struct random_address a = {.seed = 1, .purpose = RANDOM_TEST, .sample = sample};
    return (float)(2 * random_uniform(&a, i) - 1);
}

/* Pushes sound, a video frame at a time, until a chunk is ready. *answer: when the last frame was there; *frames: how
   many were pushed. */
static int push_until_ready(struct session *s, double *answer, long *frames) {
    float pcm[AUDIO_SAMPLES_PER_FRAME];
    const float talk = 1, listen = 0;
    *answer = bench_now();
    while (!session_ready(s)) {
        for (uint32_t i = 0; i < AUDIO_SAMPLES_PER_FRAME; i++) pcm[i] = 0.3f * noise((uint32_t)*frames, i);
        *answer = bench_now();
        long taken = session_push(s, pcm, NULL, AUDIO_SAMPLES_PER_FRAME, &talk, &listen);
        if (taken < 0) return (int)-taken;
        if (taken < AUDIO_SAMPLES_PER_FRAME) return error_set(ERR_DEVICE, "the student takes no sound");
        ++*frames;
    }
    return OK;
}

static void add(double *times, int *count, double seconds) {
    if (*count < LATENCY_TIMES_MAX) times[(*count)++] = seconds;
}

static int run_chunks(struct latency *l, int chunks, int keep, unsigned char *pictures) {
    long frames = 0;
    double there;
    for (int i = 0; i <= chunks; i++) {
        TRY(push_until_ready(l->session, &there, &frames));
        if (!i) l->heard = (double)frames / VIDEO_RATE;
        TRY(session_take(l->session, pictures, NULL));
        double answer = bench_now() - there;
        if (keep && i) add(l->later, &l->laters, answer);
        if (keep && !i) add(l->first, &l->firsts, answer);
    }
    return OK;
}

int latency_stream(struct latency *l, int chunks, int keep) {
    const struct student_description *d = session_student(l->session);
    size_t picture = 3 * (size_t)d->pixel_height * (size_t)d->pixel_width;
    float *reference = malloc(picture * sizeof *reference);
    unsigned char *pictures = malloc(picture * (size_t)session_chunk_frames(l->session));
    int code = reference && pictures ? OK : error_set(ERR_DEVICE, "out of memory for pictures");
    for (size_t i = 0; !code && i < picture; i++) reference[i] = noise(1u << 31, (uint32_t)i);
    if (!code) code = session_begin(l->session, reference, pictures);
    if (!code) code = run_chunks(l, chunks, keep, pictures);
    free(reference);
    free(pictures);
    return code;
}

struct latency_median latency_median(double *times, int count) {
    sort_doubles(times, (size_t)count);
    int k = (int)floor(count / 2.0 - 0.98 * sqrt(count)); /* 0.98 = 1.96 / 2: deviations of a share of one half */
    if (k < 1) k = 1;
    return (struct latency_median){(times[(count - 1) / 2] + times[count / 2]) / 2, times[k - 1], times[count - k]};
}
