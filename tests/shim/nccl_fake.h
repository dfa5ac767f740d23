/* nccl_fake.h: how the fake of NCCL (nccl.cpp) behaves in this process, for tests. Set before the communicator is
   opened or while it rests. What it is strict about ends the program with a line: a call on a communicator that is
   gone, two threads in one communicator at once, a call while the one before it is still in progress. */
#ifndef TESTS_SHIM_NCCL_FAKE_H
#define TESTS_SHIM_NCCL_FAKE_H

#ifdef __cplusplus
extern "C" {
#endif

enum nccl_fault {
    NCCL_FINE,
    NCCL_REFUSES, /* the call returns ncclInternalError */
    NCCL_FAILS,   /* the call is taken; then the communicator's state is ncclRemoteError */
    NCCL_STUCK,   /* the call stays in progress */
    NCCL_HANGS    /* the call is taken, and the device never ends it */
};
struct nccl_fake {
    enum nccl_fault fault;
    long at;       /* the call with the fault: openings, collectives, groups and finishes count, from 1 on */
    int call_us;   /* a call is in progress for so long at most, by chance */
    int device_us; /* a collective whose turn has come waits for so long at most, by chance */
    int contrary;  /* every second collective begins late, unless the order of calls is to be kept */
    long calls;    /* out: so many were made */
    int priority;  /* out: of the stream of the last collective */
};
extern struct nccl_fake nccl_fake;

#ifdef __cplusplus
}
#endif

#endif
