/* score.c: see score.h. */
#include "train/method/score.h"

#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

enum { SCORE_PASS = 128 }; /* number of the levels' draw, beyond those of the critic, which share their purpose */

int score_layout(struct score *s, const struct dit *net, const struct score_config *config,
                 const struct batch_split *split, int F, struct arena *arena) {
    int B = split->largest;
    score_free(s);
    s->net = net;
    s->config = *config;
    s->B = B;
    s->F = F;
    s->batch = split->batch;
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
    s->loss = &score_losses[config->loss];
    s->loss->layout(s, arena);
    s->normaliser = ARENA_TAKE(arena, "normaliser", real, B);
    s->scaled = ARENA_TAKE(arena, "normaliser", real, B);
    return levels_layout(&s->levels, B, F, arena);
}

void score_free(struct score *s) {
    levels_free(&s->levels);
    memset(s, 0, sizeof *s);
}

struct dit_input score_input(const struct score *s, const struct condition_batch *condition, int dropped,
                             struct dit_acts *acts) {
    dit_condition_reset(acts, 1, 1);
    struct dit_input in = condition_batch_clip(condition, dropped ? AUDIO_ALL : 0, s->noisy, s->clip, s->levels.t);
    if (dropped && s->config.guide_text) in.text = condition->no_text;
    return in;
}

static int velocity(struct score *s, const struct params *params, const struct condition_batch *condition, int dropped,
                    struct dit_acts *acts, real *out) {
    struct dit_input in = score_input(s, condition, dropped, acts);
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

int score_differentiate(struct score *s, real *g, real *loss, const real *x, const struct condition_batch *condition,
                        const struct params *teacher, const struct params *critic, struct dit_acts *acts) {
    mem_copy(s->scaled, s->normaliser, sizeof(real) * (size_t)s->B);
    real_axpby(s->scaled, 0, s->scaled, (real)((double)s->batch / s->B), s->B);
    return s->loss->gradient(s, g, loss, x, condition, teacher, critic, acts);
}

int score_gradient(struct score *s, real *g, real *loss, const real *x, const struct condition_batch *condition,
                   const struct params *teacher, const struct params *critic, struct dit_acts *acts,
                   const struct part *part, const struct step_random *random) {
    struct step_random mine = *random;
    mine.level_pass = SCORE_PASS;
    s->B = part->count;
    levels_draw(&s->levels, s->noise, &s->config.level, &mine, RANDOM_SCORE_NOISE, part, s->size);
    levels_noise(&s->levels, s->noisy, x, s->noise, s->size);
    TRY(score_compare(s, x, condition, teacher, critic, acts));
    return score_differentiate(s, g, loss, x, condition, teacher, critic, acts);
}
