/* queueing.h: how many find a place at a server that has so many: Erlang's formulas for an audience in equilibrium,
   and a count of what happens to a plan of visits. The offered load, in erlang, is the arrival rate times the mean
   stay: how many would be present if there were a place for all. */
#ifndef INFER_LOAD_QUEUEING_H
#define INFER_LOAD_QUEUEING_H

#include "infer/load/audience.h"

/* Erlang B: the share of visits that find all places taken, where those go away. It holds for stays of any
   distribution (Sevastyanov 1957). */
double erlang_b(int places, double offered);
/* Erlang C: the share that has to wait, where all wait as long as it takes; 1 where the load is no less than the
   places. It holds for exponential stays. */
double erlang_c(int places, double offered);
/* The largest offered load of which at most this share finds all places taken (by Erlang B); 0 < share < 1. */
double erlang_b_load(int places, double share);

/* What becomes of a plan: a visit takes a place, or waits in the queue for the rest of its stay, or is sent away. */
struct forecast {
    long visits, admitted, queued, refused; /* at their arrival; together they are all */
    long entered;                           /* of the queued: got a place before they had enough */
    double waited;                          /* seconds: the mean wait of those */
    int most;                               /* present at once, without those who were sent away */
    double mean_stay, short_share;          /* of the plan; short: under a minute */
};
/* `until`: seconds after which nobody gets a place any more. */
int forecast(struct forecast *forecast, const struct visit *visits, long count, int places, int queue, double until);

#endif
