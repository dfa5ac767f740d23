/* hard_evaluation.c: see hard_evaluation.h. */
#include "tools/evaluate/hard_evaluation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fileio.h"
#include "tools/evaluate/data_world.h"
#include "tools/evaluate/figures_report.h"
#include "tools/worker_pool.h"

static size_t sums_bytes(const struct hard_evaluation *e) {
    return (size_t)e->dialogues * (size_t)e->sources * sizeof *e->sums;
}

int hard_evaluation_open(struct hard_evaluation *e, const char *data, int dialogues, int sources, int copy) {
    *e = (struct hard_evaluation){.dialogues = dialogues, .sources = sources, .copy = copy};
    if (file_exists(data)) TRY(data_world(data, &e->world, NULL));
    if (e->world != PUPPET_HARD) return OK;
    e->sums = worker_memory(sums_bytes(e));
    return e->sums ? OK : error_set(ERR_DEVICE, "out of memory for the hard world's sums");
}

void hard_evaluation_close(struct hard_evaluation *e) {
    worker_memory_free(e->sums, sums_bytes(e));
    e->sums = NULL;
}

/* ---- in a worker ---- */

static int draw_history(const struct trial *t, struct puppet *puppet, float *picture, struct latent_history *history) {
    TRY(latent_history_open(history, &t->grid, t->frames));
    for (int f = 0; f < t->frames; f++) {
        TRY(puppet_draw(puppet, f, t->height, t->width, picture));
        TRY(latent_history_take(history, &t->grid, t->encoder, picture));
    }
    return OK;
}

/* Measures how far the truth and another draw of it are apart. */
static int truth_spread(const struct trial *t, double *whole) {
    struct latent_history own = {0}, other = {0};
    struct puppet *draw = NULL;
    double spread[REGIONS] = {0};
    float *picture = malloc(3 * (size_t)t->height * (size_t)t->width * sizeof *picture);
    int code = picture ? OK : error_set(ERR_DEVICE, "out of memory for a picture");
    if (!code) code = puppet_open_draw(&draw, t->puppet, 1);
    if (!code) code = draw_history(t, t->puppet, picture, &own);
    if (!code) code = draw_history(t, draw, picture, &other);
    if (!code) latent_spread_add(spread, &t->grid, &own, &other);
    *whole = spread[REGION_WHOLE];
    latent_history_close(&own);
    latent_history_close(&other);
    puppet_close(draw);
    free(picture);
    return code;
}

int hard_dialogue_begin(struct hard_evaluation *e, int index, const struct trial *t, int spread) {
    double whole = 0;
    if (!e->sums) return OK;
    e->index = index;
    struct hard_sums *own = e->sums + (size_t)index * (size_t)e->sources;
    memset(own, 0, (size_t)e->sources * sizeof *own); /* what a worker that died has left */
    TRY(hard_trial_open(&e->trial, t->puppet, t->reference, &t->marks, t->height, t->width));
    if (spread) TRY(truth_spread(t, &whole));
    for (int s = 0; s < e->sources; s++) own[s].truth_spread = whole;
    return OK;
}

void hard_dialogue_end(struct hard_evaluation *e) {
    if (e->sums) hard_trial_close(&e->trial);
}

int hard_source_begin(struct hard_evaluation *e) { return e->sums ? hard_track_open(&e->track, &e->trial) : OK; }

void hard_source_take(struct hard_evaluation *e, long frame, const float *picture, const struct person_places *places) {
    if (e->sums) hard_take(&e->track, frame, picture, places);
}

int hard_source_end(struct hard_evaluation *e, int source, double spread) {
    if (!e->sums) return OK;
    struct hard_sums *own = &e->sums[e->index * e->sources + source];
    int code = source == e->copy ? hard_trial_set_copy(&e->trial, &e->track) : OK;
    if (!code) hard_sums_add(own, &e->track);
    own->spread = spread;
    if (!(spread > 0)) own->truth_spread = 0; /* no second rollout: nothing to divide */
    hard_track_close(&e->track);
    return code;
}

/* ---- the report ---- */

struct drawing {
    const struct hard_evaluation *e;
    const struct figure_pair *pairs;
    int pair_count;
};

/* A source's figures over the drawn dialogues which both it and `also` have. */
static void source_figures(const struct hard_evaluation *e, const int *drawn, int count, int source, int also,
                           double *out) {
    struct hard_sums own = {0}, copy = {0};
    for (int i = 0; i < count; i++) {
        const struct hard_sums *of = e->sums + (size_t)drawn[i] * (size_t)e->sources;
        if (!(of[source].talk_frames > 0 && of[also].talk_frames > 0)) continue;
        hard_sums_merge(&own, &of[source]);
        hard_sums_merge(&copy, &of[e->copy]);
    }
    for (int f = 0; f < HARD_FIGURES; f++) out[f] = hard_figures[f].of(&own, &copy, hard_figures[f].which);
}

static void compute(void *user, const int *drawn, int count, double *out) {
    const struct drawing *d = user;
    double other[HARD_FIGURES];
    for (int s = 0; s < d->e->sources; s++, out += HARD_FIGURES) source_figures(d->e, drawn, count, s, s, out);
    for (int p = 0; p < d->pair_count; p++, out += HARD_FIGURES) {
        source_figures(d->e, drawn, count, d->pairs[p].a, d->pairs[p].b, out);
        source_figures(d->e, drawn, count, d->pairs[p].b, d->pairs[p].a, other);
        for (int f = 0; f < HARD_FIGURES; f++) out[f] -= other[f];
    }
}

static void add_figures(cJSON *to, const char *key, const struct bootstrap_interval *own) {
    cJSON *all = cJSON_AddObjectToObject(to, "hard_world");
    for (int f = 0; f < HARD_FIGURES; f++)
        cJSON_AddItemToObject(all, hard_figures[f].name, interval_json(key, &own[f]));
}

static void print(const struct bootstrap_interval *all, const char *const *names, const int *columns,
                  int column_count) {
    printf("\nThe hard world: what no voice tells, and what must be remembered\n%-44s", "");
    for (int c = 0; c < column_count; c++) printf("%11s", names[columns[c]]);
    for (int f = 0; f < HARD_FIGURES; f++) {
        printf("\n%-44s", hard_figures[f].what);
        for (int c = 0; c < column_count; c++) {
            double value = all[columns[c] * HARD_FIGURES + f].value;
            isfinite(value) ? printf("%11.3f", value) : printf("%11s", "-");
        }
    }
    printf("\n");
}

void hard_dialogue_add(const struct hard_evaluation *e, cJSON *of, int source, int dialogue) {
    if (!e->sums) return;
    const struct hard_sums *sums = e->sums + (size_t)dialogue * (size_t)e->sources;
    for (int f = 0; f < HARD_FIGURES; f++)
        dialogue_value_add(of, hard_figures[f].name,
                           sums[source].talk_frames > 0
                               ? hard_figures[f].of(&sums[source], &sums[e->copy], hard_figures[f].which)
                               : NAN);
}

int hard_evaluation_report(const struct hard_evaluation *e, uint64_t seed, cJSON *root, const char *const *names,
                           const struct figure_pair *pairs, int pair_count, const int *columns, int column_count) {
    cJSON_AddStringToObject(root, "world", puppet_worlds[e->world]);
    if (!e->sums) return OK;
    int count = (e->sources + pair_count) * HARD_FIGURES;
    struct bootstrap_interval *all = malloc((size_t)count * sizeof *all);
    if (!all) return error_set(ERR_DEVICE, "out of memory for the hard world's figures");
    struct drawing drawing = {e, pairs, pair_count};
    int code = bootstrap(seed, e->dialogues, compute, &drawing, all, count);
    for (int s = 0; s < e->sources && !code; s++) {
        cJSON *of = cJSON_GetObjectItem(root, names[s]);
        if (of) add_figures(of, "value", all + s * HARD_FIGURES);
    }
    cJSON *differences = cJSON_GetObjectItem(root, "differences");
    for (int p = 0; p < pair_count && !code && differences; p++) {
        char name[64];
        snprintf(name, sizeof name, "%s_less_%s", names[pairs[p].a], names[pairs[p].b]);
        cJSON *of = cJSON_GetObjectItem(differences, name);
        if (of) add_figures(of, "difference", all + (e->sources + p) * HARD_FIGURES);
    }
    if (!code) print(all, names, columns, column_count);
    free(all);
    return code;
}
