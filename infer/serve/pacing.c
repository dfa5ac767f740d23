/* pacing.c: see pacing.h. */
#include "infer/serve/pacing.h"

enum { JITTER_US = 15000, COUNTED_ON_US = 2000000 };

void playback_begin(struct playback *p, int64_t position_us, double now) {
    p->position_us = p->sent_us = position_us;
    p->at = PACING_NEVER;
    p->since = now;
    p->dry = PACING_NEVER;
}

void playback_report(struct playback *p, int64_t position_us, double now) {
    if (p->assumed || position_us < p->position_us) return;
    int64_t held = position_us < p->sent_us ? position_us : p->sent_us;
    int stands = held == p->sent_us || (p->at != PACING_NEVER && held == p->position_us);
    p->dry = stands ? playback_deadline(p, p->sent_us) : PACING_NEVER;
    p->position_us = held;
    p->limit_us = p->position_us + COUNTED_ON_US;
    p->at = now;
}

void playback_sent(struct playback *p, int64_t end_us, double now) {
    if (end_us <= p->sent_us) return;
    int begins = p->assumed && p->at == PACING_NEVER,
        dry = p->at != PACING_NEVER && playback_position(p, now) == p->sent_us;
    if (begins || dry) { /* a client without anything to play has stood still */
        p->position_us = p->sent_us;
        p->at = now;
    }
    p->sent_us = end_us;
    p->dry = PACING_NEVER;
}

/* Furthest position that it is taken to reach without another report. */
static int64_t limit(const struct playback *p) {
    if (p->assumed || p->sent_us < p->limit_us) return p->sent_us;
    return p->position_us > p->limit_us ? p->position_us : p->limit_us;
}

int64_t playback_position(const struct playback *p, double now) {
    if (p->at == PACING_NEVER || now <= p->at) return p->position_us;
    double gone = (now - p->at) * 1e6;
    int64_t end = limit(p);
    return gone >= (double)(end - p->position_us) ? end : p->position_us + (int64_t)(gone + 0.5);
}

double playback_due(const struct playback *p, int64_t end_us, int64_t lead_us) {
    int64_t wanted = end_us - lead_us;
    if (wanted <= p->position_us) return 0;
    if (p->at == PACING_NEVER || wanted > limit(p)) return PACING_NEVER;
    return p->at + (double)(wanted - p->position_us) * 1e-6;
}

double playback_deadline(const struct playback *p, int64_t end_us) {
    if (p->at == PACING_NEVER) return p->since;
    double plays = p->at + (double)(end_us - p->position_us) * 1e-6;
    double stood = p->dry + (double)(end_us - p->sent_us) * 1e-6;
    return plays < stood ? plays : stood;
}

int64_t pacing_lead(int64_t chunk_us, double chunk_seconds, int sessions, int64_t wished_us) {
    int64_t lead = JITTER_US + (int64_t)(chunk_seconds * sessions * 1e6) + wished_us;
    return lead < chunk_us ? lead : chunk_us;
}
