/* sound_clock.h: keeps sound with its time stamps when its clock is off: stretched or shrunk by so little, and so
   gradually, that nothing is heard of it, by windowed-sinc interpolation. While the stamps agree with the samples,
   those pass as they are. */
#ifndef DATA_SOUND_CLOCK_H
#define DATA_SOUND_CLOCK_H

struct sound_clock {
    int channels;
    float *held; /* [count, channels]: samples that are still needed */
    long count, capacity;
    long dropped;    /* samples that were in front of `held` */
    double position; /* in held: of the next sample that is given out */
    double step;     /* from that to the one after it; 1: the clock is right */
    long given;
};
void sound_clock_open(struct sound_clock *clock, int channels);
/* What time stamps say: the sample that is pushed as number `index` belongs at sample `due` of the output. Differences
   up to a tenth of a second are followed smoothly; returns by how much it lies apart, samples, positive: too early. */
double sound_clock_check(struct sound_clock *clock, double index, double due);
int sound_clock_push(struct sound_clock *clock, const float *samples, long count); /* OK or ERR_DEVICE: memory */
/* At most `room` samples of the output to `samples`; `last`: no more will be pushed. Returns how many. */
long sound_clock_pull(struct sound_clock *clock, float *samples, long room, int last);
void sound_clock_close(struct sound_clock *clock);

#endif
