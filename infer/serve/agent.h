/* agent.h: the process that speaks for a session (`agent=`, docs/serving.md): feeds it, takes its sound and messages,
   and starts it again when it ends. One thread serves the pipes of all agents, every 20 ms and whenever there is a
   message for one; it never waits for any of them. */
#ifndef INFER_SERVE_AGENT_H
#define INFER_SERVE_AGENT_H

#include "infer/serve/agent_process.h"

struct agent;
struct agents;
struct live;
struct server;

/* Starts the agents' thread. */
int agents_open(struct agents **agents, struct server *server, const struct agent_command *command);
/* Waits until all processes have ended, a few seconds at most. Call when no session has an agent any more. */
void agents_close(struct agents *agents);

/* All of these are called with the server's lock held. */

/* Makes an agent for this session, which calls agent_leave when it ends: the agent then forgets the session and ends
   its process. NULL: out of memory. */
struct agent *agent_open(struct agents *agents, struct live *live);
void agent_leave(struct agent *agent);
/* Passes on the user's sound, 16 kHz. At most a second waits for the process; beyond that the oldest is dropped. */
void agent_hear(struct agent *agent, const float *pcm, long samples);
/* Passes on a message, which is freed here. At most 64 KiB wait for the process; what does not fit is dropped. needs: 1
   starts the process if it does not run. */
void agent_tell(struct agent *agent, char *message, int needs);
/* Tells the agent that it is interrupted: the sound that it has not written yet is not wanted any more. */
void agent_interrupt(struct agent *agent);
int agent_gave_up(const struct agent *agent); /* 1: it ended too often without a word and is not started again */

#endif
