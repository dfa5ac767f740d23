/* matroska_size.h: tells whether a Matroska or WebM file is complete. The container states no length of its streams
   that would reveal a cut, but its outermost element (Segment) states its bytes. Format: RFC 8794 (EBML), RFC 9559
   (Matroska). */
#ifndef DATA_MATROSKA_SIZE_H
#define DATA_MATROSKA_SIZE_H

#include <stdint.h>

/* Returns 1 if the file ends before its Segment: `have` of `promised` bytes are there. Returns 0 if it is complete, no
   regular file, no Matroska, or was written live without a size. */
int matroska_is_cut(const char *path, uint64_t *have, uint64_t *promised);

#endif
