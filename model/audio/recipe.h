/* recipe.h: how sound becomes features, as one line of text that data sets and exported students carry, so that
   training and streaming hear alike: "wav2vec2 version=1 weights=1a2b3c4d mode=stream states=1-12 resample=before ...".
   States: which of the encoder's hidden states make a video frame's feature, one after the other: a list of numbers,
   ranges and "last", as "last", "8", "1-12", "last,0-12"; "mean:" in front averages them ("mean:6-9"). */
#ifndef MODEL_AUDIO_RECIPE_H
#define MODEL_AUDIO_RECIPE_H

#include <stddef.h>

enum audio_mode { AUDIO_STREAM, AUDIO_WHOLE };
enum audio_resample { AUDIO_AFTER, AUDIO_BEFORE };
enum { AUDIO_RECIPE_TEXT = 320, AUDIO_RECIPE_VERSION = 1 };

struct audio_recipe {
    char encoder[32]; /* "logmel", "wav2vec2"; the rest is wav2vec2's */
    char weights[16]; /* checksum of weights and shape, eight digits; "" not known yet */
    char states[64];
    int mode;       /* enum audio_mode: window by window as the sound comes, or all of a clip at once */
    int resample;   /* enum audio_resample: to video frames after or before the transformer */
    int context;    /* streaming: video frames before a window that its transformer sees */
    int stride;     /* streaming: video frames of a window */
    int lookahead;  /* streaming: video frames after a window */
    double horizon; /* streaming: seconds over which statistics of the sound are kept */
    int normalise;  /* 1, 0; -1: as the checkpoint says */
};
/* The defaults of an encoder. */
struct audio_recipe audio_recipe_default(const char *encoder);
/* ERR_USAGE: a value that cannot be. */
int audio_recipe_check(const struct audio_recipe *recipe);
void audio_recipe_print(const struct audio_recipe *recipe, char text[AUDIO_RECIPE_TEXT]);
/* ERR_INPUT: not such a line, or of a later version. */
int audio_recipe_parse(struct audio_recipe *recipe, const char *text);

/* The list of states for an encoder of so many layers; state [max]. ERR_USAGE says what cannot be. */
int audio_states(const char *text, int layers, int *state, int max, int *count, int *mean);
/* Hidden states [count][rows, dim] as features [rows, count dim] or, averaged, [rows, dim]. Host. */
void audio_join_states(float *features, const float *states, int count, int mean, long rows, long dim);

#endif
