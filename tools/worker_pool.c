/* worker_pool.c: see worker_pool.h. The program forks a process a worker; each takes the next waiting job from the
   shared table by compare-and-swap until none is left. */
#include "tools/worker_pool.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/error.h"
#include "base/progress.h"

enum { WORKERS_MAX = 64, POLL_MICROSECONDS = 20000 };

struct shared {
    atomic_int next; /* number of the job that is handed out next */
    struct job jobs[];
};
struct worker {
    pid_t pid; /* process of the worker; 0: there is none */
};

static struct shared *shared_of(const struct worker_pool *pool) {
    return (struct shared *)((char *)pool->jobs - offsetof(struct shared, jobs));
}
static size_t shared_bytes(int count) { return sizeof(struct shared) + sizeof(struct job) * (size_t)count; }

void *worker_memory(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void worker_memory_free(void *memory, size_t bytes) {
    if (memory) munmap(memory, bytes);
}

int worker_pool_open(struct worker_pool *pool, int count) {
    struct shared *s = worker_memory(shared_bytes(count));
    if (!s) return error_set(ERR_DEVICE, "no memory for %d jobs", count);
    pool->jobs = s->jobs;
    pool->count = count;
    return OK;
}

void worker_pool_close(struct worker_pool *pool) {
    if (pool->jobs) worker_memory_free(shared_of(pool), shared_bytes(pool->count));
    pool->jobs = NULL;
    pool->count = 0;
}

void worker_pool_beat(struct job *job) { job->beat = clock_seconds(); }

/* Runs a worker process; it never returns. */
static void work(struct worker_pool *pool, int *taken, worker_job run, void *user, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0); /* the parent died before the line above asked for the signal of its death */
    struct shared *s = shared_of(pool);
    for (;;) {
        int index = atomic_fetch_add(&s->next, 1);
        if (index >= pool->count) _exit(0);
        struct job *job = &pool->jobs[index];
        if (job->state != JOB_WAITING) continue;
        *taken = index;
        worker_pool_beat(job);
        job->state = JOB_RUNNING;
        int rejected = 0, code = run(user, index, job, &rejected);
        job->code = code;
        if (code) snprintf(job->text, sizeof job->text, "%.390s", error_text());
        job->state = !code ? JOB_DONE : rejected ? JOB_REJECTED : JOB_FAILED;
        *taken = -1;
    }
}

/* Rejects the job that a worker was at when its process ended. */
static void bury(struct worker_pool *pool, int index, int status, int impatient) {
    if (index < 0 || pool->jobs[index].state != JOB_RUNNING) return;
    struct job *job = &pool->jobs[index];
    job->code = ERR_INPUT;
    if (impatient)
        snprintf(job->text, sizeof job->text, "reading it does not come to an end");
    else if (WIFSIGNALED(status))
        snprintf(job->text, sizeof job->text, "reading it crashed (signal %d)", WTERMSIG(status));
    else
        snprintf(job->text, sizeof job->text, "reading it ended the process (exit code %d)", WEXITSTATUS(status));
    job->state = JOB_REJECTED;
}

static int count_finished(const struct worker_pool *pool, int *failed) {
    int finished = 0;
    *failed = -1;
    for (int i = 0; i < pool->count; i++) {
        finished += pool->jobs[i].state >= JOB_DONE;
        if (*failed < 0 && pool->jobs[i].state == JOB_FAILED) *failed = i;
    }
    return finished;
}

int worker_pool_run(struct worker_pool *pool, int workers, const char *title, double patience, worker_job run,
                    void *user) {
    struct shared *s = shared_of(pool);
    struct worker list[WORKERS_MAX] = {{0}};
    if (workers < 1) workers = 1;
    if (workers > WORKERS_MAX) workers = WORKERS_MAX;
    int *taken = worker_memory(sizeof(int) * WORKERS_MAX);
    if (!taken) return error_set(ERR_DEVICE, "no memory for the workers");
    atomic_store(&s->next, 0);
    int failed, finished = count_finished(pool, &failed), alive = 0, code = OK;
    pid_t parent = getpid();
    struct progress progress;
    progress_begin(&progress, title, pool->count, finished);
    fflush(NULL); /* else the children would write what is buffered once more */
    for (;;) {
        while (!code && alive < workers && atomic_load(&s->next) < pool->count) {
            int w = 0;
            while (list[w].pid) w++;
            taken[w] = -1;
            pid_t pid = fork();
            if (!pid) work(pool, &taken[w], run, user, parent);
            if (pid < 0) {
                if (!alive) code = error_set(ERR_DEVICE, "no process can be started: %s", strerror(errno));
                break;
            }
            list[w].pid = pid;
            alive++;
        }
        if (!alive) break;
        usleep(POLL_MICROSECONDS);
        finished = count_finished(pool, &failed);
        if (!code && failed >= 0) code = error_set(pool->jobs[failed].code, "%s", pool->jobs[failed].text);
        progress_update(&progress, finished, "");
        for (int w = 0; w < workers; w++) {
            if (!list[w].pid) continue;
            int at = taken[w];
            int impatient =
                at >= 0 && pool->jobs[at].state == JOB_RUNNING && clock_seconds() - pool->jobs[at].beat > patience;
            if (impatient || code) kill(list[w].pid, SIGKILL);
            int status, gone = waitpid(list[w].pid, &status, impatient || code ? 0 : WNOHANG) == list[w].pid;
            if (!gone) continue;
            list[w].pid = 0;
            alive--;
            if (!code) bury(pool, at, status, impatient);
        }
    }
    finished = count_finished(pool, &failed);
    progress_end(&progress, finished, code ? "stopped" : "");
    worker_memory_free(taken, sizeof(int) * WORKERS_MAX);
    return code;
}
