/* audience.c: see audience.h. */
#include "infer/load/audience.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/philox.h"

/* Draws, each by its own `pass` of the address (base/philox.h), so that a new kind of draw disturbs no other. */
enum draw { DRAW_ARRIVAL, DRAW_STAY, DRAW_NETWORK, DRAW_BREAK, DRAW_TURNS };

/* ---- distributions ---- */

static struct random_address address(const struct audience *a, enum draw draw, long visit, long number) {
    return (struct random_address){.seed = (uint64_t)a->seed,
                                   .step = (uint64_t)visit,
                                   .purpose = RANDOM_AUDIENCE,
                                   .pass = draw,
                                   .sample = (uint32_t)number};
}

/* Draws from (0, 1], so that the logarithm is finite. */
static double uniform(const struct random_address *a, uint32_t index) { return 1 - random_uniform(a, index); }

static double exponential(const struct random_address *a, uint32_t index, double mean) {
    return -mean * log(uniform(a, index));
}

/* Draws a lognormal X: ln X is normal about ln(median), and sigma follows from mean = median exp(sigma^2 / 2). */
static double log_variance(double median, double mean) { return 2 * log(mean / median); }

static double lognormal(const struct random_address *a, uint32_t index, double median, double mean) {
    double normal = sqrt(-2 * log(uniform(a, index))) * cos(2 * M_PI * uniform(a, index + 1));
    return median * exp(sqrt(log_variance(median, mean)) * normal);
}

/* ---- closed forms ---- */

double audience_mean_stay(const struct audience *a) {
    return 60 * (a->brief * a->brief_mean + (1 - a->brief) * a->stay_mean);
}

/* Mean of the square: 2 mean^2 for an exponential, mean^2 exp(sigma^2) for a lognormal. */
double audience_mean_square_stay(const struct audience *a) {
    double ratio = a->stay_mean / a->stay_median; /* exp(sigma^2 / 2) */
    return 3600 * (a->brief * 2 * a->brief_mean * a->brief_mean +
                   (1 - a->brief) * a->stay_mean * a->stay_mean * ratio * ratio);
}

double audience_rate(const struct audience *a, double seconds) {
    double hours = a->hour + seconds / 3600 - a->peak;
    return a->rate / 60 * (1 + a->swing * cos(2 * M_PI * hours / 24));
}

/* ---- the plan ---- */

int audience_check(const struct audience *a) {
    if (a->stay_mean < a->stay_median) return error_set(ERR_USAGE, "stay_mean: expected at least stay_median");
    if (a->turn_mean < a->turn_median) return error_set(ERR_USAGE, "turn_mean: expected at least turn_median");
    if (a->gap_mean < a->gap_median) return error_set(ERR_USAGE, "gap_mean: expected at least gap_median");
    if (a->rate * (1 + a->swing) * a->minutes > AUDIENCE_MAX)
        return error_set(ERR_USAGE, "rate=%g minutes=%g: expected at most %d visits", a->rate, a->minutes,
                         AUDIENCE_MAX);
    return OK;
}

static struct visit draw_visit(const struct audience *a, long number, double at) {
    struct random_address stay = address(a, DRAW_STAY, number, 0), network = address(a, DRAW_NETWORK, number, 0),
                          breaks = address(a, DRAW_BREAK, number, 0);
    struct visit v = {.at = at, .breaks = -1};
    v.brief = random_uniform(&stay, 0) < a->brief;
    v.stay = 60 * (v.brief ? exponential(&stay, 1, a->brief_mean) : lognormal(&stay, 1, a->stay_median, a->stay_mean));
    v.slow = random_uniform(&network, 0) < a->slow;
    if (random_uniform(&breaks, 0) < a->breaks) v.breaks = v.stay * random_uniform(&breaks, 1);
    return v;
}

/* Draws arrivals at the highest rate of the day and keeps each with the probability rate / highest rate at its time
   (thinning; Lewis & Shedler 1979). */
int audience_plan(const struct audience *a, struct visit **visits, long *count) {
    double most = a->rate / 60 * (1 + a->swing), at = 0;
    long room = 64;
    *count = 0;
    *visits = malloc((size_t)room * sizeof **visits);
    for (long candidate = 0; *visits && most > 0; candidate++) {
        struct random_address arrival = address(a, DRAW_ARRIVAL, candidate, 0);
        at += exponential(&arrival, 0, 1 / most);
        if (at >= 60 * a->minutes) break;
        if (random_uniform(&arrival, 1) * most >= audience_rate(a, at)) continue;
        if (*count == room) {
            struct visit *more = realloc(*visits, 2 * (size_t)room * sizeof **visits);
            if (!more) free(*visits);
            *visits = more;
            room *= 2;
        }
        if (*visits) (*visits)[*count] = draw_visit(a, *count, at);
        (*count)++;
    }
    return *visits ? OK : error_set(ERR_DEVICE, "out of memory for the plan");
}

struct exchange audience_exchange(const struct audience *a, long visit, long number) {
    struct random_address turns = address(a, DRAW_TURNS, visit, number);
    struct exchange e = {.gap = lognormal(&turns, 0, a->gap_median, a->gap_mean),
                         .user = lognormal(&turns, 2, a->turn_median, a->turn_mean),
                         .answer = lognormal(&turns, 4, a->gap_median, a->gap_mean),
                         .agent = lognormal(&turns, 6, a->turn_median, a->turn_mean),
                         .interrupted = -1};
    if (random_uniform(&turns, 8) < a->interrupt) e.interrupted = e.agent * random_uniform(&turns, 9);
    return e;
}
