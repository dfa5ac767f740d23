/* wire.c: the watchdog of an exchange (wire.h). */
#include "comm/host/wire.h"

#include "base/error.h"
#include "base/progress.h"

int wire_begin(struct wire *w, const struct comm_place *place) {
    double now = clock_seconds(), between = w->finished > 0 ? now - w->finished : 0;
    w->longest -= w->longest / 256;
    if (between > w->longest) w->longest = between;
    w->place = *place;
    w->greeting = 1;
    return tcp_job_check(w->job);
}

int wire_end(struct wire *w, int code) {
    if (code) tcp_job_fail(w->job, "%s", error_text());
    w->finished = clock_seconds();
    return code;
}

int wire_exchange(struct wire *w, const struct wire_piece *pieces) {
    TRY(w->kind->exchange(w, pieces));
    tcp_job_waits_for(w->job, -1);
    w->greeting = 0;
    return OK;
}

int wire_diverged(struct wire *w, int rank, const char *text) {
    char name[160];
    tcp_job_name(w->job, w->members[rank], name, sizeof name);
    tcp_job_fail(w->job, "ranks have diverged: %s %s", name, text);
    return tcp_job_check(w->job);
}

int wire_lost(struct wire *w, int rank) {
    char what[200];
    comm_describe(&w->place, what, sizeof what);
    return tcp_job_lost(w->job, w->members[rank], what);
}

int wire_look(struct wire *w, int rank, double *since, double *looked) {
    char name[160], what[200];
    int busy;
    double now = clock_seconds();
    if (now - *looked > 4 * WIRE_TICK) *since += now - *looked; /* this process was stopped: that time is left out */
    *looked = now;
    TRY(tcp_job_check(w->job));
    tcp_job_waits_for(w->job, w->members[rank]);
    int culprit = tcp_job_culprit(w->job, w->members[rank], &busy);
    if (busy) *since = now;
    if (now - *since <= w->job->timeout + 2 * w->longest || tcp_job_quiet(w->job, culprit)) return OK;
    tcp_job_name(w->job, culprit, name, sizeof name);
    comm_describe(&w->place, what, sizeof what);
    if (culprit != w->members[rank])
        tcp_job_fail(w->job, "%s keeps the others waiting for %.0f s; rank %d is in %s", name, now - *since,
                     w->job->rank, what);
    else
        tcp_job_fail(w->job, "%s %s %s for %.0f s", name, w->greeting ? "has not reached" : "does not go on with", what,
                     now - *since);
    return tcp_job_check(w->job);
}
