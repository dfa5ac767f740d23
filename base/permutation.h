/* permutation.h: orders of many things that need no table and no state: which one has its turn is computed from a
   number. */
#ifndef BASE_PERMUTATION_H
#define BASE_PERMUTATION_H

#include <stdint.h>

/* Which of `count` (1 ..) things has turn number n (pure): every one once in each round of `count` turns, in an order
   of the round's own. */
long permuted_turn(uint64_t seed, uint64_t n, long count);

#endif
