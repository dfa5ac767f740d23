/* timed.c: see timed.h. Calls under way are on a stack; the time of a call is subtracted from that of its caller. */
#include "tools/record/timed.h"

#include <string.h>

#include "base/error.h"
#include "kernels/device.h"
#include "kernels/types.h"

enum { KERNELS_MAX = 96, DEPTH_MAX = 8 };
struct open_call {
    double begun, others; /* seconds; others: those of the calls that this one made */
};
static struct {
    int on, code, count, depth;
    double (*now)(void);
    struct open_call open[DEPTH_MAX];
    struct timed_entry entries[KERNELS_MAX];
} timed;

static void settle(void) {
    int code = device_sync();
    if (!timed.code) timed.code = code;
}

void timed_begin(double (*clock_seconds)(void)) {
    settle();
    memset(&timed, 0, sizeof timed);
    timed.now = clock_seconds;
    timed.on = 1;
}

int timed_end(void) {
    timed.on = 0;
    return timed.code;
}

int timed_entry(int i, struct timed_entry *entry) {
    if (i < 0 || i >= timed.count) return 0;
    *entry = timed.entries[i];
    return 1;
}

int timed_on(void) { return timed.on; }

/* Finds or makes the entry of a kernel; when the table is full, the last entry stands for all further ones. */
static struct timed_entry *entry_of(const char *kernel) {
    int i = 0;
    while (i < timed.count && strcmp(timed.entries[i].kernel, kernel) != 0) i++;
    if (i == KERNELS_MAX) return &timed.entries[KERNELS_MAX - 1];
    if (i == timed.count) timed.entries[timed.count++].kernel = kernel;
    return &timed.entries[i];
}

void timed_open(void) {
    if (timed.depth < DEPTH_MAX) timed.open[timed.depth] = (struct open_call){.begun = timed.now()};
    timed.depth++;
}

static double own_bytes(struct numbers n) { return n.elems * (double)sizeof(elem) + n.reals * (double)sizeof(real); }

void timed_close(const char *kernel, struct numbers in, struct numbers out, double operations) {
    settle();
    if (--timed.depth >= DEPTH_MAX) return;
    const struct open_call *call = &timed.open[timed.depth];
    double all = timed.now() - call->begun;
    if (timed.depth) timed.open[timed.depth - 1].others += all;
    struct timed_entry *e = entry_of(kernel);
    e->calls++;
    e->seconds += all - call->others;
    e->bytes += own_bytes(in) + own_bytes(out);
    e->operations += operations;
}
