/* sampler.c: see sampler.h. */
#include "model/dit/sampler.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/philox.h"
#include "kernels/device.h"
#include "model/dit/solver.h"

static int guides_text(const struct sampler *s) { return s->config.text_guidance != 1; }
static double listen_guidance(const struct sampler *s) {
    return s->config.listen_guidance < 0 ? s->config.guidance : s->config.listen_guidance;
}
/* Whether a step needs more than one pass of the network. */
static int guides(const struct sampler *s) {
    return guides_text(s) || s->config.guidance != 1 || listen_guidance(s) != 1;
}
static long groups_of(const struct sampler *s) { return (long)s->B * s->F; }

static real *weight(const struct sampler *s, enum sampler_weight which) { return s->weights + which * groups_of(s); }

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
    TRY(schedule_sampler((enum schedule_kind)config->schedule, config->steps, config->shift, s->sigma, s->timestep));
    size_t all = (size_t)B * s->clip;
    s->x = ARENA_TAKE(arena, "sampler state", real, all);
    s->velocity = ARENA_TAKE(arena, "sampler velocity", real, all);
    if (guides(s)) s->without = ARENA_TAKE(arena, "sampler velocity without a condition", real, all);
    if (config->solver == SOLVER_UNIPC) {
        s->start = ARENA_TAKE(arena, "sampler start", real, all);
        for (int k = 0; k < 3; k++) s->prediction[k] = ARENA_TAKE(arena, "sampler prediction", real, all);
    }
    s->weights = ARENA_TAKE(arena, "sampler weights", real, SAMPLER_WEIGHTS * groups_of(s));
    s->host = calloc(SAMPLER_WEIGHTS * (size_t)groups_of(s), sizeof(real));
    if (!s->host) return error_set(ERR_DEVICE, "sampler: out of memory");
    return dit_acts_layout(&s->acts, net, B, F, DIT_FORWARD_ONLY, arena);
}

void sampler_free(struct sampler *s) {
    free(s->host);
    if (s->acts) dit_acts_free(s->acts);
    memset(s, 0, sizeof *s);
}

void sampler_begin(struct sampler *s, const real *latents, long stride, uint64_t seed, uint64_t step, long sample0) {
    random_normal(s->x, seed, step, RANDOM_SAMPLER, 0, sample0, s->B, 0, s->F, s->size);
    mem_copy_rows(s->x, (size_t)s->clip * sizeof(real), latents, (size_t)stride * sizeof(real),
                  (size_t)s->size * sizeof(real), (size_t)s->B);
    dit_condition_reset(s->acts, 1, 1);
}

/* ---- one step's weights ---- */

/* Fills one weight for all frames: `reference` for frame 0 of every sample, the other value elsewhere. */
static void set_weight(struct sampler *s, enum sampler_weight which, double reference, double generated) {
    for (long g = 0; g < groups_of(s); g++)
        s->host[which * groups_of(s) + g] = (real)(g % s->F ? generated : reference);
}

static void upload_weights(struct sampler *s, int i) {
    set_weight(s, SAMPLER_T, 0, s->timestep[i]);
    set_weight(s, SAMPLER_ONE, 1, 1);
    set_weight(s, SAMPLER_SIGMA, 0, -s->sigma[i]);
    set_weight(s, SAMPLER_MOVE, 0, s->sigma[i + 1] - s->sigma[i]);
    struct solver_corrector c = {.start = 1};
    struct solver_predictor p = {.x = 1};
    if (s->config.solver == SOLVER_UNIPC) {
        if (i) c = solver_unipc_corrector(s->sigma, s->config.steps, i);
        p = solver_unipc_predictor(s->sigma, s->config.steps, i);
    }
    set_weight(s, SAMPLER_START, 1, c.start);
    set_weight(s, SAMPLER_CORRECT0, 0, c.m0);
    set_weight(s, SAMPLER_CORRECT1, 0, c.m1);
    set_weight(s, SAMPLER_CORRECT2, 0, c.m2);
    set_weight(s, SAMPLER_STAY, 1, p.x);
    set_weight(s, SAMPLER_PREDICT0, 0, p.m0);
    set_weight(s, SAMPLER_PREDICT1, 0, p.m1);
    mem_upload(s->weights, s->host, SAMPLER_WEIGHTS * (size_t)groups_of(s) * sizeof(real));
}

/* Computes y = a x + b z, with one a and one b for each frame. */
static void combine(struct sampler *s, real *y, enum sampler_weight a, const real *x, enum sampler_weight b,
                    const real *z) {
    real_group_combine(y, weight(s, a), x, weight(s, b), z, groups_of(s), s->size);
}

/* ---- velocity ---- */

/* A pass of the network and its weight in the guided velocity. */
struct term {
    int text, dropped; /* 1: with the text; bits of the streams that are dropped */
    double scale;
};
enum { TERMS = 4 };

/* Lists the passes that the formulas of sampler.h need: first the one with all conditions, and none whose weight is
   0. */
static int list_terms(const struct sampler *s, struct term terms[TERMS]) {
    double g = s->config.text_guidance, audio = s->config.guidance, listen = listen_guidance(s);
    int count = 1, guided = guides_text(s);
    terms[0] = (struct term){1, 0, guided ? g : listen};
    if (guided && listen != g) terms[count++] = (struct term){0, 0, listen - g};
    if (audio != listen) terms[count++] = (struct term){!guided, 1 << AUDIO_LISTEN, audio - listen};
    if (audio != 1) terms[count++] = (struct term){!guided, AUDIO_ALL, 1 - audio};
    return count;
}

static int network(struct sampler *s, const struct params *params, const struct condition_batch *condition,
                   const struct term *term, real *out) {
    struct dit_input in = condition_batch_clip(condition, term->dropped, s->x, s->clip, weight(s, SAMPLER_T));
    if (!term->text) in.text = condition->no_text;
    if (guides(s)) dit_condition_reset(s->acts, guides_text(s), 1);
    return dit_forward(s->net, params, s->acts, &in, out, s->clip);
}

/* Computes the guided velocity into s->velocity. */
static int guided(struct sampler *s, const struct params *params, const struct condition_batch *condition) {
    struct term terms[TERMS];
    int count = list_terms(s, terms);
    long all = (long)s->B * s->clip;
    TRY(network(s, params, condition, &terms[0], s->velocity));
    for (int i = 1; i < count; i++) {
        TRY(network(s, params, condition, &terms[i], s->without));
        real_axpby(s->velocity, (real)terms[i].scale, s->without, i > 1 ? 1 : (real)terms[0].scale, all);
    }
    return OK;
}

/* ---- steps ---- */

static void unipc_step(struct sampler *s, const real *v, int i) {
    real *m0 = s->prediction[i % 3];
    const real *m1 = s->prediction[(i + 2) % 3], *m2 = s->prediction[(i + 1) % 3];
    combine(s, m0, SAMPLER_ONE, s->x, SAMPLER_SIGMA, v);
    if (i >= 1) {
        combine(s, s->x, SAMPLER_START, s->start, SAMPLER_CORRECT0, m0);
        combine(s, s->x, SAMPLER_ONE, s->x, SAMPLER_CORRECT1, m1);
    }
    if (i >= 2) combine(s, s->x, SAMPLER_ONE, s->x, SAMPLER_CORRECT2, m2);
    mem_copy(s->start, s->x, (size_t)s->B * (size_t)s->clip * sizeof(real));
    combine(s, s->x, SAMPLER_STAY, s->x, SAMPLER_PREDICT0, m0);
    if (i >= 1) combine(s, s->x, SAMPLER_ONE, s->x, SAMPLER_PREDICT1, m1);
}

int sampler_step(struct sampler *s, const struct params *params, const struct condition_batch *condition, int i) {
    upload_weights(s, i);
    TRY(guided(s, params, condition));
    if (s->config.solver == SOLVER_UNIPC)
        unipc_step(s, s->velocity, i);
    else
        combine(s, s->x, SAMPLER_ONE, s->x, SAMPLER_MOVE, s->velocity);
    return OK;
}

/* Weights of a step of each sample's own. */
static void upload_own_weights(struct sampler *s, const int *step) {
    real *t = s->host + SAMPLER_T * groups_of(s), *move = s->host + SAMPLER_MOVE * groups_of(s);
    set_weight(s, SAMPLER_ONE, 1, 1);
    for (long g = 0; g < groups_of(s); g++) {
        int i = step[g / s->F], generated = g % s->F != 0;
        t[g] = generated ? (real)s->timestep[i] : 0;
        move[g] = generated ? (real)(s->sigma[i + 1] - s->sigma[i]) : 0;
    }
    mem_upload(s->weights, s->host, SAMPLER_WEIGHTS * (size_t)groups_of(s) * sizeof(real));
}

int sampler_step_each(struct sampler *s, const struct params *params, const struct condition_batch *condition,
                      const int *step) {
    upload_own_weights(s, step);
    dit_condition_reset(s->acts, 1, 1);
    TRY(guided(s, params, condition));
    combine(s, s->x, SAMPLER_ONE, s->x, SAMPLER_MOVE, s->velocity);
    return OK;
}

int sampler_passes(const struct sampler *s) {
    struct term terms[TERMS];
    return list_terms(s, terms);
}

int sampler_run(struct sampler *s, const struct params *params, const struct condition_batch *condition) {
    for (int i = 0; i < s->config.steps; i++) TRY(sampler_step(s, params, condition, i));
    return OK;
}
