/* thread_pace.h: how many threads a step should have while other programs use the cores too (threads_adapt). A step's
   threads wait for each other about a thousand times. Where one of them has no core, the others wait with it, and fewer
   threads are faster. Two figures show that: the wall time of a step, and the processor time that the process had in
   it. A change is a trial of some steps, which stays only if those were faster than the steps before it.
   Another number of threads adds some sums in another order, so a run that adapts cannot be repeated bit for bit. */
#ifndef TRAIN_STAGE_THREAD_PACE_H
#define TRAIN_STAGE_THREAD_PACE_H

struct thread_pace {
    int most, now, before; /* threads: at most, of the next step, and those to go back to from a trial */
    int trial;             /* 1: `now` is on trial */
    int starved;           /* steps in a row that had far less processor time than threads */
    int patience;          /* steps before the next trial */
    int counted;           /* steps since the last change, without the first, which makes the library's plans */
    double seconds,
        beside; /* wall time of a step, a mean in which the last two weigh most; the same before the trial */
};

/* Begins with `most` threads. */
void thread_pace_begin(struct thread_pace *p, int most);
/* Takes the wall and the processor time of the last step, in seconds, and returns the threads of the next one. */
int thread_pace_next(struct thread_pace *p, double wall, double processor);

#endif
