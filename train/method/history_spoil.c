/* history_spoil.c: see history_spoil.h. */
#include "train/method/history_spoil.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/normal.h"
#include "kernels/device.h"

enum { ONES, FACTOR, SHIFT, NOISE, WEIGHTS };

int history_spoil_first(const struct causal_config *causal) {
    int chunk = 1;
    while (causal_first(causal, chunk) < causal->sink) chunk++;
    return chunk;
}

int history_spoil_layout(struct history_spoil *s, const char *key, const struct spoil_config *config,
                         const struct dit_config *net, const struct causal_config *causal, int B, int chunks,
                         struct arena *arena) {
    history_spoil_free(s);
    s->config = *config;
    if (config->probability == 0) return OK;
    int first = history_spoil_first(causal);
    if (first >= chunks)
        return error_set(ERR_USAGE,
                         "%s.probability: no chunk of the clip sees another that is not in the sink; expected "
                         "frames of at least %d, found %d",
                         key, causal_first(causal, first + 2), causal_first(causal, chunks + 1));
    s->B = B;
    s->frames = causal->chunk;
    s->channels = net->in_channels;
    s->plane = (long)net->height * net->width;
    size_t all = (size_t)WEIGHTS * B * s->frames * s->channels;
    s->device = ARENA_TAKE(arena, "spoiled history", real, all);
    s->host = malloc(all * sizeof *s->host);
    s->clean = malloc((size_t)B * sizeof *s->clean);
    return s->host && s->clean ? OK : error_set(ERR_DEVICE, "spoiled history: out of memory");
}

void history_spoil_free(struct history_spoil *s) {
    free(s->host);
    free(s->clean);
    memset(s, 0, sizeof *s);
}

/* Numbers of one kind of a rollout. kind: 0 for the draws, 1 for the noise. */
static struct random_address numbers(const struct spoil_address *a, int kind, long sample) {
    return (struct random_address){.seed = a->seed,
                                   .step = a->step,
                                   .purpose = RANDOM_SPOIL,
                                   .pass = 2 * a->purpose + kind,
                                   .sample = (uint32_t)(a->sample0 + sample)};
}

int history_spoil_chunk(const struct spoil_config *config, const struct causal_config *causal, int before,
                        const struct spoil_address *address) {
    struct random_address a = numbers(address, 0, 0);
    a.frame = 1;
    int first = history_spoil_first(causal), chunk = before - (int)random_below(&a, 0, config->rolled + 1L);
    return chunk < first ? first : chunk;
}

struct spoil_draw history_spoil_draw(const struct spoil_config *config, const struct spoil_address *address,
                                     long sample) {
    struct random_address a = numbers(address, 0, sample);
    struct spoil_draw draw = {.spoiled = random_uniform(&a, 0) < config->probability, .factor = 1};
    if (!draw.spoiled) return draw;
    draw.noise = config->noise * random_uniform(&a, 1);
    draw.factor = exp(config->scale * (double)random_normals(&a, 2).v[0]);
    return draw;
}

/* What is added to a channel, in units of config.shift. */
static double channel_shift(const struct spoil_address *address, long sample, int channel) {
    struct random_address a = numbers(address, 0, sample);
    return (double)random_normals(&a, 3 + (uint32_t)channel / 4).v[channel % 4];
}

/* Sets the weights of one sample's channel in all frames of the chunk, from the first frame's place on. */
static void set_channel(struct history_spoil *s, size_t groups, size_t place, const double weights[WEIGHTS]) {
    for (int f = 0; f < s->frames; f++, place += (size_t)s->channels)
        for (int w = 0; w < WEIGHTS; w++) s->host[w * groups + place] = (real)weights[w];
}

static void set_weights(struct history_spoil *s, const struct spoil_address *address, long sample, int count) {
    size_t one = (size_t)s->frames * (size_t)s->channels, groups = (size_t)count * one;
    for (int b = 0; b < count; b++) {
        struct spoil_draw draw = history_spoil_draw(&s->config, address, sample + b);
        double clean = draw.spoiled ? s->clean[b] : 0;
        for (int c = 0; c < s->channels; c++) {
            double shift = clean ? clean * s->config.shift * channel_shift(address, sample + b, c) : 0;
            double weights[WEIGHTS] = {1, clean * (draw.factor - 1), shift, clean * draw.noise};
            set_channel(s, groups, (size_t)b * one + (size_t)c, weights);
        }
    }
    mem_upload(s->device, s->host, WEIGHTS * groups * sizeof(real));
}

void history_spoil_apply(struct history_spoil *s, real *x, real *z, const struct spoil_address *address, long sample,
                         int count, int first, int frames) {
    s->frames = frames;
    long groups = (long)count * s->frames * s->channels;
    const real *ones = s->device;
    struct random_address noise = numbers(address, 1, sample);
    set_weights(s, address, sample, count);
    real_group_combine(x, ones, x, s->device + FACTOR * groups, z, groups, s->plane);
    real_fill(z, 1, groups * s->plane);
    real_group_combine(x, ones, x, s->device + SHIFT * groups, z, groups, s->plane);
    random_normal(z, noise.seed, noise.step, noise.purpose, noise.pass, noise.sample, count, first, s->frames,
                  s->channels * s->plane);
    real_group_combine(x, ones, x, s->device + NOISE * groups, z, groups, s->plane);
}
