/* old_names.h: names of keys and of files' contents that were renamed, so that an old config, state or export gets an
   error that says the new name. This table is the only place that knows them: nothing reads a file by an old name. */
#ifndef BASE_OLD_NAMES_H
#define BASE_OLD_NAMES_H

#include <stddef.h>

/* What `name` is called now, into now [size]; a key below a renamed section is renamed with it ("refine.critic.lr").
   Returns 0, and leaves `now` alone, when the name is none of the old ones. */
int old_name(const char *name, char *now, size_t size);
/* What `name` was called, the other way round; NULL: it is no renamed one. Static text. */
const char *old_name_of(const char *name);

#endif
