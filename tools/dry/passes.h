/* passes.h: makes dry runs (record.h) of a stream's chunk and of a training block at full size, and holds them against
   the least that they can move (minimum.h). Bytes are those of bf16 (traffic.h). */
#ifndef TOOLS_DRY_PASSES_H
#define TOOLS_DRY_PASSES_H

#include "tools/dry/surplus.h"
#include "tools/bench/network.h"

/* A dry run's counts, and the expected ones. */
struct dry_result {
    struct traffic counted, minimum;
    struct surplus surplus[SURPLUS_MAX]; /* traffic that is known to exceed the minimum */
    int items;
};
/* Sum of minimum and surplus, which the count must equal. */
struct traffic dry_expected(const struct dry_result *result);
/* Counts a chunk in the steady state through all layers, in all its passes, as the mean over a period of the ring. show
   1: prints a line for each kernel. */
int dry_chunk(struct dry_result *result, const struct bench_case *what, int show);
/* Counts forward and backward of one block, with embeddings and head, over 21 latent frames. */
int dry_training(struct dry_result *result, const struct bench_case *what, int show);
/* Makes both dry runs and prints them. */
int dry_print(const struct bench_case *what);

#endif
