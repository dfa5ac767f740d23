/* lines.c: see lines.h. */
#include "tools/table/lines.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* ---- columns ---- */

static int add_column(struct lines *lines, const char *name) {
    for (int c = 0; c < lines->columns; c++)
        if (!strcmp(lines->column[c], name)) return OK;
    if (lines->columns == COLUMNS_MAX) return error_set(ERR_USAGE, "columns: expected at most %d", COLUMNS_MAX);
    lines->column[lines->columns++] = name;
    return OK;
}

/* Adds the figures of all rows' students that a word stands for and that some dialogue has. */
static int add_columns(struct lines *lines, const struct table_row *rows, int count, const char *word) {
    size_t n = strlen(word);
    int all = n && word[n - 1] == '*';
    double *values = malloc(sizeof *values * ROW_DIALOGUES_MAX);
    if (!values) return error_set(ERR_DEVICE, "out of memory for a row's values");
    int code = OK;
    for (int r = 0; r < count; r++) {
        const cJSON *figure, *student = cJSON_GetObjectItemCaseSensitive(rows[r].sources, "student");
        cJSON_ArrayForEach(figure, student) {
            const char *name = figure->string;
            if (all ? strncmp(name, word, n - 1) != 0 : strcmp(name, word) != 0) continue;
            if (!code && row_values(&rows[r], "student", name, values)) code = add_column(lines, name);
        }
    }
    free(values);
    return code;
}

static int find_columns(struct lines *lines, const struct table_row *rows, int count, char *columns) {
    for (char *word, *rest = columns; (word = strtok_r(rest, ", ", &rest));) TRY(add_columns(lines, rows, count, word));
    return lines->columns ? OK : error_set(ERR_USAGE, "columns: no row has any of these figures");
}

/* ---- lines ---- */

static int find_line(const struct lines *lines, const char *name) {
    for (int l = 0; l < lines->count; l++)
        if (!strcmp(lines->line[l].run[0]->name, name)) return l;
    return -1;
}

/* Puts a row into its line, by rising seed. */
static int add_run(struct line *line, const struct table_row *row) {
    int at = line->runs;
    for (int i = 0; i < line->runs; i++)
        if (line->run[i]->seed == row->seed)
            return error_set(ERR_INPUT, "%s: its seed %ld is given twice", row->name, row->seed);
    if (line->runs == LINE_SEEDS_MAX) return error_set(ERR_USAGE, "%s: more than %d seeds", row->name, LINE_SEEDS_MAX);
    for (; at > 0 && line->run[at - 1]->seed > row->seed; at--) line->run[at] = line->run[at - 1];
    line->run[at] = row;
    line->runs++;
    return OK;
}

static int group(struct lines *lines, const struct table_row *rows, int count) {
    for (int r = 0; r < count; r++) {
        int l = find_line(lines, rows[r].name);
        if (rows[r].settings.measured != rows[0].settings.measured || rows[r].dialogues != rows[0].dialogues)
            return error_set(ERR_INPUT,
                             "%s, seed %ld, and %s, seed %ld, were not measured alike (other data sets, "
                             "dialogues or keys of evaluate)",
                             rows[0].name, rows[0].seed, rows[r].name, rows[r].seed);
        if (l >= 0 && rows[r].settings.method != lines->line[l].run[0]->settings.method)
            return error_set(ERR_INPUT, "%s: its seeds were trained with different settings", rows[r].name);
        if (l < 0) {
            l = lines->count++;
            lines->line[l] = (struct line){.source = "student"};
        }
        TRY(add_run(&lines->line[l], &rows[r]));
    }
    return OK;
}

/* Finds for each line the one that it is compared with. */
static void find_before(struct lines *lines) {
    for (int l = 0; l < lines->count; l++) {
        const char *against = lines->line[l].run[0]->against;
        lines->line[l].before = *against ? find_line(lines, against) : l - 1;
    }
}

/* Adds lines for what was switched off in the students of the row `name`. */
static void add_switched_off(struct lines *lines, const char *name) {
    static const char *const sources[] = {"no_sink", "no_rapr", "no_sink_no_rapr"};
    int own = find_line(lines, name);
    for (size_t s = 0; own >= 0 && s < sizeof sources / sizeof *sources; s++) {
        if (!cJSON_GetObjectItemCaseSensitive(lines->line[own].run[0]->sources, sources[s])) continue;
        struct line *line = &lines->line[lines->count++];
        *line = lines->line[own];
        line->source = sources[s];
        line->before = own;
    }
}

/* ---- figures ---- */

/* A column's values of a line, and those of the line before for the same seeds: [runs, dialogues], NaN where there is
   none. before NULL: the line's own means are wanted. */
struct cells {
    int dialogues;
    double *own, *before;
};

static void compute(void *user, const struct bootstrap_sample *sample, double *figure) {
    const struct cells *c = user;
    double sum = 0, count = 0;
    for (int r = 0; r < sample->run_count; r++)
        for (int d = 0; d < sample->dialogue_count; d++) {
            int at = sample->runs[r] * c->dialogues + sample->dialogues[d];
            double value = c->before ? c->own[at] - c->before[at] : c->own[at];
            if (isfinite(value)) sum += value, count++;
        }
    *figure = count > 0 ? sum / count : NAN;
}

/* The same draws serve all lines and columns, so that what is compared was drawn alike. */
enum { TABLE_SEED = 1 };

static int compute_column(const struct lines *lines, struct line *line, int column, double *room) {
    int n = line->run[0]->dialogues, paired = 0;
    const struct line *before = line->before < 0 ? NULL : &lines->line[line->before];
    struct cells own = {n, room, NULL};
    for (int r = 0; r < line->runs; r++)
        row_values(line->run[r], line->source, lines->column[column], room + (size_t)r * (size_t)n);
    TRY(bootstrap_crossed(TABLE_SEED, n, line->runs, compute, &own, &line->figure[column], 1));
    line->step[column] = (struct bootstrap_interval){NAN, NAN, NAN};
    struct cells pair = {n, room, room + (size_t)LINE_SEEDS_MAX * (size_t)n};
    for (int r = 0; before && r < line->runs; r++)
        for (int b = 0; b < before->runs; b++) {
            if (before->run[b]->seed != line->run[r]->seed) continue;
            size_t at = (size_t)paired++ * (size_t)n;
            row_values(line->run[r], line->source, lines->column[column], pair.own + at);
            row_values(before->run[b], before->source, lines->column[column], pair.before + at);
        }
    line->paired = paired;
    return paired ? bootstrap_crossed(TABLE_SEED, n, paired, compute, &pair, &line->step[column], 1) : OK;
}

static int compute_all(struct lines *lines, int dialogues) {
    double *room = malloc(sizeof *room * 2 * LINE_SEEDS_MAX * (size_t)dialogues);
    int code = room ? OK : error_set(ERR_DEVICE, "out of memory for the table");
    for (int l = 0; l < lines->count; l++)
        for (int c = 0; c < lines->columns && !code; c++) code = compute_column(lines, &lines->line[l], c, room);
    free(room);
    return code;
}

int lines_open(struct lines *lines, const struct table_row *rows, int count, const char *switched_off, char *columns) {
    enum { SWITCHED = 3 };
    memset(lines, 0, sizeof *lines);
    if (count + SWITCHED > LINES_MAX) return error_set(ERR_USAGE, "expected at most %d rows", LINES_MAX - SWITCHED);
    lines->line = calloc((size_t)(count + SWITCHED), sizeof *lines->line);
    if (!lines->line) return error_set(ERR_DEVICE, "out of memory for the table");
    TRY(find_columns(lines, rows, count, columns));
    TRY(group(lines, rows, count));
    find_before(lines);
    add_switched_off(lines, switched_off);
    return compute_all(lines, rows[0].dialogues);
}

void lines_close(struct lines *lines) {
    free(lines->line);
    lines->line = NULL;
}

int line_has_star(const struct line *line, int column) {
    const struct bootstrap_interval *step = &line->step[column];
    int drawn = step->low < step->high; /* with one dialogue and one seed there is no interval to be outside of */
    return drawn && (step->low > 0 || step->high < 0);
}
