/* score.c: see score.h. */
#include "train/method/score.h"

#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

enum { SCORE_PASS = 128 }; /* apart from the critic's passes, which share the purpose of the levels */

int score_layout(struct score *s, const struct dit *net, const struct score_config *config, const struct share *share,
                 int F, struct arena *arena) {
    int B = share->largest;
    score_free(s);
    s->net = net;
    s->config = *config;
    s->B = B;
    s->F = F;
    s->batch = share->batch;
    s->size = (long)net->config.in_channels * net->config.height * net->config.width;
    s->clip = s->size * F;
    size_t all = (size_t)B * s->clip;
    s->noise = ARENA_TAKE(arena, "score noise", real, all);
    s->noisy = ARENA_TAKE(arena, "score noisy clips", real, all);
    s->v_conditional = ARENA_TAKE(arena, "real score, conditional", real, all);
    s->v_guided = ARENA_TAKE(arena, "real score, guided", real, all);
    s->v_fake = ARENA_TAKE(arena, "fake score", real, all);
    s->r = ARENA_TAKE(arena, "real prediction", real, all);
    s->f = ARENA_TAKE(arena, "fake prediction", real, all);
    if (config->loss == DISTILL_SID) {
        s->g_r = ARENA_TAKE(arena, "gradient by the real prediction", real, all);
        s->g_f = ARENA_TAKE(arena, "gradient by the fake prediction", real, all);
        s->g_x = ARENA_TAKE(arena, "gradient by the clip", real, all);
        s->slope = ARENA_TAKE(arena, "gradient by a velocity", real, all);
        s->by_noisy = ARENA_TAKE(arena, "gradient by the noisy clip", real, all);
    }
    s->normaliser = ARENA_TAKE(arena, "normaliser", real, B);
    s->scaled = ARENA_TAKE(arena, "normaliser", real, B);
    s->part_loss = ARENA_TAKE(arena, "normaliser", real, 1);
    return levels_layout(&s->levels, B, F, arena);
}

void score_free(struct score *s) {
    levels_free(&s->levels);
    memset(s, 0, sizeof *s);
}

/* The input at x_t, with the networks' text and audio to be computed anew: another network used acts before. */
static struct dit_input noisy_input(const struct score *s, const struct condition_batch *condition, int dropped,
                                    struct dit_acts *acts) {
    dit_condition_reset(acts, 1, 1);
    struct dit_input in = condition_batch_clip(condition, dropped, s->noisy, s->clip, s->levels.t);
    if (dropped && s->config.guide_text) in.text = condition->no_text;
    return in;
}

static int velocity(struct score *s, const struct params *params, const struct condition_batch *condition, int dropped,
                    struct dit_acts *acts, real *out) {
    struct dit_input in = noisy_input(s, condition, dropped, acts);
    return dit_forward(s->net, params, acts, &in, out, s->clip);
}

int score_compare(struct score *s, const real *x, const struct condition_batch *condition, const struct params *teacher,
                  const struct params *critic, struct dit_acts *acts) {
    real guidance = (real)s->config.guidance;
    TRY(velocity(s, teacher, condition, 0, acts, s->v_conditional));
    if (guidance != 1) {
        TRY(velocity(s, teacher, condition, 1, acts, s->v_guided));
        real_axpby(s->v_guided, guidance, s->v_conditional, 1 - guidance, (long)s->B * s->clip);
    }
    TRY(velocity(s, critic, condition, 0, acts, s->v_fake));
    levels_x0(&s->levels, s->r, s->noisy, guidance != 1 ? s->v_guided : s->v_conditional, s->size);
    levels_x0(&s->levels, s->f, s->noisy, s->v_fake, s->size);
    mean_abs_difference(s->normaliser, x, s->r, s->B, s->clip);
    return OK;
}

/* by_noisy += J^T (-sigma share g) of one network: it runs again, saving, and back-propagates to its input. */
static int add_input_gradient(struct score *s, const struct params *params, const struct condition_batch *condition,
                              int dropped, struct dit_acts *acts, const real *g, real share) {
    struct dit_input in = noisy_input(s, condition, dropped, acts);
    TRY(dit_forward(s->net, params, acts, &in, s->slope, s->clip));
    real_group_combine(s->slope, s->levels.minus_sigma, g, s->levels.zero, g, (long)s->B * s->F, s->size);
    if (share != 1) real_axpby(s->slope, 0, s->slope, share, (long)s->B * s->clip);
    struct dit_gradients gradients = {
        .dvelocity = s->slope, .dvelocity_stride = s->clip, .dlatents = s->by_noisy, .dlatents_stride = s->clip};
    return dit_backward(s->net, params, acts, &in, &gradients);
}

/* x_t's share of the gradient: g_r + g_f directly (which is k a), and through the three networks. */
static int through_networks(struct score *s, const struct condition_batch *condition, const struct params *teacher,
                            const struct params *critic, struct dit_acts *acts) {
    real guidance = (real)s->config.guidance;
    long all = (long)s->B * s->clip;
    mem_copy(s->by_noisy, s->g_r, sizeof(real) * (size_t)all);
    real_axpby(s->by_noisy, 1, s->g_f, 1, all);
    TRY(add_input_gradient(s, critic, condition, 0, acts, s->g_f, 1));
    TRY(add_input_gradient(s, teacher, condition, 0, acts, s->g_r, guidance));
    if (guidance != 1) TRY(add_input_gradient(s, teacher, condition, 1, acts, s->g_r, 1 - guidance));
    return OK;
}

int score_differentiate(struct score *s, real *g, real *loss, const real *x, const struct condition_batch *condition,
                        const struct params *teacher, const struct params *critic, struct dit_acts *acts) {
    mem_copy(s->scaled, s->normaliser, sizeof(real) * (size_t)s->B);
    real_axpby(s->scaled, 0, s->scaled, (real)((double)s->batch / s->B), s->B);
    if (s->config.loss == DISTILL_DMD) {
        mem_zero(s->part_loss, sizeof(real));
        dmd_gradient(g, s->part_loss, s->f, s->r, s->scaled, s->B, s->clip);
        real_axpby(loss, (real)((double)s->B / s->batch), s->part_loss, 1, 1);
        return OK;
    }
    sid_gradients(s->g_r, s->g_f, s->g_x, loss, x, s->r, s->f, s->scaled, (real)s->config.alpha, s->B, s->clip);
    TRY(through_networks(s, condition, teacher, critic, acts));
    real_group_combine(g, s->levels.generated, s->g_x, s->levels.through_noise, s->by_noisy, (long)s->B * s->F,
                       s->size);
    return OK;
}

int score_gradient(struct score *s, real *g, real *loss, const real *x, const struct condition_batch *condition,
                   const struct params *teacher, const struct params *critic, struct dit_acts *acts,
                   const struct part *part, const struct step_random *random) {
    s->B = part->count;
    struct random_address draw = {.seed = random->seed,
                                  .step = random->step,
                                  .purpose = RANDOM_TIMESTEP,
                                  .pass = SCORE_PASS,
                                  .sample = (uint32_t)part->sample0};
    levels_draw(&s->levels, &s->config.level, &draw, s->B);
    random_normal(s->noise, random->seed, random->step, RANDOM_SCORE_NOISE, random->pass, part->sample0, s->B, 0, s->F,
                  s->size);
    levels_noise(&s->levels, s->noisy, x, s->noise, s->size);
    TRY(score_compare(s, x, condition, teacher, critic, acts));
    return score_differentiate(s, g, loss, x, condition, teacher, critic, acts);
}
