/* thread_pace.c: see thread_pace.h. */
#include "train/stage/thread_pace.h"

/* A step is starved if its threads had less than this share of the processor time that they would have had alone.
   Beside no other program a step has nine tenths and more; two threads that share one core have half. */
static const double STARVED = 0.65;
/* Steps: of a trial; starved ones that begin a trial of fewer threads; between trials, at first, after one that stayed,
   and at most. */
enum { TRIAL = 3, STARVED_STEPS = 3, PATIENCE_FIRST = 3, PATIENCE = 20, PATIENCE_MOST = 640 };

static void change(struct thread_pace *p, int threads) {
    p->before = p->now;
    p->now = threads;
    p->starved = 0;
    p->counted = -1;
}

void thread_pace_begin(struct thread_pace *p, int most) {
    *p = (struct thread_pace){.most = most, .now = most, .before = most, .patience = PATIENCE_FIRST, .counted = -1};
}

static void begin_trial(struct thread_pace *p, int threads) {
    p->beside = p->seconds;
    change(p, threads);
    p->trial = 1;
}

/* Keeps what was tried, or goes back and waits twice as long for the next trial. */
static void end_trial(struct thread_pace *p) {
    p->trial = 0;
    if (p->seconds < p->beside) {
        p->patience = PATIENCE;
        return;
    }
    p->patience = 2 * p->patience < PATIENCE_MOST ? 2 * p->patience : PATIENCE_MOST;
    change(p, p->before);
}

/* Number of threads that the processor time of a step would keep busy, fewer than now. */
static int fewer(const struct thread_pace *p, double wall, double processor) {
    int cores = wall > 0 ? (int)(processor / wall) : 1;
    return cores < 1 ? 1 : cores < p->now ? cores : p->now - 1;
}

int thread_pace_next(struct thread_pace *p, double wall, double processor) {
    if (++p->counted == 0) return p->now;
    p->seconds = p->counted == 1 ? wall : (p->seconds + wall) / 2;
    p->starved = processor < STARVED * p->now * wall ? p->starved + 1 : 0;
    if (p->trial) {
        if (p->counted >= TRIAL) end_trial(p);
    } else if (p->counted >= p->patience) {
        if (p->now > 1 && p->starved >= STARVED_STEPS)
            begin_trial(p, fewer(p, wall, processor));
        else if (p->now < p->most)
            begin_trial(p, p->most);
    }
    return p->now;
}
