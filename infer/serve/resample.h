/* resample.h: sound of 24 kHz to 16 kHz and back as it comes, by a polyphase filter: up to 48 kHz, a windowed-sinc low
   pass at 7.2 kHz, down. It delays by RESAMPLE_TAPS / 2 samples of 24 kHz (1 ms); the same samples in other pieces give
   the same bits. */
#ifndef INFER_SERVE_RESAMPLE_H
#define INFER_SERVE_RESAMPLE_H

enum { RESAMPLE_TAPS = 48 }; /* samples of 24 kHz that a sample of 16 kHz is made of */
struct resampler {
    float history[RESAMPLE_TAPS]; /* the last samples, newest last */
    int phase;                    /* points of the 48 kHz grid from the newest sample to the next that comes out */
};
void resample_reset(struct resampler *resampler);
/* Returns the samples written: at most (2 samples + 2) / 3. */
long resample_push(struct resampler *resampler, const float *in, long samples, float *out);
/* 16 kHz to 24 kHz: at most (3 samples + 1) / 2. A resampler goes one way. */
long resample_up(struct resampler *resampler, const float *in, long samples, float *out);

#endif
