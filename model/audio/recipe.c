/* recipe.c: see recipe.h. */
#include "model/audio/recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"

static const char *const modes[] = {"stream", "whole"};
static const char *const resamples[] = {"after", "before"};

struct audio_recipe audio_recipe_default(const char *encoder) {
    struct audio_recipe recipe = {.states = "last",
                                  .mode = AUDIO_STREAM,
                                  .resample = AUDIO_AFTER,
                                  .context = 100,
                                  .stride = 12,
                                  .lookahead = 2,
                                  .horizon = 30,
                                  .normalise = -1};
    snprintf(recipe.encoder, sizeof recipe.encoder, "%s", encoder);
    return recipe;
}

int audio_recipe_check(const struct audio_recipe *r) {
    const struct {
        const char *name;
        double value, min, max;
    } numbers[] = {{"context", r->context, 0, 2500},
                   {"stride", r->stride, 1, 250},
                   {"lookahead", r->lookahead, 0, 50},
                   {"horizon", r->horizon, 1, 1000000},
                   {"normalise", r->normalise, -1, 1}};
    if (r->mode != AUDIO_STREAM && r->mode != AUDIO_WHOLE) return error_set(ERR_USAGE, "audio recipe: mode");
    if (r->resample != AUDIO_AFTER && r->resample != AUDIO_BEFORE)
        return error_set(ERR_USAGE, "audio recipe: resample");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!(numbers[i].value >= numbers[i].min && numbers[i].value <= numbers[i].max))
            return error_set(ERR_USAGE, "audio recipe: %s: expected %g to %g, not %g", numbers[i].name, numbers[i].min,
                             numbers[i].max, numbers[i].value);
    return OK;
}

void audio_recipe_print(const struct audio_recipe *r, char text[AUDIO_RECIPE_TEXT]) {
    int n = snprintf(text, AUDIO_RECIPE_TEXT, "%s version=%d", r->encoder, AUDIO_RECIPE_VERSION);
    if (strcmp(r->encoder, "wav2vec2")) return;
    n += snprintf(text + n, AUDIO_RECIPE_TEXT - (size_t)n, " weights=%s normalise=%d states=%s resample=%s mode=%s",
                  r->weights, r->normalise, r->states, resamples[r->resample], modes[r->mode]);
    if (r->mode == AUDIO_STREAM)
        snprintf(text + n, AUDIO_RECIPE_TEXT - (size_t)n, " context=%d stride=%d lookahead=%d horizon=%.9g", r->context,
                 r->stride, r->lookahead, r->horizon);
}

static int choice(const char *const *names, const char *value, int *out) {
    for (int i = 0; i < 2; i++)
        if (!strcmp(names[i], value)) return *out = i, 1;
    return 0;
}

static int number(const char *value, int *out) {
    char *end;
    long n = strtol(value, &end, 10);
    if (end == value || *end || n < -1 || n > 1000000) return 0;
    *out = (int)n;
    return 1;
}

static int take(struct audio_recipe *r, const char *key, const char *value) {
    char *end;
    int version;
    if (!strcmp(key, "version")) return number(value, &version) && version == AUDIO_RECIPE_VERSION;
    if (!strcmp(key, "weights")) return snprintf(r->weights, sizeof r->weights, "%s", value) < (int)sizeof r->weights;
    if (!strcmp(key, "states")) return snprintf(r->states, sizeof r->states, "%s", value) < (int)sizeof r->states;
    if (!strcmp(key, "mode")) return choice(modes, value, &r->mode);
    if (!strcmp(key, "resample")) return choice(resamples, value, &r->resample);
    if (!strcmp(key, "context")) return number(value, &r->context);
    if (!strcmp(key, "stride")) return number(value, &r->stride);
    if (!strcmp(key, "lookahead")) return number(value, &r->lookahead);
    if (!strcmp(key, "normalise")) return number(value, &r->normalise);
    if (!strcmp(key, "horizon")) return r->horizon = strtod(value, &end), end != value && !*end;
    return 0;
}

int audio_recipe_parse(struct audio_recipe *recipe, const char *text) {
    char copy[AUDIO_RECIPE_TEXT];
    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
        return error_set(ERR_INPUT, "audio recipe: too long");
    char *rest = copy, *word = strsep(&rest, " ");
    if (!*word || strlen(word) >= sizeof recipe->encoder) return error_set(ERR_INPUT, "audio recipe: names no encoder");
    *recipe = audio_recipe_default(word);
    while ((word = strsep(&rest, " "))) {
        char *value = strchr(word, '=');
        if (value) *value++ = 0;
        if (!value || !take(recipe, word, value))
            return error_set(ERR_INPUT, "audio recipe: %.60s%s%.60s is not known here", word, value ? "=" : "",
                             value ? value : "");
    }
    return audio_recipe_check(recipe) ? ERR_INPUT : OK;
}

/* Reads a number or "last" at *at and moves *at behind it. */
static int one_state(const char **at, int layers, int *state) {
    if (!strncmp(*at, "last", 4)) {
        *at += 4;
        *state = layers;
        return 1;
    }
    char *end;
    if (**at < '0' || **at > '9') return 0;
    long n = strtol(*at, &end, 10);
    *at = end;
    if (n < 0 || n > layers) return 0;
    *state = (int)n;
    return 1;
}

int audio_states(const char *text, int layers, int *state, int max, int *count, int *mean) {
    const char *at = text;
    *mean = !strncmp(at, "mean:", 5);
    if (*mean) at += 5;
    *count = 0;
    for (;;) {
        int first, last;
        if (!one_state(&at, layers, &first)) break;
        last = first;
        if (*at == '-' && (at++, !one_state(&at, layers, &last))) break;
        if (last < first || *count + last - first + 1 > max) break;
        for (int s = first; s <= last; s++) state[(*count)++] = s;
        if (!*at) return OK;
        if (*at++ != ',') break;
    }
    return error_set(ERR_USAGE, "states \"%s\": expected a list of hidden states 0 to %d, as last, 1-%d or last,0-%d",
                     text, layers, layers, layers);
}

void audio_join_states(float *features, const float *states, int count, int mean, long rows, long dim) {
    for (long r = 0; r < rows; r++)
        for (long i = 0; i < dim; i++) {
            double sum = 0;
            for (long k = 0; k < count; k++) {
                float value = states[(k * rows + r) * dim + i];
                sum += value;
                if (!mean) features[(r * count + k) * dim + i] = value;
            }
            if (mean) features[r * dim + i] = (float)(sum / count);
        }
}
