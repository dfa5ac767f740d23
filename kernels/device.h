/* device.h: memory, streams and the state of the backend. Same semantics on every backend, the CPU included:
   kernel calls are asynchronous and ordered on the current stream; pointers from device_alloc are device pointers that
   only kernels/ dereferences; all else moves data with mem_upload, mem_download, mem_copy.
   Kernels return nothing: a failure is kept in the backend and returned by the next device_sync. */
#ifndef KERNELS_DEVICE_H
#define KERNELS_DEVICE_H

#include <stddef.h>

/* Starts the backend (0 threads: all cores of the process). Sets flush-to-zero in every thread. ERR_DEVICE when the
   device or the driver is missing. May be called again; the last call's thread count holds. */
int device_init(int threads);
void device_shutdown(void);
/* Before device_init: which of the host's devices this process takes, counted round; 0 at first. For processes that
   share a host. The backends on the host have but one. */
void device_use(int index);
/* 1: there is a device of that number, counted from 0. After device_init. The backends on the host serve any number of
   processes: 1. */
int device_exists(int index);
/* 1: equal bits for equal inputs, without the libraries' algorithms that may add in another order each time. For before
   the first kernel. The backends on the host, and the own kernels of cuda, are so anyway. */
void device_deterministic(int on);
const char *device_name(void); /* "ref", "cpu", "cuda" */
int device_threads(void);
/* For every further host thread, before it calls kernels or copies: makes the device and the thread count of
   device_init its own. */
void device_thread(void);

/* Device memory, 64-byte aligned, contents undefined (tests: filled with NaN bytes when device_poison(1) was called).
   NULL when there is none left. With GUARD=1 builds the memory is unreadable outside kernel calls. */
void *device_alloc(size_t bytes);
void device_free(void *pointer);
void device_poison(int on);

/* Host memory that the device's copies reach by themselves, several times as fast as other host memory; until
   device_unpin, which comes before it is freed. 0: it is not (a backend of the host, no more of it to be had); copies
   work all the same. */
int device_pin(void *host, size_t bytes);
void device_unpin(void *host); /* of memory that is not pinned: nothing */

/* Copies ordered on the current stream. mem_download returns when the bytes are there. A thread beside the one that
   computes may copy too, on a stream of its own: it takes no other threads from the kernels. */
void mem_upload(void *device_to, const void *host_from, size_t bytes);
void mem_download(void *host_to, const void *device_from, size_t bytes);
void mem_copy(void *device_to, const void *device_from, size_t bytes);
void mem_zero(void *device_to, size_t bytes);
/* rows pieces of `bytes` each, the next one `to_pitch`, `from_pitch` bytes further on. */
void mem_copy_rows(void *device_to, size_t to_pitch, const void *device_from, size_t from_pitch, size_t bytes,
                   size_t rows);

/* Waits for everything queued on the calling thread's current stream, and from the default stream for all streams;
   returns OK or the first failure since the last call. */
int device_sync(void);
/* How many there have been, those that device_sync has returned too: for a thread beside, whose failures another's
   device_sync may return. */
long device_failures(void);

/* Streams and events (the CPU backends run in order, so these are bookkeeping there). */
struct device_stream;
struct device_event;
struct device_stream *device_stream_create(void);
/* Where both have work that waits, this stream's goes first. */
struct device_stream *device_stream_create_urgent(void);
/* 1: streams run beside each other on the device, so that a second one hides work behind the first's. 0: all work is
   the host's own, and two threads of it share its cores. */
int device_overlaps(void);
void device_stream_destroy(struct device_stream *stream);
void device_stream_use(struct device_stream *stream); /* NULL: the default stream; per host thread */
/* The current stream as the device's own libraries take it (cuda: cudaStream_t). NULL: a backend on the
   host has none. */
void *device_stream_handle(void);
struct device_event *device_event_create(void);
void device_event_destroy(struct device_event *event);
void device_event_record(struct device_event *event); /* on the current stream */
void device_event_wait(struct device_event *event);   /* the current stream waits for it */

/* Tells a profiler that was started to wait for it (ncu --profile-from-start off) to look, or to stop looking. */
void device_profile(int on);

/* Recordings: what the calling thread queues on its current stream between begin and end is kept instead of done, with
   the arguments it had, and is then queued as often as it is launched, by one call. Kernels, mem_copy and mem_zero can
   be kept; copies to and from the host, waiting and memory cannot. The backends on the host record nothing. */
struct device_graph;
int device_record_begin(void); /* 1: recording; 0: not here */
struct device_graph *
device_record_end(void); /* NULL: it held what cannot be kept; nothing of it was done, nothing failed */
void device_graph_launch(struct device_graph *graph);  /* on the current stream */
void device_graph_destroy(struct device_graph *graph); /* NULL is allowed */

/* Scratch for library workspaces and for the kernels' own temporaries: a last-in-first-out stack of fixed size, owned
   by the caller of the kernels (the stage), planned with everything else. Kernels push and pop inside one call. Where
   nobody has given one, or NULL, cuda makes one of its own (WORKSPACE_LEAST of workspace.h) when a kernel wants it. */
void device_workspace(void *pointer, size_t bytes);
/* The most of it that was used at a time: nothing on backends whose kernels need none (ref, cpu). */
size_t device_workspace_high(void);

/* For kernels only. A failure is kept until device_sync returns it; the first one counts. */
void device_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* From the caller's block (device_workspace); NULL, and a failure kept, when it does not fit. */
void *workspace_push(size_t bytes);
void workspace_pop(void *pointer);

/* GUARD=1 builds: kernels open the arenas while they run. KERNEL_SCOPE is the first line of every kernel. */
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
