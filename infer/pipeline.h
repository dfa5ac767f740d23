/* pipeline.h: a session's chunks from the network to the decoder to whoever shows them, one chunk behind the other.
   Overlapped, the decoder works in a thread and on a device stream of its own, so that a chunk is decoded while the
   network works on the next. A chunk is handed out as soon as it is decoded: it waits neither for the next chunk nor
   for its sound. The decoder's stream is the urgent one of the two, so that a chunk's pictures do not queue up behind
   the next chunk's passes. Without, network and decoder take turns in the calling thread. Either way the same frames to
   the bit, in order. Two chunks of latents at most lie between the two. Errors: the first one counts, whichever thread
   met it. */
#ifndef INFER_PIPELINE_H
#define INFER_PIPELINE_H

#include "infer/session.h"

struct pipeline_chunk {
    const unsigned char *frames; /* session_chunk_frames of them [H, W, 3], valid during the call */
    double begun;                /* when the network began it (base/progress.h: clock_seconds) */
    double network, decoder;     /* seconds spent in each */
};
/* Takes a decoded chunk; overlapped it runs in the decoder's thread. Returns an error code. */
typedef int (*pipeline_sink)(void *user, const struct pipeline_chunk *chunk);

struct pipeline;
/* plan: where the memory plan is printed; NULL: nowhere. The session outlives the pipeline. Overlapped, the network's
   stream is the calling thread's current one until pipeline_close, for the sound's encoder too: whoever waits on the
   default stream waits for the decoder. */
int pipeline_open(struct pipeline **pipeline, struct session *session, int overlapped, pipeline_sink take, void *user,
                  FILE *plan);
/* Streams silence behind a grey picture, and shows it to nobody, until all plans and recordings are made that a stream
   can want: its first chunk is then as fast as any other. The session must be begun behind it; its frames are the
   same. */
int pipeline_rehearse(struct pipeline *pipeline);
/* Before the first chunk: frames are decoded into this memory of the caller's [session_chunk_frames, H, W, 3], which
   outlives the pipeline, in place of the pipeline's own. */
void pipeline_decode_into(struct pipeline *pipeline, unsigned char *frames);
/* After session_ready: runs the next chunk's network and passes it on. */
int pipeline_run(struct pipeline *pipeline);
/* Waits until all chunks are handed out. */
int pipeline_finish(struct pipeline *pipeline);
/* Seconds in which network or decoder, or both, were at work; in which both were; after pipeline_finish. */
double pipeline_busy(const struct pipeline *pipeline);
double pipeline_both(const struct pipeline *pipeline);
void pipeline_close(struct pipeline *pipeline); /* drops what has not been decoded yet; NULL is allowed */

#endif
