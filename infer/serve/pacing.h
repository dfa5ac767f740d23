/* pacing.h: where a client is in playing a session, and when it needs the next chunk (docs/protocol.md, Time).
   Seconds are those of the monotonic clock, given by the caller; media time is in microseconds. */
#ifndef INFER_SERVE_PACING_H
#define INFER_SERVE_PACING_H

#include <stdint.h>

#define PACING_NEVER 1e18 /* seconds: not by itself */
struct playback {
    int64_t position_us; /* last reported, or where play begins or went on after it had run dry */
    double at;           /* when; PACING_NEVER: not playing yet */
    double since;        /* when play began anew: one that does not play yet has waited since then */
    double dry;          /* when it ran dry, or would have had it not stood still; PACING_NEVER: it plays */
    int64_t limit_us;    /* without another report it is not counted on beyond this */
    int64_t sent_us;     /* the end of what the client has been sent */
    int assumed;         /* no reports: it plays from the moment that it was sent something */
};
/* Play begins anew at this media time: at the start, after an interruption or a resumption. */
void playback_begin(struct playback *playback, int64_t position_us, double now);
/* The client's report; positions before where play began, or beyond what was sent, are held to those. A client that has
   run dry, or stands still, has done so since then, however often it says where it is. */
void playback_report(struct playback *playback, int64_t position_us, double now);
/* Everything before end_us has gone to the client. */
void playback_sent(struct playback *playback, int64_t end_us, double now);
/* The position now: counted on from the report, never past what was sent, and for two seconds at most. */
int64_t playback_position(const struct playback *playback, double now);
/* When no more than lead_us will be left before end_us: `now` or earlier if it is so; PACING_NEVER: only after a
   report or after more was sent. */
double playback_due(const struct playback *playback, int64_t end_us, int64_t lead_us);
/* When it will have played up to end_us if all goes well; for a client that has run dry or does not play yet, since
   when it has waited. */
double playback_deadline(const struct playback *playback, int64_t end_us);
/* How far ahead of play a chunk is begun: 15 ms for coding and jitter, a chunk's work for each session that is live
   (all may be due at once), and what the client wished; at most a chunk. */
int64_t pacing_lead(int64_t chunk_us, double chunk_seconds, int sessions, int64_t wished_us);

#endif
