/* agent_process.c: see agent_process.h. posix_spawn shares the parent's memory until the child's exec, so that it costs
   the same however much a student weighs, and is safe with threads. */
#include "infer/serve/agent_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

enum { CLEAR_OF = 10 /* first descriptor that is certainly not one of the child's own */ };

int agent_command_open(struct agent_command *c, const char *text) {
    *c = (struct agent_command){.arguments = {"/bin/sh", "-c", text, NULL}};
    strcpy(c->program, "/bin/sh");
    c->echoes = !strcmp(text, "echo");
    if (!c->echoes && strcmp(text, "say")) return OK;
    ssize_t n = readlink("/proc/self/exe", c->program, sizeof c->program - sizeof "agent");
    c->program[n > 0 ? n : 0] = 0;
    char *slash = strrchr(c->program, '/');
    strcpy(slash ? slash + 1 : c->program, "agent");
    c->arguments[0] = "agent";
    c->arguments[1] = text;
    c->arguments[2] = NULL;
    if (access(c->program, X_OK)) return error_set(ERR_DEVICE, "agent=%s: there is no program %s", text, c->program);
    return OK;
}

/* ---- pipes ---- */

static int is_ours_to_write(int which) { return which == AGENT_HEARS || which == AGENT_IS_TOLD; }

void agent_process_close(struct agent_process *p, enum agent_pipe which) {
    if (p->pipe[which] >= 0) close(p->pipe[which]);
    p->pipe[which] = -1;
}

static int open_pipe(struct agent_process *p, int which, int theirs[AGENT_PIPES]) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) return -1;
    int write = is_ours_to_write(which);
    p->pipe[which] = ends[write];
    theirs[which] = fcntl(ends[!write], F_DUPFD_CLOEXEC, CLEAR_OF);
    close(ends[!write]);
    return theirs[which] < 0 ? -1 : fcntl(p->pipe[which], F_SETFL, O_NONBLOCK);
}

/* ---- the start ---- */

/* Makes the child's environment, without what only the server may know; the list is malloc'd, its texts are not. */
static char **environment(void) {
    static const char secret[] = "STREAMAVATAR_TOKEN=";
    size_t count = 0, kept = 0;
    while (environ[count]) count++;
    char **list = malloc((count + 1) * sizeof *list);
    for (size_t i = 0; list && i < count; i++)
        if (strncmp(environ[i], secret, sizeof secret - 1)) list[kept++] = environ[i];
    if (list) list[kept] = NULL;
    return list;
}

static int spawn(struct agent_process *p, const struct agent_command *c, const int theirs[AGENT_PIPES]) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    char **variables = environment();
    if (!variables) return ENOMEM;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int code = 0;
    for (int i = 0; i < AGENT_PIPES && !code; i++) code = posix_spawn_file_actions_adddup2(&actions, theirs[i], i);
    if (!code) code = posix_spawn_file_actions_addclosefrom_np(&actions, AGENT_PIPES);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    if (!code) code = posix_spawn(&p->pid, c->program, &actions, &attributes, (char *const *)c->arguments, variables);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    free(variables);
    return code;
}

int agent_process_start(struct agent_process *p, const struct agent_command *c) {
    int theirs[AGENT_PIPES], code = 0;
    p->pid = 0;
    for (int i = 0; i < AGENT_PIPES; i++) p->pipe[i] = theirs[i] = -1;
    for (int i = 0; i < AGENT_PIPES && !code; i++)
        if (open_pipe(p, i, theirs)) code = errno;
    if (!code) code = spawn(p, c, theirs);
    for (int i = 0; i < AGENT_PIPES; i++)
        if (theirs[i] >= 0) close(theirs[i]);
    if (!code) return OK;
    p->pid = 0;
    for (int i = 0; i < AGENT_PIPES; i++) agent_process_close(p, (enum agent_pipe)i);
    return error_set(ERR_DEVICE, "%s: %s", c->program, strerror(code));
}

/* ---- the end ---- */

int agent_process_ended(const struct agent_process *p) {
    siginfo_t info = {0};
    return !waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid == p->pid;
}

void agent_process_signal(const struct agent_process *p, int signal) { kill(-p->pid, signal); }

int agent_process_reap(struct agent_process *p) {
    int status = 0;
    kill(-p->pid, SIGKILL);
    while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR) continue;
    p->pid = 0;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
