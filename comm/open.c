/* open.c: chooses the transport of a job (comm.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "comm/host/link.h"
#include "comm/nccl.h"

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

/* 1 also on "cuda-shim", whose tests bring a fake NCCL. */
static int on_gpu(void) { return !strncmp(BACKEND_NAME, "cuda", 4); }

static const char *automatic(const struct launch *l) {
    if (l->size == 1) return "single";
    if (on_gpu()) return "nccl";
    return l->by == LAUNCH_MPI ? "mpi" : "tcp";
}

/* Leaves the communicator as comm_open begins it: of one process. */
static int open_single(const struct launch *l) {
    if (l->size == 1) return OK;
    return error_set(ERR_USAGE, "transport \"single\" is for one process, but the environment says %d", l->size);
}

static int open_tcp(struct comm *comm, const struct launch *l, const struct comm_options *options, double timeout) {
    if (l->by == LAUNCH_MPI && l->size > 1)
        return error_set(ERR_USAGE,
                         "transport \"tcp\" needs RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, which mpirun "
                         "does not set");
    if (l->size == 1) return OK;
    return link_open(comm, l, options, timeout, &wire_tcp);
}

static int open_mpi(struct comm *comm, const struct launch *l, const struct comm_options *options, double timeout) {
    if (l->by != LAUNCH_MPI && l->by != LAUNCH_ALONE)
        return error_set(ERR_USAGE, "transport \"mpi\" needs mpirun to start the processes");
    if (l->size == 1) return OK;
    return link_open(comm, l, options, timeout, &wire_mpi);
}

static int open_nccl(struct comm *comm, const struct launch *l, const struct comm_options *options, double timeout) {
    struct comm host;
    if (l->size == 1) return OK;
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
    if (!strcmp(name, "single")) return open_single(&launch);
    if (!strcmp(name, "nccl")) return open_nccl(comm, &launch, options, timeout);
    if (on_gpu() && launch.size > 1)
        return error_set(ERR_USAGE, "transport \"%s\" moves host memory; between GPUs it is \"nccl\"", name);
    if (!strcmp(name, "tcp")) return open_tcp(comm, &launch, options, timeout);
    if (!strcmp(name, "mpi")) return open_mpi(comm, &launch, options, timeout);
    return error_set(ERR_USAGE, "transport \"%s\" is unknown (auto, single, tcp, mpi, nccl)", name);
}

size_t comm_memory(int ranks) { return ranks > 1 ? rounds_memory(ranks) + comm_queue_memory(ranks) : 0; }
