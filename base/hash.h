/* hash.h: a 64-bit hash in the manner of FNV-1a (Fowler, Noll, Vo): to tell contents apart and to find table entries,
   not against whoever wants two to collide. Data sets keep some of these numbers, so they stay as they are. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT64_C(1469598103934665603)

/* The hash of what `hash` stands for, with one number more. */
static inline uint64_t hash_number(uint64_t hash, uint64_t number) { return (hash ^ number) * UINT64_C(1099511628211); }

/* And with so many bytes more. */
static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) hash = hash_number(hash, ((const unsigned char *)bytes)[i]);
    return hash;
}

#endif
