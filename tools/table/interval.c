/* interval.c: see interval.h. */
#include "tools/table/interval.h"

#include <math.h>
#include <stddef.h>

double interval_student(double freedom) {
    static const double known[][2] = {{1, 12.706},  {2, 4.3027},  {3, 3.1824},  {4, 2.7764},  {5, 2.5706},
                                      {6, 2.4469},  {8, 2.3060},  {10, 2.2281}, {15, 2.1314}, {20, 2.0860},
                                      {30, 2.0423}, {60, 2.0003}, {120, 1.9799}};
    enum { KNOWN = sizeof known / sizeof *known };
    const double normal = 1.95996;
    int i = 0;
    if (!(freedom > 1)) return known[0][1];
    while (i + 1 < KNOWN && known[i + 1][0] <= freedom) i++;
    double from = 1 / known[i][0], to = i + 1 < KNOWN ? 1 / known[i + 1][0] : 0,
           end = i + 1 < KNOWN ? known[i + 1][1] : normal; /* t is nearly linear in 1 / freedom */
    return end + (known[i][1] - end) * (1 / freedom - to) / (from - to);
}

/* Computes the mean of `count` values that lie `stride` apart, those that are NaN left out; NaN: there is none. */
static double mean(const double *values, int count, int stride) {
    double sum = 0, n = 0;
    for (int i = 0; i < count; i++) {
        double value = values[(size_t)i * (size_t)stride];
        if (!isnan(value)) sum += value, n++;
    }
    return n > 0 ? sum / n : NAN;
}

/* Squared standard error of a mean over groups, from the means of `groups` groups: group g has `count` values that lie
   `stride` apart from values[g * next] on. *freedom: groups less one; 0: there are fewer than two. */
static double squared_error(const double *values, int groups, int next, int count, int stride, double *freedom) {
    double sum = 0, squares = 0, n = 0;
    for (int g = 0; g < groups; g++) {
        double of = mean(values + (size_t)g * (size_t)next, count, stride);
        if (!isnan(of)) sum += of, n++;
    }
    for (int g = 0; g < groups; g++) {
        double of = mean(values + (size_t)g * (size_t)next, count, stride);
        if (!isnan(of)) squares += (of - sum / n) * (of - sum / n);
    }
    *freedom = n > 1 ? n - 1 : 0;
    return n > 1 ? squares / (n * (n - 1)) : 0;
}

struct interval interval_of(const double *values, int runs, int dialogues) {
    double of_runs, of_dialogues, value = mean(values, runs * dialogues, 1),
                                  by_runs = squared_error(values, runs, dialogues, dialogues, 1, &of_runs),
                                  by_dialogues = squared_error(values, dialogues, 1, runs, dialogues, &of_dialogues),
                                  all = by_runs + by_dialogues;
    if (isnan(value) || !(all > 0)) return (struct interval){value, value, value};
    double parts = (of_runs > 0 ? by_runs * by_runs / of_runs : 0) +
                   (of_dialogues > 0 ? by_dialogues * by_dialogues / of_dialogues : 0),
           half = interval_student(all * all / parts) * sqrt(all);
    return (struct interval){value, value - half, value + half};
}
