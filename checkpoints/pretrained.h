/* pretrained.h: a transformer to start from or to run, wherever it comes from: the folder of an exported student or
   teacher (student.h), or a Wan checkpoint of other tools (checkpoint.h). */
#ifndef CHECKPOINTS_PRETRAINED_H
#define CHECKPOINTS_PRETRAINED_H

#include "checkpoints/weights.h"

/* Sizes of the network at `path`. Other tools' checkpoints have no latent size (height and width 0). */
int pretrained_config(const char *path, struct dit_config *config);
/* ERR_INPUT when config.json beside the trunk is of other sizes than `config`; it names both. */
int pretrained_expect(const char *path, const struct dit_config *config);
/* The trunk and, when there are any, the audio modules of `table`; of an export all files against their sums first.
   *audio: 1 when the table's audio modules were loaded or it has none; 0: they are the caller's to fill. */
int pretrained_load(const struct weights_sink *sink, const struct param_table *table, const char *path, int *audio);

#endif
