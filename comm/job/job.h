/* job.h: the processes of a job over TCP: how they find each other, how they learn that one is gone.

   Rendezvous: rank 0 listens at the meeting place (place.h); the others connect and say who they are (rank, number of
   ranks, build, config). Rank 0 compares, and sends to each either the list of all ranks or the reason why there is no
   job.
   Control: a connection between every two ranks and a thread in each process. Every rank gives a sign of life once a
   second; a rank that ends says so first, with its reason when it ends with an error. So all ranks learn of one that is
   gone (its connection closes), stopped (silent for `timeout` seconds) or has failed, and name the same one.
   Data: tcp.c makes one more connection between every two ranks of each communicator. */
#ifndef COMM_JOB_JOB_H
#define COMM_JOB_JOB_H

#include <pthread.h>
#include <stdint.h>

#include "comm/comm.h"
#include "comm/job/door.h"
#include "comm/job/launch.h"

enum { TCP_TEXT = 480 };

/* A message of a control connection. */
enum tcp_word { TCP_ALIVE = 1, TCP_FAILED, TCP_BYE };
struct tcp_message {
    int32_t word;
    int32_t waiting_for; /* ALIVE: the rank that a collective now waits for; -1: none */
    int64_t reached;     /* ALIVE: number of collectives that were queued for the device (nccl) */
    int64_t published;   /* ALIVE: comm_publish's number */
    char text[TCP_TEXT]; /* ALIVE: why the rank is busy, or ""; FAILED: the reason */
};
/* Another rank, as this process knows it. */
struct tcp_peer {
    char host[64];
    int pid, local_rank;
    struct socket_address address; /* address at which it listens */
    int control;                   /* socket; -1: none (this rank itself, or the other has left) */
    struct tcp_message in;         /* the message that is being received */
    size_t in_used;                /* bytes of it so far */
    struct tcp_message out;        /* a message of which the socket has not taken all */
    size_t out_used, out_size;     /* bytes sent; bytes in all */
    /* guarded by the job's lock */
    double heard; /* time of its last sign of life, on the clock of clock_seconds */
    int busy, left, waiting_for;
    int64_t reached, published;
};
struct tcp_job {
    int rank, size, local_rank, local_size;
    struct tcp_peer *peers; /* [size] */
    struct door *door;
    uint64_t mark;   /* launch.h */
    uint64_t secret; /* drawn for this run: a process that does not know it does not belong to the job */
    double timeout, connect_timeout;
    void (*failed)(void *context, const char *text); /* see comm_options */
    void *context;
    pthread_t thread;
    int running;
    int nudge; /* eventfd: wakes the control thread, which has something to send */
    int alarm; /* eventfd: readable for ever once the job has failed */
    pthread_mutex_t lock;
    int waiting_for;
    int64_t reached, published;
    char busy[TCP_TEXT];
    int failure;  /* 1: failed, reason is set */
    int announce; /* 1: the other ranks have yet to be told */
    int noticed;  /* 1: a caller was given the reason */
    int leaving;  /* 1: the job is being closed */
    double failure_time;
    char reason[TCP_TEXT];
};

/* Makes the job of launch->size > 1 processes and starts the control thread. */
int tcp_job_open(struct tcp_job **job, const struct launch *launch, const struct comm_options *options, double timeout);
/* Says goodbye and ends the thread. */
void tcp_job_close(struct tcp_job *job);

/* Connects to the other members of communicator `id` (ranks of the job, in the communicator's order); fds[own] = -1. */
int tcp_job_connect(struct tcp_job *job, int *fds, const int *members, int count, uint64_t id);

/* Fails the job for this reason, unless it has failed before. */
void tcp_job_fail(struct tcp_job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Returns OK, or ERR_DEVICE with the reason when the job has failed. */
int tcp_job_check(struct tcp_job *job);
/* Says that the program was given the reason, so that `failed` need not be called. */
void tcp_job_noticed(struct tcp_job *job);
/* Reports that the connection to `rank` broke: waits a moment for the control thread to
   learn why, fails the job and returns ERR_DEVICE. */
int tcp_job_lost(struct tcp_job *job, int rank, const char *during);
/* Writes "rank 2 (host, process 1234)". */
void tcp_job_name(const struct tcp_job *job, int rank, char *text, size_t size);
void tcp_job_busy(struct tcp_job *job, const char *why);
void tcp_job_waits_for(struct tcp_job *job, int rank);
/* The rank that keeps `rank` waiting in the end: the last of the chain of ranks that wait
   for one another. *busy 1: it says that it is busy. */
int tcp_job_culprit(struct tcp_job *job, int rank, int *busy);
/* 1: nothing has been heard of the rank for more than half the timeout. Whoever waits for it leaves the verdict to the
   control thread then, which knows more: that it gives no sign of life at all, or that it does again. */
int tcp_job_quiet(struct tcp_job *job, int rank);
/* comm_publish and comm_progress_of over the control connections. */
void tcp_job_publish(struct tcp_job *job, int64_t number);
int tcp_job_progress_of(struct tcp_job *job, int rank, int64_t *number);
/* Says that one more collective is queued for the device. */
void tcp_job_reached(struct tcp_job *job);
/* The rank that has queued the fewest collectives; -1: none has fewer than this one.
   *busy 1: it says that it is busy. */
int tcp_job_last(struct tcp_job *job, int *busy);

/* rendezvous.c */
int tcp_rendezvous(struct tcp_job *job, const struct launch *launch, const char *config);
/* control.c */
int tcp_control_start(struct tcp_job *job);
void tcp_control_stop(struct tcp_job *job);

#endif
