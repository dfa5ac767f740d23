/* lines_text.c: writes a table's lines as Markdown and as a program for gnuplot (lines.h). */
#include "tools/table/lines.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* A number of three significant digits, or of all before the point. */
static void number(char text[32], double value) { snprintf(text, 32, fabs(value) >= 100 ? "%.0f" : "%.3g", value); }

static void cell(const struct interval *interval, const char *mark, FILE *file) {
    char value[32], low[32], high[32];
    if (!isfinite(interval->value)) {
        fprintf(file, " - |");
        return;
    }
    number(value, interval->value);
    number(low, interval->low);
    number(high, interval->high);
    if (interval->low < interval->high)
        fprintf(file, " %s%s [%s, %s] |", value, mark, low, high);
    else
        fprintf(file, " %s%s |", value, mark);
}

/* What was switched off while a student streamed, in a reader's words. */
static const char *const switched_off[][2] = {
    {"no_sink", ", sink off"}, {"no_rapr", ", RAPR off"}, {"no_sink_no_rapr", ", both off"}};

/* Writes a line's name: "full", or "full, sink off". */
static void line_name(const struct line *line, char text[2 * ROW_NAME]) {
    const char *off = "";
    for (size_t i = 0; i < sizeof switched_off / sizeof *switched_off; i++)
        if (!strcmp(line->source, switched_off[i][0])) off = switched_off[i][1];
    snprintf(text, 2 * ROW_NAME, "%s%s", line->run[0]->name, off);
}

static void head(const struct lines *lines, const char *first, const char *last, FILE *file) {
    fprintf(file, "| %s |", first);
    for (int c = 0; c < lines->columns; c++) fprintf(file, " %s |", lines->column[c]);
    fprintf(file, " %s |\n| --- |", last);
    for (int c = 0; c < lines->columns; c++) fprintf(file, " --- |");
    fprintf(file, " --- |\n");
}

static void print_seeds(const struct line *line, FILE *file) {
    for (int r = 0; r < line->runs; r++) fprintf(file, "%s%ld", r ? ", " : " ", line->run[r]->seed);
}

static void print_figures(const struct lines *lines, FILE *file) {
    char name[2 * ROW_NAME];
    head(lines, "row", "what it is", file);
    for (int l = 0; l < lines->count; l++) {
        const struct line *line = &lines->line[l];
        line_name(line, name);
        fprintf(file, "| %s |", name);
        for (int c = 0; c < lines->columns; c++) cell(&line->figure[c], line_has_star(line, c) ? "\\*" : "", file);
        fprintf(file, " %s |\n",
                strcmp(line->source, "student") ? "switched off while it streams" : line->run[0]->what);
    }
}

static void print_steps(const struct lines *lines, FILE *file) {
    char name[2 * ROW_NAME], other[2 * ROW_NAME];
    head(lines, "step", "seeds", file);
    for (int l = 0; l < lines->count; l++) {
        const struct line *line = &lines->line[l];
        if (line->before < 0) continue;
        line_name(line, name);
        line_name(&lines->line[line->before], other);
        fprintf(file, "| %s less %s |", name, other);
        for (int c = 0; c < lines->columns; c++) cell(&line->step[c], line_has_star(line, c) ? "\\*" : "", file);
        fprintf(file, " %d |\n", line->paired);
    }
}

/* Lists what all rows of the table were made with, each text once. */
static void print_once(const struct lines *lines, const char *what, size_t at, FILE *file) {
    int told = 0;
    for (int l = 0; l < lines->count; l++)
        for (int r = 0; r < lines->line[l].runs; r++) {
            const char *text = (const char *)lines->line[l].run[r] + at;
            int before = 0;
            for (int k = 0; k <= l; k++)
                for (int i = 0; i < (k < l ? lines->line[k].runs : r); i++)
                    before |= !strcmp((const char *)lines->line[k].run[i] + at, text);
            if (before) continue;
            fprintf(file, "%s%s", told++ ? "; " : what, text);
        }
    fprintf(file, ".\n");
}

void lines_markdown(const struct lines *lines, FILE *file) {
    const struct table_row *first = lines->line[0].run[0];
    print_figures(lines, file);
    fprintf(file,
            "\nA figure is the mean over %d dialogues of %s persons and the row's seeds. In brackets: its 95 %% "
            "interval, over other\ndialogues and other seeds. A star: the step from the row that it is compared with "
            "lies outside its own interval, which the\nsecond table has, paired by dialogue and seed.\n\n",
            first->dialogues, first->persons);
    if (lines->count > 1) print_steps(lines, file);
    fprintf(file, "\nSeeds:");
    for (int l = 0; l < lines->count; l++) {
        char name[2 * ROW_NAME];
        if (strcmp(lines->line[l].source, "student")) continue;
        line_name(&lines->line[l], name);
        fprintf(file, "%s %s", l ? ";" : "", name);
        print_seeds(&lines->line[l], file);
    }
    fprintf(file, ".\n");
    print_once(lines, "Commits: ", offsetof(struct table_row, commit), file);
    print_once(lines, "Machines: ", offsetof(struct table_row, machine), file);
}

/* ---- gnuplot ---- */

/* Writes a name so that gnuplot does not read its underscores as subscripts. */
static void plain(const char *name, FILE *file) {
    for (; *name; name++) fputc(*name == '_' ? ' ' : *name, file);
}

static void print_data(const struct lines *lines, int column, FILE *file) {
    char name[2 * ROW_NAME];
    fprintf(file, "$data << END\n");
    for (int l = 0; l < lines->count; l++) {
        const struct interval *i = &lines->line[l].figure[column];
        if (!isfinite(i->value)) continue;
        line_name(&lines->line[l], name);
        fprintf(file, "%d %.6g %.6g %.6g \"", l, i->value, i->low, i->high);
        plain(name, file);
        fprintf(file, "%s\"\n", line_has_star(&lines->line[l], column) ? " *" : "");
    }
    fprintf(file, "END\n");
}

void lines_gnuplot(const struct lines *lines, const char *png, FILE *file) {
    int across = lines->columns < 3 ? lines->columns : 3, down = (lines->columns + across - 1) / across,
        width = 120 + 40 * (lines->count < 7 ? 7 : lines->count);
    fprintf(file,
            "set terminal pngcairo size %d,%d font 'sans,10'\nset output '%s'\nset multiplot layout %d,%d\n"
            "set grid y\nset xrange [-0.5:%g]\nset xtics rotate by -40\nset ytics autofreq\nunset key\n"
            "set rmargin 6\nset bmargin 6\n",
            width * across, 340 * down, png, down, across, lines->count - 0.5);
    for (int c = 0; c < lines->columns; c++) {
        fprintf(file, "set title '");
        plain(lines->column[c], file);
        fprintf(file, "'\n");
        print_data(lines, c, file);
        fprintf(file, "plot $data using 1:2:3:4:xtic(5) with yerrorbars pointtype 7\n");
    }
    fprintf(file, "unset multiplot\n");
}
