/* launch.h: who this process is in its job, and where the job meets, from the environment that its starter set.
     torchrun and scripts/launch.sh  RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT (LOCAL_RANK, LOCAL_WORLD_SIZE)
     srun                          SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID; the meeting place is the step's
                                   first node, at a port made from the job's number, unless MASTER_ADDR, MASTER_PORT say
                                   otherwise. A batch script's own shell is no task: it counts as one process.
          mpirun                        Open MPI's or MPICH's own variables; MPI tells the rest
   The first of these that is set counts, in this order.

   Rank 0 listens at the first port of a row that is free, LAUNCH_PORTS from MASTER_PORT on; the others look for it
   there. torchrun's agent serves its own store at MASTER_PORT, so the row of its jobs begins one further on. The mark
   is a number that all ranks of a job make alike and other jobs and earlier starts do not. With torchrun it comes from
   TORCHELASTIC_RUN_ID and TORCHELASTIC_RESTART_COUNT, else from the job's number by whatever scheduler gave one and
   STREAMAVATAR_JOB, which scripts/launch.sh sets; always from MASTER_PORT. It keeps jobs apart and is no secret. */
#ifndef COMM_JOB_LAUNCH_H
#define COMM_JOB_LAUNCH_H

#include <stdint.h>

enum { LAUNCH_PORTS = 16 };
enum launch_by { LAUNCH_ALONE, LAUNCH_ENVIRONMENT, LAUNCH_SLURM, LAUNCH_MPI };
struct launch {
    enum launch_by by;
    int rank, size;
    int local_rank, local_size;       /* -1: not known */
    char address[256], fallback[256]; /* names of rank 0's host; the second serves when the first has no address;
                                         "": none */
    int port, ports;                  /* the row: its first port, and how many there are */
    uint64_t mark;
    int listener;  /* rank 0: a socket that listens there already (set by wire_mpi); -1: none */
    char host[64]; /* this host's name; under Slurm the name of its node */
};
/* Reads the environment. ERR_USAGE: a variable is missing or wrong; the text names it. */
int launch_read(struct launch *launch);
/* Number of port i of the row; after 65535 comes 1024. */
int launch_port(const struct launch *launch, int i);

#endif
