/* sha256.h: the SHA-256 digest of FIPS 180-4, for names of what is kept by its content. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>

enum { SHA256_BYTES = 32 };
void sha256(const void *message, size_t bytes, unsigned char digest[SHA256_BYTES]);

#endif
