/* sound_clock.h: keeps sound in step with its time stamps when its clock is wrong, by stretching or shrinking it so
   little and so gradually that nobody hears it (windowed-sinc interpolation). While stamps and samples agree, samples
   pass unchanged. */
#ifndef DATA_SOUND_CLOCK_H
#define DATA_SOUND_CLOCK_H

struct sound_clock {
    int channels;
    float *held; /* [count, channels] samples that are still needed */
    long count, capacity;
    long dropped;    /* samples that have been dropped in front of `held` */
    double position; /* place in `held` of the next output sample */
    double step;     /* distance to the output sample after it; 1: the clock is right */
    long given;
};
void sound_clock_open(struct sound_clock *clock, int channels);
/* Tells the clock what a time stamp says: the sample pushed as number `index` belongs at sample `due` of the output.
   Differences up to a tenth of a second are followed smoothly. Returns the difference in samples; positive: too
   early. */
double sound_clock_check(struct sound_clock *clock, double index, double due);
int sound_clock_push(struct sound_clock *clock, const float *samples, long count); /* ERR_DEVICE: out of memory */
/* Writes at most `room` output samples to `samples` and returns their number. last 1: no more will be pushed. */
long sound_clock_pull(struct sound_clock *clock, float *samples, long room, int last);
void sound_clock_close(struct sound_clock *clock);

#endif
