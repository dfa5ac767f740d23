/* data_world.c: see data_world.h. */
#include "tools/evaluate/data_world.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/dataset.h"

static int world_named(const char *name, enum puppet_world *world) {
    *world = PUPPET_PLAIN; /* sets without the note are of the plain world */
    for (int w = 0; puppet_worlds[w]; w++)
        if (!strcmp(name, puppet_worlds[w])) *world = (enum puppet_world)w;
    return !*name || !strcmp(name, puppet_worlds[*world]);
}

int data_world(const char *path, enum puppet_world *world, uint64_t *seed) {
    struct dataset *set;
    char name[32], number[64];
    TRY(dataset_open(&set, path));
    int code = dataset_note(set, "puppet_world", name, sizeof name);
    if (!code) code = dataset_note(set, "puppet_seed", number, sizeof number);
    dataset_close(set);
    if (code) return code;
    if (!*number && seed) return error_set(ERR_INPUT, "%s: is no data set of puppets", path);
    if (!world_named(name, world)) return error_set(ERR_INPUT, "%s: its world \"%s\" is not known", path, name);
    if (seed) *seed = strtoull(number, NULL, 10);
    return OK;
}
