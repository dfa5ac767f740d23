/* csv.c: see csv.h. */
#include "base/csv.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"

int csv_fail(const struct csv *csv, const char *format, ...) {
    char text[400];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return error_set(ERR_INPUT, "%s:%d: %s", csv->path, csv->line, text);
}

/* ---- rows ---- */

/* Reads the next byte; the LF of a CRLF is skipped. */
static int get(struct csv *csv) {
    int c = fgetc(csv->file);
    if (csv->skip_feed && c == '\n') c = fgetc(csv->file);
    csv->skip_feed = 0;
    return c;
}

static int skip_mark(struct csv *csv) {
    static const unsigned char mark[] = {0xef, 0xbb, 0xbf};
    int c = fgetc(csv->file);
    if (c == 0xff || c == 0xfe) return csv_fail(csv, "is UTF-16 text, or no text; expected UTF-8");
    if (c != mark[0]) return ungetc(c, csv->file), OK;
    for (int i = 1; i < 3; i++)
        if (fgetc(csv->file) != mark[i]) return csv_fail(csv, "a byte that begins no text");
    return OK;
}

struct row { /* the row that is being read */
    struct csv *csv;
    size_t used, blank; /* bytes of text; those that are blanks at the end of the field so far */
    int in_quotes, quoted, begun, comment;
};

static int put(struct row *row, int c) {
    if (row->used + 2 > CSV_ROW_MAX) return csv_fail(row->csv, "a row of more than %d bytes", CSV_ROW_MAX);
    row->csv->text[row->used++] = (char)c;
    return OK;
}

static int begin_field(struct row *row) {
    struct csv *csv = row->csv;
    if (csv->fields == CSV_FIELDS_MAX) return csv_fail(csv, "more than %d fields", CSV_FIELDS_MAX);
    csv->field[csv->fields++] = csv->text + row->used;
    row->begun = row->quoted = 0;
    row->blank = 0;
    return OK;
}

static int end_field(struct row *row) {
    if (!row->quoted) row->used -= row->blank;
    return put(row, 0);
}

/* Takes a quote: it opens or closes the field or, doubled, belongs to its text. */
static int take_quote(struct row *row) {
    struct csv *csv = row->csv;
    if (row->in_quotes) {
        int c = get(csv);
        if (c == '"') return put(row, c);
        if (c != EOF) ungetc(c, csv->file);
        row->in_quotes = 0;
        return OK;
    }
    if (row->begun) return csv_fail(csv, "a quote inside a field that does not begin with one");
    row->begun = row->quoted = row->in_quotes = 1;
    return OK;
}

static int take(struct row *row, int c) {
    if (!c) return csv_fail(row->csv, "a zero byte: this is no text");
    if (c == '"') return take_quote(row);
    if (row->in_quotes) {
        if (c == '\n') row->csv->next_line++;
        return put(row, c);
    }
    if (c == ',') {
        TRY(end_field(row));
        return begin_field(row);
    }
    int blank = c == ' ' || c == '\t';
    if (blank && (!row->begun || row->quoted)) return OK;
    if (row->quoted) return csv_fail(row->csv, "text behind a field's closing quote");
    row->begun = 1;
    row->blank = blank ? row->blank + 1 : 0;
    return put(row, c);
}

/* Reads one row into csv->field; 0 at the end of the file. A comment is a row without fields. */
static int read_row(struct csv *csv) {
    struct row row = {.csv = csv};
    int c, any = 0;
    csv->line = csv->next_line;
    csv->fields = 0;
    if (begin_field(&row)) return -ERR_INPUT;
    while ((c = get(csv)) != EOF) {
        any = 1;
        if (!row.in_quotes && (c == '\n' || c == '\r')) {
            csv->skip_feed = c == '\r';
            csv->next_line++;
            break;
        }
        if (c == '#' && csv->fields == 1 && !row.begun) row.comment = 1;
        if (!row.comment && take(&row, c)) return -ERR_INPUT;
    }
    if (ferror(csv->file)) return -csv_fail(csv, "cannot be read: %s", strerror(errno));
    if (row.in_quotes) return -csv_fail(csv, "a quote is opened and not closed");
    if (end_field(&row)) return -ERR_INPUT;
    if (row.comment) csv->fields = 0;
    return any;
}

static int is_empty(const struct csv *csv) {
    for (int i = 0; i < csv->fields; i++)
        if (*csv->field[i]) return 0;
    return 1;
}

/* Reads on to the next row that has fields. */
static int read_full_row(struct csv *csv) {
    int got;
    do got = read_row(csv);
    while (got > 0 && is_empty(csv));
    return got;
}

/* ---- columns ---- */

static int column_of(const struct csv *csv, const char *field) {
    for (int i = 0; i < csv->columns; i++)
        if (!strcasecmp(field, csv->names[i])) return i;
    return -1;
}

/* Reads the first row: column names, or values in the order of the columns. */
static int find_columns(struct csv *csv) {
    for (int i = 0; i < csv->columns; i++) csv->place[i] = -1;
    for (int f = 0; f < csv->fields; f++) {
        int column = column_of(csv, csv->field[f]);
        if (column < 0) continue;
        if (csv->place[column] >= 0) return csv_fail(csv, "two columns \"%s\"", csv->names[column]);
        csv->place[column] = f;
        csv->named = 1;
    }
    csv->width = csv->fields;
    for (int i = 0; i < csv->columns && !csv->named; i++) csv->place[i] = i < csv->fields ? i : -1;
    for (int i = 0; i < csv->required; i++)
        if (csv->place[i] < 0) return csv_fail(csv, "no column \"%s\"", csv->names[i]);
    if (!csv->named && csv->fields > csv->columns)
        return csv_fail(csv, "%d fields, expected at most %d", csv->fields, csv->columns);
    return OK;
}

int csv_next(struct csv *csv) {
    int got = read_full_row(csv);
    if (got > 0 && !csv->width) {
        int code = find_columns(csv);
        if (code) return -code;
        if (csv->named) got = read_full_row(csv);
    }
    if (got <= 0) return got;
    if (csv->fields != csv->width)
        return -csv_fail(csv, "%d field%s, the first row has %d", csv->fields, csv->fields == 1 ? "" : "s", csv->width);
    csv->rows++;
    return 1;
}

const char *csv_text(const struct csv *csv, int column) {
    return csv->place[column] < 0 ? "" : csv->field[csv->place[column]];
}

int csv_number(const struct csv *csv, int column, double *value) {
    const char *text = csv_text(csv, column);
    char *end;
    *value = strtod(text, &end);
    if (*text && strspn(text, "0123456789+-.eE") == strlen(text) && !*end && isfinite(*value)) return OK;
    return csv_fail(csv, "%s: expected a number, got \"%.40s\"", csv->names[column], text);
}

int csv_open(struct csv *csv, const char *path, const char *const *names, int required, int columns) {
    struct stat info;
    memset(csv, 0, sizeof *csv);
    csv->names = names;
    csv->required = required;
    csv->columns = columns;
    csv->line = csv->next_line = 1;
    if (snprintf(csv->path, sizeof csv->path, "%s", path) >= (int)sizeof csv->path)
        return error_set(ERR_INPUT, "%.80s...: the path is too long", path);
    if (!(csv->file = fopen(path, "rb"))) return error_set(ERR_INPUT, "%s: cannot open: %s", path, strerror(errno));
    int code = fstat(fileno(csv->file), &info) || S_ISDIR(info.st_mode)
                   ? error_set(ERR_INPUT, "%s: is a folder, not a file", path)
                   : skip_mark(csv);
    if (code) csv_close(csv);
    return code;
}

void csv_close(struct csv *csv) {
    if (csv->file) fclose(csv->file);
    csv->file = NULL;
}
