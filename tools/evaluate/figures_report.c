/* figures_report.c: see figures_report.h. */
#include "tools/evaluate/figures_report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Four decimals; null where there was nothing to measure. */
static void add(cJSON *object, const char *key, double value) {
    if (isfinite(value))
        cJSON_AddNumberToObject(object, key, floor(value * 1e4 + 0.5) / 1e4);
    else
        cJSON_AddNullToObject(object, key);
}

static cJSON *interval_json(const char *key, const struct bootstrap_interval *interval) {
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

cJSON *figures_difference_json(const struct bootstrap_interval *differences) {
    cJSON *all = cJSON_CreateObject();
    for (int f = 0; f < figure_count; f++)
        cJSON_AddItemToObject(all, figures[f].name, interval_json("difference", &differences[f]));
    return all;
}

cJSON *figures_shifts_json(const struct shift_sums *shifts) {
    cJSON *all = cJSON_CreateObject();
    for (int i = 0; i < FOLLOWED; i++) {
        struct shift_test test = shift_sums_test(&shifts[i]);
        cJSON *o = cJSON_CreateObject();
        add(o, "correlation", test.correlation);
        add(o, "mean", test.mean);
        add(o, "deviation", test.deviation);
        add(o, "z", test.z);
        add(o, "p", test.p);
        cJSON_AddItemToObject(all, followed_tracks[i].name, o);
    }
    return all;
}

/* What stands in the table, and how a stranger calls it. */
static const struct {
    const char *figure, *label;
} lines[] = {
    {"mouth_slope", "mouth: slope on the truth"},
    {"mouth_correlation", "mouth: correlation"},
    {"mouth_residual", "mouth: motion besides (residual)"},
    {"mouth_lag_ms", "mouth: late by, ms"},
    {"hands_slope", "hands: slope on the truth"},
    {"hands_correlation", "hands: correlation"},
    {"hands_residual", "hands: motion besides (residual)"},
    {"hands_found", "hands: frames that show them"},
    {"nod_slope", "nod while listening: slope"},
    {"nod_correlation", "nod while listening: correlation"},
    {"sharpness", "sharpness"},
    {"flat_noise", "noise in flat areas"},
};

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

void figures_print(const struct bootstrap_interval *over_copy, const char *const *names, const int *columns,
                   int column_count) {
    int last = columns[column_count - 1];
    printf("\nOver the codec's copy of the truth, which is all that data and students can show (1: as the copy)\n%-34s",
           "");
    for (int c = 0; c < column_count; c++) printf("%11s", names[columns[c]]);
    printf("  %s, 95 %%", names[last]);
    for (size_t l = 0; l < sizeof lines / sizeof *lines; l++) {
        int f = figure_named(lines[l].figure);
        printf("\n%-34s", lines[l].label);
        for (int c = 0; c < column_count; c++) print_number(over_copy[columns[c] * figure_count + f].value, 11);
        printf("   ");
        print_number(over_copy[last * figure_count + f].low, 0);
        printf(" to ");
        print_number(over_copy[last * figure_count + f].high, 0);
    }
    printf("\n");
}
