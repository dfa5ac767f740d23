/* microphone.c: see microphone.h. */
#include "infer/serve/microphone.h"

#include <string.h>

/* Drops samples from the old end; returns when the last of them came. */
static double drop(struct microphone *m, long samples) {
    m->waiting -= samples;
    memmove(m->samples, m->samples + samples, (size_t)m->waiting * sizeof *m->samples);
    return arrivals_take(&m->arrivals, samples);
}

void microphone_push(struct microphone *m, const float *pcm, long samples, double now) {
    if (samples > MICROPHONE_MAX) {
        pcm += samples - MICROPHONE_MAX;
        samples = MICROPHONE_MAX;
    }
    if (m->waiting + samples > MICROPHONE_MAX) drop(m, m->waiting + samples - MICROPHONE_MAX);
    memcpy(m->samples + m->waiting, pcm, (size_t)samples * sizeof *pcm);
    m->waiting += samples;
    arrivals_push(&m->arrivals, samples, now);
    m->live = 1;
}

/* Drops sound that was left over by MICROPHONE_LOOKS takings in a row: it is not needed against jitter and only makes
   the sound old. */
static void drop_surplus(struct microphone *m, long samples) {
    if (m->waiting > samples + MICROPHONE_SPARE) {
        drop(m, m->waiting - samples - MICROPHONE_CALM);
        m->looks = 0;
    }
    long left = m->waiting - samples;
    if (!m->looks++ || left < m->least) m->least = left;
    if (m->looks < MICROPHONE_LOOKS) return;
    if (m->least > MICROPHONE_CALM) drop(m, m->least - MICROPHONE_CALM);
    m->looks = 0;
}

int microphone_take(struct microphone *m, float *pcm, long samples, double *came) {
    drop_surplus(m, samples);
    /* keeps a reserve back when sound runs short: with a slow clock a chunk then lacks sound once in a while, and
       not every time */
    long reserve = m->live ? MICROPHONE_RESERVE : 0, have = m->waiting;
    if (have < samples) have = have > reserve ? have - reserve : 0;
    if (have > samples) have = samples;
    memset(pcm, 0, (size_t)(samples - have) * sizeof *pcm);
    memcpy(pcm + samples - have, m->samples, (size_t)have * sizeof *pcm);
    *came = drop(m, have);
    m->live = 0;
    return have > 0;
}
