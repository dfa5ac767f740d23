/* audio_config.h: the config keys that say how sound becomes features (model/audio/recipe.h), for the programs that make
   features: rows of a table of struct config_field for a struct that has struct audio_config `audio`. */
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

#define AUDIO_TEXT(owner, key, member, fallback, help)                                                                 \
    {                                                                                                                  \
        key, CONFIG_STRING, offsetof(owner, audio.member), 0, 0, fallback, NULL, sizeof(((owner *)0)->audio.member),   \
            0, help                                                                                                    \
    }
#define AUDIO_INT(owner, key, member, low, high, fallback, help)                                                       \
    { key, CONFIG_INT, offsetof(owner, audio.recipe.member), low, high, fallback, NULL, 0, 0, help }
#define AUDIO_CHOICE(owner, key, member, names, fallback, help)                                                        \
    { key, CONFIG_CHOICE, offsetof(owner, audio.recipe.member), 0, 0, fallback, names, 0, 0, help }
#define AUDIO_CONFIG_FIELDS(owner, standard, way)                                                                      \
    AUDIO_TEXT(owner, "audio_encoder", recipe.encoder, standard, "features of the sound: logmel or wav2vec2"),         \
        AUDIO_TEXT(owner, "audio_weights", weights, "''", "wav2vec2: checkpoint, a safetensors file or its folder"),   \
        AUDIO_TEXT(owner, "audio_states", recipe.states, "last",                                                       \
                   "wav2vec2: hidden states of a feature: last, 8, 1-12, last,0-12 or mean:6-9"),                      \
        AUDIO_CHOICE(owner, "audio_resample", resample, audio_config_resamples, "after",                               \
                     "wav2vec2: to the rate of the pictures after or before the transformer"),                         \
        AUDIO_CHOICE(owner, "audio_mode", mode, audio_config_modes, way,                                               \
                     "wav2vec2: window by window, as a live student hears, or the whole clip at once"),                \
        AUDIO_INT(owner, "audio_context", context, 0, 2500, "100", "wav2vec2, stream: pictures before a window"),      \
        AUDIO_INT(owner, "audio_stride", stride, 1, 250, "12",                                                         \
                  "wav2vec2, stream: pictures of a window; those of a chunk, or a divisor"),                           \
        AUDIO_INT(owner, "audio_lookahead", lookahead, 0, 50, "2", "wav2vec2, stream: pictures after a window"),       \
        {"audio_horizon",                                                                                              \
         CONFIG_REAL,                                                                                                  \
         offsetof(owner, audio.recipe.horizon),                                                                        \
         1,                                                                                                            \
         1000000,                                                                                                      \
         "30",                                                                                                         \
         NULL,                                                                                                         \
         0,                                                                                                            \
         0,                                                                                                            \
         "wav2vec2, stream: seconds that statistics of the sound reach back"},                                         \
        AUDIO_INT(owner, "audio_normalise", normalise, -1, 1, "-1",                                                    \
                  "wav2vec2: sound to mean 0, deviation 1: 1, 0, or -1 as the checkpoint says")

#endif
