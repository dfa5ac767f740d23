/* settings.h: tells by a number whether two trainings were made with the same settings. The values of a config's keys
   are hashed in the order of its table, without the keys' names: a key that is renamed leaves the number as it is. A
   key that is added or moves changes the table's layout, which has a number of its own, so that whoever finds another
   hash can say whether a value or the table changed. Keys that are named as younger than the first rows (settings.c)
   count only where they have another value than their default, and not in the layout. Pure functions. */
#ifndef TOOLS_TABLE_SETTINGS_H
#define TOOLS_TABLE_SETTINGS_H

#include <stdint.h>

struct run_config;
struct prepare_config;

struct settings_numbers {
    uint64_t layout;   /* order and types of the keys */
    uint64_t method;   /* values that decide what a student of the stage `last` becomes; not the seed */
    uint64_t measured; /* values that decide on what it is measured: the data set's, and those of evaluation */
};
/* Computes the numbers of a run. last: the student's stage, whose successors' keys do not count. data [data_count]: the
   configs of the data sets, that of evaluation and, where it is another, that of the first stages. Keys
   that only say where files lie, how the work is divided, or when something is shown or saved do not count.
   ERR_USAGE: there is no stage `last`. */
int settings_numbers(struct settings_numbers *numbers, const struct run_config *config, const char *last,
                     const struct prepare_config *data, int data_count);

#endif
