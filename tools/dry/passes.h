/* passes.h: dry runs of a stream's chunk and of a training block at full size (record.h), against the least that they
   can move (minimum.h). Bytes are those of bf16 (traffic.h). */
#ifndef TOOLS_DRY_PASSES_H
#define TOOLS_DRY_PASSES_H

#include "tools/dry/surplus.h"
#include "tools/bench/network.h"

struct dry_result {
    struct traffic counted, minimum;
    struct surplus surplus[SURPLUS_MAX]; /* what is known to go beyond the minimum */
    int items;
};
/* Minimum and surplus. */
struct traffic dry_expected(const struct dry_result *result);
/* A chunk in the steady state through all layers, in all its passes: the mean over a period of the ring. show: a line a
   kernel is printed. */
int dry_chunk(struct dry_result *result, const struct bench_case *what, int show);
/* Forward and backward of one block, with embeddings and head, over 21 latent frames. */
int dry_training(struct dry_result *result, const struct bench_case *what, int show);
/* Prints both. */
int dry_print(const struct bench_case *what);

#endif
