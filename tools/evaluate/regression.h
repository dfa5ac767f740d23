/* regression.h: linear regression of a measured track on the known one, frame by frame over spans, each span's means
   removed. It tells whether the one follows the other (correlation), how far (slope), and what it does besides
   (residual). A span is a run of frames whose mask is over 0.5. The tracks may have different units. Pure functions;
   host memory. */
#ifndef TOOLS_EVALUATE_REGRESSION_H
#define TOOLS_EVALUATE_REGRESSION_H

/* Finds the next span from *to on: [*from, *to). Returns 0 when none is left. Start with *to = 0. */
int next_span(const float *mask, int count, int *from, int *to);

/* Sums over spans; start from zeros. All are doubles, so that dialogues' sums add up as one array. */
struct regression {
    double xx, yy, xy; /* x measured, y known */
    double frames, spans;
};
void regression_add_span(struct regression *sums, const float *measured, const float *known, int count);
/* Adds a span of `count` values that lie `stride` apart. */
void regression_add_strided(struct regression *sums, const float *measured, const float *known, int count, int stride);
/* Adds every span of the mask `used`. */
void regression_add(struct regression *sums, const float *measured, const float *known, const float *used, int count);
void regression_merge(struct regression *to, const struct regression *from); /* to += from */
double regression_slope(const struct regression *sums);       /* measured over known; 0 when nothing moves */
double regression_correlation(const struct regression *sums); /* Pearson's, pooled; 0 when one does not move */
double regression_deviation(const struct regression *sums);   /* deviation of measured */
double regression_residual(const struct regression *sums);    /* deviation of measured - slope * known */

#endif
