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
             "Hidden states of wav2vec2 that make a feature: last, a layer (8), several (1-12 or last,0-12) or their " \
             "mean (mean:6-9)."),                                                                                      \
        CHOICE("audio_resample", audio.recipe.resample, audio_config_resamples, "after",                               \
               "Where wav2vec2's features take the rate of the pictures: after or before its transformer."),           \
        CHOICE(                                                                                                        \
            "audio_mode", audio.recipe.mode, audio_config_modes, way,                                                  \
            "How wav2vec2 hears the sound. stream: window by window, as in a live stream; whole: the clip at once."),  \
        INT("audio_context", audio.recipe.context, 0, 2500, "100",                                                     \
            "Pictures before a window whose sound wav2vec2 hears with it (audio_mode stream)."),                       \
        INT("audio_stride", audio.recipe.stride, 1, 250, "12",                                                         \
            "Pictures of a window of wav2vec2 (audio_mode stream): as many as a chunk has, or a divisor of that."),    \
        INT("audio_encoder_lookahead", audio.recipe.lookahead, 0, 50, "2",                                             \
            "Pictures after a window whose sound wav2vec2 hears with it (audio_mode stream); they delay a live "       \
            "stream."),                                                                                                \
        REAL("audio_horizon", audio.recipe.horizon, 1, 1000000, "30",                                                  \
             "Seconds that the statistics of the sound reach back (wav2vec2, audio_mode stream)."),                    \
        INT("audio_normalise", audio.recipe.normalise, -1, 1, "-1",                                                    \
            "Whether wav2vec2 gets the sound at mean 0 and deviation 1: 1 yes, 0 no, -1 as the checkpoint says.")

#endif
