/* door.h: the listening socket of a process of a job. A thread accepts every connection and reads its
   first word. A process of this job begins with the job's mark (launch.h); its connection waits inside
   until door_take. Any other, and one that is silent for a second, is closed, and logged once for each
   address. The mark keeps jobs apart; it is no secret. */
#ifndef COMM_JOB_DOOR_H
#define COMM_JOB_DOOR_H

#include <stdint.h>

#include "comm/job/socket.h"

/* The first word of a process of the job. */
struct door_word {
    uint64_t mark;
    uint64_t secret; /* this run's secret (job.h); 0 at the meeting, where nobody knows it yet */
    uint64_t id;     /* the communicator that the connection is for; DOOR_MEETING: the sender looks for rank 0 */
    int32_t rank, unused;
};
enum { DOOR_MEETING = 0 };
/* The door's answer to a connection that it lets in; it closes any other without one. A process of the job that was
   turned away was too slow with its word, or came too early or too late, and may come again. */
struct door_answer {
    char magic[8];
    uint64_t mark;
};
/* A connection that waits inside. */
struct door_guest {
    struct door_word word;
    int fd;
    struct socket_address from;
};
struct door;
/* Opens the door on a listening socket, which it owns from then on, also when it fails. meeting 1: it lets in those who
   look for rank 0; 0: it turns them away. */
int door_open(struct door **door, int listener, uint64_t mark, int meeting);
/* From now on turns away those who look for rank 0, and closes the connections of those who wait inside. */
void door_end_meeting(struct door *door);
void door_close(struct door *door); /* NULL is allowed */
/* Takes a connection that came for this secret and id. Its fd then belongs to the caller; -1: none came before the
   deadline. ERR_DEVICE: nobody can be let in any more (no descriptors are left). */
int door_take(struct door *door, uint64_t secret, uint64_t id, double deadline, struct door_guest *guest);
/* A descriptor for poll that is readable when a connection has come since door_take found none. */
int door_bell(const struct door *door);

/* 1: the answer is that of a door of the job with this mark; at the meeting it is rank 0's. */
int door_let_in(const struct door_answer *answer, uint64_t mark);

#endif
