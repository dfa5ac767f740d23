/* memory_plan.h: prints the memory that a program takes, a line for each purpose, and adds it up. The arenas (arena.h)
   are given when they are planned and before they are committed, so a plan needs neither memory nor device. */
#ifndef KERNELS_MEMORY_PLAN_H
#define KERNELS_MEMORY_PLAN_H

#include <stdio.h>
#include "kernels/arena.h"

struct memory_plan {
    FILE *out;           /* where the lines go */
    int detail;          /* 1: a line for each name of an arena, too */
    size_t device, host; /* bytes so far: on the device; in host memory, which is pinned where the device can do that */
};
/* Prints an arena that is planned or committed, and adds its bytes. plan NULL: does nothing, here and below. */
void memory_plan_arena(struct memory_plan *plan, const struct arena *arena);
/* The same for memory that is in no arena: on the device; in host memory. */
void memory_plan_bytes(struct memory_plan *plan, const char *purpose, size_t bytes);
void memory_plan_host(struct memory_plan *plan, const char *purpose, size_t bytes);
/* Prints what has been added up so far; host memory only where there is some. */
void memory_plan_total(const struct memory_plan *plan);

#endif
