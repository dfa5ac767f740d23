/* door.h: the listening socket of a process of a job. A thread accepts whoever connects and reads what it says first. A
   process of this job begins with the job's mark (launch.h) and waits inside until it is taken; what does not within a
   second is closed, and logged once for each address it comes from. The mark keeps jobs apart; it is no secret. */
#ifndef COMM_JOB_DOOR_H
#define COMM_JOB_DOOR_H

#include <stdint.h>

#include "comm/job/socket.h"

/* What a process of the job says first. */
struct door_word {
    uint64_t mark;
    uint64_t secret; /* this run's secret (job.h); 0 at the meeting, where nobody knows it yet */
    uint64_t id;     /* the communicator that the connection is for; DOOR_MEETING: rank 0 is looked for */
    int32_t rank, unused;
};
enum { DOOR_MEETING = 0 };
/* What the door answers at once to one that it lets in; it closes the connection of any other. One that was turned
   away though it belongs here was too slow with its word, or came too early or too late, and may come again. */
struct door_answer {
    char magic[8];
    uint64_t mark;
};
struct door_guest {
    struct door_word word;
    int fd;
    struct socket_address from;
};
struct door;
/* Owns the listener from then on, also when it fails. meeting: answers who looks for rank 0; they are turned
   away else. */
int door_open(struct door **door, int listener, uint64_t mark, int meeting);
/* Who looks for rank 0 is turned away from then on, and so are those inside who still do. */
void door_end_meeting(struct door *door);
void door_close(struct door *door); /* NULL is allowed */
/* Takes one that came for this secret and id; its fd is the caller's, -1: none came before the deadline. ERR_DEVICE:
   nobody can be let in any more (no descriptors are left). */
int door_take(struct door *door, uint64_t secret, uint64_t id, double deadline, struct door_guest *guest);
/* For poll: readable when somebody has come since door_take found nobody. */
int door_bell(const struct door *door);

/* 1: a door of the job with this mark has let its visitor in; at the meeting, it is rank 0's. */
int door_let_in(const struct door_answer *answer, uint64_t mark);

#endif
