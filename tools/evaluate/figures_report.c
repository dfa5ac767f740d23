/* figures_report.c: see figures_report.h. */
#include "tools/evaluate/figures_report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A number with four decimals; null where there was nothing to measure. */
static cJSON *number(double value) {
    return isfinite(value) ? cJSON_CreateNumber(floor(value * 1e4 + 0.5) / 1e4) : cJSON_CreateNull();
}

static void add(cJSON *object, const char *key, double value) { cJSON_AddItemToObject(object, key, number(value)); }

cJSON *interval_json(const char *key, const struct bootstrap_interval *interval) {
    cJSON *o = cJSON_CreateObject();
    add(o, key, interval->value);
    add(o, "low", interval->low);
    add(o, "high", interval->high);
    return o;
}

cJSON *figures_json(const struct bootstrap_interval *over_copy, const double *over_drawn) {
    cJSON *all = cJSON_CreateObject();
    for (int f = 0; f < figure_count; f++) {
        cJSON *o = interval_json(figures[f].is_ratio ? "over_copy" : "value", &over_copy[f]);
        if (figures[f].is_ratio) add(o, "over_drawing", over_drawn[f]);
        cJSON_AddItemToObject(all, figures[f].name, o);
    }
    return all;
}

void dialogue_value_add(cJSON *source, const char *name, double value) {
    cJSON *values = cJSON_GetObjectItemCaseSensitive(source, name);
    if (!values) values = cJSON_AddArrayToObject(source, name);
    cJSON_AddItemToArray(values,
                         isfinite(value) ? cJSON_CreateNumber(floor(value * 1e7 + 0.5) / 1e7) : cJSON_CreateNull());
}

void figures_dialogue_add(cJSON *source, const struct source_totals *totals, const struct source_totals *copy) {
    for (int f = 0; f < figure_count; f++)
        dialogue_value_add(source, figures[f].name,
                           totals->trials > 0 ? figures[f].of(totals, copy, figures[f].which) : NAN);
}

cJSON *figures_difference_json(const struct bootstrap_interval *differences) {
    cJSON *all = cJSON_CreateObject();
    for (int f = 0; f < figure_count; f++)
        cJSON_AddItemToObject(all, figures[f].name, interval_json("difference", &differences[f]));
    return all;
}

cJSON *chance_json(const struct chance_test *test) {
    cJSON *o = cJSON_CreateObject();
    add(o, "correlation", test->correlation);
    add(o, "mean", test->mean);
    add(o, "deviation", test->deviation);
    add(o, "z", test->z);
    add(o, "p", test->p);
    return o;
}

cJSON *figures_shifts_json(const struct shift_sums *shifts) {
    cJSON *all = cJSON_CreateObject();
    for (int i = 0; i < FOLLOWED; i++) {
        struct chance_test test = shift_sums_test(&shifts[i]);
        cJSON_AddItemToObject(all, followed_tracks[i].name, chance_json(&test));
    }
    return all;
}

cJSON *figures_bands_json(const struct latent_sums *source, const struct latent_sums *copy) {
    cJSON *all = cJSON_CreateObject();
    for (int r = 0; r < REGIONS; r++) {
        cJSON *bands = cJSON_AddArrayToObject(all, region_names[r]);
        for (int b = 0; b < LATENT_BANDS; b++) {
            double deviation = sqrt(source->energy[r][b] / source->dialogues / (copy->energy[r][b] / copy->dialogues));
            cJSON_AddItemToArray(bands, number(deviation));
        }
    }
    return all;
}

void figures_scale_add(cJSON *scale, const char *prefix, const struct latent_sums *copy,
                       const struct latent_sums *halves) {
    for (int kind = 0; kind < LATENT_KINDS; kind++)
        for (int r = 0; r < REGIONS; r++) {
            char name[64];
            snprintf(name, sizeof name, "%s%s%s", prefix, kind == LATENT_MOTION ? "motion_" : "", region_names[r]);
            cJSON *o = cJSON_AddObjectToObject(scale, name);
            add(o, "halves_of_copy", halves->frechet[kind][r] / halves->dialogues);
            add(o, "still_picture", copy->still[kind][r] / copy->dialogues);
        }
}

/* Figures of the table, and the words for them that a stranger understands. */
static const struct line {
    const char *figure, *label;
} ratios[] = {{"mouth_slope", "mouth: slope on the truth"},
              {"mouth_correlation", "mouth: correlation"},
              {"mouth_residual", "mouth: motion besides"},
              {"hands_slope", "hands: slope on the truth"},
              {"hands_correlation", "hands: correlation"},
              {"hands_residual", "hands: motion besides"},
              {"hands_found", "hands: frames that show them"},
              {"nod_slope", "nod, listening: slope"},
              {"nod_correlation", "nod, listening: correlation"},
              {"fine_energy_mouth", "fine detail that moves: mouth"},
              {"fine_energy_hands", "fine detail that moves: hands"},
              {"sharpness", "sharpness"},
              {"flat_noise", "noise in flat areas"},
              {"flicker", "flicker of the wall"}},
  values[] = {{"frechet_mouth", "Frechet distance: mouth"},
              {"frechet_eyes", "Frechet distance: eyes"},
              {"frechet_hands", "Frechet distance: hands"},
              {"frechet_whole", "Frechet distance: whole"},
              {"frechet_motion_mouth", "Frechet, motion: mouth"},
              {"frechet_motion_hands", "Frechet, motion: hands"},
              {"feature_frechet_mouth", "the same in features: mouth"},
              {"feature_frechet_hands", "in features: hands"},
              {"feature_frechet_whole", "in features: whole"},
              {"feature_frechet_motion_mouth", "in features, motion: mouth"},
              {"feature_frechet_motion_hands", "in features, motion: hands"},
              {"face_likeness_first", "face: whose it is, cosine, at first"},
              {"face_likeness_last", "face: that in the last 10 s"},
              {"mouth_lag_ms", "mouth is late by, ms"},
              {"face_psnr", "face: likeness to the copy's, dB"},
              {"face_drift", "face: that, change a minute"},
              {"wall_drift", "wall: likeness, dB more a minute"}};

static int figure_named(const char *name) {
    int f = 0;
    while (f + 1 < figure_count && strcmp(figures[f].name, name)) f++;
    return f;
}

static void print_number(double value, int width) {
    if (isfinite(value))
        printf("%*.3f", width, value);
    else
        printf("%*s", width, "-");
}

static void print_line(const struct bootstrap_interval *over_copy, const struct line *line, const int *columns,
                       int column_count) {
    int f = figure_named(line->figure), last = columns[column_count - 1], measured = 0;
    for (int c = 0; c < column_count; c++) measured |= isfinite(over_copy[columns[c] * figure_count + f].value);
    if (!measured) return; /* no network of features was given */
    printf("\n%-34s", line->label);
    for (int c = 0; c < column_count; c++) print_number(over_copy[columns[c] * figure_count + f].value, 11);
    printf("   ");
    print_number(over_copy[last * figure_count + f].low, 0);
    printf(" to ");
    print_number(over_copy[last * figure_count + f].high, 0);
}

void figures_print(const struct bootstrap_interval *over_copy, const char *const *names, const int *columns,
                   int column_count) {
    printf("\nOver the codec's copy of the truth, which is all that data and students can show; 1: as the copy\n%-34s",
           "");
    for (int c = 0; c < column_count; c++) printf("%11s", names[columns[c]]);
    printf("   %s, 95 %%", names[columns[column_count - 1]]);
    for (size_t l = 0; l < sizeof ratios / sizeof *ratios; l++)
        print_line(over_copy, &ratios[l], columns, column_count);
    printf("\n\nAgainst the codec's copy, in units of their own; Frechet distances: 0 is the copy");
    for (size_t l = 0; l < sizeof values / sizeof *values; l++)
        print_line(over_copy, &values[l], columns, column_count);
    printf("\n");
}

static void print_difference(const struct bootstrap_interval *differences, const struct line *line, int pairs) {
    int f = figure_named(line->figure), measured = 0;
    for (int p = 0; p < pairs; p++) measured |= isfinite(differences[p * figure_count + f].value);
    if (!measured) return;
    printf("\n%-34s", line->label);
    for (int p = 0; p < pairs; p++) {
        const struct bootstrap_interval *d = &differences[p * figure_count + f];
        print_number(d->value, 20);
        int has_width = d->low < d->high; /* one dialogue alone tells nothing of others */
        printf("%c", has_width && (d->low > 0 || d->high < 0) ? '*' : ' ');
    }
}

void figures_print_differences(const struct bootstrap_interval *differences, const char *const *names, int pairs) {
    printf("\nDifferences over the same dialogues; *: the 95 %% interval, paired by dialogue, excludes 0\n%-34s", "");
    for (int p = 0; p < pairs; p++) printf("%20s ", names[p]);
    for (size_t l = 0; l < sizeof ratios / sizeof *ratios; l++) print_difference(differences, &ratios[l], pairs);
    for (size_t l = 0; l < sizeof values / sizeof *values; l++) print_difference(differences, &values[l], pairs);
    printf("\n");
}
