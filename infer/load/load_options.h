/* load_options.h: the keys of `load`'s command line (load --help lists them). */
#ifndef INFER_LOAD_LOAD_OPTIONS_H
#define INFER_LOAD_LOAD_OPTIONS_H

#include "base/config.h"
#include "infer/load/audience.h"

enum load_plan { PLAN_RUN, PLAN_ONLY, PLAN_LIST };
struct load_options {
    struct audience audience;
    int plan;            /* enum load_plan */
    double compress;     /* factor by which the audience's time runs faster than the clock */
    double away;         /* seconds from a connection's break to the visitor's return */
    double slow_kbps;    /* rate of a slow network, kbit/s */
    int sessions, queue; /* places to forecast for; sessions 0: as many as the server says */
    char token_file[1024];
    char picture[1024]; /* "": the server's own reference, or person */
    char person[64];
    char codecs[64];
    char out[1024];
};
extern const struct config_field load_fields[];
extern const int load_field_count;

#endif
