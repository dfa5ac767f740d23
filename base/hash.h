/* hash.h: a 64-bit hash in the manner of FNV-1a (Fowler, Noll, Vo). It tells contents apart and finds table entries; it
   does not resist someone who constructs collisions. Data sets store some hashes, so the function must not change. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT64_C(1469598103934665603)

/* Extends the hash of some contents by one more number. */
static inline uint64_t hash_number(uint64_t hash, uint64_t number) { return (hash ^ number) * UINT64_C(1099511628211); }

/* Extends the hash of some contents by `count` more bytes. */
static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) hash = hash_number(hash, ((const unsigned char *)bytes)[i]);
    return hash;
}

#endif
