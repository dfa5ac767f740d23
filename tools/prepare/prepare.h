/* prepare.h: what the parts of the program prepare share: its config, the list of clips, and a clip cut into windows. */
#ifndef TOOLS_PREPARE_PREPARE_H
#define TOOLS_PREPARE_PREPARE_H

#include <stdint.h>
#include "base/config.h"
#include "data/dataset.h"
#include "data/media.h"
#include "checkpoints/sound_encoder.h"
#include "tools/audio_config.h"

enum prepare_mask { MASK_AUTO, MASK_VAD, MASK_SIDECAR };

struct prepare_config {
    char source[768]; /* a folder, or "puppet" */
    char out[768];
    long seed;
    int height, width;
    char codec[32], codec_weights[768];
    int patch, channels; /* given for pca, found out for the others */
    double scale_power, motion_weight;
    int frames; /* latent frames of a window */
    int stride; /* video frames from one window's start to the next */
    struct audio_config audio;
    int audio_dim, tracks;
    char text[768], prompt[4096]; /* file of embeddings, or ""; the prompt of clips without one of their own */
    int text_len, text_dim;
    int mask; /* enum prepare_mask */
    struct video_crop crop;
    int held_out, workers, fit_clips;
    long fit_patches;
    double patience; /* seconds that a worker may be silent */
    int puppet_identities, puppet_dialogues, puppet_held_out;
    double puppet_seconds;
};
extern const struct config_field prepare_fields[];
extern const int prepare_field_count;
/* Reads the config and checks what one field alone does not tell. */
int prepare_config_load(struct prepare_config *config, const char *path, const char *const *overrides, int count);
static inline int prepare_window(const struct prepare_config *config) { return 1 + 4 * (config->frames - 1); }

/* One clip of the source. */
struct clip_entry {
    char *path;              /* of a video, relative to the source; of a dialogue, how reports call it */
    int identity, utterance; /* a video's: number of its folder, number of the clip */
    int split;               /* enum dataset_split */
    uint64_t size, changed;  /* of the file, to tell whether it is the same at a restart */
};
struct clip_list {
    struct clip_entry *entries; /* sorted by path; dialogues by number */
    int count, held_out;
    int ignored; /* files in the folder that are no videos by their names */
};
/* The videos below a folder, or the dialogues of the puppet, with their split. ERR_INPUT: no folder, nothing in it. */
int clip_list_open(struct clip_list *list, const struct prepare_config *config);
void clip_list_close(struct clip_list *list);

/* A clip being read: frames one after the other, masks and sound of all of it. Sound and masks that end before the picture
   go on as silence. */
struct clip_source;
/* sound: makes the features; NULL: none are wanted, clip_conditions must not be called. `beat` is called now and then.
   ERR_INPUT says why the clip is no good. */
int clip_open(struct clip_source **source, const struct prepare_config *config, const struct clip_entry *entry,
              struct sound_encoder *sound, void (*beat)(void *), void *user);
int clip_frame(struct clip_source *source, float *pixels); /* 1, 0 the end, negative: -(error code) */
/* Audio features and masks of video frames first .. first+T-1: audio [A, T, D], talk [T], listen [T]. */
void clip_conditions(const struct clip_source *source, long first, int T, float *audio, float *talk, float *listen);
void clip_close(struct clip_source *source);
/* Video frames' worth of sound. */
long clip_sound_frames(const struct clip_source *source);

/* A clip's windows in a file of their own, until all are gathered. */
struct piece_head {
    char magic[8];
    int32_t rows, row_floats;
    double seconds;
    double talk;   /* share of talking frames, summed over the rows */
    double square; /* squared codec error, summed over .. */
    double pixels; /* .. so many values */
};
/* Reads a clip, encodes its windows and writes the piece. *rejected is set when the error is the clip's own fault. `beat`
   is called for every frame. */
int prepare_clip(const struct prepare_config *config, const struct clip_entry *entry, struct codec *codec,
                 struct sound_encoder *sound, const char *piece, struct piece_head *head, int *rejected,
                 void (*beat)(void *), void *user);
/* ERR_INPUT when the piece is not there or not whole. */
int piece_open(const char *path, const struct prepare_config *config, FILE **file, struct piece_head *head);
/* Floats of one row: latents, audio, talk, listen. */
size_t piece_row_floats(const struct prepare_config *config);

/* Groups of four frames for the fit of the codec, 8 bits a value, from the start of a clip: at most `groups`. Every
   config->frames-th is one frame four times, as a window's first latent sees it. */
int prepare_sample(const struct prepare_config *config, const struct clip_entry *entry, int groups, const char *piece,
                   int *rejected, void (*beat)(void *), void *user);

#endif
