/* flow_matching.c: see flow_matching.h. */
#include "train/method/flow_matching.h"

#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

int flow_matching_layout(struct flow_matching *f, const struct dit_config *config, const struct batch_split *split,
                         int F, struct arena *arena) {
    int B = split->largest;
    flow_matching_free(f);
    f->batch = split->batch;
    f->B = B;
    f->F = F;
    f->size = (long)config->in_channels * config->height * config->width;
    f->clip = f->size * F;
    size_t all = (size_t)B * f->clip, groups = (size_t)B * F;
    f->noise = ARENA_TAKE(arena, "noise", real, all);
    f->noisy = ARENA_TAKE(arena, "noisy clips", real, all);
    f->target = ARENA_TAKE(arena, "target velocity", real, all);
    f->velocity = ARENA_TAKE(arena, "velocity", real, all);
    f->slope = ARENA_TAKE(arena, "velocity gradient", real, all);
    f->weight = ARENA_TAKE(arena, "loss weights", real, groups);
    return levels_layout(&f->levels, B, F, arena);
}

void flow_matching_free(struct flow_matching *f) {
    levels_free(&f->levels);
    memset(f, 0, sizeof *f);
}

void flow_matching_prepare(struct flow_matching *f) {
    levels_fill(&f->levels, f->weight, 1.0 / ((double)f->batch * (f->F - 1)));
}

/* Computes the loss and its gradient by the velocity, f->slope. */
static int forward(struct flow_matching *f, const struct dit *net, const struct params *params, struct dit_acts *acts,
                   const real *x, const struct condition_batch *condition, const struct part *part,
                   const struct level_config *level, int purpose, const struct step_random *random, real *loss,
                   struct dit_input *in) {
    long all = (long)part->count * f->clip, groups = (long)part->count * f->F;
    levels_draw(&f->levels, f->noise, level, random, purpose, part, f->size);
    levels_noise(&f->levels, f->noisy, x, f->noise, f->size);
    mem_copy(f->target, f->noise, (size_t)all * sizeof(real));
    real_axpby(f->target, -1, x, 1, all);

    *in = condition_batch_clip(condition, 0, f->noisy, f->clip, f->levels.t);
    dit_condition_reset(acts, 1, 1);
    TRY(dit_forward(net, params, acts, in, f->velocity, f->clip));
    mse_loss(loss, f->slope, f->velocity, f->target, f->weight, groups, f->size);
    return OK;
}

int flow_matching_loss(struct flow_matching *f, const struct dit *net, const struct params *params,
                       struct dit_acts *acts, const real *x, const struct condition_batch *condition,
                       const struct part *part, const struct level_config *level, int purpose,
                       const struct step_random *random, real *loss) {
    struct dit_input in;
    return forward(f, net, params, acts, x, condition, part, level, purpose, random, loss, &in);
}

int flow_matching_gradient(struct flow_matching *f, const struct dit *net, const struct params *params,
                           struct dit_acts *acts, const real *x, const struct condition_batch *condition,
                           const struct part *part, const struct level_config *level, int purpose,
                           const struct step_random *random, real *loss) {
    struct dit_input in;
    TRY(forward(f, net, params, acts, x, condition, part, level, purpose, random, loss, &in));
    struct dit_gradients gradients = {.dvelocity = f->slope, .dvelocity_stride = f->clip};
    return dit_backward(net, params, acts, &in, &gradients);
}
