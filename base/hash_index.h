/* hash_index.h: finds a thing among many by the hash of its name (base/hash.h), in the time that one takes. It keeps
   hashes and numbers; what a number stands for, and whether it is the one that is meant, its user knows. */
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
/* {0} is an empty one. */
struct hash_index {
    struct hash_place *places; /* [room], a power of two or 0 */
    size_t room, count;
};
int hash_index_add(struct hash_index *index, uint64_t hash, int number); /* OK or ERR_DEVICE: memory */
/* The numbers that were added with this hash, one a call, in the order they came; -1: no more. *at is 0 at the
   first. */
int hash_index_next(const struct hash_index *index, uint64_t hash, size_t *at);
void hash_index_free(struct hash_index *index);

static inline uint64_t hash_text(const char *text) { return hash_bytes(HASH_START, text, strlen(text)); }

#endif
