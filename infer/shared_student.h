/* shared_student.h: a student in memory for any number of sessions (session.h): the weights, the text, the encoder of
   sound, the codec, and the memory that chunks are worked out in. The sessions take turns with that memory, a chunk
   at a time, in one thread. */
#ifndef INFER_SHARED_STUDENT_H
#define INFER_SHARED_STUDENT_H

#include <stdint.h>
#include <stdio.h>
#include "checkpoints/sound_encoder.h"
#include "checkpoints/student.h"

struct session_options {
    uint64_t seed;
    int sink; /* -1: as trained; else frames pinned (0: no sink); the ring takes over what the sink held, as far as the
                 cap on positions leaves room for it (rapr.h) */
    int direct; /* 0: the network's passes are recorded once and replayed, where the device does that; 1: never */
    int rapr;   /* -1: as trained; else enum rapr_mode */
    const char *decoder;       /* file of a decoder in the codec's place; NULL or "": as the student has it */
    const char *codec_weights; /* of a codec whose weights are in a file of their own; NULL: where the student says */
    const char *audio_weights; /* checkpoint of the audio encoder; NULL or "": where the student says they were */
    const char *text, *prompt; /* file of prompts' embeddings and the prompt meant; NULL: the student's own */
    /* Gives the codec in the place of one that the student opens here (codec_process.h); NULL: it is opened here. */
    int (*give_codec)(void *user, struct codec *codec);
    void *giver;
};
/* A student's description with what the options change in it. */
void session_options_apply(const struct session_options *options, struct student_description *description);
/* Chunks that may lie between network and decoder. */
enum { SESSION_SLOTS = 2 };
struct shared_student {
    struct student student;
    struct sound_encoder sound;
    int direct;          /* as the option */
    struct rollout work; /* no cache */
    struct arena buffers;
    /* device: the prompt; of the chunk in hand: windows, their features and masks */
    elem *text, *window[AUDIO_STREAMS];
    real *features, *mask, *slot[SESSION_SLOTS]; /* slot: a chunk's latents, from network to codec */
    void *workspace;
    size_t workspace_bytes;
};

/* Loads the student in `folder`. options->seed is not read. plan: where the memory plan is printed; NULL: nowhere. */
int shared_student_open(struct shared_student **shared, const char *folder, const struct session_options *options,
                        FILE *plan);
void shared_student_close(struct shared_student *shared); /* after its sessions; NULL is allowed */
/* The calling thread is the one that works in it from here on; the one that opened it is so at first. */
void shared_student_use(struct shared_student *shared);

/* Video frames of a chunk, and those that its windows reach over. */
int shared_student_chunk_frames(const struct shared_student *shared);
int shared_student_chunk_reach(const struct shared_student *shared);
long shared_student_latent_size(const struct shared_student *shared); /* numbers of a latent frame */

#endif
