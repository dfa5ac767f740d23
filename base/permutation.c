/* permutation.c: see permutation.h. */
#include "base/permutation.h"

#include "base/philox.h"

enum { ROUNDS = 4 };

/* A permutation of 0 .. count-1 that needs no table: a balanced Feistel network on the smallest even number of bits
   that holds `count`, walked until it lands inside (Black and Rogaway 2002, "cycle walking"). Key: seed and epoch. */
static uint64_t permuted(uint64_t seed, uint64_t epoch, uint64_t i, uint64_t count) {
    int half = 1;
    while (half < 31 && (uint64_t)1 << (2 * half) < count) half++;
    uint32_t mask = ((uint32_t)1 << half) - 1;
    do {
        uint32_t left = (uint32_t)(i >> half) & mask, right = (uint32_t)i & mask;
        for (int round = 0; round < ROUNDS; round++) {
            struct random_address address = {
                .seed = seed, .step = epoch, .purpose = RANDOM_DATA_ORDER, .pass = round, .frame = right};
            uint32_t next = left ^ (random_block(&address, 0).v[0] & mask);
            left = right;
            right = next;
        }
        i = (uint64_t)left << half | right;
    } while (i >= count);
    return i;
}

long permuted_turn(uint64_t seed, uint64_t n, long count) {
    uint64_t all = (uint64_t)count;
    return (long)permuted(seed, n / all, n % all, all);
}
