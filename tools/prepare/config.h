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

struct prepare_config {
    char source[FILE_PATH_MAX]; /* a folder, or "puppet" */
    char out[FILE_PATH_MAX];
    long seed;
    int height, width;
    char codec[32], codec_weights[FILE_PATH_MAX];
    int patch, channels; /* given for pca, found out for the others */
    double scale_power, motion_weight;
    int frames;   /* latent frames of a window */
    int pictures; /* 1: rows hold their true pictures */
    int stride;   /* video frames from one window's start to the next */
    struct audio_config audio;
    int audio_dim, tracks;
    char text[FILE_PATH_MAX],
        prompt[4096]; /* file of embeddings, or ""; the prompt of clips without one of their own */
    int text_len, text_dim;
    int mask; /* enum prepare_mask */
    struct video_crop crop;
    struct picture_variation vary; /* of training clips */
    int copies;                    /* of a folder's training clip, each with a view of its own */
    double box_size;               /* height of the window over that of the face's box */
    double shot_threshold;         /* percent; 0: clips are not split at cuts */
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
static inline int prepare_window(const struct prepare_config *config) { return (int)video_frames(config->frames); }

#endif
