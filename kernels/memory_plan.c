/* memory_plan.c: see memory_plan.h. */
#include "kernels/memory_plan.h"

#define MEBIBYTE 1048576.0

static void print_line(FILE *out, const char *purpose, size_t bytes) {
    fprintf(out, "%-32s %10.1f MiB\n", purpose, (double)bytes / MEBIBYTE);
}

void memory_plan_arena(struct memory_plan *plan, const struct arena *arena) {
    if (!plan) return;
    *(arena->on_host ? &plan->host : &plan->device) += arena->base ? arena->size : arena->used;
    arena_print(arena, plan->out, plan->detail);
}

void memory_plan_bytes(struct memory_plan *plan, const char *purpose, size_t bytes) {
    if (!plan) return;
    plan->device += bytes;
    print_line(plan->out, purpose, bytes);
}

void memory_plan_host(struct memory_plan *plan, const char *purpose, size_t bytes) {
    if (!plan) return;
    plan->host += bytes;
    print_line(plan->out, purpose, bytes);
}

void memory_plan_total(const struct memory_plan *plan) {
    if (!plan) return;
    print_line(plan->out, "total", plan->device);
    if (plan->host) print_line(plan->out, "total (host)", plan->host);
    fflush(plan->out);
}
