/* losses.c: the losses of distribution matching, each a row of the table at the end; score.h has their formulas. */
#include "base/error.h"
#include "kernels/device.h"
#include "train/method/score.h"

/* ---- SiD ---- */

/* Buffers [B, F, C, H, W]: the gradients of L by r, by f and by x directly; by the velocity of the network at work; by
   x_t, summed over the networks. */
enum sid_buffer { BY_R, BY_F, BY_X, SLOPE, BY_NOISY };

static void sid_layout(struct score *s, struct arena *arena) {
    static const char *const names[] = {"gradient by the real prediction", "gradient by the fake prediction",
                                        "gradient by the clip", "gradient by a velocity", "gradient by the noisy clip"};
    for (int i = BY_R; i <= BY_NOISY; i++) s->own[i] = ARENA_TAKE(arena, names[i], real, (size_t)s->B * s->clip);
}

/* Adds to BY_NOISY what reaches x_t through one network, J^T (-sigma share g): the network runs again, saving, and
   back-propagates to its input. */
static int add_input_gradient(struct score *s, const struct params *params, const struct condition_batch *condition,
                              int dropped, struct dit_acts *acts, const real *g, real share) {
    struct dit_input in = score_input(s, condition, dropped, acts);
    real *slope = s->own[SLOPE];
    TRY(dit_forward(s->net, params, acts, &in, slope, s->clip));
    real_group_combine(slope, s->levels.minus_sigma, g, s->levels.zero, g, (long)s->B * s->F, s->size);
    if (share != 1) real_axpby(slope, 0, slope, share, (long)s->B * s->clip);
    struct dit_gradients gradients = {
        .dvelocity = slope, .dvelocity_stride = s->clip, .dlatents = s->own[BY_NOISY], .dlatents_stride = s->clip};
    return dit_backward(s->net, params, acts, &in, &gradients);
}

/* Computes the gradient by x_t: g_r + g_f directly, which is k a, and the parts through the three networks. */
static int through_networks(struct score *s, const struct condition_batch *condition, const struct params *teacher,
                            const struct params *critic, struct dit_acts *acts) {
    real guidance = (real)s->config.guidance, *by_r = s->own[BY_R], *by_f = s->own[BY_F];
    long all = (long)s->B * s->clip;
    mem_copy(s->own[BY_NOISY], by_r, sizeof(real) * (size_t)all);
    real_axpby(s->own[BY_NOISY], 1, by_f, 1, all);
    TRY(add_input_gradient(s, critic, condition, 0, acts, by_f, 1));
    TRY(add_input_gradient(s, teacher, condition, 0, acts, by_r, guidance));
    if (guidance != 1) TRY(add_input_gradient(s, teacher, condition, 1, acts, by_r, 1 - guidance));
    return OK;
}

static int sid(struct score *s, real *g, real *loss, const real *x, const struct condition_batch *condition,
               const struct params *teacher, const struct params *critic, struct dit_acts *acts) {
    sid_gradients(s->own[BY_R], s->own[BY_F], s->own[BY_X], loss, x, s->r, s->f, s->scaled, (real)s->config.alpha, s->B,
                  s->clip);
    TRY(through_networks(s, condition, teacher, critic, acts));
    real_group_combine(g, s->levels.generated, s->own[BY_X], s->levels.through_noise, s->own[BY_NOISY],
                       (long)s->B * s->F, s->size);
    return OK;
}

/* ---- DMD ---- */

enum dmd_buffer { PART_LOSS };

static void dmd_layout(struct score *s, struct arena *arena) {
    s->own[PART_LOSS] = ARENA_TAKE(arena, "loss of a part", real, 1);
}

static int dmd(struct score *s, real *g, real *loss, const real *x, const struct condition_batch *condition,
               const struct params *teacher, const struct params *critic, struct dit_acts *acts) {
    (void)x, (void)condition, (void)teacher, (void)critic, (void)acts; /* DMD needs r and f alone */
    mem_zero(s->own[PART_LOSS], sizeof(real));
    dmd_gradient(g, s->own[PART_LOSS], s->f, s->r, s->scaled, s->B, s->clip);
    real_axpby(loss, (real)((double)s->B / s->batch), s->own[PART_LOSS], 1, 1);
    return OK;
}

/* ---- the table ---- */

const struct score_loss score_losses[] = {
    {.name = "sid", .layout = sid_layout, .gradient = sid, .forwards = 2, .backwards = 1},
    {.name = "dmd", .layout = dmd_layout, .gradient = dmd, .forwards = 1},
    {.name = NULL},
};
