/* sampler.c: see sampler.h. */
#include "model/sampler.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/philox.h"
#include "base/schedule.h"
#include "kernels/device.h"

int sampler_layout(struct sampler *s, const struct dit *net, const struct sampler_config *config, int B, int F,
                   struct arena *arena) {
    if (config->steps < 1 || config->steps > SAMPLER_STEPS_MAX)
        return error_set(ERR_USAGE, "sampler: expected 1 to %d steps, found %d", SAMPLER_STEPS_MAX, config->steps);
    sampler_free(s);
    s->net = net;
    s->config = *config;
    s->B = B;
    s->F = F;
    s->size = (long)net->config.in_channels * net->config.height * net->config.width;
    s->clip = s->size * F;
    TRY(schedule_euler(config->steps, config->shift, s->sigma));
    size_t all = (size_t)B * s->clip, groups = (size_t)B * F;
    s->x = ARENA_TAKE(arena, "sampler state", real, all);
    s->conditional = ARENA_TAKE(arena, "sampler velocity", real, all);
    s->unconditional = ARENA_TAKE(arena, "sampler velocity without audio", real, all);
    s->t = ARENA_TAKE(arena, "sampler timesteps", real, groups);
    s->move = ARENA_TAKE(arena, "sampler moves", real, groups);
    s->one = ARENA_TAKE(arena, "sampler ones", real, groups);
    s->host = malloc(2 * groups * sizeof(real));
    if (!s->host) return error_set(ERR_DEVICE, "sampler: out of memory");
    return dit_acts_layout(&s->acts, net, B, F, DIT_FORWARD_ONLY, arena);
}

void sampler_free(struct sampler *s) {
    free(s->host);
    if (s->acts) dit_acts_free(s->acts);
    memset(s, 0, sizeof *s);
}

void sampler_begin(struct sampler *s, const real *latents, long stride, uint64_t seed, uint64_t step, long sample0) {
    real_fill(s->one, 1, (long)s->B * s->F);
    random_normal(s->x, seed, step, RANDOM_SAMPLER, 0, sample0, s->B, 0, s->F, s->size);
    mem_copy_rows(s->x, (size_t)s->clip * sizeof(real), latents, (size_t)stride * sizeof(real),
                  (size_t)s->size * sizeof(real), (size_t)s->B);
    dit_condition_reset(s->acts, 1, 1);
}

/* Timesteps and moves of step i: frame 0 stays at t = 0 and does not move. */
static void upload_step(struct sampler *s, int i) {
    long groups = (long)s->B * s->F;
    for (long g = 0; g < groups; g++) {
        int generated = g % s->F != 0;
        s->host[g] = generated ? (real)schedule_timestep(s->sigma[i]) : 0;
        s->host[groups + g] = generated ? (real)(s->sigma[i + 1] - s->sigma[i]) : 0;
    }
    mem_upload(s->t, s->host, (size_t)groups * sizeof(real));
    mem_upload(s->move, s->host + groups, (size_t)groups * sizeof(real));
}

static int velocity(struct sampler *s, const struct params *params, const struct condition_batch *condition,
                    int audio_dropped, real *out) {
    struct dit_input in = condition_batch_clip(condition, audio_dropped, s->x, s->clip, s->t);
    return dit_forward(s->net, params, s->acts, &in, out, s->clip);
}

int sampler_step(struct sampler *s, const struct params *params, const struct condition_batch *condition, int i) {
    real guidance = (real)s->config.guidance;
    const real *v = s->conditional;
    upload_step(s, i);
    if (guidance != 1) dit_condition_reset(s->acts, 0, 1);
    TRY(velocity(s, params, condition, 0, s->conditional));
    if (guidance != 1) {
        dit_condition_reset(s->acts, 0, 1);
        TRY(velocity(s, params, condition, 1, s->unconditional));
        real_axpby(s->unconditional, guidance, s->conditional, 1 - guidance, (long)s->B * s->clip);
        v = s->unconditional;
    }
    real_group_combine(s->x, s->one, s->x, s->move, v, (long)s->B * s->F, s->size);
    return OK;
}

int sampler_run(struct sampler *s, const struct params *params, const struct condition_batch *condition) {
    for (int i = 0; i < s->config.steps; i++) TRY(sampler_step(s, params, condition, i));
    return OK;
}
