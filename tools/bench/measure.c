/* measure.c: see measure.h. */
#include "tools/bench/measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "base/sorting.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/peak.h"
#include "kernels/served.h"

static const double SERIES_SECONDS = 0.15;

static double time_box;

void bench_time_box(double seconds) { time_box = seconds; }

static clockid_t bench_clock = CLOCK_MONOTONIC;

void bench_use_processor_time(void) { bench_clock = CLOCK_PROCESS_CPUTIME_ID; }

double bench_now(void) {
    struct timespec t;
    clock_gettime(bench_clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { FIRST_RUNS = 1 }; /* runs that do not count: the libraries make their plans, caches and clocks warm up */

struct series series_start(void) {
    return (struct series){.count = -FIRST_RUNS - 1};
}

static int boxed(const struct series *s, double now) { return time_box > 0 && now - s->opened > time_box; }

static int enough(const struct series *s, double now) {
    return s->count == BENCH_RUNS_MAX || (s->count > 0 && boxed(s, now)) ||
           (s->count >= BENCH_RUNS_MIN && now - s->start > SERIES_SECONDS);
}

int series_next(struct series *s) {
    device_sync();
    double now = bench_now();
    if (s->count < -FIRST_RUNS)
        s->opened = now;
    else if (s->count < 0 && boxed(s, now))
        s->count = 0;
    if (s->count >= 0) s->times[s->count] = now - s->begun;
    if (++s->count == 0) s->start = now;
    if (enough(s, now)) return 0;
    s->begun = bench_now();
    return 1;
}

double bench_median(double *times, int count) {
    sort_doubles(times, (size_t)count);
    return times[count / 2];
}

double series_median(struct series *s) { return bench_median(s->times, s->count); }

double bench_report(const struct limits *limits, struct series *s, const char *name, enum work work, double amount) {
    double seconds = series_median(s), rate = amount / seconds;
    double limit = work == ARITHMETIC ? limits->arithmetic : work == MEMORY ? limits->memory : limits->arithmetic_real;
    printf("%-52s %9.3f ms %8.1f %s", name, 1e3 * seconds, 1e-9 * rate, work == MEMORY ? "GB/s   " : "GFLOP/s");
    if (limit > 0) printf(" %4.0f %%", 100 * rate / limit);
    if (s->count < BENCH_RUNS_MIN) printf(" (%d run%s)", s->count, s->count == 1 ? "" : "s");
    printf("\n");
    fflush(stdout);
    return rate;
}

int operands_open(struct operands *o, long size) {
    *o = (struct operands){.size = size};
    for (int i = 0; i < 4; i++) {
        if (!(o->r[i] = device_alloc((size_t)size * sizeof(real)))) return error_set(ERR_DEVICE, "out of memory");
        random_init(o->r[i], 1, i, (real)0.5, size);
    }
    for (int i = 0; i < 5; i++) {
        if (!(o->e[i] = device_alloc((size_t)size * sizeof(elem)))) return error_set(ERR_DEVICE, "out of memory");
        elem_from_real(o->e[i], o->r[i % 4], size);
    }
    return device_sync();
}

void operands_close(struct operands *o) {
    for (int i = 0; i < 4; i++) device_free(o->r[i]);
    for (int i = 0; i < 5; i++) device_free(o->e[i]);
}

static void measure_peak(struct limits *limits) {
    struct peak peak = device_peak();
    limits->arithmetic = peak.elem, limits->arithmetic_real = peak.real;
    if (peak.elem > 0)
        printf("%-52s %12s %8.1f GFLOP/s\n%-52s %12s %8.1f GFLOP/s\n", "in registers, " TYPE_NAME, "", 1e-9 * peak.elem,
               "in registers, real", "", 1e-9 * peak.real);
}

static void measure_copy(struct limits *limits, const struct operands *o) {
    limits->memory = MEASURE(&(struct limits){0}, "copy", MEMORY, 2.0 * sizeof(real) * (double)o->size,
                             real_axpby(o->r[0], 1, o->r[1], 0, o->size));
}

static void measure_products(struct limits *limits, const struct operands *o, long edge) {
    struct limits found = *limits;
    char name[64];
    for (int i = 0; i < 3; i++) {
        long m = edge >> (2 - i);
        snprintf(name, sizeof name, "matrix product %s %ld x %ld x %ld", TYPE_NAME, m, m, m);
        double rate = MEASURE(limits, name, ARITHMETIC, 2.0 * m * m * m,
                              linear_forward(o->e[0], o->e[1], o->e[2], NULL, m, m, m, 0));
        found.arithmetic = fmax(found.arithmetic, rate);
        snprintf(name, sizeof name, "matrix product real %ld x %ld x %ld", m, m, m);
        rate = MEASURE(limits, name, ARITHMETIC_REAL, 2.0 * m * m * m, matmul_real(o->r[0], o->r[1], o->r[2], m, m, m));
        found.arithmetic_real = fmax(found.arithmetic_real, rate);
    }
    if (limits->arithmetic <= 0) *limits = found;
}

void measure_limits(struct limits *limits, const struct operands *o, long edge) {
    measure_peak(limits);
    if (edge || limits->arithmetic <= 0) measure_products(limits, o, edge ? edge : 2048);
    measure_copy(limits, o);
}

void bench_served(void) {
    struct served entry;
    char text[512];
    for (int i = 0; served_entry(i, &entry); i++) {
        served_text(text, sizeof text, &entry);
        printf("served: %s\n", text);
    }
    served_clear();
}
