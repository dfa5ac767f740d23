/* hash_index.h: finds a thing among many by the hash of its name (base/hash.h), in constant time. The index keeps pairs
   of hash and number. Its user knows what a number stands for, and compares names, because two may have one hash. */
#ifndef BASE_HASH_INDEX_H
#define BASE_HASH_INDEX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"

struct hash_place {
    uint64_t hash;
    int number; /* -1: free */
};
/* {0} is an empty index. */
struct hash_index {
    struct hash_place *places; /* [room]; room is a power of two, or 0 */
    size_t room, count;
};
int hash_index_add(struct hash_index *index, uint64_t hash, int number); /* ERR_DEVICE: out of memory */
/* Returns the numbers that were added with this hash, one per call, in the order in which they came; -1: no more. The
   caller sets *at to 0 before the first call. */
int hash_index_next(const struct hash_index *index, uint64_t hash, size_t *at);
void hash_index_free(struct hash_index *index);

static inline uint64_t hash_text(const char *text) { return hash_bytes(HASH_START, text, strlen(text)); }

#endif
