/* agent_process.h: starts and ends a child process that speaks for a session, and holds its pipes. The child leads a
   process group of its own. Our ends of the pipes never block and are closed in every other program that is started.
   The child gets no other descriptor of ours, not the server's token, and the default handling of signals. */
#ifndef INFER_SERVE_AGENT_PROCESS_H
#define INFER_SERVE_AGENT_PROCESS_H

#include <sys/types.h>

/* The child's descriptors; we hold the other ends of these pipes. */
enum agent_pipe {
    AGENT_HEARS,   /* 0: the user's sound, to the child */
    AGENT_SAYS,    /* 1: the agent's sound, from the child */
    AGENT_LOGS,    /* 2: lines for the server's log, from the child */
    AGENT_IS_TOLD, /* 3: messages as JSON lines, to the child */
    AGENT_TELLS,   /* 4: messages as JSON lines, from the child */
    AGENT_PIPES
};
struct agent_process {
    pid_t pid;             /* 0: it does not run */
    int pipe[AGENT_PIPES]; /* -1: closed */
};
/* The command that `agent=` names: say and echo are modes of the program `agent` beside this one, anything else is a
   command line for the shell. */
struct agent_command {
    char program[4096];
    const char *arguments[4]; /* ends with NULL */
    int echoes;               /* the agent's speech is the user's own */
};
/* Reads `agent=`; `text` must outlive the command. ERR_DEVICE: there is no program `agent` beside this one. */
int agent_command_open(struct agent_command *command, const char *text);

/* Starts the process. ERR_DEVICE: it cannot be started. */
int agent_process_start(struct agent_process *process, const struct agent_command *command);
void agent_process_close(struct agent_process *process, enum agent_pipe pipe);
/* 1: the child itself has ended. Until it is reaped it stays a zombie, so that no other process gets its id. */
int agent_process_ended(const struct agent_process *process);
void agent_process_signal(const struct agent_process *process, int signal); /* reaches its whole group */
/* Call after the child's end: kills what is left of its group and returns its exit code, or 128 + the number of the
   signal that ended it. */
int agent_process_reap(struct agent_process *process);

#endif
