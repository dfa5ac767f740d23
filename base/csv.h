/* csv.h: tables of comma-separated fields, read row by row, so that they may come through a pipe: what tools and
   people leave beside a clip. Rows end with CR, LF or CRLF, a byte order mark is nothing; a field may stand in
   quotes, and then hold commas, line ends and quotes ("" for each); blanks around fields, empty rows and rows that
   begin with # are passed over. A first row of column names, in any case and order, says which column is which
   (others are passed over); without one the columns are those that the caller names, in that order. What cannot be
   understood is ERR_INPUT, "PATH:LINE: what is wrong". */
#ifndef BASE_CSV_H
#define BASE_CSV_H

#include <stdio.h>

enum { CSV_COLUMNS_MAX = 16, CSV_FIELDS_MAX = 64, CSV_ROW_MAX = 4096 };

struct csv {
    char path[1024];
    FILE *file;
    const char *const *names; /* Names of the columns, in memory of the caller. */
    int required, columns;
    int place[CSV_COLUMNS_MAX]; /* which field of a row a column is; -1: none */
    int line;                   /* that the present row begins in */
    int next_line;              /* that will be read next */
    int rows;                   /* so far, column names left out */
    int named, width;           /* there was a row of names; fields of every row */
    int skip_feed;              /* the last row ended with CR: an LF belongs to it */
    int fields;
    char *field[CSV_FIELDS_MAX];
    char text[CSV_ROW_MAX]; /* the present row's fields, each NUL-terminated */
};
/* names: of `columns` columns, of which the first `required` must be there; they live as long as the reader. */
int csv_open(struct csv *csv, const char *path, const char *const *names, int required, int columns);
void csv_close(struct csv *csv);
/* 1: the next row is there; 0: the end; negative: -(error code). */
int csv_next(struct csv *csv);
/* The present row's field of a column; "" where it has none. Valid until the next row. */
const char *csv_text(const struct csv *csv, int column);
/* The same as a finite number. */
int csv_number(const struct csv *csv, int column, double *value);
/* ERR_INPUT with file and line in front. */
int csv_fail(const struct csv *csv, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
