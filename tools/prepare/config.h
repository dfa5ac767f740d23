/* config.h: the config of the program prepare. */
#ifndef TOOLS_PREPARE_CONFIG_H
#define TOOLS_PREPARE_CONFIG_H

#include "base/config.h"
#include "base/fileio.h"
#include "base/media_rates.h"
#include "data/media.h"
#include "data/picture_view.h"
#include "tools/audio_config.h"

enum prepare_mask { MASK_AUTO, MASK_VAD, MASK_SIDECAR };
enum prepare_held_out_by { HELD_OUT_BY_CLIP, HELD_OUT_BY_FOLDER };

struct prepare_config {
    char source[FILE_PATH_MAX]; /* a folder, or "puppet" */
    char out[FILE_PATH_MAX];
    long seed;
    int height, width;
    char codec[32], codec_weights[FILE_PATH_MAX];
    int patch, channels; /* config's for pca; the other codecs' own */
    double scale_power, motion_weight;
    int frames;   /* latent frames of a window */
    int pictures; /* 1: the data set keeps the windows' true pictures */
    int stride;   /* video frames from one window's start to the next */
    struct audio_config audio;
    int audio_dim, tracks;
    char text[FILE_PATH_MAX]; /* file of embeddings; "": none */
    char prompt[4096];        /* prompt of clips that have none of their own */
    int text_len, text_dim;
    int mask; /* enum prepare_mask */
    struct video_crop crop;
    struct picture_variation vary; /* amounts by which training clips are varied */
    double plain;                  /* share of the training clips, 0 .. 1, that are not varied */
    int copies;                    /* how often a folder's training clip is taken, each time with its own view */
    double box_size;               /* height of the window over that of the face's box */
    double shot_threshold;         /* percent; 0: clips are not split at cuts */
    int held_out, held_out_by;     /* number of clips; enum prepare_held_out_by */
    int workers, fit_clips;
    long fit_patches;
    double patience;                /* seconds that a worker may be silent */
    int first_reference;            /* 1: every window's first latent shows its shot's first picture */
    char codec_from[FILE_PATH_MAX]; /* a data set whose codec is taken; "": it is fitted here */
    int puppet_world;               /* enum puppet_world */
    char puppet_spoil[32];          /* list of what is spoiled (data/puppet_spoil.h) */
    int puppet_identities, puppet_dialogues, puppet_held_out;
    double puppet_seconds;
};
extern const struct config_field prepare_fields[];
extern const int prepare_field_count;
/* Reads the config and checks keys against each other. ERR_USAGE: the text names the key. */
int prepare_config_load(struct prepare_config *config, const char *path, const char *const *overrides, int count);
static inline int prepare_window(const struct prepare_config *config) { return (int)video_frames(config->frames); }

#endif
