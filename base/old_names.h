/* old_names.h: renamed keys and renamed contents of files, so that an old config, state or export gets an error that
   says the new name. This table is the only place that knows old names: nothing reads a file by one. */
#ifndef BASE_OLD_NAMES_H
#define BASE_OLD_NAMES_H

#include <stddef.h>

/* Writes what `name` is called now to now [size] and returns 1; a key below a renamed section is renamed with it
   ("refine.critic.lr"). Returns 0, and leaves `now` alone, when the name is none of the old ones. */
int old_name(const char *name, char *now, size_t size);
/* The old name of what is called `name` now, as static text; NULL: it was not renamed. */
const char *old_name_of(const char *name);

#endif
