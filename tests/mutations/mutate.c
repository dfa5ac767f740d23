/* mutate.c: see mutate.h. */
#include "tests/mutations/mutate.h"

#include <string.h>

enum { RUN_MAX = 512 };

/* SplitMix64 (Steele, Lea and Flood 2014). */
uint64_t mutation_random(uint64_t seed, uint64_t index) {
    uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

size_t mutate(unsigned char *bytes, size_t length, enum mutation kind, uint64_t seed) {
    if (!length) return 0;
    size_t at = mutation_random(seed, 0) % length, run = 1 + mutation_random(seed, 1) % RUN_MAX;
    if (run > length - at) run = length - at;
    switch (kind) {
    case MUTATE_BIT:
        bytes[at] ^= (unsigned char)(1 << mutation_random(seed, 2) % 8);
        return length;
    case MUTATE_BYTE:
        bytes[at] = (unsigned char)(bytes[at] + 1 + mutation_random(seed, 2) % 255);
        return length;
    case MUTATE_ZEROS:
        memset(bytes + at, 0, run);
        return length;
    case MUTATE_NOISE:
        for (size_t i = 0; i < run; i++) bytes[at + i] = (unsigned char)mutation_random(seed, 3 + i);
        return length;
    default:
        return at;
    }
}
