/* job.c: a stage's processes as one: they join, one of them speaks and holds the run folder, all stop after the same
   step, and one that fails takes the others along (stage.h). */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/args.h"
#include "base/error.h"
#include "base/log.h"
#include "kernels/device.h"
#include "train/stage/stage.h"

/* ---- signals ---- */

/* Number of the signal that came last; 0: none did. A handler may touch nothing but such a variable. */
static volatile sig_atomic_t signalled;

static void on_signal(int number) { signalled = number; }

void stage_catch_signals(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    for (int i = 0; i < 3; i++) sigaction(numbers[i], &action, NULL);
}

int stage_stopped(struct stage *s) {
    double number = signalled;
    if (s->stop) return 1;
    if (s->comm.size > 1) {
        s->sequence.comm.step = (long)s->step;
        comm_at(&s->comm, (long)s->step, "go on or stop", -1);
        s->comm_code = comm_values(&s->comm, COMM_MAX, &number, 1);
        if (s->comm_code) return 1;
    }
    s->stop = (int)number;
    return s->stop != 0;
}

/* ---- joining ---- */

/* Ends the process when the job has failed. Called from another thread, because this one computes and might not
   communicate for a long time. */
static void job_failed(void *context, const char *text) {
    const struct stage *s = context;
    fprintf(stderr, "%s: %s\n", s->program->section->name, text);
    fflush(stderr);
    _exit(ERR_DEVICE);
}

/* Number of threads to compute with. Where the config leaves it open the cores are divided among the processes of this
   host, unless whoever started them has done that already (mpirun binds processes to cores). */
static int threads_of(const struct stage *s) {
    cpu_set_t own;
    if (s->config.threads || s->comm.local_size <= 1) return s->config.threads;
    int cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (!sched_getaffinity(0, sizeof own, &own) && CPU_COUNT(&own) < cores) return CPU_COUNT(&own);
    return cores > s->comm.local_size ? cores / s->comm.local_size : 1;
}

int stage_join(struct stage *s) {
    const struct comm_config *c = &s->config.comm;
    device_deterministic(s->config.deterministic); /* a plan's workspace depends on it */
    if (s->plan) return OK;                        /* a plan is made on machines without the device too */
    TRY(comm_open(&s->comm, &(struct comm_options){.transport = comm_transports[c->transport],
                                                   .timeout = c->timeout,
                                                   .connect_timeout = c->connect_timeout,
                                                   .config = s->config_text,
                                                   .failed = job_failed,
                                                   .context = s}));
    log_quiet(s->comm.rank > 0);
    comm_busy(&s->comm, "starting");
    device_use(s->comm.local_rank);
    return stage_agree(s, device_init(threads_of(s)));
}

int stage_agree(struct stage *s, int code) {
    if (s->comm.size <= 1) return code;
    int agreed = comm_agree(&s->comm, code);
    s->error_is_remote |= agreed && !code; /* the rank that failed prints the error itself */
    return agreed;
}

int stage_open_folder(struct stage *s) {
    char path[FILE_PATH_MAX];
    int code = file_join(path, sizeof path, s->config.run, s->program->section->name);
    if (!code && s->comm.rank == 0) code = run_folder_open(&s->folder, path);
    TRY(stage_agree(s, code));
    return stage_agree(s, s->comm.rank ? run_folder_follow(&s->folder, path, s->comm.rank) : OK);
}

/* ---- the end ---- */

int stage_leave(struct stage *s, int code) {
    char text[512];
    if (!code) return OK;
    snprintf(text, sizeof text, "%s", error_text());
    if (s->sequence.comm.size) comm_abort(&s->sequence.comm, code); /* a part is aborted before its whole */
    if (s->comm.size > 1) comm_abort(&s->comm, code);
    if (s->comm.rank > 0) log_line("%s", text); /* goes to this rank's own log */
    log_quiet(0);
    if (s->error_is_remote) return code;
    error_set((enum error_code)code, "%s", text);
    return args_exit(s->program->section->name, code);
}
