/* server.h: what the sessions of one server share: the student, the device thread, the list of sessions and who is
   admitted. One lock guards all of it and every session; it is never held while something is computed, encoded or
   sent. */
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

/* Pictures that are shown while nothing is made: a few chunks of listening to silence, forwards and backwards, so
   that they begin and end on the reference. */
struct clip {
    unsigned char *rgb; /* [count, H, W, 3] */
    int count;
};
const unsigned char *clip_frame(const struct clip *clip, long at, size_t picture);

struct server {
    struct serve_options options;
    struct shared_student *shared; /* weights and working memory: of the device thread */
    struct student_description student;
    size_t picture;                         /* values or bytes of a frame: 3 H W */
    int chunk, ahead;                       /* video frames: of a chunk, heard beyond its end */
    int loops;                              /* idle is the clip, not the student */
    double real_time_factor, chunk_seconds; /* of one session: measured at the start; what a chunk takes of late */
    int capacity;
    int busy_sessions; /* with a place and a client: all may be due at once */

    pthread_mutex_t lock;
    pthread_cond_t device; /* the device thread has to look again */
    pthread_t thread;
    int threaded, stop;
    struct live *lives[SERVER_LIVES_MAX];
    int count;
    struct session **pool; /* sessions that nobody has: begun anew with the next client */
    int pooled;
    struct clip clip; /* of the default reference; count 0: there is none */
    float *reference; /* the default one; NULL: none */
    /* the device thread's: pictures of a chunk that nobody sees [4 C, H, W, 3]; both parties' sound of a chunk and
       where the user is listened to */
    unsigned char *unseen;
    float *agent, *user, *listen;
    struct agents *agents;  /* NULL: clients speak */
    const char *agent_name; /* "say", "echo", "command" */
    struct metrics metrics;
    /* The network's, called with the lock held: something is to be sent; this connection is to end, after `text`
       (malloc'd, taken over; NULL: nothing) and with this close code. */
    void (*wake)(void *network);
    void (*part)(void *connection, char *text, int close_code);
    void *network;
};

/* Loads the student, measures it, starts the device thread. wake may be set later, before the first session. */
int server_open(struct server *server, const char *folder, FILE *plan);
void server_end_sessions(struct server *server); /* with 1001: the server stops */
void server_close(struct server *server);

/* With the lock held: */
enum server_room { SERVER_ROOM, SERVER_QUEUE, SERVER_FULL };
enum server_room server_room(const struct server *server);
struct live *server_resume(struct server *server, const char *token);   /* NULL: not known */
void server_tick(struct server *server, double now);                    /* queue, time-outs, every session's own */
void server_look(const struct server *server, struct metrics_now *now); /* fills in all but the connections */
void server_poke(struct server *server);                                /* wakes network and device */

/* Device thread: */
int server_take_session(struct server *server, struct session **session);
void server_give_session(struct server *server, struct session *session);
/* A few chunks of listening to silence from this reference; the session has to be begun again after it. */
int server_make_clip(struct server *server, struct session *session, const float *reference, struct clip *clip);

#endif
