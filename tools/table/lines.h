/* lines.h: the lines of a table of ablations, made of rows (row.h): the seeds of a row form one line, each figure of
   which is the mean over dialogues and seeds with its interval. A line is compared with another, mostly the one above,
   dialogue by dialogue and seed by seed (interval.h). Host memory. */
#ifndef TOOLS_TABLE_LINES_H
#define TOOLS_TABLE_LINES_H

#include <stdio.h>

#include "tools/table/interval.h"
#include "tools/table/row.h"

enum { LINE_SEEDS_MAX = 64, LINES_MAX = 512, COLUMNS_MAX = 64 };

struct line {
    const char *source;                          /* "student", or what was switched off in it */
    const struct table_row *run[LINE_SEEDS_MAX]; /* by rising seed */
    int runs;
    int before; /* number of the line that it is compared with; -1: none */
    int paired; /* number of seeds that both have; 0: they are not compared */
    /* [columns]: the figures, and those less the figures of the line before; NaN where there is nothing. */
    struct interval figure[COLUMNS_MAX], step[COLUMNS_MAX];
};
struct lines {
    struct line *line; /* [count] */
    int count, columns;
    const char *column[COLUMNS_MAX]; /* names of figures */
};

/* Makes the lines of rows [count], in the order in which the rows' names first appear. switched_off: the row behind
   which its students with parts switched off get a line each; "": none. columns: names of figures with commas between;
   a name that ends with a star stands for all that begin so; names that no row has are left out. All texts must stay
   where they are. ERR_INPUT: rows that were not measured alike, or the same seed of a row twice; ERR_USAGE: no column,
   or too many of something. */
int lines_open(struct lines *lines, const struct table_row *rows, int count, const char *switched_off, char *columns);
void lines_close(struct lines *lines);
/* 1: the step from the line before lies outside its interval. */
int line_has_star(const struct line *line, int column);

/* Writes the table as Markdown, then one of the steps, and what they are means of. */
void lines_markdown(const struct lines *lines, FILE *file);
/* Writes a program for gnuplot, which draws every column with its intervals into the picture `png`. */
void lines_gnuplot(const struct lines *lines, const char *png, FILE *file);

#endif
