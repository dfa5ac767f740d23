/* microphone.c: see microphone.h. */
#include "infer/serve/microphone.h"

#include <string.h>

static void drop(struct microphone *m, long samples) {
    m->waiting -= samples;
    memmove(m->samples, m->samples + samples, (size_t)m->waiting * sizeof *m->samples);
}

void microphone_push(struct microphone *m, const float *pcm, long samples) {
    if (samples > MICROPHONE_MAX) {
        pcm += samples - MICROPHONE_MAX;
        samples = MICROPHONE_MAX;
    }
    if (m->waiting + samples > MICROPHONE_MAX) drop(m, m->waiting + samples - MICROPHONE_MAX);
    memcpy(m->samples + m->waiting, pcm, (size_t)samples * sizeof *pcm);
    m->waiting += samples;
    m->live = 1;
}

int microphone_take(struct microphone *m, float *pcm, long samples) {
    if (m->waiting > samples + MICROPHONE_SPARE) drop(m, m->waiting - samples);
    /* a reserve is put by while someone is there, so that a slow clock is short once in a while and not in every
       chunk */
    long reserve = m->live ? MICROPHONE_RESERVE : 0, have = m->waiting;
    if (have < samples) have = have > reserve ? have - reserve : 0;
    if (have > samples) have = samples;
    memset(pcm, 0, (size_t)(samples - have) * sizeof *pcm);
    memcpy(pcm + samples - have, m->samples, (size_t)have * sizeof *pcm);
    drop(m, have);
    m->live = 0;
    return have > 0;
}
