/* recipe.h: how sound becomes features, as one line of text that data sets and exported students carry, so that
   training and streaming compute the same features: "wav2vec2 version=1 weights=1a2b3c4d mode=stream states=1-12
   resample=before ...". States name the hidden states of the encoder that are joined to make a video frame's feature: a
   list of numbers, ranges and "last", as "last", "8", "1-12", "last,0-12"; "mean:" in front averages them
   ("mean:6-9"). */
#ifndef MODEL_AUDIO_RECIPE_H
#define MODEL_AUDIO_RECIPE_H

#include <stddef.h>

enum audio_mode { AUDIO_STREAM, AUDIO_WHOLE };
enum audio_resample { AUDIO_AFTER, AUDIO_BEFORE };
enum { AUDIO_RECIPE_TEXT = 320, AUDIO_RECIPE_VERSION = 1 };

struct audio_recipe {
    char encoder[32]; /* "logmel" or "wav2vec2"; the other fields are for wav2vec2 only */
    char weights[16]; /* checksum of weights and shape, eight digits; "": not known yet */
    char states[64];
    int mode;       /* enum audio_mode: window by window as the sound comes, or a whole clip at once */
    int resample;   /* enum audio_resample: whether rows become video frames before or after the transformer */
    int context;    /* streaming: video frames before a window that its transformer sees */
    int stride;     /* streaming: video frames of a window */
    int lookahead;  /* streaming: video frames after a window */
    double horizon; /* streaming: seconds over which statistics of the sound are kept */
    int normalise;  /* 1 or 0: whether the signal is normalised; -1: as the checkpoint says */
};
/* Returns an encoder's default recipe. */
struct audio_recipe audio_recipe_default(const char *encoder);
/* ERR_USAGE names a value that is out of range. */
int audio_recipe_check(const struct audio_recipe *recipe);
void audio_recipe_print(const struct audio_recipe *recipe, char text[AUDIO_RECIPE_TEXT]);
/* Reads a recipe's line. ERR_INPUT: it is no such line, or one of a later version. */
int audio_recipe_parse(struct audio_recipe *recipe, const char *text);

/* Reads a list of states for an encoder of `layers` layers into state [max]. ERR_USAGE says what is wrong with it. */
int audio_states(const char *text, int layers, int *state, int max, int *count, int *mean);
/* Joins hidden states [count][rows, dim] to features [rows, count dim], or, averaged, [rows, dim]. Host memory. */
void audio_join_states(float *features, const float *states, int count, int mean, long rows, long dim);

#endif
