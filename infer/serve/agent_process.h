/* agent_process.h: a child process that speaks for a session, its pipes and its end. It leads a process group of its
   own. Our ends of the pipes never block and are closed in every other program that is started; the child gets no
   other descriptor of ours, no token, and signals as they are by default. */
#ifndef INFER_SERVE_AGENT_PROCESS_H
#define INFER_SERVE_AGENT_PROCESS_H

#include <sys/types.h>

/* The child's descriptors: what we have are the other ends. */
enum agent_pipe {
    AGENT_HEARS,   /* 0: the user's sound, to the child */
    AGENT_SAYS,    /* 1: the agent's sound */
    AGENT_LOGS,    /* 2: lines for the server's log */
    AGENT_IS_TOLD, /* 3: JSON lines, to the child */
    AGENT_TELLS,   /* 4: JSON lines */
    AGENT_PIPES
};
struct agent_process {
    pid_t pid;             /* 0: it does not run */
    int pipe[AGENT_PIPES]; /* -1: closed */
};
/* What `agent=` stands for: say and echo are modes of the program `agent` beside this one, all else a command line for
   the shell. */
struct agent_command {
    char program[4096];
    const char *arguments[4]; /* NULL at the end */
    int echoes;               /* the agent's speech is the user's own */
};
/* `text` is kept. ERR_DEVICE: there is no such program beside this one. */
int agent_command_open(struct agent_command *command, const char *text);

/* ERR_DEVICE: it cannot be started. */
int agent_process_start(struct agent_process *process, const struct agent_command *command);
void agent_process_close(struct agent_process *process, enum agent_pipe pipe);
/* 1: the child itself has ended. It stays a zombie, so that its number is nobody else's, until it is reaped. */
int agent_process_ended(const struct agent_process *process);
void agent_process_signal(const struct agent_process *process, int signal); /* to its whole group */
/* After its end: kills what is left of the group. Returns its exit code, 128 and the signal if one ended it. */
int agent_process_reap(struct agent_process *process);

#endif
