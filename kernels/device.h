/* device.h: memory, streams and state of the backend. Every backend, those on the host included, behaves as a GPU does:
     - kernel calls are asynchronous and run in order on the calling thread's current stream;
     - only kernels/ dereferences device pointers (device_alloc); other code moves data with mem_upload, mem_download
       and mem_copy;
     - kernels return nothing; the first failure is kept, and the next device_sync returns it. */
#ifndef KERNELS_DEVICE_H
#define KERNELS_DEVICE_H

#include <stddef.h>

/* Starts the backend with so many threads (0: all cores of the process) and sets flush-to-zero in each. It may be
   called again; the last call's thread count holds. ERR_DEVICE: the device or its driver is missing. */
int device_init(int threads);
void device_shutdown(void);
/* Chooses which of the host's devices this process takes, for processes that share a host: number `index` modulo the
   number of devices; 0 unless called. Call it before device_init. A backend on the host has one device. */
void device_use(int index);
/* 1: the host has a device of that number, counted from 0. Call it after device_init. A backend on the host serves any
   number of processes and always answers 1. */
int device_exists(int index);
/* Makes equal inputs give equal bits (on 1): library algorithms that may add in another order each time are not used.
   Call it
   before the first kernel. The backends on the host and cuda's own kernels always work so. */
void device_deterministic(int on);
const char *device_name(void); /* "ref", "cpu", "cuda" */
int device_threads(void);
/* Computes with so many threads in the calling thread's kernels from now on, at most device_threads(). A backend on a
   device has no use for it. */
void device_use_threads(int threads);
/* Gives the calling thread the device and the thread count of device_init. Every further
   host thread calls it before its first kernel or copy. */
void device_thread(void);

/* Device memory, aligned to 64 bytes, with undefined contents (after device_poison(1), which tests call, filled with
   NaN bytes). NULL: there is none left. In GUARD=1 builds the memory is unreadable outside kernel calls. */
void *device_alloc(size_t bytes);
void device_free(void *pointer);
void device_poison(int on);

/* Pins host memory until device_unpin: the device then copies it by itself, several times as fast as other host memory.
   Unpin it before it is freed. Returns 1, or 0 when it is not pinned (a backend on the host, or the system pins no
   more); copies work all the same. */
int device_pin(void *host, size_t bytes);
void device_unpin(void *host); /* does nothing for memory that is not pinned */

/* Copies, in order on the current stream. mem_download returns when the bytes are there. A background thread may copy
   too, on a stream of its own; its copies take no threads from the kernels. */
void mem_upload(void *device_to, const void *host_from, size_t bytes);
/* The same from memory that device_pin has pinned, without a copy in between: on a stream of its own it runs beside the
   device's work. The bytes must stay as they are until the stream has come to its end. */
void mem_upload_pinned(void *device_to, const void *host_from, size_t bytes);
void mem_download(void *host_to, const void *device_from, size_t bytes);
void mem_copy(void *device_to, const void *device_from, size_t bytes);
void mem_zero(void *device_to, size_t bytes);
/* Copies `rows` pieces of `bytes` each; the pieces begin `from_pitch` bytes apart in the
   source and `to_pitch` bytes apart in the destination. */
void mem_copy_rows(void *device_to, size_t to_pitch, const void *device_from, size_t from_pitch, size_t bytes,
                   size_t rows);

/* Waits for all work queued on the calling thread's current stream; on the default stream, for that of all streams,
   which fails while another thread records. Returns OK or the first failure since the last call. */
int device_sync(void);
/* Total number of failures so far, including those that device_sync has returned. A background thread compares the
   number before and after its work, because another thread's device_sync may have consumed its failure. */
long device_failures(void);

/* Streams and events. The backends on the host run everything in order, so there they are bookkeeping. */
struct device_stream;
struct device_event;
struct device_stream *device_stream_create(void);
/* A stream whose waiting work goes before that of ordinary streams. */
struct device_stream *device_stream_create_urgent(void);
/* 1: streams run beside each other on the device, so that a second stream hides its work behind the first one's. 0: all
   work runs on the host, where two threads share the cores. */
int device_overlaps(void);
void device_stream_destroy(struct device_stream *stream);
void device_stream_use(struct device_stream *stream); /* per host thread; NULL: the default stream */
struct device_stream *device_stream_current(void);    /* what device_stream_use set last in this thread */
/* The current stream as the device's own libraries take it (cuda: cudaStream_t); NULL on a backend on the host. */
void *device_stream_handle(void);
struct device_event *device_event_create(void);
void device_event_destroy(struct device_event *event);
void device_event_record(struct device_event *event); /* marks the end of what the current stream holds now */
void device_event_wait(struct device_event *event);   /* the current stream waits for it */

/* Makes a profiler that was started paused (ncu --profile-from-start off) record (on 1) or pause again (0). */
void device_profile(int on);

/* Recordings. Work that the calling thread queues on its current stream between begin and end is kept with its
   arguments instead of run; each launch then queues all of it by one call. Kernels, mem_copy and mem_zero can be kept;
   copies to and from the host, waits and allocations cannot. The backends on the host record nothing. */
struct device_graph;
int device_record_begin(void); /* 1: recording; 0: this backend cannot */
struct device_graph *
device_record_end(void); /* NULL: it held what cannot be kept; nothing of it was done, nothing failed */
void device_graph_launch(struct device_graph *graph);  /* queues it on the current stream */
void device_graph_destroy(struct device_graph *graph); /* NULL is allowed */

/* Gives the kernels a block for library workspaces and their own temporaries: a last-in-first-out stack
   of fixed size, which kernels push and pop inside one call. It belongs to the program that calls the
   kernels, and is planned with its other memory. Without one, or with NULL, cuda allocates its own
   (WORKSPACE_LEAST of workspace.h) when a kernel first wants it. */
void device_workspace(void *pointer, size_t bytes);
/* Bytes of it that were in use at most; 0 on backends whose kernels need none (ref, cpu). */
size_t device_workspace_high(void);

/* For kernels only: reports a failure. The first one is kept until device_sync returns it. */
void device_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* For kernels only: a piece of the block of device_workspace; NULL, with a failure kept: it does not fit. */
void *workspace_push(size_t bytes);
void workspace_pop(void *pointer);

/* In GUARD=1 builds device memory is readable only while a kernel runs: KERNEL_SCOPE, the first line of every kernel,
   opens it until the kernel returns. */
#ifdef GUARD
void guard_open(void);
void guard_close(int *scope);
#define KERNEL_SCOPE                                                                                                   \
    int kernel_scope __attribute__((cleanup(guard_close), unused)) = 0;                                                \
    guard_open()
#else
#define KERNEL_SCOPE ((void)0)
#endif

#endif
