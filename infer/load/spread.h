/* spread.h: the distribution of many durations. Each is counted in a bin of a millisecond, so that memory stays the
   same however many there are, and a quantile is right to a millisecond. */
#ifndef INFER_LOAD_SPREAD_H
#define INFER_LOAD_SPREAD_H

enum { SPREAD_LOW_MS = -5000, SPREAD_HIGH_MS = 120000 }; /* values beyond count in the outermost bins */
struct spread {
    long count;
    double most; /* largest of all, seconds */
    unsigned bins[SPREAD_HIGH_MS - SPREAD_LOW_MS];
};
void spread_add(struct spread *spread, double seconds);
/* Quantile: the least duration, in seconds and to a millisecond, that this share of all does not exceed; 0: there are
   none. */
double spread_quantile(const struct spread *spread, double share);
/* Share of all that are longer than this many seconds (whole milliseconds). */
double spread_above(const struct spread *spread, double seconds);

#endif
