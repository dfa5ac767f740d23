/* device.c: device.h for the backends that compute on the host (ref, cpu). Device memory is host memory and work runs
   in program order, so a copy is done when it returns and an event has nothing to wait for. */
#include "kernels/device.h"
#include "kernels/arena.h"
#include "kernels/failure.h"
#include "kernels/host/denormals.h"
#include "kernels/host/guard.h"
#include "kernels/host/instructions.h"
#include "kernels/kernels.h"
#include "base/error.h"
#include "base/log.h"

#include <omp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* The backend's context. */
static struct {
    int threads; /* 0: not started */
    int poison;
    struct scratch workspace;
} context;

#if defined(TYPE_BF16) && defined(__x86_64__)
/* 1: this processor is slow at bf16. The rule is that of scripts/number_type.sh, which
   chose for the machine of the build. */
static int slow_bf16(void) {
    return !__builtin_cpu_supports("amx-bf16") && !(__builtin_cpu_is("amd") && __builtin_cpu_supports("avx512bf16"));
}
#else
static int slow_bf16(void) { return 0; }
#endif

/* Tries before a thread that has nothing to do goes to sleep, some tens of microseconds. libgomp's own default is
   milliseconds at every barrier: beside another busy program the waiting thread then keeps the core from the thread
   that it waits for, and a training step of 0.24 s took 8.6 s beside one such program. On a quiet machine the early
   sleep costs nothing.
   libgomp reads GOMP_SPINCOUNT once, when it is loaded, and no call changes it. So a program that finds it unset sets
   it and starts itself again before it has done anything: the same process, arguments and open files. Where
   GOMP_SPINCOUNT or OMP_WAIT_POLICY is set, nothing is changed; a program that cannot be started again goes on as it
   is. So does one that the loader was told to start (ld.so PROGRAM: then the kernel has loaded no
   interpreter, AT_BASE is 0, and /proc/self/exe is the loader), and one beside another C library than glibc, which
   alone gives a constructor the arguments. */
#define SPINS "3000"

#ifdef __GLIBC__
__attribute__((constructor)) static void wait_briefly(int argc, char **argv) {
    char own[4096];
    if (argc < 1 || !getauxval(AT_BASE) || getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY")) return;
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    if (n <= 0 || setenv("GOMP_SPINCOUNT", SPINS, 1)) return;
    own[n] = 0;
    execv(own, argv);
}
#endif

/* Every host thread has an OpenMP team of its own, whose threads are set up here. */
void device_thread(void) {
    omp_set_dynamic(0);
    omp_set_num_threads(context.threads);
    flush_denormals();
#pragma omp parallel
    flush_denormals();
}

int device_init(int threads) {
    if (threads < 0) return error_set(ERR_DEVICE, "%d threads asked for; expected 0 (all cores) or more", threads);
    const char *missing = instructions_missing(instructions_built);
    if (missing)
        return error_set(ERR_DEVICE,
                         "built for another processor: this one has no %s (make CPU_FLAGS=..., see "
                         "docs/packaging.md)",
                         missing);
    if (!context.threads && slow_bf16())
        log_line("bf16 is slow on this processor; programs built by `make TYPE=float` are faster here");
    context.threads = threads ? threads : omp_get_num_procs();
    device_thread();
    return OK;
}

void device_shutdown(void) {
    context.threads = 0;
    context.workspace = (struct scratch){0};
}

void device_use(int index) { (void)index; }

void device_deterministic(int on) { (void)on; }

int device_exists(int index) { return index >= 0; }

const char *device_name(void) { return BACKEND_NAME; }

int device_threads(void) { return context.threads; }

void device_use_threads(int threads) { omp_set_num_threads(threads < context.threads ? threads : context.threads); }

void device_fail(const char *format, ...) {
    va_list list;
    va_start(list, format);
    failure_keep(format, list);
    va_end(list);
}

int device_sync(void) { return failure_take(); }

/* ---- memory ---- */

/* 1: the machine has less memory than that. The system would promise it all the same, and kill the program later. */
static int beyond_machine(size_t bytes) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 && bytes / (size_t)page >= (size_t)pages;
}

void *device_alloc(size_t bytes) {
    if (beyond_machine(bytes)) return NULL;
    size_t rounded = arena_aligned(bytes ? bytes : 1);
#ifdef GUARD
    void *pointer = guard_alloc(rounded);
#else
    void *pointer = aligned_alloc(64, rounded);
#endif
    if (pointer && context.poison) {
        KERNEL_SCOPE;
        memset(pointer, 0xff, rounded); /* a NaN in every number type */
    }
    return pointer;
}

void device_free(void *pointer) {
#ifdef GUARD
    guard_free(pointer);
#else
    free(pointer);
#endif
}

void device_poison(int on) { context.poison = on; }

int device_pin(void *host, size_t bytes) { return (void)host, (void)bytes, 0; }

void device_unpin(void *host) { (void)host; }

static _Thread_local struct device_stream *current;

/* Copies a large piece by all threads, because one alone does not fill the memory's bandwidth. A copy on a stream of
   its own uses one thread and leaves the others to the kernels. */
static void copy(void *to, const void *from, size_t bytes) {
    enum { LARGE = 4 << 20, PIECES = 16 };
    if (bytes < LARGE || current) {
        if (bytes) memcpy(to, from, bytes);
        return;
    }
    size_t each = bytes / PIECES / 64 * 64;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < PIECES; i++) {
        size_t first = (size_t)i * each, last = i + 1 < PIECES ? first + each : bytes;
        memcpy((char *)to + first, (const char *)from + first, last - first);
    }
}

void mem_upload(void *device_to, const void *host_from, size_t bytes) {
    KERNEL_SCOPE;
    copy(device_to, host_from, bytes);
    packed_renew(device_to, (long)bytes);
}

void mem_upload_pinned(void *device_to, const void *host_from, size_t bytes) {
    mem_upload(device_to, host_from, bytes);
}

void mem_download(void *host_to, const void *device_from, size_t bytes) {
    KERNEL_SCOPE;
    copy(host_to, device_from, bytes);
}

void mem_copy(void *device_to, const void *device_from, size_t bytes) {
    KERNEL_SCOPE;
    copy(device_to, device_from, bytes);
    packed_renew(device_to, (long)bytes);
}

void mem_zero(void *device_to, size_t bytes) {
    KERNEL_SCOPE;
    if (bytes) memset(device_to, 0, bytes);
    packed_renew(device_to, (long)bytes);
}

void mem_copy_rows(void *device_to, size_t to_pitch, const void *device_from, size_t from_pitch, size_t bytes,
                   size_t rows) {
    KERNEL_SCOPE;
    for (size_t r = 0; r < rows && bytes; r++)
        memcpy((char *)device_to + r * to_pitch, (const char *)device_from + r * from_pitch, bytes);
    if (rows) packed_renew(device_to, (long)((rows - 1) * to_pitch + bytes));
}

/* ---- streams and events: who uses what is kept, there is nothing to order ---- */

struct device_stream {
    int unused;
};
struct device_event {
    struct device_stream *recorded_on;
};

struct device_stream *device_stream_create(void) {
    return calloc(1, sizeof(struct device_stream));
}

struct device_stream *device_stream_create_urgent(void) {
    return device_stream_create();
}

int device_overlaps(void) { return 0; }

void device_stream_destroy(struct device_stream *stream) {
    if (current == stream) current = NULL;
    free(stream);
}

void device_stream_use(struct device_stream *stream) { current = stream; }

struct device_stream *device_stream_current(void) {
    return current;
}

void *device_stream_handle(void) { return NULL; }

struct device_event *device_event_create(void) {
    return calloc(1, sizeof(struct device_event));
}

void device_event_destroy(struct device_event *event) { free(event); }

void device_event_record(struct device_event *event) { event->recorded_on = current; }

void device_event_wait(struct device_event *event) { (void)event; }

void device_profile(int on) { (void)on; }

int device_record_begin(void) { return 0; }

struct device_graph *device_record_end(void) {
    return NULL;
}

void device_graph_launch(struct device_graph *graph) { (void)graph; }

void device_graph_destroy(struct device_graph *graph) { (void)graph; }

/* ---- workspace ---- */

void device_workspace(void *pointer, size_t bytes) {
    context.workspace = (struct scratch){.base = pointer, .size = pointer ? bytes : 0};
}

size_t device_workspace_high(void) { return context.workspace.high; }

void *workspace_push(size_t bytes) {
    void *pointer = scratch_push(&context.workspace, bytes);
    if (!pointer) device_fail("workspace: %s", error_text());
    return pointer;
}

void workspace_pop(void *pointer) {
    if (pointer) scratch_pop(&context.workspace, pointer);
}
