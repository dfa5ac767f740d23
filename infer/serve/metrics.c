/* metrics.c: see metrics.h. */
#include "infer/serve/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/process_memory.h"
#include "base/sorting.h"

void metrics_time(struct durations *d, double seconds) {
    d->last[d->count++ % METRICS_TIMES] = (float)seconds;
    d->sum += seconds;
}

double metrics_quantile(const struct durations *d, double share) {
    size_t n = d->count < METRICS_TIMES ? (size_t)d->count : METRICS_TIMES;
    float *sorted = n ? malloc(n * sizeof *sorted) : NULL;
    if (!sorted) return 0;
    memcpy(sorted, d->last, n * sizeof *sorted);
    sort_floats(sorted, n);
    double value = sorted[(size_t)(share * (double)(n - 1) + 0.5)];
    free(sorted);
    return value;
}

static void value(FILE *f, const char *name, const char *type, const char *help, double number) {
    fprintf(f, "# HELP streamavatar_%s %s\n# TYPE streamavatar_%s %s\nstreamavatar_%s %.9g\n", name, help, name, type,
            name, number);
}

static void summary(FILE *f, const char *name, const char *help, const struct durations *d) {
    static const double shares[] = {0.5, 0.95, 0.99};
    fprintf(f, "# HELP streamavatar_%s %s\n# TYPE streamavatar_%s summary\n", name, help, name);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        fprintf(f, "streamavatar_%s{quantile=\"%g\"} %.6g\n", name, shares[i], metrics_quantile(d, shares[i]));
    fprintf(f, "streamavatar_%s_sum %.9g\nstreamavatar_%s_count %ld\n", name, d->sum, name, d->count);
}

static void print(FILE *f, const struct metrics *m, const struct metrics_now *now) {
    value(f, "sessions", "gauge", "Sessions with a place.", now->live);
    value(f, "sessions_detached", "gauge", "Sessions with a place whose client is away.", now->detached);
    value(f, "sessions_capacity", "gauge", "Sessions that are admitted at once.", now->capacity);
    value(f, "queue", "gauge", "Clients that wait for a place.", now->queued);
    value(f, "connections", "gauge", "Open WebSocket connections.", now->connections);
    value(f, "outbox_bytes", "gauge", "Bytes that wait for the clients' sockets.", (double)now->outbox_bytes);
    value(f, "user_sound_seconds", "gauge", "Sound of the users that waits to be heard.", now->user_seconds);
    value(f, "real_time_factor", "gauge", "Seconds of work a second of one session, measured at the start.",
          now->real_time_factor);
    value(f, "resident_bytes", "gauge", "Resident memory of the process.", (double)process_resident());
    value(f, "sessions_created_total", "counter", "Sessions begun.", (double)m->created);
    value(f, "sessions_resumed_total", "counter", "Sessions whose client came back.", (double)m->resumed);
    value(f, "sessions_refused_total", "counter", "Clients sent away: sessions and queue were full.",
          (double)m->refused);
    value(f, "sessions_finished_total", "counter", "Sessions ended.", (double)m->finished);
    value(f, "connections_refused_total", "counter", "Requests refused for host, origin, token or number.",
          (double)m->connections_refused);
    value(f, "messages_bad_total", "counter", "Messages that broke the protocol.", (double)m->messages_bad);
    value(f, "agents_started_total", "counter", "Processes started that speak for a session.",
          (double)m->agents_started);
    value(f, "agents_failed_total", "counter", "Processes that speak for a session and ended without a word.",
          (double)m->agents_failed);
    value(f, "turns_total", "counter", "Turns begun.", (double)m->turns);
    value(f, "interruptions_total", "counter", "Turns interrupted.", (double)m->interruptions);
    value(f, "chunks_total", "counter", "Chunks made.", (double)m->chunks);
    value(f, "chunks_late_total", "counter", "Chunks that were ready after their client had run dry.",
          (double)m->chunks_late);
    value(f, "pictures_total", "counter", "Pictures encoded.", (double)m->pictures);
    value(f, "pictures_dropped_total", "counter", "Pictures dropped for slow clients.", (double)m->pictures_dropped);
    value(f, "sent_bytes_total", "counter", "Bytes written to clients.", (double)m->bytes_sent);
    summary(f, "chunk_seconds", "Work of a chunk: network, codec, conversion.", &m->chunk);
    summary(f, "encode_seconds", "Encoding of a picture.", &m->encode);
    summary(f, "first_frame_seconds", "Time from session.create to the first picture on its way.", &m->first_frame);
    summary(f, "chunk_wait_seconds", "Time for which a chunk that was due waited for the device.", &m->waited);
    summary(f, "chunk_sent_seconds", "Time from a chunk's begin to its first picture on its way.", &m->sent);
    summary(f, "heard_seconds", "Time from the last user's sound that a chunk hears to its first picture on its way.",
            &m->heard);
    summary(f, "interrupt_seconds", "Time from an interruption to the first picture after it on its way.",
            &m->interrupt);
}

char *metrics_text(const struct metrics *m, const struct metrics_now *now) {
    char *text = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&text, &length);
    if (!f) return NULL;
    print(f, m, now);
    if (!fclose(f)) return text;
    free(text);
    return NULL;
}
