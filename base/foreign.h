/* foreign.h: recognises files of other tools by their first bytes, so that a file given in another's place is refused
   by what it is: a PyTorch file as weights, a Git LFS pointer or an HTML page in place of a download. */
#ifndef BASE_FOREIGN_H
#define BASE_FOREIGN_H

#include <stddef.h>

/* Kind of reader that a file is for. A file of the expected kind that cannot be read is damaged, not foreign. */
enum foreign_kind { FOREIGN_OTHER, FOREIGN_TENSORS, FOREIGN_HDF5, FOREIGN_MEDIA };

/* Names a file ("a GGUF file") by its first `count` bytes, with advice where there is some, and gives its kind. NULL:
   it is not known here. 4096 bytes are enough. */
const char *foreign_name(const unsigned char *bytes, size_t count, enum foreign_kind *kind);
/* Replaces the present error by ERR_INPUT "PATH: is a GGUF file; expected EXPECTED" when the file is known to be of
   another kind than `wanted`; otherwise returns 0 and leaves the present error. */
int foreign_refuse(const char *path, enum foreign_kind wanted, const char *expected);

#endif
