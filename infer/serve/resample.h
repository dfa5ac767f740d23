/* resample.h: converts sound from 24 kHz to 16 kHz, or back, as it comes. A polyphase filter does it: up to 48 kHz, a
   windowed-sinc low pass at 7.2 kHz, down. It delays sound by RESAMPLE_TAPS / 2 samples of 24 kHz (1 ms). However the
   samples are cut into pieces, the result has the same bits. */
#ifndef INFER_SERVE_RESAMPLE_H
#define INFER_SERVE_RESAMPLE_H

enum { RESAMPLE_TAPS = 48 }; /* number of 24 kHz samples from which a 16 kHz sample is made */
struct resampler {
    float history[RESAMPLE_TAPS]; /* last samples that came in, newest last */
    int phase;                    /* points of the 48 kHz grid from the newest input to the next output */
};
void resample_reset(struct resampler *resampler);
/* 24 kHz to 16 kHz. Returns the samples written: at most (2 samples + 2) / 3. */
long resample_push(struct resampler *resampler, const float *in, long samples, float *out);
/* 16 kHz to 24 kHz. Returns the samples written: at most (3 samples + 1) / 2. One resampler converts one way only. */
long resample_up(struct resampler *resampler, const float *in, long samples, float *out);

#endif
