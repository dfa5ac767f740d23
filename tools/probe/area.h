/* area.h: the area under the curve of a discriminator's logits: the share of all (real, fake) couples in which the real
   one has the larger logit, equal ones counting half (Hanley and McNeil, "The meaning and use of the area under a
   receiver operating characteristic curve", 1982). 0.5: it tells nothing; 1: it tells every real one from every fake
   one. Intervals: bootstrap (tools/evaluate/bootstrap.h) over the clips of the data set, whose pairs of windows are
   drawn together. Host memory. */
#ifndef TOOLS_PROBE_AREA_H
#define TOOLS_PROBE_AREA_H

#include "tools/evaluate/bootstrap.h"

/* Logits of `pairs` pairs, `each` a pair (a local branch has one a frame). */
struct judged_logits {
    int pairs, each;
    const double *real_ones, *fake_ones; /* [pairs, each] */
    const int *clip;                     /* [pairs]: number of the clip that a pair's real window comes from */
};
/* ERR_DEVICE: out of memory. */
int area_interval(const struct judged_logits *logits, uint64_t seed, struct bootstrap_interval *interval);

#endif
