/* readers.h: everything that programs read, each reader as a function of a folder, for mutations.c. A folder holds one
   good example, of which any file may be damaged. */
#ifndef TESTS_READERS_H
#define TESTS_READERS_H

#include <stdint.h>

struct mutation_reader {
    const char *folder; /* its name below the samples */
    /* Reads all of it. OK, and *sum over what was read; or the error's code. Values that are not finite: ERR_NUMERIC.
       */
    int (*read)(const char *folder, uint32_t *sum);
    int ours;  /* it has sums: no damage may make another result */
    int share; /* percent of the count that is asked for; less than 100 where a reader decodes, which takes long */
};
extern const struct mutation_reader mutation_readers[];
extern const int mutation_reader_count;
/* Writes the examples that no program leaves: a light decoder and texts. */
int mutation_samples(const char *folder);

#endif
