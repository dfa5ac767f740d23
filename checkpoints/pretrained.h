/* pretrained.h: a transformer to start from or to run, whatever its origin: the folder of an exported student or
   teacher (student.h), or a Wan checkpoint of other tools (checkpoint.h). */
#ifndef CHECKPOINTS_PRETRAINED_H
#define CHECKPOINTS_PRETRAINED_H

#include "checkpoints/weights.h"

/* Reads the sizes of the network at `path`. Checkpoints of other tools have no latent size: height and width are 0. */
int pretrained_config(const char *path, struct dit_config *config);
/* Compares config.json beside the trunk with `config`. ERR_INPUT names the sizes that differ, with both values. */
int pretrained_expect(const char *path, const struct dit_config *config);
/* Loads the trunk and, when the checkpoint has them, the audio modules of `table`; checks all of an export's files
   against their sums first. *audio: 1: the table's audio modules were loaded, or it has none; 0: the caller must fill
   them. */
int pretrained_load(const struct weights_sink *sink, const struct param_table *table, const char *path, int *audio);

/* The open files of a transformer whose values are read later: its trunk and, apart from it, its audio modules. */
struct pretrained_files {
    struct checkpoint part[2];
    int count;
};
int pretrained_files_open(struct pretrained_files *files, const char *path);
void pretrained_files_close(struct pretrained_files *files);
/* Finds the part that has a tensor, by its original name; NULL: there is none. */
const struct checkpoint *pretrained_files_with(const struct pretrained_files *files, const char *name);

#endif
