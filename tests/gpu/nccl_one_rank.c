/* nccl_one_rank.c: every collective of a communicator of one rank, over NCCL on this machine's GPU: that the library
   loads, a communicator without blocking opens and closes, its calls are taken, and what one rank must get back comes
   back. What several ranks exchange is not shown. Exit 1: a result is wrong, 5: the device or NCCL failed. Linked with
   NCCL, unlike all else here. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/progress.h"
#include "comm/host/link.h"
#include "comm/nccl.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

enum { N = 1 << 16 };

/* 1: `of` holds i + 1 everywhere. */
static int whole(const real *of) {
    static real host[N];
    mem_download(host, of, sizeof host);
    for (int i = 0; i < N; i++)
        if (host[i] != (real)(i + 1)) return 0;
    return 1;
}

static int wrong;
static void report(const char *what, const real *result, double begun) {
    int right = device_sync() == OK && whole(result);
    printf("%-16s %s, %.2f ms\n", what, right ? "right" : "WRONG", 1e3 * (clock_seconds() - begun));
    wrong += !right;
}

static int collectives(struct comm *comm, real *a, real *b) {
    const long counts[] = {N}, bytes[] = {N * sizeof(real)};
    static real numbers[N];
    double begun;
    for (int i = 0; i < N; i++) numbers[i] = (real)(i + 1);
#define FRESH (mem_upload(a, numbers, sizeof numbers), mem_zero(b, sizeof numbers), begun = clock_seconds())
    FRESH;
    TRY(comm_all_reduce(comm, a, N));
    report("all_reduce", a, begun);
    FRESH;
    TRY(comm_reduce_scatter(comm, b, a, counts));
    report("reduce_scatter", b, begun);
    FRESH;
    TRY(comm_all_gather(comm, b, a, bytes));
    report("all_gather", b, begun);
    FRESH;
    TRY(comm_all_to_all(comm, b, bytes, a, bytes));
    report("all_to_all", b, begun);
    FRESH;
    TRY(comm_broadcast(comm, a, bytes[0], 0));
    report("broadcast", a, begun);
    FRESH;
    TRY(comm_barrier(comm));
    report("barrier", a, begun);
    return OK;
}

static int run(void) {
    const struct launch alone = {.by = LAUNCH_ENVIRONMENT,
                                 .size = 1,
                                 .local_size = 1,
                                 .address = "127.0.0.1",
                                 .port = 29531,
                                 .listener = -1,
                                 .host = "here"};
    const struct comm_options options = {.transport = "nccl"};
    struct comm host, comm;
    double begun = clock_seconds();
    TRY(link_open(&host, &alone, &options, 20, &wire_tcp));
    TRY(nccl_open(&comm, &host));
    TRY(device_init(1));
    printf("communicator of one rank: open after %.0f ms\n", 1e3 * (clock_seconds() - begun));
    real *a = device_alloc(N * sizeof *a), *b = device_alloc(N * sizeof *b);
    int code = a && b ? collectives(&comm, a, b) : error_set(ERR_DEVICE, "out of memory");
    if (code) return comm_abort(&comm, code), code;
    begun = clock_seconds();
    comm_close(&comm);
    printf("closed after %.0f ms\n", 1e3 * (clock_seconds() - begun));
    device_free(a);
    device_free(b);
    device_shutdown();
    return OK;
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    int code = run();
    if (code) return fprintf(stderr, "nccl_one_rank: %s\n", error_text()), code;
    return wrong != 0;
}
