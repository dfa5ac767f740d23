/* csv.h: tables of comma-separated fields, such as tools and people leave beside a clip. They are read row by row, so
   that they may come through a pipe. Rows end with CR, LF or CRLF. A byte order mark is skipped, as are blanks around
   fields, empty rows and rows that begin with #. A field may stand in quotes, and may then hold commas, line ends and
   quotes ("" for each). A first row of column names, in any case and order, says which column is which, and unknown
   columns are skipped; without such a row the columns are those that the caller names, in that order. A table that
   cannot be understood is ERR_INPUT, "PATH:LINE: what is wrong". */
#ifndef BASE_CSV_H
#define BASE_CSV_H

#include <stdio.h>

enum { CSV_COLUMNS_MAX = 16, CSV_FIELDS_MAX = 64, CSV_ROW_MAX = 4096 };

struct csv {
    char path[1024];
    FILE *file;
    const char *const *names; /* names of the columns, in memory of the caller */
    int required, columns;
    int place[CSV_COLUMNS_MAX]; /* field of a row that holds each column; -1: none */
    int line;                   /* number of the line in which the present row begins */
    int next_line;              /* number of the line that will be read next */
    int rows;                   /* rows read so far, without the column names */
    int named, width;           /* 1: there was a row of column names; fields of every row */
    int skip_feed;              /* 1: the last row ended with CR, so that an LF that follows belongs to it */
    int fields;                 /* fields of the present row */
    char *field[CSV_FIELDS_MAX];
    char text[CSV_ROW_MAX]; /* the present row's fields, each NUL-terminated */
};
/* Opens a table and names its `columns` columns, of which the first `required` must be
   there. The names must live as long as the reader. */
int csv_open(struct csv *csv, const char *path, const char *const *names, int required, int columns);
void csv_close(struct csv *csv);
/* 1: the next row is there; 0: the end; negative: -(error code). */
int csv_next(struct csv *csv);
/* The present row's text in a column; "" where the row has none. It is valid until the next row is read. */
const char *csv_text(const struct csv *csv, int column);
/* The present row's finite number in a column; any other text is ERR_INPUT. */
int csv_number(const struct csv *csv, int column, double *value);
/* Returns ERR_INPUT with a text that begins with the file and the present line. */
int csv_fail(const struct csv *csv, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
