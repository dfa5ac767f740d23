/* shim.cpp: fibers, blocks, streams and the runtime's calls of cuda_runtime.h of this folder. x86-64.
   A stream is a list of work that nobody has begun: it runs as late as it may, when somebody waits for it, and no
   further than is waited for. So two streams that lack an event between them give other results than in program order,
   and a buffer that is overwritten before its copy was waited for is seen. Where all streams are waited for at once,
   the thread count of device_init picks whose work goes first. Recording a stream keeps its work in a list that can be
   queued again. Work of a library may wait for other processes (streams.h): who waits for it asks again and again, and
   lets other threads in between. */
#include "streams.h"

#include <sys/mman.h>
#include <unistd.h>
#include <xmmintrin.h>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>
extern "C" {
#include "kernels/device.h"
}

dim3 threadIdx, blockIdx, blockDim, gridDim;
char *shim_dynamic;

enum state { RUN, AT_BLOCK_BARRIER, AT_WARP_BARRIER, DONE };
enum { STACK_BYTES = 128 << 10, SLOT_BYTES = 64 };
/* Shared memory of a block that every device has for which the kernels are built: that of 8.6, 8.9 and 12.0. */
enum { SHARED_BYTES = 99 << 10, PITCH_MOST = 0x7fffffff };

struct fiber {
    void *stack_pointer;
    char *stack;
    enum state state;
    unsigned mask;
    char slot[SLOT_BYTES];
};

static std::vector<fiber> fibers;
static void *scheduler;
static int current, count;
static const std::function<void()> *running;
static std::recursive_mutex device_lock; /* guards everything here: one host thread at a time */
static cudaError_t last_error;
#define LOCKED std::lock_guard<std::recursive_mutex> locked(device_lock)
std::recursive_mutex &shim_lock() { return device_lock; }

/* Saves the registers that a call keeps on the stack, and goes on from another stack. */
extern "C" void shim_switch(void **save, void *load);
asm(".text\n.globl shim_switch\nshim_switch:\n"
    "pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
    "movq %rsp,(%rdi); movq %rsi,%rsp\n"
    "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp; ret\n");

static void leave(enum state state, unsigned mask) {
    fiber &me = fibers[(size_t)current];
    me.state = state;
    me.mask = mask;
    shim_switch(&me.stack_pointer, scheduler);
}

static void entry() {
    (*running)();
    leave(DONE, 0);
    abort();
}

void shim_block_barrier() { leave(AT_BLOCK_BARRIER, 0); }
void shim_warp_barrier(unsigned mask) { leave(AT_WARP_BARRIER, mask); }

void shim_publish(unsigned mask, const void *bytes, size_t size) {
    if (size > SLOT_BYTES) abort();
    memcpy(fibers[(size_t)current].slot, bytes, size);
    shim_warp_barrier(mask);
}

const void *shim_published(int lane) {
    int from = (current & ~31) + lane;
    return fibers[(size_t)(from < count ? from : current)].slot;
}

/* The q-th thread to run, by the thread count that device_init was given. */
static int in_order(int q) {
    switch (device_threads()) {
    case 2:
        return count - 1 - q;
    case 3:
        return q < count / 2 ? 2 * q + 1 : 2 * (q - count / 2);
    case 5:
        return count % 37 ? (int)((long)q * 37 % count) : q; /* 37 is prime: each thread once */
    default:
        return q;
    }
}

static void start_fibers() {
    while ((int)fibers.size() < count) {
        fiber f = {};
        f.stack = (char *)mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (f.stack == MAP_FAILED) abort();
        fibers.push_back(f);
    }
    for (int i = 0; i < count; i++) {
        void **top = (void **)(void *)(fibers[(size_t)i].stack + STACK_BYTES - 64);
        *--top = NULL;
        *--top = (void *)entry;
        for (int k = 0; k < 6; k++) *--top = NULL;
        fibers[(size_t)i].stack_pointer = top;
        fibers[(size_t)i].state = RUN;
    }
}

/* A warp exchange is complete when every live lane of the mask waits with the same mask. */
static bool warp_complete(int i) {
    int first = i & ~31;
    unsigned mask = fibers[(size_t)i].mask;
    for (int lane = 0; lane < 32 && first + lane < count; lane++) {
        const fiber &f = fibers[(size_t)(first + lane)];
        if (mask >> lane & 1 && f.state != DONE && !(f.state == AT_WARP_BARRIER && f.mask == mask)) return false;
    }
    return true;
}

static void release_warp(int i) {
    int first = i & ~31;
    unsigned mask = fibers[(size_t)i].mask;
    for (int lane = 0; lane < 32 && first + lane < count; lane++) {
        fiber &f = fibers[(size_t)(first + lane)];
        if (f.state == AT_WARP_BARRIER && f.mask == mask) f.state = RUN;
    }
}

static void run_block() {
    start_fibers();
    for (int live = count; live > 0;) {
        bool moved = false;
        int waiting = 0;
        for (int q = 0; q < count; q++) {
            int i = in_order(q);
            if (fibers[(size_t)i].state != RUN) continue;
            unsigned u = (unsigned)i;
            moved = true;
            current = i;
            threadIdx = dim3(u % blockDim.x, u / blockDim.x % blockDim.y, u / (blockDim.x * blockDim.y));
            shim_switch(&scheduler, fibers[(size_t)i].stack_pointer);
        }
        live = 0;
        for (const fiber &f : fibers) {
            if (&f - fibers.data() >= count) break;
            live += f.state != DONE;
            waiting += f.state == AT_BLOCK_BARRIER;
        }
        if (waiting && waiting == live) {
            moved = true;
            for (int i = 0; i < count; i++)
                if (fibers[(size_t)i].state == AT_BLOCK_BARRIER) fibers[(size_t)i].state = RUN;
        }
        for (int i = 0; i < count; i++)
            if (fibers[(size_t)i].state == AT_WARP_BARRIER && warp_complete(i)) {
                moved = true;
                release_warp(i);
            }
        if (live && !moved) {
            fprintf(stderr, "shim: threads of block %u,%u wait at different barriers\n", blockIdx.x, blockIdx.y);
            abort();
        }
    }
}

static void run_blocks(dim3 grid, dim3 block, size_t shared, const std::function<void()> &body) {
    std::vector<char> memory(shared + 128);
    shim_dynamic = (char *)(((uintptr_t)memory.data() + 127) & ~(uintptr_t)127);
    gridDim = grid, blockDim = block;
    count = (int)(block.x * block.y * block.z);
    running = &body;
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                blockIdx = dim3(x, y, z);
                memset(shim_dynamic, 0xff, shared);
                run_block();
            }
}

/* ---- streams ---- */

typedef std::function<bool()> work; /* false: it cannot go on yet */
struct CUgraph_shim {
    std::vector<work> all;
};
struct shim_stream {
    std::deque<work> queue;
    long queued = 0, done = 0; /* pieces of work */
    cudaGraph_t recording = NULL;
    bool spoilt = false; /* something was asked for that a recording cannot hold */
    std::thread::id recorded_by;
    int priority = 0;
};
struct shim_event {
    cudaStream_t stream = NULL; /* NULL: never recorded */
    long number = 0;            /* pieces of work that the stream had been given until then */
    bool in_recording = false;
};
static std::vector<cudaStream_t> streams; /* those that were not destroyed */
static std::vector<std::unique_ptr<shim_stream>> all_streams;

static cudaError_t fail(cudaError_t code) { return last_error = code; }

static cudaError_t enqueue_work(cudaStream_t s, work piece) {
    if (s->recording) return s->recording->all.push_back(std::move(piece)), cudaSuccess;
    s->queue.push_back(std::move(piece));
    s->queued++;
    return cudaSuccess;
}

/* What is done when it is begun. */
template <class F> static cudaError_t enqueue(cudaStream_t s, F piece) {
    return enqueue_work(s, [=] { return piece(), true; });
}

/* Runs the stream's work until `number` pieces are done; false: one cannot go on yet. Denormals are flushed as the
   kernels are built to on a device, whichever host thread runs them. */
static bool advance(cudaStream_t s, long number) {
    unsigned mode = _mm_getcsr();
    bool goes_on = true;
    _mm_setcsr(mode | 0x8040);
    while (s->done < number && (goes_on = s->queue.front()())) s->queue.pop_front(), s->done++;
    _mm_setcsr(mode);
    return goes_on;
}

/* One walk over all streams; false: something cannot go on yet. */
static bool advance_all() {
    int order = device_threads();
    bool done = true;
    std::vector<cudaStream_t> turn = streams;
    if (order == 2) turn.assign(streams.rbegin(), streams.rend());
    if (order == 3) /* one piece of each in turn */
        for (bool more = true; more;) {
            more = false;
            for (cudaStream_t s : turn) more |= s->done < s->queued && advance(s, s->done + 1);
        }
    for (cudaStream_t s : turn) done &= advance(s, s->queued);
    return done;
}

/* Asks until it is so. The caller does not hold the lock, which is free in between. */
template <class F> static void wait_until(F so) {
    for (;;) {
        {
            LOCKED;
            if (so()) return;
        }
        usleep(50);
    }
}

void shim_enqueue(cudaStream_t stream, std::function<bool()> piece) {
    LOCKED;
    enqueue_work(stream, std::move(piece));
}

void shim_advance(cudaStream_t stream) {
    LOCKED;
    advance(stream, stream->queued);
}

int shim_priority(cudaStream_t stream) { return stream->priority; }

/* Asks about a stream that is being recorded, or waiting for it, spoil the recording, whichever thread does so. 1: it
   was. */
static bool spoils(cudaStream_t s) {
    if (!s->recording) return false;
    s->spoilt = true;
    return true;
}
/* What no recording may hold, and the recording thread alone may not do. 1: it was. */
static bool spoils_own() {
    bool any = false;
    for (cudaStream_t s : streams)
        if (s->recording && s->recorded_by == std::this_thread::get_id()) any |= spoils(s);
    return any;
}
/* Waiting for the whole device is refused to every thread while a stream is recorded. */
static bool spoils_any() {
    bool any = false;
    for (cudaStream_t s : streams) any |= spoils(s);
    return any;
}

void shim_launch(dim3 grid, dim3 block, size_t shared, cudaStream_t stream, const std::function<void()> &body) {
    LOCKED;
    unsigned long threads = (unsigned long)block.x * block.y * block.z;
    if (!threads || threads > 1024 || !grid.x || !grid.y || !grid.z || grid.x > 0x7fffffffu || grid.y > 65535 ||
        grid.z > 65535 || shared > SHARED_BYTES) {
        last_error = cudaErrorInvalidConfiguration;
        return;
    }
    enqueue(stream, [=] { run_blocks(grid, block, shared, body); });
}

/* ---- the runtime ---- */

const char *cudaGetErrorString(cudaError_t code) {
    switch (code) {
    case cudaSuccess:
        return "no error";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorInvalidConfiguration:
        return "invalid configuration argument";
    default:
        return "invalid argument";
    }
}

cudaError_t cudaGetLastError(void) {
    cudaError_t code = last_error;
    last_error = cudaSuccess;
    return code;
}

cudaError_t cudaGetDeviceCount(int *number) { return *number = 1, cudaSuccess; }

cudaError_t cudaSetDevice(int) { return cudaSuccess; }

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int) {
    *properties = {};
    snprintf(properties->name, sizeof properties->name, "fibers of the host");
    properties->major = 9;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void) {
    {
        LOCKED;
        if (spoils_any()) return fail(cudaErrorStreamCaptureUnsupported);
    }
    return wait_until(advance_all), cudaSuccess;
}

cudaError_t cudaMalloc(void **pointer, size_t bytes) {
    LOCKED;
    size_t machine = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    if (spoils_own()) return fail(cudaErrorStreamCaptureUnsupported);
    *pointer = bytes < machine ? aligned_alloc(256, (bytes + 255) / 256 * 256) : NULL;
    return *pointer ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFree(void *pointer) {
    {
        LOCKED;
        if (spoils_own()) return fail(cudaErrorStreamCaptureUnsupported);
    }
    wait_until(advance_all);
    return free(pointer), cudaSuccess;
}

cudaError_t cudaHostAlloc(void **pointer, size_t bytes, unsigned) {
    return *pointer = malloc(bytes), *pointer ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFreeHost(void *pointer) {
    wait_until(advance_all);
    return free(pointer), cudaSuccess;
}

/* As the driver does, memory that is registered already, or is not, is refused. */
static std::set<void *> registered;

cudaError_t cudaHostRegister(void *pointer, size_t, unsigned) {
    LOCKED;
    return registered.insert(pointer).second ? cudaSuccess : fail(cudaErrorInvalidValue);
}

cudaError_t cudaHostUnregister(void *pointer) {
    LOCKED;
    return registered.erase(pointer) ? cudaSuccess : fail(cudaErrorInvalidValue);
}

/* A device copies in no order of its bytes. */
static void check_apart(const void *to, const void *from, size_t bytes) {
    uintptr_t a = (uintptr_t)to, b = (uintptr_t)from;
    if ((a > b ? a - b : b - a) >= bytes) return;
    fprintf(stderr, "shim: a copy of %zu bytes onto part of itself\n", bytes);
    abort();
}

/* The same of rows: each of `to` against the rows of `from` that lie nearest. */
static void check_rows_apart(const char *to, long to_pitch, const char *from, long from_pitch, size_t bytes,
                             long rows) {
    for (long r = 0; r < rows; r++) {
        long near = (to + r * to_pitch - from) / from_pitch;
        for (long s = near - 1; s <= near + 1; s++)
            if (s >= 0 && s < rows) check_apart(to + r * to_pitch, from + s * from_pitch, bytes);
    }
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind, cudaStream_t stream) {
    LOCKED;
    check_apart(to, from, bytes);
    return enqueue(stream, [=] { memcpy(to, from, bytes); });
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t bytes, size_t rows,
                              enum cudaMemcpyKind, cudaStream_t stream) {
    LOCKED;
    if (to_pitch < bytes || from_pitch < bytes || to_pitch > PITCH_MOST || from_pitch > PITCH_MOST)
        return fail(cudaErrorInvalidValue);
    if (bytes)
        check_rows_apart((const char *)to, (long)to_pitch, (const char *)from, (long)from_pitch, bytes, (long)rows);
    return enqueue(stream, [=] {
        for (size_t r = 0; r < rows; r++) memcpy((char *)to + r * to_pitch, (const char *)from + r * from_pitch, bytes);
    });
}

cudaError_t cudaMemsetAsync(void *to, int byte, size_t bytes, cudaStream_t stream) {
    LOCKED;
    return enqueue(stream, [=] { memset(to, byte, bytes); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) {
    LOCKED;
    all_streams.emplace_back(*stream = new shim_stream());
    return streams.push_back(*stream), cudaSuccess;
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority) {
    cudaError_t code = cudaStreamCreateWithFlags(stream, flags);
    return (*stream)->priority = priority, code;
}
cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
    return *least = 0, *greatest = -5, cudaSuccess;
}
/* Events that name the stream may outlive it: it is freed when the program ends. */
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    cudaStreamSynchronize(stream);
    LOCKED;
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == stream) streams.erase(streams.begin() + (long)i--);
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    long number;
    {
        LOCKED;
        if (spoils(stream)) return fail(cudaErrorStreamCaptureUnsupported);
        number = stream->queued;
    }
    return wait_until([=] { return advance(stream, number); }), cudaSuccess;
}
/* Whoever asks how far it is lets it go on. */
cudaError_t cudaStreamQuery(cudaStream_t stream) {
    LOCKED;
    if (spoils(stream)) return fail(cudaErrorStreamCaptureUnsupported);
    return advance(stream, stream->queued) ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) { return *event = new shim_event(), cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    LOCKED;
    event->stream = stream;
    event->number = stream->queued;
    event->in_recording = stream->recording != NULL;
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    cudaStream_t stream;
    long number;
    {
        LOCKED;
        if (event->in_recording || spoils_own()) return fail(cudaErrorStreamCaptureUnsupported);
        stream = event->stream;
        number = event->number;
    }
    if (stream) wait_until([=] { return advance(stream, number); });
    return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
    LOCKED;
    if (event->in_recording) return fail(cudaErrorStreamCaptureUnsupported);
    return !event->stream || advance(event->stream, event->number) ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    LOCKED;
    cudaStream_t other = event->stream;
    long number = event->number;
    if (!other || other == stream) return cudaSuccess;
    if (spoils(stream)) return fail(cudaErrorStreamCaptureUnsupported);
    return enqueue_work(stream, [=] { return advance(other, number); });
}

/* ---- recordings ---- */

struct CUgraphExec_shim {
    std::vector<work> all;
};

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode) {
    LOCKED;
    if (stream->recording) return fail(cudaErrorStreamCaptureUnsupported);
    stream->recording = new CUgraph_shim();
    stream->spoilt = false;
    stream->recorded_by = std::this_thread::get_id();
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    LOCKED;
    *graph = stream->recording;
    stream->recording = NULL;
    if (!*graph) return fail(cudaErrorInvalidValue);
    if (!stream->spoilt) return cudaSuccess;
    delete *graph;
    *graph = NULL;
    return fail(cudaErrorStreamCaptureInvalidated);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long) {
    return *exec = new CUgraphExec_shim{graph->all}, cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    LOCKED;
    for (const work &piece : exec->all) enqueue_work(stream, piece);
    return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }

cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    LOCKED;
    return delete exec, cudaSuccess; /* what is queued of it is a copy */
}
