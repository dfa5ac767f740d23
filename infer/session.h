/* session.h: a live avatar: sound in, video frames out, at constant memory, without end.
   Opened once for a student; begun with a reference picture; then sound is pushed as it comes and chunks are taken as
   soon as their sound is there. All buffers are host memory of the caller. Chunk i of C latent frames covers video
   frames 4 C (i-1) + 1 .. 4 C i; frame 0 is the reference. A chunk needs sound up to two video frames after its last,
   plus the audio encoder's own look-ahead.
   Threads: one session, one thread; but session_decode may be in a thread of its own (pipeline.h). Errors: error.h
   codes. */
#ifndef INFER_SESSION_H
#define INFER_SESSION_H

#include "infer/shared_student.h"

struct session;

/* Loads the student in `folder`, plans and allocates everything. plan: where the memory plan is printed; NULL:
   nowhere. */
int session_open(struct session **session, const char *folder, const struct session_options *options, FILE *plan);
/* One session of many: it has a cache, a codec's state, sound and random numbers of its own. The sessions of a student
   are used in one thread, a chunk at a time, in any order; the student outlives them. */
int session_open_shared(struct session **session, struct shared_student *shared, uint64_t seed, FILE *plan);
void session_close(struct session *session); /* NULL is allowed */
const struct student_description *session_student(const struct session *session);
/* The student's codec; encoding or decoding with it ends the stream: begin again. */
struct codec *session_codec(struct session *session);
int session_chunk_frames(const struct session *session); /* video frames a chunk: 4 C */

/* Seed of the noise from the next session_begin on, in place of the option's. */
void session_seed(struct session *session, uint64_t seed);
/* Starts over with a reference, planar [3, H, W] in [-1, 1]. first [H, W, 3]: what the codec makes of it (video frame
   0), a picture of 8 bits as all that a session shows. */
int session_begin(struct session *session, const float *reference, unsigned char *first);

/* The two parties' sound, 16 kHz mono, equally long; user NULL: nobody else speaks. talk, listen: the masks from the
   dialogue system, one value for each video frame that these samples complete; NULL: by voice activity. Returns the
   samples taken: fewer than given when a chunk must be taken first; negative: -(error code). */
long session_push(struct session *session, const float *agent, const float *user, long samples, const float *talk,
                  const float *listen);
/* The sound has ended: the chunks it began can be taken, with silence in place of what is missing. */
void session_end(struct session *session);
/* 1: a chunk can be taken. */
int session_ready(const struct session *session);
/* Takes the next chunk: frames [4 C, H, W, 3]. seconds [2], if not NULL: spent in the network, in the codec. */
int session_take(struct session *session, unsigned char *frames, double *seconds);
/* The same for measures, which ask for pixels that are not rounded yet: frames [4 C, 3, H, W] in [-1, 1]. Taken in
   either way, a stream goes on alike. */
int session_take_pixels(struct session *session, float *frames, double *seconds);
/* The two halves of session_take, for whoever decodes a chunk while the network works on the next: the network's
   latents into a slot, which stay on the device and are there when the call returns; their frames. Chunks are decoded
   in their order. The halves of different slots may run at the same time in two threads, on two streams. */
int session_generate(struct session *session, int slot);
int session_decode(struct session *session, int slot, unsigned char *frames);
/* Seconds of sound that go by before the first chunk can be taken: what is shown (the reference's frame and the chunk),
   and what is heard beyond it: the windows' look-ahead, the audio encoder's own in whole video frames. */
struct session_wait {
    double chunk, ahead, encoder_ahead;
};
struct session_wait session_wait(const struct session *session);
/* 1: where masks came from the voice, nothing of the agent's sound so far was loud enough to be heard. */
int session_unheard(const struct session *session);
/* Chunks of a clip until every kind of work that a stream does has been done (rollout_chunk_kinds). */
int session_chunk_kinds(const struct session *session);
/* How often passes ran as they are, were recorded, were replayed. */
struct recording_counts session_recordings(const struct session *session);

#endif
