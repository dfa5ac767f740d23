/* audience.h: plans a load: who comes to a live server, how long they stay and how they talk. The plan is drawn from a
   seed alone, so that it is the same whatever the server does. Visits arrive as a Poisson process whose rate may swing
   with the hour. A stay is short (exponential) or engaged (lognormal). In a visit user and agent speak by turns, with
   gaps between; the lengths of turns and gaps are lognormal. docs/serving.md, "Who comes", has the defaults'
   sources. */
#ifndef INFER_LOAD_AUDIENCE_H
#define INFER_LOAD_AUDIENCE_H

/* Minutes and hours are the audience's own time; see `compress` of load_options.h. */
struct audience {
    long seed;
    double rate;                               /* visits a minute, averaged over a day */
    double minutes;                            /* length of the load */
    double swing;                              /* 0: the same rate all day; 1: from none to twice the mean */
    double hour;                               /* hour of the day at which the load begins */
    double peak;                               /* hour of the day with most visits */
    double brief;                              /* share of short stays */
    double brief_mean, stay_median, stay_mean; /* minutes */
    double turn_median, turn_mean;             /* seconds that somebody speaks */
    double gap_median, gap_mean;               /* seconds until the other one speaks */
    double interrupt;                          /* share of the agent's turns that the user interrupts */
    double slow;                               /* share of visits whose network is too slow for the pictures */
    double breaks;                             /* share of visits whose connection breaks once */
};
struct visit {
    double at, stay; /* time of arrival and length of stay, seconds */
    int brief, slow;
    double breaks; /* seconds after its arrival; negative: the connection holds */
};
/* Lengths in seconds: the gap before the user's turn, the user's turn, the gap before the agent's, the agent's. */
struct exchange {
    double gap, user, answer, agent;
    double interrupted; /* seconds of the agent's turn after which the user interrupts; negative: never */
};
enum { AUDIENCE_MAX = 1000000 };

/* Checks the figures. ERR_USAGE: a mean is less than its median, or more than AUDIENCE_MAX visits are to be
   expected. */
int audience_check(const struct audience *audience);
/* Draws the visits, *count of them, in the order of their arrival; malloc'd. */
int audience_plan(const struct audience *audience, struct visit **visits, long *count);
/* Draws exchange number `exchange` of visit number `visit`, both counted from 0. */
struct exchange audience_exchange(const struct audience *audience, long visit, long number);

/* Closed forms: the mean stay in seconds, the mean of its square, and the rate (visits a second) at a moment. */
double audience_mean_stay(const struct audience *audience);
double audience_mean_square_stay(const struct audience *audience);
double audience_rate(const struct audience *audience, double seconds);

#endif
