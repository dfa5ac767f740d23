/* student_config.h: the description of an exported student, which its folder's config.json holds: networks, chunking,
   levels, codec and audio encoder (docs/formats.md). */
#ifndef CHECKPOINTS_STUDENT_CONFIG_H
#define CHECKPOINTS_STUDENT_CONFIG_H

#include "base/fileio.h"
#include "model/audio/recipe.h"
#include "model/codec/tiles.h"
#include "model/dit/rollout.h"

/* Name of the decoder's file in the folder of a student that has one. */
#define STUDENT_DECODER "decoder.safetensors"

struct student_description {
    struct dit_config dit;
    struct rollout_config rollout;
    char codec[32];
    char codec_weights[FILE_PATH_MAX],
        codec_checksum[24]; /* that file and its checksum, where a codec's weights have one of their own; else "" */
    struct codec_tiles codec_tiles; /* an autoencoder's; not in config.json: zeros after student_describe */
    char decoder[FILE_PATH_MAX];    /* file of a decoder in place of the codec's own; "": none */
    int pixel_height, pixel_width;
    char audio_encoder[32];
    char audio_recipe[AUDIO_RECIPE_TEXT]; /* the way from sound to features (model/audio/recipe.h) */
    char audio_weights[FILE_PATH_MAX];    /* path of the encoder's weights when the data were prepared; "": none */
    char stage[32];                       /* stage that made the weights: "ode_init", "distill", "refine" */
    long step;
    double idle; /* share of training video frames where nobody spoke (both masks 0); -1: not known */
};

/* Whether training has shown the student idle people: at least STUDENT_IDLE_LEAST of its frames had both masks at 0. */
#define STUDENT_IDLE_LEAST 0.05
int student_idles(const struct student_description *description);
/* Reads only the config.json of a student's folder. ERR_INPUT names the file and the key that is missing or out of
   range, or says that the file is not what was exported (export_sums.h). */
int student_describe(struct student_description *description, const char *folder);
/* Writes config.json, with sums over the other files of the folder. */
int student_config_write(const char *folder, const struct student_description *description);

#endif
