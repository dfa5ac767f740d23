/* regression.h: a measured track against the known one, frame by frame over spans, the means of each span removed:
   does the one do what the other says, how far, and what does it do besides. A span is a run of frames whose mask is
   over 0.5. The two may have different units. Pure functions; host memory. */
#ifndef TOOLS_EVALUATE_REGRESSION_H
#define TOOLS_EVALUATE_REGRESSION_H

/* The next span from *to on: [*from, *to). 0: none is left. Start with *to = 0. */
int next_span(const float *mask, int count, int *from, int *to);

/* Sums over spans; start from zeros. All are doubles, so that dialogues' sums add up as one array. */
struct regression {
    double xx, yy, xy; /* x measured, y known */
    double frames, spans;
};
void regression_add_span(struct regression *sums, const float *measured, const float *known, int count);
/* The same of `count` values that lie `stride` apart. */
void regression_add_strided(struct regression *sums, const float *measured, const float *known, int count, int stride);
/* Every span of `used`. */
void regression_add(struct regression *sums, const float *measured, const float *known, const float *used, int count);
void regression_merge(struct regression *to, const struct regression *from); /* to += from */
double regression_slope(const struct regression *sums);       /* measured over known; 0 when nothing moves */
double regression_correlation(const struct regression *sums); /* Pearson's, pooled; 0 when one does not move */
double regression_deviation(const struct regression *sums);   /* of measured */
double regression_residual(const struct regression *sums);    /* deviation of what slope * known leaves of measured */

#endif
