/* session.h: a live avatar: sound goes in, video frames come out, at constant memory and without end.
   A session is opened once for a student and begun with a reference picture; then sound is pushed as it comes, and
   chunks are taken as soon as their sound is there. All buffers are host memory of the caller. Frame 0 is the
   reference; chunk i (from 1) of C latent frames covers the video frames 4 C (i-1) + 1 .. 4 C i. A student whose first
   chunk is shorter (causal.first_chunk = P) has 4 P video frames there, and all later ones come so much earlier. A
   chunk needs sound up to
   the student's look-ahead beyond its last (causal.audio_lookahead, two video frames unless it was trained with less),
   plus the audio encoder's own.
   A session is used in one thread; only session_decode may run in another (pipeline.h). Functions return the error
   codes of base/error.h. */
#ifndef INFER_SESSION_H
#define INFER_SESSION_H

#include "infer/shared_student.h"

struct session;

/* Loads the student in `folder`, plans and allocates everything. plan: prints the memory; NULL: none is printed. */
int session_open(struct session **session, const char *folder, const struct session_options *options,
                 struct memory_plan *plan);
/* Opens one session of many on a shared student: it has a cache, a codec's state, sound and random numbers of its own.
   All sessions of a student are used in one thread, a chunk at a time, in any order; the student must outlive them. */
int session_open_shared(struct session **session, struct shared_student *shared, uint64_t seed,
                        struct memory_plan *plan);
/* Plans a session alone: cache, a stream of the codec's decoder, the audio encoder's streams. The student is prepared
   or loaded. plan NULL: does nothing. */
int session_plan(const struct shared_student *shared, struct memory_plan *plan);
void session_close(struct session *session); /* NULL is allowed */
const struct student_description *session_student(const struct session *session);
/* The student's codec; encoding or decoding with it ends the stream: begin again. */
struct codec *session_codec(struct session *session);
int session_chunk_frames(const struct session *session); /* video frames of a chunk, the largest: 4 C */
/* Video frames of the chunk that is generated next: 4 C, or fewer if it is the first. */
int session_next_frames(const struct session *session);

/* Seed of the noise from the next session_begin on, in place of the option's. */
void session_seed(struct session *session, uint64_t seed);
/* Starts a new video from a reference, planar [3, H, W] in [-1, 1]. first [H, W, 3] receives video frame 0: the
   reference as the codec encodes and decodes it, in 8 bits like all that a session shows. */
int session_begin(struct session *session, const float *reference, unsigned char *first);

/* Changes while streaming. Each takes effect with the chunk that is generated next, and stays; the calls may come at
   any time between chunks, also before the first one. The same changes before the same chunks give the same frames.

   Reference: the look changes without a restart; no frame is added. The picture is encoded and run like a first one;
   its keys and values take the place of the old reference's in the sink, at position 0, as if the stream had begun with
   it, and the rest of the cache stays, so that the motion goes on (docs/design.md, section 7, has what was tried). The
   decoder begins anew with the new picture, which is not shown itself. The picture that is there already changes no
   bit. Nothing may be between network and decoder (pipeline_finish). Host memory
   of a picture and a latent is held until that chunk is decoded. ERR_USAGE: the student has no sink.
   Prompt: text [text_len, text_dim], host; the cache keeps the past as it was.
   Guidance: how strongly the agent's and the user's sound act, as rollout_guide defines it; 1 and 1: as trained.
   Another
   strength than 1 takes one or two more passes a step, and so up to three times as long. ERR_INPUT: outside 0 to
   SESSION_GUIDANCE_MAX. */
enum { SESSION_GUIDANCE_MAX = 5 };
int session_set_reference(struct session *session, const float *reference);
/* Reads a prompt that can be set: a text or name of the student's file of prompts (or of the option `text`). ERR_INPUT
   lists those that there are. In any thread. */
int session_find_prompt(const struct session *session, const char *prompt, float *text);
void session_set_prompt(struct session *session, const float *text);
int session_set_guidance(struct session *session, double talk, double listen);
/* Takes prompt and guidance back to what the student has. session_begin leaves them as they are. */
void session_as_trained(struct session *session);

/* Pushes the two parties' sound, 16 kHz mono, equally long; user NULL: nobody else speaks. talk, listen: the masks from
   the dialogue system, one value for each video frame that these samples complete; NULL: voice activity decides.
   Returns the samples taken, which are fewer than given when a chunk must be taken first; negative: -(error code). */
long session_push(struct session *session, const float *agent, const float *user, long samples, const float *talk,
                  const float *listen);
/* Says that the sound has ended: every chunk that it reaches into can be taken, with silence in place of what is
   missing. */
void session_end(struct session *session);
/* 1: a chunk can be taken. */
int session_ready(const struct session *session);
/* Takes the next chunk: frames [n, H, W, 3], n as session_next_frames said. seconds [2], if not NULL, receives the
   times of network and codec. */
int session_take(struct session *session, unsigned char *frames, double *seconds);
/* The same for measures, which need pixels that are not rounded yet: frames [.., 3, H, W] in [-1, 1]. The stream goes
   on in the same way after either. */
int session_take_pixels(struct session *session, float *frames, double *seconds);
/* The two halves of session_take, for callers that decode a chunk while the network works on the next. session_generate
   puts the network's latents into a slot, where they stay on the device; they are complete when it returns.
   session_decode makes frames of a slot; chunks must be decoded in their order. On different slots the two may run at
   the same time, in two threads and on two streams. */
int session_generate(struct session *session, int slot);
int session_decode(struct session *session, int slot, unsigned char *frames);
/* Seconds of sound that must pass before the first chunk can be taken, by cause. chunk: the frames that are shown (the
   reference's and the chunk's); ahead: the windows' look-ahead; encoder_ahead: the audio encoder's own, in whole video
   frames. */
struct session_wait {
    double chunk, ahead, encoder_ahead;
};
struct session_wait session_wait(const struct session *session);
/* 1: voice activity decides about masks, and nothing of the agent's sound so far was loud enough for it. */
int session_unheard(const struct session *session);
/* Number of chunks after which every kind of work that a stream does has been done once (rollout_chunk_kinds). */
int session_chunk_kinds(const struct session *session);
/* Counts how many passes ran directly, were recorded, and were replayed. */
struct recording_counts session_recordings(const struct session *session);

#endif
