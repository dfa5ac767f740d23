/* evaluation_report.h: the report of an evaluation of puppet dialogues, as report.json's object and as tables for a
   reader. docs/evaluation.md explains the keys. */
#ifndef TOOLS_EVALUATE_EVALUATION_REPORT_H
#define TOOLS_EVALUATE_EVALUATION_REPORT_H

#include <cjson/cJSON.h>

#include "data/picture_view.h"
#include "tools/evaluate/evaluation_sums.h"

struct evaluation_facts {                 /* what stands in a report beside the sums */
    double seconds;                       /* duration of the whole run; 0: not known */
    int development;                      /* 1: the dialogues are the development persons' */
    const struct picture_variation *vary; /* amounts of SOURCE_VARIED */
    const char *features;                 /* file of the network of features; "": none */
};
/* Fills in root. ERR_INPUT: the file of features cannot be read. */
int evaluation_report(cJSON *root, const struct evaluation_sums *sums, const struct evaluation_facts *facts);
/* The sources that the printed tables have as columns, and their order. */
enum { SHOWN_SOURCES = 6 };
extern const int shown_sources[SHOWN_SOURCES];
void evaluation_report_print(const cJSON *root, const struct evaluation_sums *sums);

#endif
