/* minutes.h: the figures of every minute of a long stream, and their slopes. Drift shows as a slope: a picture that
   loses its colours or its sharp edges, or a body that comes to rest, does so little by little over an hour. Memory
   does not grow with the stream but for one struct minute_sums a minute. Host memory. */
#ifndef TOOLS_EVALUATE_MINUTES_H
#define TOOLS_EVALUATE_MINUTES_H

#include "base/media_rates.h"
#include "tools/evaluate/measures.h"

enum { MINUTE_FRAMES = 60 * VIDEO_RATE };
enum minute_figure {
    MINUTE_IDENTITY,   /* PSNR against the reference over wall and shirt, dB */
    MINUTE_HUE,        /* angle by which the picture's hues are turned away from the reference's, degrees */
    MINUTE_SATURATION, /* root mean square of the picture's chroma over the reference's */
    MINUTE_CONTRAST,   /* deviation of luminance over the reference's */
    MINUTE_ENERGY,     /* mean absolute change of luminance from frame to frame, over the drawing's in that minute */
    MINUTE_SYNC,       /* correlation of the mouth's opening with the known one while talking (lip_pool_add) */
    MINUTE_MOTION,     /* mean absolute change of luminance from frame to frame, not over anything, in levels of 255 */
    MINUTE_FIGURES
};
extern const char *const minute_figure_names[MINUTE_FIGURES];

/* Sums over one minute's frames; start from zeros. */
struct minute_sums {
    double frames, error, contrast, turn[2], chroma, energy, changes;
    struct regression mouth;
    double resident; /* memory of the process at the minute's end, MiB */
};
/* Computes figure `which`; drawn: sums of the drawing in the same minute. NaN where nothing can be measured. */
double minute_figure(const struct minute_sums *sums, const struct minute_sums *drawn, enum minute_figure which);

/* What measures one source's frames. */
struct minute_meter {
    int height, width;
    const float *reference;        /* [3, H, W], the caller's */
    const struct landmarks *marks; /* those of the reference; the caller's */
    double contrast, chroma;       /* the reference's */
    float *pair;                   /* [2, 3, H, W]: the frame before and the present one */
    float opening[MINUTE_FRAMES];  /* the mouth's, in the present minute's frames */
};
/* ERR_DEVICE: out of memory. */
int minute_meter_open(struct minute_meter *meter, const float *reference, const struct landmarks *marks, int height,
                      int width);
void minute_meter_close(struct minute_meter *meter);
/* Measures video frame `frame` of the stream into the sums of its minute. Frames come in order from 1 on; frame 0 is
   the reference. */
void minute_meter_take(struct minute_meter *meter, struct minute_sums *sums, long frame, const float *picture);
/* Ends a minute: compares its mouth with the known opening and talk mask [MINUTE_FRAMES]. */
void minute_meter_end(struct minute_meter *meter, struct minute_sums *sums, long minute, const float *known,
                      const float *talk);

/* A slope an hour with its 95 % interval. */
struct minute_slope {
    double value, low, high; /* all are NaN for fewer than three values */
};
/* The least-squares line through the values of successive minutes; NaN values are left out. The interval is Student's.
   Neighbouring minutes resemble each other, so that n of them tell less than n independent ones would: where the
   residuals' correlation r from one to the next is positive, n (1 - r) / (1 + r) counts for n (Santer et al. 2000,
   "Statistical significance of trends and trend differences in layer-average atmospheric temperature time series"). */
struct minute_slope minute_slope(const double *values, int count);

#endif
