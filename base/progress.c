/* progress.c: see progress.h. */
#include "base/progress.h"
#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

double clock_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void clock_text(double seconds, char *text, int size) {
    if (!(seconds >= 0 && seconds < 1e8)) {
        snprintf(text, (size_t)size, "--");
        return;
    }
    long s = lround(seconds);
    if (s >= 3600)
        snprintf(text, (size_t)size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, (size_t)size, "%ld:%02ld", s / 60, s % 60);
}

void progress_begin(struct progress *p, const char *title, long total, long first) {
    *p = (struct progress){.total = total, .first = first};
    snprintf(p->title, sizeof p->title, "%s", title);
    p->start = clock_seconds();
    p->drawn = log_terminal() ? 0 : p->start;
}

static void describe(const struct progress *p, long done, const char *detail, int bar, char *text, size_t size) {
    double seconds = clock_seconds() - p->start, rate = seconds > 0 ? (double)(done - p->first) / seconds : 0;
    double share = p->total > 0 ? (double)done / (double)p->total : 0;
    char left[24], drawn[24] = "", number[32];
    clock_text(rate > 0 ? (double)(p->total - done) / rate : -1, left, sizeof left);
    if (bar) {
        int filled = share > 1 ? 20 : (int)(share * 20);
        for (int i = 0; i < 20; i++) drawn[i] = i < filled ? '#' : '.';
    }
    if (rate > 0 && rate < 1)
        snprintf(number, sizeof number, "%.2f s each", 1 / rate);
    else
        snprintf(number, sizeof number, "%.1f/s", rate);
    snprintf(text, size, "%s %s%s%ld/%ld (%.0f%%), %s, %s left%s%s", p->title, drawn, bar ? " " : "", done, p->total,
             100 * share, number, left, detail && *detail ? ", " : "", detail ? detail : "");
}

void progress_update(struct progress *p, long done, const char *detail) {
    double now = clock_seconds();
    int terminal = log_terminal();
    if (!terminal && p->every ? done % p->every != 0 : now - p->drawn < (terminal ? 0.1 : 10)) return;
    p->drawn = now;
    char text[400];
    describe(p, done, detail, terminal, text, sizeof text);
    if (terminal)
        log_status("%s", text);
    else
        log_line("%s", text);
}

void progress_end(struct progress *p, long done, const char *detail) {
    char took[24];
    clock_text(clock_seconds() - p->start, took, sizeof took);
    log_status("%s", "");
    log_line("%s: %ld of %ld in %s%s%s", p->title, done, p->total, took, detail && *detail ? ", " : "",
             detail ? detail : "");
}
