/* load_report.h: the results of a load, as a table for people and as JSON for programs. */
#ifndef INFER_LOAD_LOAD_REPORT_H
#define INFER_LOAD_LOAD_REPORT_H

#include <stdio.h>

#include "infer/load/load_options.h"
#include "infer/load/queueing.h"
#include "infer/load/tally.h"

struct load_result {
    const struct load_options *options;
    int places; /* places that the forecast is for; 0: there is no forecast */
    struct forecast forecast;
    const struct tally *tally;  /* NULL: nothing was driven */
    const char *before, *after; /* texts of the server's /metrics */
};
/* Prints what is to be expected: the plan's figures, and those of the closed forms. */
void report_plan(FILE *file, const struct load_result *result);
/* Prints what happened. */
void report_run(FILE *file, const struct load_result *result);
/* Writes both as one JSON object; times in seconds. */
int report_write(const char *path, const struct load_result *result);

#endif
