/* job.h: the processes of a job over TCP: how they find each other, how they learn that one is gone.

   Rendezvous: rank 0 listens at the meeting place (place.h); the others connect and say who they are (rank, number of
   ranks, build, config). Rank 0 compares, and sends everybody the list of all or the reason why not.
   Control: a connection between every two ranks and a thread in each process. Every rank gives a sign of life a second;
   one that ends says so first, with its reason when it ends with an error. So all learn of a rank that is gone (its
   connection closes), stopped (silent for `timeout` seconds) or that failed, and name the same one.
   Data: tcp.c makes one more connection between every two ranks of each communicator. */
#ifndef COMM_JOB_JOB_H
#define COMM_JOB_JOB_H

#include <pthread.h>
#include <stdint.h>

#include "comm/comm.h"
#include "comm/job/door.h"
#include "comm/job/launch.h"

enum { TCP_TEXT = 480 };

/* What goes over a control connection. */
enum tcp_word { TCP_ALIVE = 1, TCP_FAILED, TCP_BYE };
struct tcp_message {
    int32_t word;
    int32_t waiting_for; /* ALIVE: the rank that a collective now waits for; -1: none */
    int64_t reached;     /* ALIVE: collectives that were queued for the device (nccl) */
    int64_t published;   /* ALIVE: comm_publish's number */
    char text[TCP_TEXT]; /* ALIVE: why the rank is busy, or ""; FAILED: the reason */
};
struct tcp_peer {
    char host[64];
    int pid, local_rank;
    struct socket_address address; /* where it listens */
    int control;                   /* -1: none (this rank itself, or it has left) */
    struct tcp_message in;
    size_t in_used;
    struct tcp_message out; /* the rest of a message that did not fit */
    size_t out_used, out_size;
    /* under the job's lock */
    double heard; /* clock_seconds */
    int busy, left, waiting_for;
    int64_t reached, published;
};
struct tcp_job {
    int rank, size, local_rank, local_size;
    struct tcp_peer *peers; /* [size] */
    struct door *door;
    uint64_t mark;   /* launch.h */
    uint64_t secret; /* of this run: what does not know it is not of the job */
    double timeout, connect_timeout;
    void (*failed)(void *context, const char *text); /* comm_options */
    void *context;
    pthread_t thread;
    int running;
    int nudge; /* eventfd: the control thread has something to say */
    int alarm; /* eventfd: readable for ever once the job has failed */
    pthread_mutex_t lock;
    int waiting_for;
    int64_t reached, published;
    char busy[TCP_TEXT];
    int failure;  /* 1: failed, reason is set */
    int announce; /* the others are still to be told */
    int noticed;  /* a caller was given the reason */
    int leaving;
    double failure_time;
    char reason[TCP_TEXT];
};

/* Makes the job of launch->size > 1 processes and starts the control thread. */
int tcp_job_open(struct tcp_job **job, const struct launch *launch, const struct comm_options *options, double timeout);
/* Says goodbye and ends the thread. */
void tcp_job_close(struct tcp_job *job);

/* Connections to the other members (ranks of the job, in the part's order) for the communicator `id`; fds[own] = -1. */
int tcp_job_connect(struct tcp_job *job, int *fds, const int *members, int count, uint64_t id);

/* The job has failed for this reason, unless it had failed before. */
void tcp_job_fail(struct tcp_job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* OK, or ERR_DEVICE with the reason. */
int tcp_job_check(struct tcp_job *job);
/* The program was given the reason: it need not be called. */
void tcp_job_noticed(struct tcp_job *job);
/* `rank`'s connection broke: waits a moment for the control thread to know why; fails the job and returns
   ERR_DEVICE. */
int tcp_job_lost(struct tcp_job *job, int rank, const char *during);
/* "rank 2 (host, process 1234)" */
void tcp_job_name(const struct tcp_job *job, int rank, char *text, size_t size);
void tcp_job_busy(struct tcp_job *job, const char *why);
void tcp_job_waits_for(struct tcp_job *job, int rank);
/* Who keeps `rank` waiting in the end: the end of the chain of who waits for whom. *busy: it says that it is busy. */
int tcp_job_culprit(struct tcp_job *job, int rank, int *busy);
/* comm_publish, comm_progress_of */
void tcp_job_publish(struct tcp_job *job, int64_t number);
int tcp_job_progress_of(struct tcp_job *job, int rank, int64_t *number);
/* One more collective is queued for the device. */
void tcp_job_reached(struct tcp_job *job);
/* The rank that has queued the fewest; -1: none has fewer than this one. *busy: it says that it is busy. */
int tcp_job_last(struct tcp_job *job, int *busy);

/* rendezvous.c */
int tcp_rendezvous(struct tcp_job *job, const struct launch *launch, const char *config);
/* control.c */
int tcp_control_start(struct tcp_job *job);
void tcp_control_stop(struct tcp_job *job);

#endif
