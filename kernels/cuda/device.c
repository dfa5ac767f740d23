/* device.c: device.h on one CUDA GPU.
   Everything is queued on the calling host thread's current stream; the default is a stream of the backend's own, which
   does not synchronise with others. Uploads go through pinned pieces in a ring, so that the caller's buffer is free
   when mem_upload returns although the copy has not begun. The first failure is kept until device_sync. */
#include "kernels/device.h"
#include "kernels/arena.h"
#include "kernels/cuda/cuda.h"
#include "kernels/failure.h"
#include "kernels/peak.h"
#include "kernels/workspace.h"
#include "base/error.h"
#include "base/log.h"

#include <cuda_profiler_api.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Pinned pieces for uploads. At 4 MiB a transfer's fixed cost no longer shows. There are enough pieces
   for a batch at full size (25 MiB a sample: latents, text, features) while a step is still under way:
   an upload waits until its piece is free. */
enum { PIECES = 16, PIECE_BYTES = 4 << 20 };

struct device_stream {
    cudaStream_t stream;
    struct scratch workspace; /* set while the stream was current; without one the default stream's is used */
};
struct device_event {
    cudaEvent_t event;
};

/* The backend's context. */
static struct {
    int started, threads, poison, deterministic;
    int wanted;          /* number that device_use gave, modulo the number of devices */
    int device;          /* number of the device in use */
    int capability;      /* its compute capability, 90 for 9.0 */
    cudaStream_t stream; /* the default */
    struct scratch workspace;
    int said_too_small;   /* 1: the log has said that the workspace is too small */
    void *own_workspace;  /* workspace that is made here when nobody gave one; NULL: none */
    pthread_mutex_t ring; /* guards the pieces */
    char *piece[PIECES];
    cudaEvent_t done[PIECES]; /* end of the last copy from each piece */
    int next;
} context = {.ring = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local struct device_stream *current;
static _Thread_local enum { NOT_RECORDING, RECORDING, SPOILT } recording; /* SPOILT: it held what cannot be kept */

cudaStream_t cuda_stream(void) { return current ? current->stream : context.stream; }

void *device_stream_handle(void) { return cuda_stream(); }

int cuda_deterministic(void) { return context.deterministic; }
int cuda_recording(void) { return recording != NOT_RECORDING; }

int cuda_capability(void) { return context.capability; }

void device_deterministic(int on) { context.deterministic = on; }

void device_use(int index) { context.wanted = index; }

int cuda_failed(cudaError_t code, const char *what) {
    if (code == cudaSuccess) return 0;
    cudaGetLastError(); /* clears the error, so that no later launch reports it again */
    device_fail("%s: %s", what, cudaGetErrorString(code));
    return 1;
}

void cuda_launched(const char *kernel) { cuda_failed(cudaGetLastError(), kernel); }

/* ---- start and end ---- */

static int no_device(cudaError_t code) {
    if (code == cudaErrorInsufficientDriver)
        return error_set(ERR_DEVICE, "cuda: no NVIDIA driver on this machine, or one that is too old for this build");
    return error_set(ERR_DEVICE, "cuda: %s", code ? cudaGetErrorString(code) : "no GPU on this machine");
}

static int start(void) {
    int count = 0;
    cudaError_t code = cudaGetDeviceCount(&count);
    cudaGetLastError(); /* clears the error, so that no later launch reports it */
    if (code != cudaSuccess || count == 0) return no_device(code);
    struct cudaDeviceProp properties;
    context.device = context.wanted > 0 ? context.wanted % count : 0;
    code = cudaSetDevice(context.device);
    if (!code) code = cudaGetDeviceProperties(&properties, context.device);
    if (code) return no_device(code);
    if (properties.major < 8)
        return error_set(ERR_DEVICE, "cuda: %s has compute capability %d.%d, at least 8.0 is needed", properties.name,
                         properties.major, properties.minor);
    context.capability = 10 * properties.major + properties.minor;
    code = cudaStreamCreateWithFlags(&context.stream, cudaStreamNonBlocking);
    for (int i = 0; i < PIECES && !code; i++) {
        code = cudaHostAlloc((void **)&context.piece[i], PIECE_BYTES, cudaHostAllocDefault);
        if (!code) code = cudaEventCreateWithFlags(&context.done[i], cudaEventDisableTiming);
    }
    if (code) return error_set(ERR_DEVICE, "cuda: %s", cudaGetErrorString(code));
    return OK;
}

int device_init(int threads) {
    if (threads < 0) return error_set(ERR_DEVICE, "%d threads asked for; expected 0 (all cores) or more", threads);
    if (!context.started) {
        int code = start();
        if (code) return device_shutdown(), code;
        context.started = 1;
    }
    context.threads = threads ? threads : (int)sysconf(_SC_NPROCESSORS_ONLN);
    return OK;
}

/* Chooses the device for the calling thread, because the runtime keeps it by host thread. */
void device_thread(void) {
    if (context.started) cuda_failed(cudaSetDevice(context.device), "device_thread");
}

void device_shutdown(void) {
    gemm_lt_close();
    cudnn_close();
    for (int i = 0; i < PIECES; i++) {
        if (context.done[i]) cudaEventDestroy(context.done[i]);
        if (context.piece[i]) cudaFreeHost(context.piece[i]);
        context.done[i] = NULL;
        context.piece[i] = NULL;
    }
    if (context.stream) cudaStreamDestroy(context.stream);
    context.stream = NULL;
    if (context.own_workspace) cudaFree(context.own_workspace);
    context.own_workspace = NULL;
    context.workspace = (struct scratch){0};
    context.started = context.threads = 0;
}

int device_exists(int index) {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess) cudaGetLastError();
    return index >= 0 && index < count;
}

const char *device_name(void) { return BACKEND_NAME; }

int device_threads(void) { return context.threads; }

void device_use_threads(int threads) { (void)threads; }

/* 1: a recording is under way, which what comes next cannot be part of, so it must not be done. */
static int spoils_recording(void) {
    if (recording) recording = SPOILT;
    return recording != NOT_RECORDING;
}

/* A failure inside a recording only spoils it: the same work is then done without one, and fails again if it must. */
void device_fail(const char *format, ...) {
    va_list list;
    if (spoils_recording()) return;
    va_start(list, format);
    failure_keep(format, list);
    va_end(list);
}

int device_sync(void) {
    if (spoils_recording()) return OK;
    if (context.started)
        cuda_failed(current ? cudaStreamSynchronize(current->stream) : cudaDeviceSynchronize(), "cuda");
    return failure_take();
}

/* ---- memory ---- */

void *device_alloc(size_t bytes) {
    if (bytes > SIZE_MAX - 64) return NULL;
    size_t rounded = arena_aligned(bytes ? bytes : 1);
    void *pointer = NULL;
    if (spoils_recording()) return NULL;
    if (cudaMalloc(&pointer, rounded) != cudaSuccess) {
        cudaGetLastError();
        return NULL;
    }
    if (context.poison) { /* a NaN in every number type; it is complete before any stream may write */
        cuda_failed(cudaMemsetAsync(pointer, 0xff, rounded, cuda_stream()), "device_alloc");
        cuda_failed(cudaStreamSynchronize(cuda_stream()), "device_alloc");
    }
    return pointer;
}

void device_free(void *pointer) {
    if (!spoils_recording()) cuda_failed(cudaFree(pointer), "device_free");
}

void device_poison(int on) { context.poison = on; }

int device_pin(void *host, size_t bytes) {
    int pinned = context.started && bytes && cudaHostRegister(host, bytes, cudaHostRegisterDefault) == cudaSuccess;
    cudaGetLastError(); /* clears the error, so that no later launch reports it */
    return pinned;
}

void device_unpin(void *host) {
    if (context.started && host) cudaHostUnregister(host);
    cudaGetLastError();
}

void mem_upload(void *device_to, const void *host_from, size_t bytes) {
    if (spoils_recording()) return;
    pthread_mutex_lock(&context.ring);
    for (size_t at = 0; at < bytes;) {
        size_t some = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;
        int i = context.next;
        context.next = (i + 1) % PIECES;
        if (cuda_failed(cudaEventSynchronize(context.done[i]), "mem_upload")) break;
        memcpy(context.piece[i], (const char *)host_from + at, some);
        if (cuda_failed(
                cudaMemcpyAsync((char *)device_to + at, context.piece[i], some, cudaMemcpyHostToDevice, cuda_stream()),
                "mem_upload"))
            break;
        cuda_failed(cudaEventRecord(context.done[i], cuda_stream()), "mem_upload");
        at += some;
    }
    pthread_mutex_unlock(&context.ring);
}

void mem_upload_pinned(void *device_to, const void *host_from, size_t bytes) {
    if (bytes && !spoils_recording())
        cuda_failed(cudaMemcpyAsync(device_to, host_from, bytes, cudaMemcpyHostToDevice, cuda_stream()),
                    "mem_upload_pinned");
}

void mem_download(void *host_to, const void *device_from, size_t bytes) {
    if (!bytes || spoils_recording()) return;
    if (!cuda_failed(cudaMemcpyAsync(host_to, device_from, bytes, cudaMemcpyDeviceToHost, cuda_stream()),
                     "mem_download"))
        cuda_failed(cudaStreamSynchronize(cuda_stream()), "mem_download");
}

void mem_copy(void *device_to, const void *device_from, size_t bytes) {
    if (bytes)
        cuda_failed(cudaMemcpyAsync(device_to, device_from, bytes, cudaMemcpyDeviceToDevice, cuda_stream()),
                    "mem_copy");
}

void mem_zero(void *device_to, size_t bytes) {
    if (bytes) cuda_failed(cudaMemsetAsync(device_to, 0, bytes, cuda_stream()), "mem_zero");
}

void mem_copy_rows(void *device_to, size_t to_pitch, const void *device_from, size_t from_pitch, size_t bytes,
                   size_t rows) {
    if (!bytes || !rows) return;
    if (rows == 1) return mem_copy(device_to, device_from, bytes); /* the pitches of one row may be anything */
    cuda_failed(cudaMemcpy2DAsync(device_to, to_pitch, device_from, from_pitch, bytes, rows, cudaMemcpyDeviceToDevice,
                                  cuda_stream()),
                "mem_copy_rows");
}

/* ---- streams and events ---- */

static struct device_stream *create_stream(int priority) {
    struct device_stream *stream = calloc(1, sizeof *stream);
    if (stream &&
        cuda_failed(cudaStreamCreateWithPriority(&stream->stream, cudaStreamNonBlocking, priority), "stream")) {
        free(stream);
        return NULL;
    }
    return stream;
}

struct device_stream *device_stream_create(void) {
    return create_stream(0);
}

struct device_stream *device_stream_create_urgent(void) {
    int least = 0, greatest = 0; /* lower numbers go first */
    cuda_failed(cudaDeviceGetStreamPriorityRange(&least, &greatest), "stream");
    return create_stream(greatest);
}

int device_overlaps(void) { return 1; }

void device_stream_destroy(struct device_stream *stream) {
    if (!stream) return;
    if (current == stream) current = NULL;
    cuda_failed(cudaStreamDestroy(stream->stream), "stream");
    free(stream);
}

/* Sets the stream, and the device too: a thread that the program has made would otherwise use the host's first one. */
void device_stream_use(struct device_stream *stream) {
    if (stream) device_thread();
    current = stream;
}

struct device_stream *device_stream_current(void) {
    return current;
}

struct device_event *device_event_create(void) {
    struct device_event *event = calloc(1, sizeof *event);
    if (event && cuda_failed(cudaEventCreateWithFlags(&event->event, cudaEventDisableTiming), "event")) {
        free(event);
        return NULL;
    }
    return event;
}

void device_event_destroy(struct device_event *event) {
    if (!event) return;
    cuda_failed(cudaEventDestroy(event->event), "event");
    free(event);
}

void device_event_record(struct device_event *event) {
    if (!spoils_recording()) cuda_failed(cudaEventRecord(event->event, cuda_stream()), "event");
}

void device_event_wait(struct device_event *event) {
    if (!spoils_recording()) cuda_failed(cudaStreamWaitEvent(cuda_stream(), event->event, 0), "event");
}

void device_profile(int on) { cuda_failed(on ? cudaProfilerStart() : cudaProfilerStop(), "device_profile"); }

/* ---- recordings ---- */

struct device_graph {
    cudaGraphExec_t exec;
};

/* Begins to record this thread's stream; calls of other threads are not restricted meanwhile. */
int device_record_begin(void) {
    if (!context.started || recording) return 0;
    if (cudaStreamBeginCapture(cuda_stream(), cudaStreamCaptureModeThreadLocal) != cudaSuccess) {
        cudaGetLastError();
        return 0;
    }
    recording = RECORDING;
    return 1;
}

static struct device_graph *graph_of(cudaGraph_t kept) {
    struct device_graph *graph = calloc(1, sizeof *graph);
    if (!graph) return NULL;
    if (cudaGraphInstantiate(&graph->exec, kept, 0) == cudaSuccess) {
        cudaGraphUpload(graph->exec, cuda_stream()); /* otherwise the first launch would do it */
        return graph;
    }
    free(graph);
    return NULL;
}

struct device_graph *device_record_end(void) {
    int whole = recording == RECORDING;
    cudaGraph_t kept = NULL;
    struct device_graph *graph = NULL;
    recording = NOT_RECORDING;
    if (cudaStreamEndCapture(cuda_stream(), &kept) == cudaSuccess && kept) {
        if (whole) graph = graph_of(kept);
        cudaGraphDestroy(kept);
    }
    cudaGetLastError(); /* the error does not matter: the work is done without a recording */
    return graph;
}

void device_graph_launch(struct device_graph *graph) {
    cuda_failed(cudaGraphLaunch(graph->exec, cuda_stream()), "a recording");
}

void device_graph_destroy(struct device_graph *graph) {
    if (!graph) return;
    cuda_failed(cudaGraphExecDestroy(graph->exec), "a recording");
    free(graph);
}

/* ---- workspace ---- */

/* The current stream's workspace. Kernels of two streams run at the same time and must
   not share one, so that a stream may have its own. */
static struct scratch *workspace(void) {
    if (current && current->workspace.base) return &current->workspace;
    if (!context.workspace.base && context.started) {
        if (!context.own_workspace) context.own_workspace = device_alloc(WORKSPACE_LEAST);
        context.workspace = (struct scratch){.base = context.own_workspace,
                                             .size = context.own_workspace ? (size_t)WORKSPACE_LEAST : 0};
    }
    return &context.workspace;
}

void device_workspace(void *pointer, size_t bytes) {
    struct scratch *s = current ? &current->workspace : &context.workspace;
    *s = (struct scratch){.base = pointer, .size = pointer ? bytes : 0};
    context.said_too_small = 0;
}

size_t device_workspace_high(void) { return workspace()->high; }

size_t cuda_workspace_left(void) {
    const struct scratch *s = workspace();
    return s->base && s->depth < SCRATCH_DEPTH ? (s->size - s->used) / ARENA_ALIGNMENT * ARENA_ALIGNMENT : 0;
}

int cuda_workspace_holds(const char *what, size_t bytes) {
    size_t left = cuda_workspace_left();
    if (bytes <= left) return 1;
    if (!context.said_too_small)
        log_line("%s wants %.1f MiB of workspace, but there are %.1f: slower kernels do its work (see workspace_mib)",
                 what, (double)bytes / 1048576, (double)left / 1048576);
    context.said_too_small = 1;
    return 0;
}

void *workspace_push(size_t bytes) {
    void *pointer = scratch_push(workspace(), bytes);
    if (!pointer) device_fail("workspace: %s", error_text());
    return pointer;
}

void workspace_pop(void *pointer) {
    if (pointer) scratch_pop(workspace(), pointer);
}

struct peak device_peak(void) {
    return (struct peak){0};
}
