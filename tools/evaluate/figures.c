/* figures.c: see figures.h. */
#include "tools/evaluate/figures.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"

static double ratio(double a, double b) { return b > 1e-12 ? a / b : NAN; }

/* ---- figures against the truth ---- */

static double slope(const struct source_totals *s, const struct source_totals *over, int which) {
    return ratio(regression_slope(&s->follow.regression[which]), regression_slope(&over->follow.regression[which]));
}
static double correlation(const struct source_totals *s, const struct source_totals *over, int which) {
    return ratio(regression_correlation(&s->follow.regression[which]),
                 regression_correlation(&over->follow.regression[which]));
}
static double residual(const struct source_totals *s, const struct source_totals *over, int which) {
    return ratio(regression_residual(&s->follow.regression[which]),
                 regression_deviation(&over->follow.regression[which]));
}
static double amplitude(const struct source_totals *s, const struct source_totals *over, int which) {
    return ratio(regression_deviation(&s->follow.regression[which]),
                 regression_deviation(&over->follow.regression[which]));
}
static double lag_ms(const struct source_totals *s, const struct source_totals *over, int which) {
    (void)over;
    double lag;
    return lag_sums_best(&s->follow.lags[which], &lag) > 0 ? 1e3 * lag / VIDEO_RATE : NAN;
}
static double best_correlation(const struct source_totals *s, const struct source_totals *over, int which) {
    (void)over;
    double lag;
    return lag_sums_best(&s->follow.lags[which], &lag);
}
static double confidence(const struct source_totals *s, const struct source_totals *over, int which) {
    return ratio(lag_sums_confidence(&s->follow.lags[which]), lag_sums_confidence(&over->follow.lags[which]));
}
static double hands_found(const struct source_totals *s, const struct source_totals *over, int which) {
    (void)which;
    return ratio(ratio(s->hand_found, s->hand_frames), ratio(over->hand_found, over->hand_frames));
}

/* ---- latents ---- */

static double distance(const struct latent_sums *sums, int which) {
    return ratio(sums->frechet[which / REGIONS][which % REGIONS], sums->dialogues);
}
/* Frechet distances to the copy, so that `over` is not used, in latents and in a network's features. which: kind *
   REGIONS + region. */
static double frechet(const struct source_totals *s, const struct source_totals *over, int which) {
    (void)over;
    return distance(&s->latents, which);
}
static double feature_frechet(const struct source_totals *s, const struct source_totals *over, int which) {
    (void)over;
    return distance(&s->features, which);
}
/* Cosines of a network's rows with the reference's, in the first or last seconds, and with a stranger's. which:
   likeness * ENDS + end; likeness. */
static double likeness(const struct source_totals *s, const struct source_totals *over, int which) {
    (void)over;
    return likeness_mean(&s->likeness, (enum likeness)(which / ENDS), (enum end)(which % ENDS));
}
static double stranger(const struct source_totals *s, const struct source_totals *over, int which) {
    (void)over;
    return likeness_of_stranger(&s->likeness, (enum likeness)which);
}
/* Ratio of a region's deviation to the copy's. which: region. */
static double fine_energy(const struct source_totals *s, const struct source_totals *over, int which) {
    return sqrt(ratio(s->latents.energy[which][LATENT_BANDS - 1], over->latents.energy[which][LATENT_BANDS - 1]));
}
static double spread(const struct source_totals *s, const struct source_totals *over, int which) {
    double all = 0;
    for (int b = 0; b < LATENT_BANDS; b++) all += over->latents.energy[which][b];
    return s->spread[which] > 0 ? ratio(s->spread[which], all) : NAN;
}

/* ---- the picture ---- */

static double flicker(const struct source_totals *s, const struct source_totals *over, int which) {
    (void)which;
    return ratio(ratio(s->flicker, s->frames), ratio(over->flicker, over->frames));
}
static double face_psnr(const struct source_totals *s, const struct source_totals *over, int which) {
    (void)over, (void)which;
    return s->face_frames > 0 ? 10 * log10(4 / (s->face_error / s->face_frames + 1e-10)) : NAN;
}
static double drift(const struct source_totals *s, const struct source_totals *over, int which) {
    (void)over;
    return ratio(s->drift[which], s->trials);
}

/* Likeness of wall and shirt to the reference. which: 0 in the first, 1 in the last TRIAL_ENDS_SECONDS. */
static double identity_psnr(const struct source_totals *s, const struct source_totals *over, int which) {
    (void)over;
    return (which ? s->frames_last : s->frames_first) > 0 ? (which ? source_psnr_last : source_psnr_first)(s) : NAN;
}

static double sharpness(const struct source_totals *s, const struct source_totals *over, int which) {
    (void)which;
    return ratio(ratio(s->sharpness, s->frames), ratio(over->sharpness, over->frames));
}
static double flat_noise(const struct source_totals *s, const struct source_totals *over, int which) {
    (void)which;
    return ratio(ratio(s->flat, s->frames), ratio(over->flat, over->frames));
}

const struct figure figures[] = {
    {"mouth_slope", slope, FOLLOWED_MOUTH, 1},
    {"mouth_correlation", correlation, FOLLOWED_MOUTH, 1},
    {"mouth_residual", residual, FOLLOWED_MOUTH, 1},
    {"mouth_amplitude", amplitude, FOLLOWED_MOUTH, 1},
    {"mouth_lag_ms", lag_ms, FOLLOWED_MOUTH, 0},
    {"mouth_best_correlation", best_correlation, FOLLOWED_MOUTH, 0},
    {"mouth_confidence", confidence, FOLLOWED_MOUTH, 1},
    {"hands_slope", slope, FOLLOWED_HANDS, 1},
    {"hands_correlation", correlation, FOLLOWED_HANDS, 1},
    {"hands_residual", residual, FOLLOWED_HANDS, 1},
    {"hands_lag_ms", lag_ms, FOLLOWED_HANDS, 0},
    {"hands_found", hands_found, 0, 1},
    {"nod_slope", slope, FOLLOWED_NOD, 1},
    {"nod_correlation", correlation, FOLLOWED_NOD, 1},
    {"nod_residual", residual, FOLLOWED_NOD, 1},
    {"nod_lag_ms", lag_ms, FOLLOWED_NOD, 0},
    {"frechet_mouth", frechet, LATENT_APPEARANCE *REGIONS + REGION_MOUTH, 0},
    {"frechet_eyes", frechet, LATENT_APPEARANCE *REGIONS + REGION_EYES, 0},
    {"frechet_hands", frechet, LATENT_APPEARANCE *REGIONS + REGION_HANDS, 0},
    {"frechet_whole", frechet, LATENT_APPEARANCE *REGIONS + REGION_WHOLE, 0},
    {"frechet_motion_mouth", frechet, LATENT_MOTION *REGIONS + REGION_MOUTH, 0},
    {"frechet_motion_eyes", frechet, LATENT_MOTION *REGIONS + REGION_EYES, 0},
    {"frechet_motion_hands", frechet, LATENT_MOTION *REGIONS + REGION_HANDS, 0},
    {"frechet_motion_whole", frechet, LATENT_MOTION *REGIONS + REGION_WHOLE, 0},
    {"fine_energy_mouth", fine_energy, REGION_MOUTH, 1},
    {"fine_energy_eyes", fine_energy, REGION_EYES, 1},
    {"fine_energy_hands", fine_energy, REGION_HANDS, 1},
    {"fine_energy_whole", fine_energy, REGION_WHOLE, 1},
    {"spread_mouth", spread, REGION_MOUTH, 0},
    {"spread_eyes", spread, REGION_EYES, 0},
    {"spread_hands", spread, REGION_HANDS, 0},
    {"spread_whole", spread, REGION_WHOLE, 0},
    {"sharpness", sharpness, 0, 1},
    {"flat_noise", flat_noise, 0, 1},
    {"flicker", flicker, 0, 1},
    {"face_psnr", face_psnr, 0, 0},
    {"identity_psnr_first", identity_psnr, 0, 0},
    {"identity_psnr_last", identity_psnr, 1, 0},
    {"wall_drift", drift, DRIFT_WALL, 0},
    {"face_drift", drift, DRIFT_FACE, 0},
    {"sharpness_drift", drift, DRIFT_SHARPNESS, 0},
    {"feature_frechet_mouth", feature_frechet, LATENT_APPEARANCE *REGIONS + REGION_MOUTH, 0},
    {"feature_frechet_eyes", feature_frechet, LATENT_APPEARANCE *REGIONS + REGION_EYES, 0},
    {"feature_frechet_hands", feature_frechet, LATENT_APPEARANCE *REGIONS + REGION_HANDS, 0},
    {"feature_frechet_whole", feature_frechet, LATENT_APPEARANCE *REGIONS + REGION_WHOLE, 0},
    {"feature_frechet_motion_mouth", feature_frechet, LATENT_MOTION *REGIONS + REGION_MOUTH, 0},
    {"feature_frechet_motion_eyes", feature_frechet, LATENT_MOTION *REGIONS + REGION_EYES, 0},
    {"feature_frechet_motion_hands", feature_frechet, LATENT_MOTION *REGIONS + REGION_HANDS, 0},
    {"feature_frechet_motion_whole", feature_frechet, LATENT_MOTION *REGIONS + REGION_WHOLE, 0},
    {"likeness_first", likeness, LIKENESS_WHOLE *ENDS + END_FIRST, 0},
    {"likeness_last", likeness, LIKENESS_WHOLE *ENDS + END_LAST, 0},
    {"likeness_stranger", stranger, LIKENESS_WHOLE, 0},
    {"face_likeness_first", likeness, LIKENESS_FACE *ENDS + END_FIRST, 0},
    {"face_likeness_last", likeness, LIKENESS_FACE *ENDS + END_LAST, 0},
    {"face_likeness_stranger", stranger, LIKENESS_FACE, 0},
};
const int figure_count = sizeof figures / sizeof *figures;

/* ---- over dialogues ---- */

struct drawing_of_dialogues {
    const struct figure_table *table;
    const struct figure_pair *pairs;
    int pair_count;
    double *room; /* [figure_count]: scratch */
};

/* Computes one source's figures over another's, from those drawn dialogues that both the source and `also` have. */
static void source_figures(const struct figure_table *t, const int *drawn, int count, int source, int also, int over,
                           double *out) {
    struct source_totals own = {0}, yardstick = {0};
    for (int i = 0; i < count; i++) {
        const struct source_totals *of = t->of[drawn[i] * t->sources + source];
        if (!of || !t->of[drawn[i] * t->sources + also]) continue;
        source_merge(&own, of);
        source_merge(&yardstick, t->of[drawn[i] * t->sources + over]);
    }
    for (int f = 0; f < figure_count; f++)
        out[f] = own.trials > 0 ? figures[f].of(&own, &yardstick, figures[f].which) : NAN;
}

static void compute(void *user, const int *drawn, int count, double *out) {
    const struct drawing_of_dialogues *d = user;
    for (int s = 0; s < d->table->sources; s++)
        source_figures(d->table, drawn, count, s, s, d->table->copy, out + s * figure_count);
    double *difference = out + d->table->sources * figure_count;
    for (int p = 0; p < d->pair_count; p++, difference += figure_count) {
        const struct figure_pair *pair = &d->pairs[p];
        source_figures(d->table, drawn, count, pair->a, pair->b, d->table->copy, difference);
        source_figures(d->table, drawn, count, pair->b, pair->a, d->table->copy, d->room);
        for (int f = 0; f < figure_count; f++) difference[f] -= d->room[f];
    }
}

int figures_compute(const struct figure_table *table, uint64_t seed, const struct figure_pair *pairs, int pair_count,
                    struct bootstrap_interval *over_copy, double *over_drawn, struct bootstrap_interval *differences) {
    int own = table->sources * figure_count, all = own + pair_count * figure_count;
    struct bootstrap_interval *out = malloc((size_t)all * sizeof *out);
    int *every = malloc((size_t)(table->dialogues + 1) * sizeof *every);
    double *room = malloc((size_t)figure_count * sizeof *room);
    struct drawing_of_dialogues d = {table, pairs, pair_count, room};
    int code = out && every && room ? bootstrap(seed, table->dialogues, compute, &d, out, all)
                                    : error_set(ERR_DEVICE, "out of memory for the figures");
    for (int i = 0; i < own && !code; i++) over_copy[i] = out[i];
    for (int i = own; i < all && !code; i++) differences[i - own] = out[i];
    for (int i = 0; i < table->dialogues && !code; i++) every[i] = i;
    for (int s = 0; s < table->sources && !code; s++)
        source_figures(table, every, table->dialogues, s, s, table->drawn, over_drawn + s * figure_count);
    free(out);
    free(room);
    free(every);
    return code;
}
