/* audio_config.h: the config keys that say how sound becomes features (model/audio/recipe.h), for the programs that
   make features: rows of a table of struct config_field for a struct that has struct audio_config `audio`. */
#ifndef TOOLS_AUDIO_CONFIG_H
#define TOOLS_AUDIO_CONFIG_H

#include "base/config.h"
#include "base/fileio.h"
#include "model/audio/recipe.h"

struct audio_config {
    struct audio_recipe recipe;
    char weights[FILE_PATH_MAX];
};
extern const char *const audio_config_modes[], *const audio_config_resamples[];

#define AUDIO_CONFIG_FIELDS(standard, way)                                                                             \
    TEXT("audio_encoder", audio.recipe.encoder, standard, "features of the sound: logmel or wav2vec2"),                \
        TEXT("audio_weights", audio.weights, "''", "wav2vec2: checkpoint, a safetensors file or its folder"),          \
        TEXT("audio_states", audio.recipe.states, "last",                                                              \
             "wav2vec2: hidden states of a feature: last, 8, 1-12, last,0-12 or mean:6-9"),                            \
        CHOICE("audio_resample", audio.recipe.resample, audio_config_resamples, "after",                               \
               "wav2vec2: to the rate of the pictures after or before the transformer"),                               \
        CHOICE("audio_mode", audio.recipe.mode, audio_config_modes, way,                                               \
               "wav2vec2: window by window, as a live student hears, or the whole clip at once"),                      \
        INT("audio_context", audio.recipe.context, 0, 2500, "100", "wav2vec2, stream: pictures before a window"),      \
        INT("audio_stride", audio.recipe.stride, 1, 250, "12",                                                         \
            "wav2vec2, stream: pictures of a window; those of a chunk, or a divisor"),                                 \
        INT("audio_lookahead", audio.recipe.lookahead, 0, 50, "2", "wav2vec2, stream: pictures after a window"),       \
        REAL("audio_horizon", audio.recipe.horizon, 1, 1000000, "30",                                                  \
             "wav2vec2, stream: seconds that statistics of the sound reach back"),                                     \
        INT("audio_normalise", audio.recipe.normalise, -1, 1, "-1",                                                    \
            "wav2vec2: sound to mean 0, deviation 1: 1, 0, or -1 as the checkpoint says")

#endif
