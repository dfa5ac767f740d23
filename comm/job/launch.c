/* launch.c: see launch.h. */
#include "comm/job/launch.h"
#include "base/error.h"
#include "base/hash.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *variable(const char *name) {
    const char *text = getenv(name);
    return text && *text ? text : NULL;
}

/* Reads a whole number in [low, high]; `missing` is its value where the variable is not set. */
static int number(const char *name, long low, long high, int missing, int *value) {
    const char *text = variable(name);
    char *end;
    if (!text) {
        *value = missing;
        return OK;
    }
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno || *end || n < low || n > high)
        return error_set(ERR_USAGE, "%s: expected a number from %ld to %ld, found \"%s\"", name, low, high, text);
    *value = (int)n;
    return OK;
}

static int needed(const char *name, const char *because) {
    if (variable(name)) return OK;
    return error_set(ERR_USAGE,
                     "%s is not set, but %s is; processes of a job need RANK, WORLD_SIZE, MASTER_ADDR and "
                     "MASTER_PORT",
                     name, because);
}

/* Copies MASTER_ADDR, whose IPv6 address may stand in brackets. */
static int meeting_place(struct launch *l) {
    const char *address = variable("MASTER_ADDR");
    size_t n = address ? strlen(address) : 0;
    int bracketed = n > 2 && address[0] == '[' && address[n - 1] == ']';
    if (n >= sizeof l->address) return error_set(ERR_USAGE, "MASTER_ADDR: the name is too long");
    if (n) snprintf(l->address, sizeof l->address, "%.*s", (int)n - 2 * bracketed, address + bracketed);
    return number("MASTER_PORT", 1, 65535, 0, &l->port);
}

int launch_port(const struct launch *l, int i) {
    enum { FIRST = 1024, LAST = 65535 };
    int port = l->port + i;
    return port <= LAST ? port : port - LAST - 1 + FIRST;
}

/* Hash of names and values, with their zero bytes, of those variables that are set. */
static uint64_t hash_variables(const char *const *names) {
    uint64_t hash = HASH_START;
    for (; *names; names++) {
        const char *value = variable(*names);
        if (!value) continue;
        hash = hash_bytes(hash, *names, strlen(*names) + 1);
        hash = hash_bytes(hash, value, strlen(value) + 1);
    }
    return hash;
}

/* The restart count is left out on several nodes: each agent counts the restarts that its own node asked for. */
static uint64_t mark_of_torchrun(void) {
    const char *nodes = variable("GROUP_WORLD_SIZE");
    int one = !nodes || !strcmp(nodes, "1");
    return hash_variables(
        (const char *const[]){"TORCHELASTIC_RUN_ID", "MASTER_PORT", one ? "TORCHELASTIC_RESTART_COUNT" : NULL, NULL});
}

/* Slurm's step number is left out: a starter of one's own may start one step for each node, so that only the job's
   number is the same everywhere. */
static uint64_t mark_of_environment(void) {
    return hash_variables((const char *const[]){"STREAMAVATAR_JOB", "MASTER_PORT", "SLURM_JOB_ID", "PBS_JOBID",
                                                "LSB_JOBID", "FLUX_JOB_ID", NULL});
}

static int from_environment(struct launch *l) {
    l->by = LAUNCH_ENVIRONMENT;
    TRY(needed("RANK", variable("WORLD_SIZE") ? "WORLD_SIZE" : "MASTER_PORT"));
    TRY(needed("WORLD_SIZE", "RANK"));
    TRY(number("WORLD_SIZE", 1, INT_MAX, 1, &l->size));
    TRY(number("RANK", 0, l->size - 1, 0, &l->rank));
    TRY(number("LOCAL_WORLD_SIZE", 1, l->size, -1, &l->local_size));
    TRY(number("LOCAL_RANK", 0, l->size - 1, -1, &l->local_rank));
    if (l->size == 1) return OK;
    TRY(needed("MASTER_ADDR", "WORLD_SIZE"));
    TRY(needed("MASTER_PORT", "WORLD_SIZE"));
    TRY(meeting_place(l));
    int torchrun = variable("TORCHELASTIC_RUN_ID") != NULL;
    l->mark = torchrun ? mark_of_torchrun() : mark_of_environment();
    l->port = launch_port(l, torchrun);
    l->ports = LAUNCH_PORTS;
    return OK;
}

/* Finds the first node of a list: "gpu[07-12,15],cpu1" -> "gpu07"; "rack[2-3]n[0-7]" -> "rack2n0". Commas and white
   space separate names; the first number of a list in brackets counts. */
static void first_node(const char *list, char *name, size_t size) {
    static const char between[] = ", \t\n";
    size_t n = 0;
    const char *p = list + strspn(list, between);
    while (*p && !strchr(between, *p) && n + 1 < size) {
        if (*p != '[') {
            name[n++] = *p++;
            continue;
        }
        for (p += 1 + strspn(p + 1, " "); *p && !strchr("-,]", *p) && n + 1 < size; p++) name[n++] = *p;
        p += strcspn(p, "]");
        p += *p != 0;
    }
    name[n] = 0;
}

static int from_slurm(struct launch *l) {
    int job;
    l->by = LAUNCH_SLURM;
    TRY(number("SLURM_STEP_NUM_TASKS", 1, INT_MAX, 1, &l->size));
    TRY(number("SLURM_PROCID", 0, l->size - 1, 0, &l->rank));
    TRY(number("SLURM_LOCALID", 0, l->size - 1, -1, &l->local_rank));
    TRY(meeting_place(l));
    TRY(number("SLURM_JOB_ID", 0, INT_MAX, 0, &job));
    if (!l->port) l->port = 10000 + job % 20000;
    l->ports = LAUNCH_PORTS;
    l->mark = hash_variables(
        (const char *const[]){"SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT", "MASTER_PORT", NULL});
    const char *nodes = variable("SLURM_STEP_NODELIST"), *node = variable("SLURMD_NODENAME");
    if (!nodes) nodes = variable("SLURM_NODELIST");
    if (node) snprintf(l->host, sizeof l->host, "%s", node);
    if (!l->address[0] && nodes) first_node(nodes, l->address, sizeof l->address);
    const char *launcher = variable("SLURM_LAUNCH_NODE_IPADDR");
    if (launcher) snprintf(l->fallback, sizeof l->fallback, "%s", launcher);
    if (l->size > 1 && !l->address[0] && !l->fallback[0])
        return error_set(ERR_USAGE, "SLURM_STEP_NODELIST is not set: give MASTER_ADDR");
    return OK;
}

static int from_mpi(struct launch *l) {
    int open = variable("OMPI_COMM_WORLD_SIZE") != NULL;
    l->by = LAUNCH_MPI;
    TRY(number(open ? "OMPI_COMM_WORLD_SIZE" : "PMI_SIZE", 1, INT_MAX, 1, &l->size));
    TRY(number(open ? "OMPI_COMM_WORLD_RANK" : "PMI_RANK", 0, l->size - 1, 0, &l->rank));
    TRY(number("OMPI_COMM_WORLD_LOCAL_RANK", 0, l->size - 1, -1, &l->local_rank));
    TRY(number("OMPI_COMM_WORLD_LOCAL_SIZE", 1, l->size, -1, &l->local_size));
    int promised;
    TRY(number("WORLD_SIZE", 1, INT_MAX, l->size, &promised));
    if (promised != l->size)
        return error_set(ERR_USAGE, "WORLD_SIZE is %d, but mpirun started %d processes", promised, l->size);
    return OK;
}

int launch_read(struct launch *l) {
    *l = (struct launch){.size = 1, .local_rank = -1, .local_size = -1, .listener = -1};
    if (gethostname(l->host, sizeof l->host - 1)) snprintf(l->host, sizeof l->host, "this host");
    int mpi = variable("OMPI_COMM_WORLD_SIZE") || (variable("PMI_SIZE") && !variable("SLURM_STEP_ID"));
    if (variable("RANK") || (variable("WORLD_SIZE") && !mpi)) return from_environment(l);
    if (mpi) return from_mpi(l);
    if (variable("SLURM_STEP_ID") && variable("SLURM_PROCID")) return from_slurm(l);
    return OK;
}
