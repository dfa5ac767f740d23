/* data_world.h: which of the puppet's worlds a data set is of. */
#ifndef TOOLS_EVALUATE_DATA_WORLD_H
#define TOOLS_EVALUATE_DATA_WORLD_H

#include <stdint.h>

#include "data/puppet.h"

/* Reads the world and the puppet's seed from a data set's notes. ERR_INPUT: no data set, a world that is not known, or
   a set that is not of puppets; where no seed is wanted (NULL) such a set counts as the plain world. */
int data_world(const char *path, enum puppet_world *world, uint64_t *seed);

#endif
