/* step_report.c: see step_report.h. */
#include "tools/bench/step_report.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "tools/bench/regions.h"

enum { PREFIXES = 8 };
/* Groups of kernels by the beginnings of their names; a kernel belongs to the first group that fits. */
static const struct group {
    const char *name;
    enum work work;
    const char *prefixes[PREFIXES];
} groups[] = {
    {"products, to inputs' gradients", ARITHMETIC, {"linear_backward_input", "linear_gelu_backward_input"}},
    {"products, to weights' gradients", ARITHMETIC, {"linear_backward_weight"}},
    {"biases' gradients", MEMORY, {"linear_backward_bias"}},
    {"products, forward", ARITHMETIC, {"linear_"}},
    {"attention to few keys, forward", ARITHMETIC, {"attention_few_forward"}},
    {"attention to few keys, backward", ARITHMETIC, {"attention_few_backward"}},
    {"self-attention, forward", ARITHMETIC, {"attention_forward"}},
    {"self-attention, backward", ARITHMETIC, {"attention_backward"}},
    {"rows: norms, residuals, rotation", MEMORY, {"layernorm_", "rmsnorm_", "residual_", "rope_", "modulation_"}},
    {"GELU", MEMORY, {"gelu_"}},
    {"optimiser", MEMORY, {"adamw_", "grad_norm_"}},
    {"rest: copies, zeros, noise, losses", MEMORY, {""}},
};
enum { GROUPS = sizeof groups / sizeof *groups };

void step_times_begin(struct step_times *t) {
    timed_begin(bench_now);
    t->regions = regions_entered();
    t->seconds = bench_now();
}

int step_times_end(struct step_times *t) {
    t->seconds = bench_now() - t->seconds;
    t->regions = regions_entered() - t->regions;
    for (t->count = 0; t->count < STEP_KERNELS_MAX && timed_entry(t->count, &t->entries[t->count]);) t->count++;
    return timed_end();
}

static int belongs(const struct group *g, const char *kernel) {
    for (int i = 0; i < PREFIXES && g->prefixes[i]; i++)
        if (!strncmp(kernel, g->prefixes[i], strlen(g->prefixes[i]))) return 1;
    return 0;
}

static const struct group *group_of(const char *kernel) {
    const struct group *g = groups;
    while (!belongs(g, kernel)) g++; /* the last group takes all */
    return g;
}

static struct timed_entry group_sum(const struct step_times *t, const struct group *g) {
    struct timed_entry sum = {.kernel = g->name};
    for (int i = 0; i < t->count; i++) {
        const struct timed_entry *e = &t->entries[i];
        if (group_of(e->kernel) != g) continue;
        sum.calls += e->calls;
        sum.seconds += e->seconds;
        sum.bytes += e->bytes;
        sum.operations += e->operations;
    }
    return sum;
}

/* Prints a group and returns the seconds that would be gained if it ran at its limit. */
static double print_group(const struct limits *l, const struct timed_entry *e, enum work work, double whole) {
    double amount = work == MEMORY ? e->bytes : e->operations, rate = amount / e->seconds;
    double limit = work == MEMORY ? l->memory : l->arithmetic, lost = e->seconds - amount / limit;
    printf("%-36s %6ld calls %9.2f ms %5.1f %% %8.1f %s %4.0f %% of the limit, lost %8.2f ms\n", e->kernel, e->calls,
           1e3 * e->seconds, 100 * e->seconds / whole, 1e-9 * rate, work == MEMORY ? "GB/s   " : "GFLOP/s",
           100 * rate / limit, 1e3 * lost);
    return lost;
}

void step_times_print(const struct limits *l, const struct step_times *t) {
    double inside = 0, lost = 0, operations = 0;
    for (int i = 0; i < GROUPS; i++) {
        struct timed_entry sum = group_sum(t, &groups[i]);
        if (sum.calls) lost += print_group(l, &sum, groups[i].work, t->seconds);
        inside += sum.seconds;
        operations += sum.operations;
    }
    double outside = t->seconds - inside;
    printf("%-36s %12s %9.2f ms %5.1f %%\n", "outside kernels", "", 1e3 * outside, 100 * outside / t->seconds);
    printf("%-36s %12s %9.2f ms %5s   %8.1f GFLOP/s %4.0f %% of the limit, lost %8.2f ms", "the whole step", "",
           1e3 * t->seconds, "", 1e-9 * operations / t->seconds, 100 * operations / t->seconds / l->arithmetic,
           1e3 * (lost + outside));
    if (t->regions) printf("; %ld OpenMP regions", t->regions);
    printf("\n");
}
