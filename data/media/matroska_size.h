/* matroska_size.h: whether a Matroska or WebM file is all there. The container has no length of its streams that a cut
   would show; its outermost element (Segment) has the bytes that belong to it. Format: RFC 8794 (EBML), RFC 9559
   (Matroska). */
#ifndef DATA_MATROSKA_SIZE_H
#define DATA_MATROSKA_SIZE_H

#include <stdint.h>

/* 1: the file ends before its Segment does: `have` of `promised` bytes are there. 0: it does not, is no regular file,
   no Matroska, or was written live and promises nothing. */
int matroska_is_cut(const char *path, uint64_t *have, uint64_t *promised);

#endif
