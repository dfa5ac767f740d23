/* pipeline.h: leads a session's chunks from the network to the decoder to the function that shows them, in order.
   Overlapped, the decoder works in a thread and on a device stream of its own, so that a chunk is decoded while the
   network works on the next:

     network (calling thread)    | chunk 1 | chunk 2 | chunk 3 | chunk 4 |
     decoder (its own thread)              | chunk 1 | chunk 2 | chunk 3 |
     handed out                                      ^ 1       ^ 2       ^ 3

   At most SESSION_SLOTS chunks of latents lie between the two; then the network waits. A chunk is handed out as soon as
   it is decoded: it waits neither for the next chunk nor for that chunk's sound. The decoder's stream has the higher
   priority, so that a chunk's pictures do not queue up behind the next chunk's passes. Not overlapped, network and
   decoder take turns in the calling thread. Both ways give the same frames, bit for bit. If both threads fail, the
   first error counts. */
#ifndef INFER_PIPELINE_H
#define INFER_PIPELINE_H

#include "infer/session.h"

struct pipeline_chunk {
    const unsigned char *frames; /* [count, H, W, 3], valid during the call */
    int count;                   /* video frames of the chunk */
    double begun;                /* time at which the network began it (clock_seconds of base/progress.h) */
    double network, decoder;     /* seconds spent in each */
};
/* Takes a decoded chunk; in overlapped mode the decoder's thread calls it. Returns an error code. */
typedef int (*pipeline_sink)(void *user, const struct pipeline_chunk *chunk);

struct pipeline;
/* Plans a pipeline; plan NULL: does nothing. */
void pipeline_plan(const struct student_description *student, int overlapped, struct memory_plan *plan);
/* Opens the pipeline of a session, which must outlive it. plan: prints its memory; NULL: none is printed.
   In overlapped mode this thread's current stream becomes the network's until pipeline_close (the audio encoder uses it
   too). Do not wait on the default stream meanwhile: that waits for the decoder as well. */
int pipeline_open(struct pipeline **pipeline, struct session *session, int overlapped, pipeline_sink take, void *user,
                  struct memory_plan *plan);
/* Streams silence from a grey picture, without handing it out, until all plans and recordings are made that a stream
   can want, so that the first real chunk is as fast as any other. Call session_begin after it; the frames of the
   session are those that it has without a rehearsal. */
int pipeline_rehearse(struct pipeline *pipeline);
/* Lets frames be decoded into this memory of the caller's [session_chunk_frames, H, W, 3] instead of the pipeline's
   own. Call before the first chunk; the memory must outlive the pipeline. */
void pipeline_decode_into(struct pipeline *pipeline, unsigned char *frames);
/* Runs the next chunk's network and passes its latents on. Call only when session_ready says so. */
int pipeline_run(struct pipeline *pipeline);
/* Waits until all chunks are handed out. */
int pipeline_finish(struct pipeline *pipeline);
/* Seconds in which network or decoder was at work; seconds in which both were. Call after pipeline_finish. */
double pipeline_busy(const struct pipeline *pipeline);
double pipeline_both(const struct pipeline *pipeline);
void pipeline_close(struct pipeline *pipeline); /* drops what has not been decoded yet; NULL is allowed */

#endif
