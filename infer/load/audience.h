/* audience.h: who comes to a live server, how long they stay and how they talk: the plan of a load, drawn from a seed
   alone, so that it is the same whatever the server does. Visits arrive as a Poisson process whose rate may swing with
   the hour. A stay is short (exponential) or engaged (lognormal). In a visit user and agent speak by turns, with gaps
   between; the lengths of turns and gaps are lognormal. Sources of the defaults: docs/serving.md, Who comes. */
#ifndef INFER_LOAD_AUDIENCE_H
#define INFER_LOAD_AUDIENCE_H

/* Minutes and hours are the audience's own time; see `compress` of load_options.h. */
struct audience {
    long seed;
    double rate;                               /* visits a minute, the mean of a day */
    double minutes;                            /* how long the load lasts */
    double swing;                              /* 0: the same rate all day; 1: from none to twice the mean */
    double hour;                               /* of the day at which the load begins */
    double peak;                               /* hour of the day with most visits */
    double brief;                              /* share of short stays */
    double brief_mean, stay_median, stay_mean; /* minutes */
    double turn_median, turn_mean;             /* seconds that somebody speaks */
    double gap_median, gap_mean;               /* seconds until the other one speaks */
    double interrupt;                          /* share of the agent's turns that the user breaks into */
    double slow;                               /* share of visits whose network is too slow for the pictures */
    double breaks;                             /* share of visits whose connection breaks once */
};
struct visit {
    double at, stay; /* seconds: when it comes, for how long */
    int brief, slow;
    double breaks; /* seconds after its arrival; negative: the connection holds */
};
/* The gap before the user's turn, the user's turn, the gap before the agent's, the agent's: seconds. */
struct exchange {
    double gap, user, answer, agent;
    double interrupted; /* seconds of the agent's turn after which the user breaks in; negative: never */
};
enum { AUDIENCE_MAX = 1000000 };

/* ERR_USAGE: a mean that is less than its median, or more than AUDIENCE_MAX visits to be expected. */
int audience_check(const struct audience *audience);
/* Visits in the order of their arrival, malloc'd; *count of them. */
int audience_plan(const struct audience *audience, struct visit **visits, long *count);
/* The exchange of this number of a visit, both from 0. */
struct exchange audience_exchange(const struct audience *audience, long visit, long number);

/* In closed form: the mean stay in seconds and the mean of its square; the rate (visits a second) at a moment. */
double audience_mean_stay(const struct audience *audience);
double audience_mean_square_stay(const struct audience *audience);
double audience_rate(const struct audience *audience, double seconds);

#endif
