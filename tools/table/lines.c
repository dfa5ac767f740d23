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
        if (rows[r].settings.measured != rows[0].settings.measured || rows[r].dialogues != rows[0].dialogues ||
            strcmp(rows[r].features, rows[0].features))
            return error_set(ERR_INPUT,
                             "%s, seed %ld, and %s, seed %ld, were not measured alike (other data sets, "
                             "dialogues, keys of evaluate, or networks of features)",
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

/* Puts a column's values of one run into `to` [dialogues]; less those of another line's run, where it is not NULL. */
static void take_values(const struct line *line, const struct table_row *run, const char *column,
                        const struct line *less, const struct table_row *other, double *room, double *to) {
    row_values(run, line->source, column, to);
    if (!less) return;
    row_values(other, less->source, column, room);
    for (int d = 0; d < run->dialogues; d++) to[d] -= room[d];
}

/* Finds the run of the same seed; NULL: the line has none. */
static const struct table_row *run_of(const struct line *line, long seed) {
    for (int r = 0; r < line->runs; r++)
        if (line->run[r]->seed == seed) return line->run[r];
    return NULL;
}

/* room [LINE_SEEDS_MAX + 1, dialogues] */
static void compute_column(const struct lines *lines, struct line *line, int column, double *room) {
    const struct line *before = line->before < 0 ? NULL : &lines->line[line->before];
    const char *name = lines->column[column];
    int n = line->run[0]->dialogues;
    double *spare = room + (size_t)LINE_SEEDS_MAX * (size_t)n;
    for (int r = 0; r < line->runs; r++)
        take_values(line, line->run[r], name, NULL, NULL, spare, room + (size_t)r * (size_t)n);
    line->figure[column] = interval_of(room, line->runs, n);
    line->paired = 0;
    for (int r = 0; before && r < line->runs; r++) {
        const struct table_row *other = run_of(before, line->run[r]->seed);
        if (other)
            take_values(line, line->run[r], name, before, other, spare, room + (size_t)line->paired++ * (size_t)n);
    }
    line->step[column] = line->paired ? interval_of(room, line->paired, n) : (struct interval){NAN, NAN, NAN};
}

static int compute_all(struct lines *lines, int dialogues) {
    double *room = malloc(sizeof *room * (LINE_SEEDS_MAX + 1) * (size_t)dialogues);
    if (!room) return error_set(ERR_DEVICE, "out of memory for the table");
    for (int l = 0; l < lines->count; l++)
        for (int c = 0; c < lines->columns; c++) compute_column(lines, &lines->line[l], c, room);
    free(room);
    return OK;
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
    const struct interval *step = &line->step[column];
    int known = step->low < step->high; /* with one dialogue and one seed there is no interval to be outside of */
    return known && (step->low > 0 || step->high < 0);
}
