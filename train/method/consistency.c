/* consistency.c: see consistency.h. */
#include "train/method/consistency.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/philox.h"
#include "kernels/device.h"

int consistency_layout(struct consistency *c, const struct dit_config *config, const struct batch_split *split, int F,
                       struct arena *arena) {
    size_t B = (size_t)split->largest, groups = B * (size_t)F;
    consistency_free(c);
    c->F = F;
    c->size = (long)config->in_channels * config->height * config->width;
    c->clip = c->size * F;
    c->noise = ARENA_TAKE(arena, "noise", real, B * (size_t)c->clip);
    c->clean = ARENA_TAKE(arena, "levels", real, groups);
    c->sigma = ARENA_TAKE(arena, "levels", real, groups);
    c->step = malloc(B * sizeof *c->step);
    c->host = malloc(2 * groups * sizeof *c->host);
    return c->step && c->host ? OK : error_set(ERR_DEVICE, "consistency: out of memory");
}

void consistency_free(struct consistency *c) {
    free(c->step);
    free(c->host);
    memset(c, 0, sizeof *c);
}

int consistency_step(uint64_t seed, long step, long sample, int N) {
    struct random_address address = {
        .seed = seed, .step = (uint64_t)step, .purpose = RANDOM_TIMESTEP, .sample = (uint32_t)sample};
    return (int)random_below(&address, 0, N);
}

/* Sets the level of sample b's frames but the reference. */
static void set_level(struct consistency *c, long groups, int b, double sigma) {
    for (int f = 0; f < c->F; f++) {
        long g = (long)b * c->F + f;
        c->host[g] = (real)(f ? 1 - sigma : 1);
        c->host[groups + g] = (real)(f ? sigma : 0);
    }
}

/* Makes a part's state at the levels that were set. */
static void noise_clips(struct consistency *c, const struct batch_part *b, real *to) {
    long groups = (long)b->part.count * c->F;
    mem_upload(c->clean, c->host, sizeof(real) * (size_t)groups);
    mem_upload(c->sigma, c->host + groups, sizeof(real) * (size_t)groups);
    real_group_combine(to, c->clean, b->clips, c->sigma, c->noise, groups, c->size);
}

int consistency_pair(struct consistency *c, struct sampler *sampler, const struct params *teacher,
                     const struct batch_part *b, long step, real *drawn, real *lower, real *history) {
    const struct part *p = &b->part;
    long groups = (long)p->count * c->F;
    size_t bytes = sizeof(real) * (size_t)(p->count * c->clip);
    random_normal(c->noise, c->seed, (uint64_t)step, RANDOM_CLIP_NOISE, 0, p->sample0, p->count, 0, c->F, c->size);
    for (int i = 0; i < p->count; i++) {
        c->step[i] = consistency_step(c->seed, step, p->sample0 + i, sampler->config.steps);
        set_level(c, groups, i, sampler->sigma[c->step[i]]);
    }
    noise_clips(c, b, drawn);
    for (int i = 0; i < p->count; i++) set_level(c, groups, i, c->history);
    noise_clips(c, b, history);
    sampler_batch(sampler, p->count);
    mem_copy(sampler->x, drawn, bytes);
    TRY(sampler_step_each(sampler, teacher, &b->condition, c->step));
    mem_copy(lower, sampler->x, bytes);
    return OK;
}
