/* server.h: all that the sessions of one server share: the student, the device thread, the list of sessions and the
   admission of clients. One lock guards all of it and every session; it is never held while something is computed,
   encoded or sent. */
#ifndef INFER_SERVE_SERVER_H
#define INFER_SERVE_SERVER_H

#include <pthread.h>

#include "infer/serve/access.h"
#include "infer/serve/agent.h"
#include "infer/serve/message.h"
#include "infer/serve/metrics.h"
#include "infer/serve/serve_options.h"
#include "infer/session.h"

enum { SERVER_LIVES_MAX = 4096 };
struct live;

/* The idle clip: pictures that are shown while nothing is made. They are a few chunks of listening to silence, played
   forwards and backwards, so that they begin and end on the reference. */
struct clip {
    unsigned char *rgb; /* [count, H, W, 3] */
    int count;
};
const unsigned char *clip_frame(const struct clip *clip, long at, size_t picture);

struct server {
    struct serve_options options;
    struct shared_student *shared; /* weights and working memory; the device thread's alone */
    struct student_description student;
    size_t picture;                         /* values or bytes of a frame: 3 H W */
    int chunk, first_chunk;                 /* video frames in a chunk; in a student's first one */
    int ahead;                              /* those that a chunk hears beyond its end */
    int loops;                              /* 1: while nobody speaks the idle clip is shown, not the student */
    double real_time_factor, chunk_seconds; /* one session's, measured at the start; recent time of a chunk */
    int capacity;                           /* sessions that run at once */
    int passes_most;   /* passes a step that all of them together may make; guidance takes more than one */
    int busy_sessions; /* sessions with a place and a client; all of them may be due at once */

    pthread_mutex_t lock;
    pthread_cond_t device; /* wakes the device thread */
    pthread_t thread;
    int threaded, stop;
    struct live *lives[SERVER_LIVES_MAX];
    int count;
    struct session **pool; /* sessions that nobody uses; the next client's begins anew */
    int pooled;
    struct clip clip; /* idle clip of the default reference; count 0: there is none */
    float *reference; /* default reference; NULL: none */
    /* buffers of the device thread: pictures of a chunk that nobody sees [4 C, H, W, 3]; both parties' sound of a
       chunk, and the mask of where the user is listened to */
    unsigned char *unseen;
    float *agent, *user, *listen;
    struct agents *agents;  /* NULL: clients bring the agent's speech */
    const char *agent_name; /* "say", "echo", "command" */
    struct metrics metrics;
    /* Functions of the network, called with the lock held. wake: there is something to send. part: end this connection
       with this close code, after sending `text` (malloc'd and taken over; NULL: nothing). */
    void (*wake)(void *network);
    void (*part)(void *connection, char *text, int close_code);
    void *network;
};

/* Prints the memory that the student takes, and what each session adds, from the files' headers alone. */
int server_plan(const struct serve_options *options, const char *folder, struct memory_plan *plan);
/* Loads the student, measures its speed, and starts the device thread. wake, part and network may be set later, before
   the first session. */
int server_open(struct server *server, const char *folder, struct memory_plan *plan);
void server_end_sessions(struct server *server); /* close code 1001: the server stops */
void server_close(struct server *server);

/* These are called with the lock held. */
enum server_room { SERVER_ROOM, SERVER_QUEUE, SERVER_FULL };
/* Sums the passes a step of all sessions with a place (live_passes). */
int server_passes(const struct server *server);
enum server_room server_room(const struct server *server);
struct live *server_resume(struct server *server, const char *token);   /* NULL: no session has this token */
void server_tick(struct server *server, double now);                    /* sees to queue, time-outs and every session */
void server_look(const struct server *server, struct metrics_now *now); /* fills in all but the connections */
void server_poke(struct server *server);                                /* wakes network and device */

/* These are called in the device thread. */
int server_take_session(struct server *server, struct session **session);
void server_give_session(struct server *server, struct session *session);
/* Makes the idle clip of a reference; the session has to be begun again after it. */
int server_make_clip(struct server *server, struct session *session, const float *reference, struct clip *clip);

#endif
