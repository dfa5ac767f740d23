/* transport.c: how messages name a call (transport.h). */
#include "comm/transport.h"

#include <stdio.h>
#include <string.h>

const char *comm_kind_name(enum comm_kind kind) {
    static const char *const names[] = {"all_reduce", "reduce_scatter", "all_gather",
                                        "all_to_all", "broadcast",      "barrier"};
    return kind < sizeof names / sizeof *names ? names[kind] : "?";
}

struct comm_place comm_place(const struct comm *comm, enum comm_kind kind, int64_t number) {
    struct comm_place place = {.number = number, .step = comm->step, .index = comm->index, .kind = (int32_t)kind};
    if (comm->what) strncpy(place.what, comm->what, sizeof place.what - 1);
    return place;
}

void comm_describe(const struct comm_place *p, char *text, size_t size) {
    int used = snprintf(text, size, "%s %lld", comm_kind_name((enum comm_kind)p->kind), (long long)p->number);
    if (used < 0 || (size_t)used >= size || !p->what[0]) return;
    used += snprintf(text + used, size - (size_t)used, " \"%.*s", COMM_NAME, p->what);
    if ((size_t)used < size && p->index >= 0)
        used += snprintf(text + used, size - (size_t)used, " %lld", (long long)p->index);
    if ((size_t)used < size) snprintf(text + used, size - (size_t)used, "\" of step %lld", (long long)p->step);
}
