/* permutation.h: random orders of many things without a table or state: the thing is
   computed from its turn's number. */
#ifndef BASE_PERMUTATION_H
#define BASE_PERMUTATION_H

#include <stdint.h>

/* Number of the thing, of `count` >= 1, that has turn n (a pure function). In each round of `count` turns every thing
   comes once, in another order each round. */
long permuted_turn(uint64_t seed, uint64_t n, long count);

#endif
