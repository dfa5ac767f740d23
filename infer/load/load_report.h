/* load_report.h: the results of a load, as a table for people and as JSON for programs. */
#ifndef INFER_LOAD_LOAD_REPORT_H
#define INFER_LOAD_LOAD_REPORT_H

#include <stdio.h>

#include "infer/load/load_options.h"
#include "infer/load/queueing.h"
#include "infer/load/tally.h"

struct load_result {
    const struct load_options *options;
    int places; /* of the forecast; 0: there is none */
    struct forecast forecast;
    const struct tally *tally;  /* NULL: nothing was driven */
    const char *before, *after; /* the server's /metrics */
};
/* What is to be expected: the plan's figures, and those of the closed forms. */
void report_plan(FILE *file, const struct load_result *result);
/* What happened. */
void report_run(FILE *file, const struct load_result *result);
/* Both as one JSON object; times in seconds. */
int report_write(const char *path, const struct load_result *result);

#endif
