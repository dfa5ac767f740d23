/* pacing.h: reckons where a client is in playing a session, and when it needs the next chunk (docs/protocol.md,
   "Time"). Seconds are those of the monotonic clock, given by the caller; media time is in microseconds. "Dry" is a
   client that has played all that it was sent. */
#ifndef INFER_SERVE_PACING_H
#define INFER_SERVE_PACING_H

#include <stdint.h>

#define PACING_NEVER 1e18 /* a time that does not come by itself, seconds */
struct playback {
    int64_t position_us; /* position last reported, or at which play begins or went on after it had run dry */
    double at;           /* time of that position; PACING_NEVER: it does not play yet */
    double since;        /* time at which play began anew; a client that does not play yet waits since then */
    double dry;          /* time at which it ran dry, or would have if it had not stood still; PACING_NEVER: it plays */
    int64_t limit_us;    /* furthest position that is assumed without another report */
    int64_t sent_us;     /* end of what the client has been sent */
    int assumed;         /* 1: it sends no reports and is taken to play from the moment that it was sent something */
};
/* Lets play begin anew at this media time: at the start, after an interruption or a resumption. */
void playback_begin(struct playback *playback, int64_t position_us, double now);
/* Takes the client's report. Positions are held to the range from where play began to the end of what was sent. A
   client that ran dry or stands still counts as waiting since that moment, however often it reports the same
   position. */
void playback_report(struct playback *playback, int64_t position_us, double now);
/* Takes note that everything before end_us has gone to the client. */
void playback_sent(struct playback *playback, int64_t end_us, double now);
/* Position now: it goes on from the last report for two seconds at most, and never past what was sent. */
int64_t playback_position(const struct playback *playback, double now);
/* Time at which no more than lead_us will be left before end_us; a time that is past if it is so already;
   PACING_NEVER: only after another report, or when more has been sent. */
double playback_due(const struct playback *playback, int64_t end_us, int64_t lead_us);
/* Time at which it will have played up to end_us if all goes well. For a client that has run dry or does not play yet:
   the time since which it waits. */
double playback_deadline(const struct playback *playback, int64_t end_us);
/* Lead: how far ahead of play a chunk is begun, in microseconds. It is the sum of 15 ms for encoding and jitter, a
   chunk's work for each session that is live (all may be due at once), and what the client wished; at most a chunk. */
int64_t pacing_lead(int64_t chunk_us, double chunk_seconds, int sessions, int64_t wished_us);

#endif
