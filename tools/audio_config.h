/* audio_config.h: the config keys that say how sound becomes features (model/audio/recipe.h), for the programs that
   make features. AUDIO_CONFIG_FIELDS is rows for a table of keys whose struct has a member struct audio_config
   `audio`; standard, way: defaults of audio_encoder and audio_mode. */
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
    TEXT("audio_encoder", audio.recipe.encoder, standard,                                                              \
         "Features that stand for the sound: logmel, or wav2vec2, which needs audio_weights."),                        \
        TEXT("audio_weights", audio.weights, "''", "Checkpoint of wav2vec2: a safetensors file or its folder."),       \
        TEXT("audio_states", audio.recipe.states, "last",                                                              \
             "wav2vec2: hidden states that make a feature: last, a layer (8), several (1-12 or last,0-12) or their "   \
             "mean (mean:6-9)."),                                                                                      \
        CHOICE("audio_resample", audio.recipe.resample, audio_config_resamples, "after",                               \
               "wav2vec2: where features take the rate of the pictures: after or before the transformer."),            \
        CHOICE("audio_mode", audio.recipe.mode, audio_config_modes, way,                                               \
               "wav2vec2: how the sound is heard. stream: window by window, as in a live stream; whole: the clip at "  \
               "once."),                                                                                               \
        INT("audio_context", audio.recipe.context, 0, 2500, "100",                                                     \
            "wav2vec2, stream: pictures before a window whose sound is heard with it."),                               \
        INT("audio_stride", audio.recipe.stride, 1, 250, "12",                                                         \
            "wav2vec2, stream: pictures of a window: as many as a chunk has, or a divisor of that."),                  \
        INT("audio_lookahead", audio.recipe.lookahead, 0, 50, "2",                                                     \
            "wav2vec2, stream: pictures after a window whose sound is heard with it; they delay a live stream."),      \
        REAL("audio_horizon", audio.recipe.horizon, 1, 1000000, "30",                                                  \
             "wav2vec2, stream: seconds that the statistics of the sound reach back."),                                \
        INT("audio_normalise", audio.recipe.normalise, -1, 1, "-1",                                                    \
            "wav2vec2: whether the sound is brought to mean 0 and deviation 1: 1 yes, 0 no, -1 as the checkpoint "     \
            "says.")

#endif
