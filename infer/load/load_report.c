/* load_report.c: see load_report.h. */
#include "infer/load/load_report.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fileio.h"
#include "infer/load/target.h"

/* ---- the figures, by their names ---- */

struct count {
    const char *name;
    size_t offset;
};
#define COUNT(member)                                                                                                  \
    { #member, offsetof(struct tally, member) }
static const struct count counts[] = {
    COUNT(visits),   COUNT(admitted),      COUNT(queued),        COUNT(entered),
    COUNT(refused),  COUNT(not_let_in),    COUNT(failed),        COUNT(broken),
    COUNT(resumed),  COUNT(expired),       COUNT(turns),         COUNT(turns_played),
    COUNT(sounds),   COUNT(interruptions), COUNT(unanswered),    COUNT(interruptions_answered),
    COUNT(pictures), COUNT(clip_pictures), COUNT(pictures_lost),
};
enum { COUNTS = sizeof counts / sizeof *counts };
static const struct {
    const char *name, *text;
    size_t offset;
} spreads[] = {
    {"connected", "connection", offsetof(struct tally, connected)},
    {"first_picture", "first picture", offsetof(struct tally, first_picture)},
    {"waited", "wait in the queue", offsetof(struct tally, waited)},
    {"back", "picture after return", offsetof(struct tally, back)},
    {"late_sound", "sound later than due", offsetof(struct tally, late_sound)},
    {"late_picture", "picture later than due", offsetof(struct tally, late_picture)},
    {"finished", "interrupt to finished", offsetof(struct tally, finished)},
    {"after_stop", "interrupt to picture", offsetof(struct tally, after_stop)},
};
enum { SPREADS = sizeof spreads / sizeof *spreads };
/* Figures of the server: some are shown before and after, of others what was added meanwhile. */
static const char *const gauges[] = {"resident_bytes", "outbox_bytes",      "sessions",        "queue",
                                     "connections",    "sessions_capacity", "real_time_factor"};
static const char *const counters[] = {"sessions_created_total", "sessions_resumed_total",   "sessions_refused_total",
                                       "chunks_total",           "chunks_late_total",        "pictures_total",
                                       "pictures_dropped_total", "interruptions_total",      "sent_bytes_total",
                                       "messages_bad_total",     "connections_refused_total"};
enum { GAUGES = sizeof gauges / sizeof *gauges, COUNTERS = sizeof counters / sizeof *counters };

static const struct spread *spread_of(const struct load_result *r, int i) {
    return (const struct spread *)((const char *)r->tally + spreads[i].offset);
}

static double offered(const struct load_result *r) {
    return r->options->audience.rate / 60 * audience_mean_stay(&r->options->audience);
}

/* ---- for people ---- */

void report_plan(FILE *f, const struct load_result *r) {
    const struct audience *a = &r->options->audience;
    const struct forecast *p = &r->forecast;
    double mean = audience_mean_stay(a), load = offered(r);
    fprintf(f, "plan: seed %ld, %ld visits in %g min, %.4g a minute\n", a->seed, p->visits, a->minutes,
            (double)p->visits / a->minutes);
    fprintf(f, "  stay       mean %.1f s (the distribution's: %.1f s), %.1f %% under a minute\n", p->mean_stay, mean,
            100 * p->short_share);
    fprintf(f, "  load       %.2f erlang: %.4g a minute x %.3g min\n", load, a->rate, mean / 60);
    if (!r->places) return;
    double variation = audience_mean_square_stay(a) / (mean * mean); /* 1 + square of the coefficient of variation */
    fprintf(f, "  places     %d: by Erlang B %.3g %% find none, by Erlang C %.3g %% would have to wait\n", r->places,
            100 * erlang_b(r->places, load), 100 * erlang_c(r->places, load));
    if (load < r->places)
        fprintf(f, "             if all wait without end, they wait %.3g s on average (x %.3g because stays vary)\n",
                mean / (r->places - load) * variation / 2, variation / 2);
    fprintf(f, "             1 %% find none at a load of %.2f erlang, %.4g visits a minute\n",
            erlang_b_load(r->places, 0.01), 60 * erlang_b_load(r->places, 0.01) / mean);
    fprintf(
        f,
        "  expected   %ld admitted at once, %ld queued (%ld of them get in, after %.1f s), %ld refused; %d at most\n",
        p->admitted, p->queued, p->entered, p->waited, p->refused, p->most);
}

static void print_spreads(FILE *f, const struct load_result *r) {
    fprintf(f, "  %-23s %8s %9s %9s %9s %9s\n", "seconds", "number", "50 %", "95 %", "99 %", "most");
    for (int i = 0; i < SPREADS; i++) {
        const struct spread *s = spread_of(r, i);
        if (s->count)
            fprintf(f, "  %-23s %8ld %9.3f %9.3f %9.3f %9.3f\n", spreads[i].text, s->count, spread_quantile(s, 0.5),
                    spread_quantile(s, 0.95), spread_quantile(s, 0.99), s->most);
    }
}

static double grown(const struct load_result *r, const char *name) {
    return metrics_value(r->after, name) - metrics_value(r->before, name);
}

static void print_server(FILE *f, const struct load_result *r) {
    const double mib = 1 << 20;
    fprintf(f, "  server     resident %.1f MiB before, %.1f after; real-time factor %.4f, capacity %.0f\n",
            metrics_value(r->before, "resident_bytes") / mib, metrics_value(r->after, "resident_bytes") / mib,
            metrics_value(r->after, "real_time_factor"), metrics_value(r->after, "sessions_capacity"));
    fprintf(f, "             %.0f chunks, %.0f late; %.0f pictures, %.0f dropped; %.1f MiB sent\n",
            grown(r, "chunks_total"), grown(r, "chunks_late_total"), grown(r, "pictures_total"),
            grown(r, "pictures_dropped_total"), grown(r, "sent_bytes_total") / mib);
}

void report_run(FILE *f, const struct load_result *r) {
    const struct tally *t = r->tally;
    const double mib = 1 << 20;
    fprintf(f, "load: %ld visits, %d at once at most\n", t->visits, t->most_present);
    fprintf(f, "  admitted   %ld at once, %ld queued (%ld of them got in), %ld refused, %ld not let in, %ld failed\n",
            t->admitted, t->queued, t->entered, t->refused, t->not_let_in, t->failed);
    if (*t->reason) fprintf(f, "             the last one not let in or failed: %s\n", t->reason);
    long answered = t->admitted + t->queued + t->refused + t->not_let_in + t->failed;
    if (t->visits > answered) fprintf(f, "             %ld left before they were answered\n", t->visits - answered);
    fprintf(f, "  broken     %ld connections, %ld sessions resumed, %ld expired\n", t->broken, t->resumed, t->expired);
    fprintf(f, "  turns      %ld begun, %ld played to their end, %ld interrupted (%ld answered), %ld without an end\n",
            t->turns, t->turns_played, t->interruptions, t->interruptions_answered, t->unanswered);
    fprintf(f, "  units      %ld pictures (%ld of the idle clip), %ld lost; %ld of sound\n", t->pictures,
            t->clip_pictures, t->pictures_lost, t->sounds);
    fprintf(f, "  late       %.3g %% of the units of sound, %.3g %% of the pictures\n",
            100 * spread_above(&t->late_sound, 0), 100 * spread_above(&t->late_picture, 0));
    fprintf(f, "  bytes      %.1f MiB received, %.1f MiB sent\n", (double)t->received / mib, (double)t->sent / mib);
    print_spreads(f, r);
    print_server(f, r);
}

/* ---- for programs ---- */

static void number(cJSON *at, const char *key, double value) {
    if (isfinite(value)) cJSON_AddNumberToObject(at, key, value);
}

static void add_plan(cJSON *root, const struct load_result *r) {
    const struct audience *a = &r->options->audience;
    const struct forecast *p = &r->forecast;
    cJSON *plan = cJSON_AddObjectToObject(root, "plan");
    number(plan, "seed", (double)a->seed);
    number(plan, "visits", (double)p->visits);
    number(plan, "mean_stay", audience_mean_stay(a));
    number(plan, "mean_stay_drawn", p->mean_stay);
    number(plan, "short_share_drawn", p->short_share);
    number(plan, "erlang", offered(r));
    if (!r->places) return;
    number(plan, "places", r->places);
    number(plan, "erlang_b", erlang_b(r->places, offered(r)));
    number(plan, "erlang_c", erlang_c(r->places, offered(r)));
    number(plan, "erlang_of_1_percent", erlang_b_load(r->places, 0.01));
    number(plan, "admitted", (double)p->admitted);
    number(plan, "queued", (double)p->queued);
    number(plan, "entered", (double)p->entered);
    number(plan, "refused", (double)p->refused);
    number(plan, "most_present", p->most);
}

static void add_clients(cJSON *root, const struct load_result *r) {
    cJSON *clients = cJSON_AddObjectToObject(root, "clients"), *times = cJSON_AddObjectToObject(root, "seconds");
    for (int i = 0; i < COUNTS; i++)
        number(clients, counts[i].name, (double)*(const long *)((const char *)r->tally + counts[i].offset));
    number(clients, "most_present", r->tally->most_present);
    number(clients, "received_bytes", (double)r->tally->received);
    number(clients, "sent_bytes", (double)r->tally->sent);
    number(clients, "late_sound_share", spread_above(&r->tally->late_sound, 0));
    number(clients, "late_picture_share", spread_above(&r->tally->late_picture, 0));
    for (int i = 0; i < SPREADS; i++) {
        const struct spread *s = spread_of(r, i);
        cJSON *one = cJSON_AddObjectToObject(times, spreads[i].name);
        number(one, "count", (double)s->count);
        number(one, "p50", spread_quantile(s, 0.5));
        number(one, "p95", spread_quantile(s, 0.95));
        number(one, "p99", spread_quantile(s, 0.99));
        number(one, "most", s->most);
    }
}

static void add_server(cJSON *root, const struct load_result *r) {
    cJSON *before = cJSON_AddObjectToObject(root, "server_before"),
          *after = cJSON_AddObjectToObject(root, "server_after"),
          *growth = cJSON_AddObjectToObject(root, "server_grown");
    for (int i = 0; i < GAUGES; i++) {
        number(before, gauges[i], metrics_value(r->before, gauges[i]));
        number(after, gauges[i], metrics_value(r->after, gauges[i]));
    }
    for (int i = 0; i < COUNTERS; i++) number(growth, counters[i], grown(r, counters[i]));
}

int report_write(const char *path, const struct load_result *r) {
    cJSON *root = cJSON_CreateObject();
    add_plan(root, r);
    if (r->tally) add_clients(root, r);
    if (r->tally) add_server(root, r);
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    int code = text ? file_write(path, text, strlen(text)) : error_set(ERR_DEVICE, "out of memory for the results");
    free(text);
    return code;
}
