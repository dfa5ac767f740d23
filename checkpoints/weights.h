/* weights.h: a network's weights from and to safetensors files, by the names of its parameter table.
   Tensors are converted on the way (F32, F16, BF16, F64 to elem), one at a time: no second copy of the model in memory. */
#ifndef CHECKPOINTS_WEIGHTS_H
#define CHECKPOINTS_WEIGHTS_H

#include "checkpoints/safetensors.h"
#include "model/params.h"

/* Which tensors a file holds: the audio modules are kept in a file of their own. */
enum weights_part { WEIGHTS_ALL, WEIGHTS_TRUNK, WEIGHTS_AUDIO };
int weights_belongs(const struct param *param, enum weights_part part);

enum weights_naming { NAMING_ORIGINAL, NAMING_DIFFUSERS };

/* Reads `part` of the table from an open file into device weights [table->total]. Missing, surplus and mis-shaped
   tensors are all listed (ERR_INPUT). */
int weights_load(elem *weights, const struct param_table *table, const struct safetensors *file, enum weights_part part,
                 enum weights_naming naming);

/* Writes `part` of host values [table->total] as F32 or BF16. */
int weights_save(const char *path, const struct param_table *table, const float *values, enum weights_part part,
                 enum weights_naming naming, enum safetensors_type type);

#endif
