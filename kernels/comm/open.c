/* open.c: chooses the transport of a job (comm.h). */
#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "kernels/comm/transport.h"

int comm_open(struct comm *comm, const struct comm_options *options) {
    const char *name = options->transport ? options->transport : "auto";
    *comm = (struct comm){.size = 1, .local_size = 1, .transport = &comm_single};
    if (!strcmp(name, "auto") || !strcmp(name, "single")) return OK;
    return error_set(ERR_USAGE, "transport \"%s\" is not built (auto, single)", name);
}
