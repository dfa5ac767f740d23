/* nccl.cpp: a fake of NCCL for tests (nccl.h, nccl_fake.h). As NCCL without blocking does, a call is in progress for a
   while after it has returned, and only then is its work on the stream; the work is done beside the program, by a
   thread of the communicator's. The device runs one collective at a time: two communicators whose collectives two
   processes begin in different orders hang, unless NCCL_LAUNCH_ORDER_IMPLICIT=1 keeps the order of calls. */
#include "nccl.h"

#include <pthread.h>
#include <stdint.h>
#include <unistd.h>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "nccl_exchange.h"
#include "nccl_fake.h"
#include "streams.h"

struct nccl_fake nccl_fake;

typedef std::chrono::steady_clock::time_point moment;
static moment now() { return std::chrono::steady_clock::now(); }

/* The operations of a call, or of a group of calls. */
struct task {
    std::vector<struct nccl_op> ops;
    cudaStream_t stream;
    long number;   /* among the collectives of this process, in the order of calls */
    int hangs;     /* the device never ends it */
    int asked = 0; /* its turn has come: begins at `begin` */
    moment begin;
};
struct ncclComm {
    struct nccl_member member = {};
    std::string path;
    ncclResult_t state = ncclInProgress;
    bool opening = true, joined = false, finishing = false, aborted = false, stop = false, stuck = false;
    ncclResult_t outcome = ncclSuccess; /* result of the call in progress */
    moment taken;                       /* when it ends */
    std::shared_ptr<struct task> waiting; /* task of the call in progress */
    std::vector<std::shared_ptr<struct task>> launched;
    std::thread worker;
    std::atomic<int> inside{0};
};

/* All under the lock of the streams. */
static std::set<ncclComm_t> alive;
static std::vector<std::unique_ptr<ncclComm>> made; /* kept, so that a call on one that is gone is seen */
static std::set<long> pending;                      /* numbers of the tasks that have not ended */
static struct task *on_device;
static long numbers;
static thread_local int depth; /* number of open groups */
static thread_local std::vector<struct nccl_op> group;
static thread_local ncclComm_t group_comm;
static thread_local cudaStream_t group_stream;

#define LOCKED std::lock_guard<std::recursive_mutex> locked(shim_lock())

static void die(const char *why) {
    fprintf(stderr, "fake nccl: %s\n", why);
    abort();
}

/* One thread at a time in a communicator that is there: long enough inside for another to be caught. */
struct visit {
    ncclComm_t comm;
    explicit visit(ncclComm_t c) : comm(c) {
        {
            LOCKED;
            if (!alive.count(c)) die("a call on a communicator that is gone");
        }
        if (comm->inside++) die("two threads in one communicator at once");
        usleep(20);
    }
    ~visit() { comm->inside--; }
};

static long by_chance(long most) {
    static uint64_t state = (uint64_t)getpid() * 0x9e3779b97f4a7c15u;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return most > 0 ? (long)((state >> 33) % (uint64_t)most) : 0;
}

static moment soon(long most_us) { return now() + std::chrono::microseconds(by_chance(most_us)); }

static int ordered(void) {
    static int is = -1;
    if (is < 0) is = getenv("NCCL_LAUNCH_ORDER_IMPLICIT") && atoi(getenv("NCCL_LAUNCH_ORDER_IMPLICIT"));
    return is;
}

/* ---- on the device ---- */

/* 1: the task has the device. */
static int begins(struct task *t) {
    if (on_device) return on_device == t;
    if (ordered() && *pending.begin() != t->number) return 0;
    if (!t->asked) {
        long late = nccl_fake.contrary && t->number % 2 ? 100000 : 0;
        t->asked = 1;
        t->begin = soon(nccl_fake.device_us) + std::chrono::microseconds(late);
    }
    if (now() < t->begin) return 0;
    on_device = t;
    return 1;
}

static bool end(struct task *t) {
    pending.erase(t->number);
    if (on_device == t) on_device = NULL;
    return true;
}

/* Collectives of a group go one after the other, letters all at once. */
static bool go_on(ncclComm_t c, struct task *t) {
    int done = 1;
    if (c->aborted) return end(t);
    if (!begins(t) || t->hangs) return false;
    for (struct nccl_op &op : t->ops) {
        if (!nccl_go_on(&c->member, &op)) done = 0;
        if (!done && op.kind < NCCL_SEND) return false;
    }
    return done ? end(t) : false;
}

static void launch(ncclComm_t c) {
    std::shared_ptr<struct task> t = c->waiting;
    c->waiting = NULL;
    c->launched.push_back(t);
    nccl_fake.priority = shim_priority(t->stream);
    shim_enqueue(t->stream, [c, t] { return go_on(c, t.get()); });
}

static bool idle(ncclComm_t c) {
    while (!c->launched.empty() && !pending.count(c->launched.front()->number)) c->launched.erase(c->launched.begin());
    return c->launched.empty();
}

/* ---- calls in progress ---- */

/* 1: the opening has ended. */
static int join(ncclComm_t c) {
    if (!c->joined) {
        c->member.shared = nccl_shared_open(c->path.c_str());
        if (!c->member.shared) return c->outcome = ncclSystemError, 1;
        c->member.shared->joined++;
        c->joined = true;
    }
    return c->member.shared->joined >= c->member.size;
}

static void work_at(ncclComm_t c) {
    if (c->state == ncclInProgress && !c->stuck && now() >= c->taken) {
        bool over = c->opening ? join(c) : c->finishing ? idle(c) : true;
        if (over && c->waiting) launch(c);
        if (over) c->opening = c->finishing = false;
        if (over) c->state = c->outcome;
    }
    idle(c);
    for (const std::shared_ptr<struct task> &t : std::vector<std::shared_ptr<struct task>>(c->launched))
        shim_advance(t->stream);
}

static void work(ncclComm_t c) {
    for (;;) {
        {
            LOCKED;
            if (c->stop) return;
            work_at(c);
        }
        usleep(20);
    }
}

/* A call that puts something in progress begins: what becomes of it, by the fault that was asked for. */
static ncclResult_t take(ncclComm_t c, std::shared_ptr<struct task> t) {
    enum nccl_fault fault = ++nccl_fake.calls == nccl_fake.at ? nccl_fake.fault : NCCL_FINE;
    if (fault == NCCL_REFUSES) return ncclInternalError;
    c->state = ncclInProgress;
    c->taken = soon(nccl_fake.call_us);
    c->outcome = fault == NCCL_FAILS ? ncclRemoteError : ncclSuccess;
    c->stuck = fault == NCCL_STUCK;
    if (t) {
        t->number = ++numbers;
        t->hangs = fault == NCCL_HANGS;
        pending.insert(t->number);
    }
    c->waiting = t;
    return ncclInProgress;
}

static ncclResult_t submit(ncclComm_t c, std::vector<struct nccl_op> ops, cudaStream_t stream) {
    visit here(c);
    LOCKED;
    if (c->state == ncclInProgress) die("a call while the one before it is in progress");
    if (c->state != ncclSuccess) return c->state;
    std::shared_ptr<struct task> t(new task());
    t->ops = std::move(ops);
    t->stream = stream;
    return take(c, t);
}

static ncclResult_t put(struct nccl_op op, ncclComm_t c, cudaStream_t stream) {
    if (!depth) return submit(c, {op}, stream);
    if (group_comm && (group_comm != c || group_stream != stream)) die("a group of several communicators or streams");
    group_comm = c;
    group_stream = stream;
    group.push_back(op);
    return ncclSuccess;
}

/* ---- the interface ---- */

ncclResult_t ncclGetVersion(int *version) { return *version = 22800, ncclSuccess; }

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
    memset(id, 0, sizeof *id);
    return nccl_shared_make(id->internal, sizeof id->internal) ? ncclSuccess : ncclSystemError;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int size, ncclUniqueId id, int rank, ncclConfig_t *config) {
    LOCKED;
    if (config->magic != 0xcafebeef || config->blocking != 0 || size > NCCL_RANKS) return ncclInvalidArgument;
    made.emplace_back(new ncclComm());
    ncclComm_t c = made.back().get();
    c->member.rank = rank;
    c->member.size = size;
    c->path = id.internal;
    ordered();
    ncclResult_t code = take(c, NULL);
    if (code != ncclInProgress) return code;
    alive.insert(*comm = c);
    c->worker = std::thread(work, c);
    return code;
}

ncclResult_t ncclCommFinalize(ncclComm_t c) {
    visit here(c);
    LOCKED;
    if (c->state != ncclSuccess) return ncclInvalidArgument;
    ncclResult_t code = take(c, NULL);
    c->finishing = code == ncclInProgress;
    return code;
}

static ncclResult_t leave(ncclComm_t c, bool aborted) {
    {
        visit here(c);
        LOCKED;
        alive.erase(c);
        c->aborted = aborted;
        c->stop = true;
        if (c->waiting) end(c->waiting.get());
        c->waiting = NULL;
        for (const std::shared_ptr<struct task> &t : c->launched) {
            if (!aborted && pending.count(t->number)) die("a communicator is destroyed while it is at work");
            end(t.get());
        }
        if (aborted && c->member.shared) nccl_forget(&c->member);
    }
    c->worker.join();
    return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t c) { return leave(c, false); }
ncclResult_t ncclCommAbort(ncclComm_t c) { return leave(c, true); }

ncclResult_t ncclCommGetAsyncError(ncclComm_t c, ncclResult_t *state) {
    visit here(c);
    LOCKED;
    return *state = c->state, ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t code) {
    static const char *const texts[] = {"no error",         "unhandled cuda error", "unhandled system error",
                                        "internal error",   "invalid argument",     "invalid usage",
                                        "remote process exited or there was a network error",
                                        "NCCL operation in progress"};
    return code <= ncclInProgress ? texts[code] : "unknown result code";
}

const char *ncclGetLastError(ncclComm_t) { return "the fake was told to"; }

ncclResult_t ncclGroupStart(void) { return depth++, ncclSuccess; }

ncclResult_t ncclGroupEnd(void) {
    if (!depth) return ncclInvalidUsage;
    if (--depth) return ncclSuccess;
    ncclComm_t c = group_comm;
    std::vector<struct nccl_op> ops = std::move(group);
    group.clear();
    group_comm = NULL;
    return c ? submit(c, std::move(ops), group_stream) : ncclSuccess;
}

static size_t bytes_of(size_t count, ncclDataType_t type) {
    return count * (type == ncclInt8 ? 1 : type == ncclFloat ? 4 : 8);
}

static struct nccl_op op_of(enum nccl_kind kind, const void *from, void *to, size_t count, ncclDataType_t type,
                            int root) {
    struct nccl_op op = {};
    op.kind = kind;
    op.from = (const char *)from;
    op.to = (char *)to;
    op.bytes = bytes_of(count, type);
    op.type = type;
    op.root = root;
    return op;
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t, ncclComm_t c,
                           cudaStream_t stream) {
    return put(op_of(NCCL_ALL_REDUCE, from, to, count, type, 0), c, stream);
}

ncclResult_t ncclReduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t, int root,
                        ncclComm_t c, cudaStream_t stream) {
    return put(op_of(NCCL_REDUCE, from, to, count, type, root), c, stream);
}

ncclResult_t ncclReduceScatter(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t, ncclComm_t c,
                               cudaStream_t stream) {
    return put(op_of(NCCL_REDUCE_SCATTER, from, to, count, type, 0), c, stream);
}

ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t c,
                           cudaStream_t stream) {
    return put(op_of(NCCL_ALL_GATHER, from, to, count, type, 0), c, stream);
}

ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root, ncclComm_t c,
                           cudaStream_t stream) {
    return put(op_of(NCCL_BROADCAST, from, to, count, type, root), c, stream);
}

ncclResult_t ncclSend(const void *from, size_t count, ncclDataType_t type, int peer, ncclComm_t c,
                      cudaStream_t stream) {
    return put(op_of(NCCL_SEND, from, NULL, count, type, peer), c, stream);
}

ncclResult_t ncclRecv(void *to, size_t count, ncclDataType_t type, int peer, ncclComm_t c, cudaStream_t stream) {
    return put(op_of(NCCL_RECV, NULL, to, count, type, peer), c, stream);
}
