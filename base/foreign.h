/* foreign.h: files of other tools, told by their first bytes, so that a file given in another's place is refused by
   what it is: a PyTorch file as weights, a Git LFS pointer or an HTML page in place of a download. */
#ifndef BASE_FOREIGN_H
#define BASE_FOREIGN_H

#include <stddef.h>

/* What reads which of them: a file of the kind that was expected is damaged, not foreign. */
enum foreign_kind { FOREIGN_OTHER, FOREIGN_TENSORS, FOREIGN_HDF5, FOREIGN_MEDIA };

/* What a file is ("a GGUF file") whose first `count` bytes these are, with advice where there is some, and of what
   kind; NULL: nothing that is known here. 4096 bytes are enough. */
const char *foreign_name(const unsigned char *bytes, size_t count, enum foreign_kind *kind);
/* ERR_INPUT "PATH: is a GGUF file; expected EXPECTED" in the place of the present error when the file is known to be of
   another kind; else 0, and the present error stays. */
int foreign_refuse(const char *path, enum foreign_kind wanted, const char *expected);

#endif
