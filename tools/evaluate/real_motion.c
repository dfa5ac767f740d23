/* real_motion.c: see real_motion.h. */
#include "tools/evaluate/real_motion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/media_rates.h"

const char *const real_figure_names[REAL_FIGURES] = {"correlation",
                                                     "correlation_with_copy",
                                                     "ceiling",
                                                     "over_ceiling",
                                                     "amount_over_copy",
                                                     "exchanged_with_own",
                                                     "exchanged_with_sound",
                                                     "sound_counts",
                                                     "reseeded_correlation",
                                                     "between_seeds",
                                                     "spread_mouth",
                                                     "spread_whole",
                                                     "fine_energy_mouth",
                                                     "fine_energy_whole",
                                                     "frechet_mouth",
                                                     "frechet_whole",
                                                     "frechet_motion_mouth",
                                                     "frechet_motion_whole",
                                                     "feature_frechet_mouth",
                                                     "feature_frechet_whole",
                                                     "feature_frechet_motion_mouth",
                                                     "feature_frechet_motion_whole",
                                                     "likeness_first",
                                                     "likeness_last"};

enum { UNCOUNTED = 2 }; /* number of frames at the start that do not count */

int real_clip_open(struct real_clip *clip, int frames) {
    size_t room = (size_t)frames + FRAMES_PER_LATENT;
    *clip = (struct real_clip){.frames = frames};
    float *all = calloc(5 * room, sizeof *all);
    if (!all) return error_set(ERR_DEVICE, "out of memory for a clip's motion");
    clip->real = all;
    clip->made = all + room;
    clip->copy = all + 2 * room;
    clip->exchanged = all + 3 * room;
    clip->reseeded = all + 4 * room;
    return OK;
}

void real_clip_close(struct real_clip *clip) {
    free(clip->real);
    *clip = (struct real_clip){0};
}

/* Makes of every fourth frame a track of its own, whose mean is removed. */
static void add(struct regression *sums, const float *measured, const float *known, int count) {
    for (int phase = 0; phase < FRAMES_PER_LATENT; phase++)
        regression_add_strided(sums, measured + UNCOUNTED + phase, known + UNCOUNTED + phase,
                               (count - UNCOUNTED - phase + FRAMES_PER_LATENT - 1) / FRAMES_PER_LATENT,
                               FRAMES_PER_LATENT);
}

static double sum_energy(const float *energy, int from, int to) {
    double sum = 0;
    for (int f = from; f < to; f++) sum += (double)energy[f];
    return sum;
}

struct clips {
    const struct real_clip *clips;
};

static double ratio(double a, double b) { return b > 1e-12 ? a / b : NAN; }

static double energy_of(const struct latent_sums *sums, int region) {
    double all = 0;
    for (int b = 0; b < LATENT_BANDS; b++) all += sums->energy[region][b];
    return all;
}

static double distance(const struct latent_sums *sums, enum latent_kind kind, enum region region) {
    return ratio(sums->frechet[kind][region], sums->dialogues);
}

/* Writes the figures of maps, from REAL_SPREAD_MOUTH on. again: clips that were made twice. */
static void map_figures(const struct real_map_sums *all, const struct real_map_sums *again, double *out) {
    static const enum region regions[2] = {REGION_MOUTH, REGION_WHOLE};
    for (int i = 0; i < 2; i++) {
        enum region r = regions[i];
        out[REAL_SPREAD_MOUTH + i] = ratio(again->spread[r], energy_of(&again->copy, r));
        out[REAL_FINE_ENERGY_MOUTH + i] =
            sqrt(ratio(all->latents.energy[r][LATENT_BANDS - 1], all->copy.energy[r][LATENT_BANDS - 1]));
        for (int kind = 0; kind < LATENT_KINDS; kind++) {
            out[REAL_FRECHET_MOUTH + 2 * kind + i] = distance(&all->latents, (enum latent_kind)kind, r);
            out[REAL_FEATURE_FRECHET_MOUTH + 2 * kind + i] = distance(&all->features, (enum latent_kind)kind, r);
        }
        out[REAL_LIKENESS_FIRST + i] = all->frames[i] > 0 ? all->likeness[i] / all->frames[i] : NAN;
    }
}

static void compute(void *user, const int *drawn, int count, double *out) {
    const struct clips *all = user;
    struct regression with_real = {0}, with_copy = {0}, ceiling = {0}, own = {0}, sound = {0}, right = {0};
    struct regression reseeded = {0}, between = {0};
    struct real_map_sums maps = {0}, twice = {0};
    double made = 0, copy = 0;
    for (int i = 0; i < count; i++) {
        const struct real_clip *c = &all->clips[drawn[i]];
        add(&with_real, c->made, c->real, c->frames);
        add(&with_copy, c->made, c->copy, c->copied);
        add(&ceiling, c->copy, c->real, c->copied);
        made += sum_energy(c->made, UNCOUNTED, c->copied);
        copy += sum_energy(c->copy, UNCOUNTED, c->copied);
        real_map_sums_merge(&maps, &c->maps);
        if (c->again) {
            add(&reseeded, c->reseeded, c->real, c->again);
            add(&between, c->made, c->reseeded, c->again);
            real_map_sums_merge(&twice, &c->maps);
        }
        if (!c->swapped) continue;
        add(&own, c->exchanged, c->real, c->swapped);
        add(&sound, c->exchanged, all->clips[c->sound_of].real, c->swapped);
        add(&right, c->made, c->real, c->swapped);
    }
    out[REAL_CORRELATION] = regression_correlation(&with_real);
    out[REAL_WITH_COPY] = regression_correlation(&with_copy);
    out[REAL_CEILING] = regression_correlation(&ceiling);
    out[REAL_OVER_CEILING] = out[REAL_CEILING] > 0 ? out[REAL_CORRELATION] / out[REAL_CEILING] : NAN;
    out[REAL_AMOUNT_OVER_COPY] = copy > 0 ? made / copy : NAN;
    int any = own.frames > 0;
    out[REAL_EXCHANGED_OWN] = any ? regression_correlation(&own) : NAN;
    out[REAL_EXCHANGED_SOUND] = any ? regression_correlation(&sound) : NAN;
    out[REAL_SOUND_COUNTS] = any ? regression_correlation(&right) - regression_correlation(&own) : NAN;
    out[REAL_RESEEDED] = reseeded.frames > 0 ? regression_correlation(&reseeded) : NAN;
    out[REAL_BETWEEN_SEEDS] = between.frames > 0 ? regression_correlation(&between) : NAN;
    map_figures(&maps, &twice, out);
}

int real_figures(const struct real_clip *clips, int count, uint64_t seed,
                 struct bootstrap_interval figures[REAL_FIGURES]) {
    struct clips all = {clips};
    return bootstrap(seed, count, compute, &all, figures, REAL_FIGURES);
}

int real_chance(const struct real_clip *clips, int count, uint64_t seed, struct chance_test *made,
                struct chance_test *copy) {
    struct clip_tracks *tracks = calloc((size_t)count + 1, sizeof *tracks);
    if (!tracks) return error_set(ERR_DEVICE, "out of memory for the permutation test");
    for (int i = 0; i < count; i++)
        tracks[i] = (struct clip_tracks){clips[i].made + UNCOUNTED, clips[i].real + UNCOUNTED,
                                         clips[i].frames - UNCOUNTED, FRAMES_PER_LATENT};
    int code = permutation_test(made, seed, tracks, count);
    for (int i = 0; i < count; i++) {
        tracks[i].measured = clips[i].copy + UNCOUNTED;
        tracks[i].count = clips[i].copied - UNCOUNTED;
    }
    if (!code) code = permutation_test(copy, seed, tracks, count);
    free(tracks);
    return code;
}
