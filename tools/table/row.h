/* row.h: one row of the table of ablations for one seed, as a small JSON file that is kept when the run is gone: what
   was trained, with which settings, by whom, and the figures of every dialogue (docs/formats.md). Host memory. */
#ifndef TOOLS_TABLE_ROW_H
#define TOOLS_TABLE_ROW_H

#include <cjson/cJSON.h>

#include "tools/table/settings.h"

enum { ROW_NAME = 64, ROW_TEXT = 256, ROW_DIALOGUES_MAX = 10000 };

struct table_row {
    char name[ROW_NAME];     /* the row's, "rapr" */
    char stage[ROW_NAME];    /* the student's last stage */
    char what[ROW_TEXT];     /* a few words for a reader; may be empty */
    char against[ROW_NAME];  /* name of the row that it is compared with; empty: the row above it in a table */
    char features[ROW_TEXT]; /* checksum of the network of features that measured; empty: none did */
    char commit[ROW_TEXT], machine[ROW_TEXT], persons[ROW_NAME];
    long seed;
    double seconds; /* time that training took; 0: not known */
    struct settings_numbers settings;
    int dialogues;
    /* By source, then by figure: an array [dialogues] of numbers, null where there was nothing to measure. The source
       "student" is always there; "reseeded" is the same student from other noise, and others are the student with a
       part switched off while it streams ("no_sink"). */
    cJSON *sources;
};
/* Reads the figures of a report.json that evaluate made with last=. ERR_INPUT: "PATH: ..." says what is wrong. */
int row_from_report(struct table_row *row, const char *report);
int row_write(const struct table_row *row, const char *path);
/* ERR_INPUT, "PATH: ...": it cannot be read, is no row, or its figures are not [dialogues]. */
int row_read(struct table_row *row, const char *path);
void row_close(struct table_row *row);
/* ERR_INPUT, "PATH: ...", unless the row has this seed and these settings; the text says which of them differ. */
int row_expect(const struct table_row *row, const char *path, long seed, const struct settings_numbers *settings);
/* Writes the values [dialogues] of a source's figure, NaN where there is none; those of "student" are the mean of its
   two rollouts. Returns 1 where one is a number. */
int row_values(const struct table_row *row, const char *source, const char *figure, double *values);

#endif
