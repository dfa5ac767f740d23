/* agent.h: the process that speaks for a session (`agent=`, docs/serving.md): what it is given, what comes of it, when
   it is started again. One thread serves the pipes of all of them, every 20 ms and when there are words for one; it
   never waits for any. */
#ifndef INFER_SERVE_AGENT_H
#define INFER_SERVE_AGENT_H

#include "infer/serve/agent_process.h"

struct agent;
struct agents;
struct live;
struct server;

/* Starts the thread. */
int agents_open(struct agents **agents, struct server *server, const struct agent_command *command);
/* When no session has one any more: waits until all processes have ended, a few seconds at most. */
void agents_close(struct agents *agents);

/* All with the server's lock held: */

/* For this session, which leaves it when it ends: from then on the agent knows it no more and ends its process. NULL:
   out of memory. */
struct agent *agent_open(struct agents *agents, struct live *live);
void agent_leave(struct agent *agent);
/* The user's sound, 16 kHz. What the process does not read in a second is dropped from the old end. */
void agent_hear(struct agent *agent, const float *pcm, long samples);
/* A message, freed here. What does not fit beside 64 KiB that were not read is dropped. `needs`: the process is started
   if it does not run. */
void agent_tell(struct agent *agent, char *message, int needs);
/* What it has said and not written yet is not wanted. */
void agent_interrupt(struct agent *agent);
int agent_gave_up(const struct agent *agent); /* 1: it ended too often without a word and is not started again */

#endif
