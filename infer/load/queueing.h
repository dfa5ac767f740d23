/* queueing.h: computes how many clients find a place at a server with a given number of places: Erlang's formulas for
   an audience in equilibrium, and a count of what happens to a plan of visits. The offered load, in erlang, is the
   arrival rate times the mean stay: the mean number of clients that would be present if there were a place for all. */
#ifndef INFER_LOAD_QUEUEING_H
#define INFER_LOAD_QUEUEING_H

#include "infer/load/audience.h"

/* Erlang B: the share of visits that find all places taken, if these go away. It holds for stays of any distribution
   (Sevastyanov 1957). */
double erlang_b(int places, double offered);
/* Erlang C: the share of visits that have to wait, if all wait as long as it takes; 1 where the load is not less than
   the places. It holds for exponential stays. */
double erlang_c(int places, double offered);
/* The largest offered load at which at most this share finds all places taken (by Erlang B); 0 < share < 1. */
double erlang_b_load(int places, double share);

/* Outcome of a plan: a visit takes a place, or waits in the queue for the rest of its stay, or is sent away. */
struct forecast {
    long visits, admitted, queued, refused; /* visits by what they find at their arrival; the three add up to visits */
    long entered;                           /* queued visits that got a place before their stay was over */
    double waited;                          /* mean wait of those, seconds */
    int most;                               /* most that are present at once, without those who were sent away */
    double mean_stay, short_share;          /* the plan's mean stay in seconds; its share of stays under a minute */
};
/* Counts the outcome of a plan. until: seconds after which nobody gets a place any more. */
int forecast(struct forecast *forecast, const struct visit *visits, long count, int places, int queue, double until);

#endif
