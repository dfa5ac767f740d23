/* mutate.h: damage to a file's bytes, as disks, networks and memory do it, drawn from a number: the same number makes
   the same damage. */
#ifndef TESTS_MUTATE_H
#define TESTS_MUTATE_H

#include <stddef.h>
#include <stdint.h>

enum mutation { MUTATE_BIT, MUTATE_BYTE, MUTATE_ZEROS, MUTATE_NOISE, MUTATE_CUT, MUTATIONS };
static const char *const mutation_names[] = {"bit", "byte", "zeros", "noise", "cut"};

/* Number `index` of the series `seed`. */
uint64_t mutation_random(uint64_t seed, uint64_t index);
/* Damages `bytes` in place; returns their new length. A bit or a byte is another; a run of at most 512 bytes is zeros
   or noise; or the file ends early. */
size_t mutate(unsigned char *bytes, size_t length, enum mutation kind, uint64_t seed);

#endif
