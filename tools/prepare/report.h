/* report.h: reports what prepare has done, for people (text) and programs (JSON). */
#ifndef TOOLS_PREPARE_REPORT_H
#define TOOLS_PREPARE_REPORT_H

#include "tools/prepare/clip_list.h"
#include "tools/worker_pool.h"

/* Places of a clip's results in its job's figures (worker_pool.h). */
enum figure {
    FIGURE_ROWS,
    FIGURE_SECONDS,
    FIGURE_TALK,
    FIGURE_SQUARE,
    FIGURE_PIXELS,
    FIGURE_MISSING, /* frames that the clip has no picture, or no face, for */
    FIGURE_CUTS,
    FIGURE_TRAITS /* bits of enum clip_trait */
};

/* Writes OUT.report.json and OUT.report.txt (OUT without .h5) and logs the summary. */
int prepare_report(const struct prepare_config *config, const struct clip_list *list, const struct worker_pool *pool,
                   double seconds);

#endif
