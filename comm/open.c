/* open.c: chooses the transport of a job (comm.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "comm/host/mpi.h"
#include "comm/nccl.h"
#include "comm/host/queue.h"
#include "comm/host/tcp.h"

enum { DEFAULT_TIMEOUT = 25 };

static int timeout_of(const struct comm_options *options, double *seconds) {
    const char *text = getenv("STREAMAVATAR_COMM_TIMEOUT");
    *seconds = options->timeout > 0 ? options->timeout : DEFAULT_TIMEOUT;
    if (!text || !*text) return OK;
    char *end;
    *seconds = strtod(text, &end);
    if (*end || !(*seconds >= 0.1 && *seconds <= 1e6))
        return error_set(ERR_USAGE, "STREAMAVATAR_COMM_TIMEOUT: expected seconds from 0.1 to 1e6, found \"%s\"", text);
    return OK;
}

static int on_gpu(void) { return !strcmp(BACKEND_NAME, "cuda"); }

static const char *automatic(const struct launch *l) {
    if (l->size == 1) return "single";
    if (on_gpu()) return "nccl";
    return l->by == LAUNCH_MPI ? "mpi" : "tcp";
}

static int open_single(struct comm *comm, const struct launch *l) {
    if (l->size > 1)
        return error_set(ERR_USAGE, "transport \"single\" is for one process, the environment says %d", l->size);
    *comm = (struct comm){.size = 1, .local_size = 1, .transport = &comm_single, .index = -1};
    return OK;
}

static int open_tcp(struct comm *comm, const struct launch *l, const struct comm_options *options, double timeout) {
    if (l->by == LAUNCH_MPI && l->size > 1)
        return error_set(ERR_USAGE,
                         "transport \"tcp\" needs RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, which mpirun "
                         "does not set");
    if (l->size == 1) return open_single(comm, l);
    return tcp_open(comm, l, options, timeout);
}

static int open_mpi(struct comm *comm, const struct launch *l, const struct comm_options *options, double timeout) {
    if (l->by != LAUNCH_MPI && l->by != LAUNCH_ALONE)
        return error_set(ERR_USAGE, "transport \"mpi\" needs mpirun to start the processes");
    if (l->size == 1) return open_single(comm, l);
    return mpi_open(comm, l, options, timeout);
}

static int open_nccl(struct comm *comm, const struct launch *l, const struct comm_options *options, double timeout) {
    struct comm host;
    if (l->size == 1) return open_single(comm, l);
    TRY(l->by == LAUNCH_MPI ? open_mpi(&host, l, options, timeout) : open_tcp(&host, l, options, timeout));
    return nccl_open(comm, &host);
}

int comm_open(struct comm *comm, const struct comm_options *options) {
    struct launch launch;
    double timeout;
    *comm = (struct comm){.size = 1, .local_size = 1, .transport = &comm_single, .index = -1};
    TRY(launch_read(&launch));
    TRY(timeout_of(options, &timeout));
    const char *name =
        options->transport && strcmp(options->transport, "auto") ? options->transport : automatic(&launch);
    if (!strcmp(name, "single")) return open_single(comm, &launch);
    if (!strcmp(name, "nccl")) return open_nccl(comm, &launch, options, timeout);
    if (on_gpu() && launch.size > 1)
        return error_set(ERR_USAGE, "transport \"%s\" moves host memory; between GPUs it is \"nccl\"", name);
    if (!strcmp(name, "tcp")) return open_tcp(comm, &launch, options, timeout);
    if (!strcmp(name, "mpi")) return open_mpi(comm, &launch, options, timeout);
    return error_set(ERR_USAGE, "transport \"%s\" is unknown (auto, single, tcp, mpi, nccl)", name);
}

size_t comm_memory(int ranks) {
    size_t n = ranks > 1 ? (size_t)ranks : 0, counts = 2 * n * sizeof(long);
    if (!n) return 0;
    return n * (ROUND_CHUNK + ROUND_PIECES * sizeof(struct round_piece) + 2 * sizeof(struct round_header)) + counts +
           QUEUE_CALLS * (sizeof(struct queued_call) + counts);
}
