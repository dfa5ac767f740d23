/* still.h: measures how well a student keeps what stands still: the error over that half of the picture's places whose
   brightness varies least in the true clip. In clips of a head before a wall that is the wall, and the error rises at
   once when a student loses a picture's colours or place. Pure functions of frames. */
#ifndef TOOLS_EVALUATE_STILL_H
#define TOOLS_EVALUATE_STILL_H

#include "tools/evaluate/measures.h"

struct still_pool { /* sums over clips; start from zeros */
    double squares, values;
};
/* Adds the errors of made against truth, which has as many frames and of the same size, from frame 1 on: frame 0 is the
   reference. ERR_DEVICE when memory is out. */
int still_pool_add(struct still_pool *pool, const struct clip *truth, const struct clip *made);
/* PSNR in dB for values in [-1, 1], at most 99; 0 for an empty pool. */
double still_pool_psnr(const struct still_pool *pool);

#endif
