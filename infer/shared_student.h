/* shared_student.h: a student in memory for any number of sessions (session.h): the weights, the text, the audio
   encoder, the codec, and the working memory in which chunks are computed. The sessions take turns with that memory, a
   chunk at a time, in one thread. */
#ifndef INFER_SHARED_STUDENT_H
#define INFER_SHARED_STUDENT_H

#include <stdint.h>
#include "checkpoints/sound_encoder.h"
#include "checkpoints/student.h"

struct session_options {
    uint64_t seed;
    int sink;   /* latent frames that stay in the cache for good: -1 as trained, 0 none. The ring gets what the sink
                 loses, as far as the cap on positions leaves room for it (rapr.h) */
    int direct; /* 0: the network's passes are recorded once and replayed, where the device does that; 1: never */
    int rapr;   /* -1: as trained; else enum rapr_mode */
    const char *decoder;       /* file of a decoder in the codec's place; NULL or "": what the student has */
    const char *codec_weights; /* file of the weights of wan21 or wan22; NULL: the path that the student names */
    const char *audio_weights; /* checkpoint of the audio encoder; NULL or "": the path that the student names */
    int codec_tile;            /* side of an autoencoder's tiles in pixels (tiles.h); 0: none */
    enum kv_type cache_type;   /* what the KV cache keeps */
    long weights_mib;          /* device memory for the network's weights, in MiB; 0: all of them (network_weights.h) */
    const char *text, *prompt; /* file of prompts' embeddings and the prompt in it; NULL: the student's own */
    /* Gives the codec instead of one that is opened here (codec_process.h); NULL: it is opened here. */
    int (*give_codec)(void *user, struct codec *codec);
    void *giver;
};
/* Applies the options to a student's description. */
void session_options_apply(const struct session_options *options, struct student_description *description);
/* Number of chunks that may lie between network and decoder. */
enum { SESSION_SLOTS = 2 };
struct shared_student {
    char folder[FILE_PATH_MAX];
    struct student student;
    struct sound_encoder sound;
    int direct; /* see session_options, as cache_type */
    enum kv_type cache_type;
    struct rollout work; /* no cache */
    struct arena buffers;
    /* device memory: the prompt; the windows, features and masks of the chunk in work */
    const elem *text_used; /* the text whose keys and values lie in the working memory; NULL: not known */
    elem *text, *window[AUDIO_STREAMS];
    real *features, *mask, *slot[SESSION_SLOTS]; /* slot: a chunk's latents, from network to codec */
    void *workspace;
    size_t workspace_bytes;
};

/* Opens the student in `folder` in two steps. options->seed is not read. prepare reads the files' headers and plans all
   memory, without a device; load takes the memory and reads the weights. */
int shared_student_prepare(struct shared_student **shared, const char *folder, const struct session_options *options);
int shared_student_load(struct shared_student *shared, const char *folder);
/* Plans what all sessions share; between prepare and load. plan NULL: does nothing. */
int shared_student_plan(const struct shared_student *shared, struct memory_plan *plan);
/* All three: plan NULL: none is made. */
int shared_student_open(struct shared_student **shared, const char *folder, const struct session_options *options,
                        struct memory_plan *plan);
/* Reads a prompt, see session_find_prompt; "" is the default one. text: host [text_len, text_dim]. In any thread. */
int shared_student_prompt(const struct shared_student *shared, const char *prompt, float *text);
void shared_student_close(struct shared_student *shared); /* close its sessions first; NULL is allowed */
/* Makes the calling thread the one that works with it from here on; until then it is the one that opened it. */
void shared_student_use(struct shared_student *shared);

/* Video frames of a chunk; video frames that its audio windows reach over. */
int shared_student_chunk_frames(const struct shared_student *shared);
int shared_student_chunk_reach(const struct shared_student *shared);
long shared_student_latent_size(const struct shared_student *shared); /* numbers of a latent frame */

#endif
