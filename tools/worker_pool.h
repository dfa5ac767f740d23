/* worker_pool.h: jobs done by several processes. A job that crashes or falls silent takes its process down, not the
   program: it is marked, and a new process goes on with the next job. Workers end when the program does. */
#ifndef TOOLS_WORKER_POOL_H
#define TOOLS_WORKER_POOL_H

#include <stdatomic.h>
#include <stddef.h>

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_DONE, JOB_REJECTED, JOB_FAILED };
struct job {           /* lies in memory that the processes share */
    atomic_int state;  /* enum job_state */
    int code;          /* error code of JOB_REJECTED and JOB_FAILED */
    char text[400];    /* their reason */
    double beat;       /* time of the last sign of life, seconds of the monotonic clock */
    double figures[8]; /* results of the job */
};
struct worker_pool {
    struct job *jobs;
    int count;
};
/* Memory of zeros that the program and its workers share, for results that are more than struct job holds. NULL: there
   is none left. */
void *worker_memory(size_t bytes);
void worker_memory_free(void *memory, size_t bytes); /* NULL: nothing to do */
/* Takes shared memory for `count` jobs, all waiting. */
int worker_pool_open(struct worker_pool *pool, int count);
void worker_pool_close(struct worker_pool *pool);

/* Runs job `index` in a worker process. Returns an error code; sets *rejected when the error concerns this job alone.
   It calls worker_pool_beat(job), the sign of life, now and then. */
typedef int (*worker_job)(void *user, int index, struct job *job, int *rejected);
void worker_pool_beat(struct job *job);

/* Does all waiting jobs with up to `workers` processes; shows progress under `title`. A job without a sign of life for
   `patience` seconds is killed and rejected, one that crashes is rejected. The first failed job stops the rest; its
   error is returned. */
int worker_pool_run(struct worker_pool *pool, int workers, const char *title, double patience, worker_job run,
                    void *user);

#endif
