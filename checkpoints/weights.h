/* weights.h: loads and saves a network's weights in checkpoints, by the names of its parameter table. Values pass
   through in pieces and are converted on the way (F32, F16, BF16, F64 to float and back), so that no second copy of the
   model is in memory. The caller provides what takes or gives the values: an arena, or the part of one that a process
   keeps. */
#ifndef CHECKPOINTS_WEIGHTS_H
#define CHECKPOINTS_WEIGHTS_H

#include "checkpoints/checkpoint.h"
#include "model/params/params.h"

/* The part of the table that a checkpoint holds; audio modules have a file of their own. */
enum weights_part { WEIGHTS_ALL, WEIGHTS_TRUNK, WEIGHTS_AUDIO };
int weights_belongs(const struct param *param, enum weights_part part);

/* Takes host values of a parameter's elements from .. from + count - 1; a parameter's pieces come in order. */
struct weights_sink {
    int (*take)(void *self, const struct param *param, size_t from, size_t count, const float *values);
    void *self;
    /* Takes a weight [dout, din] that the table keeps quantised (params.h): its codes and its scales [dout]. NULL: such
       a table is not loaded. */
    int (*take_quantised)(void *self, const struct param *param, const void *codes, const float *scales);
};
/* Gives such values. */
struct weights_source {
    int (*give)(void *self, const struct param *param, size_t from, size_t count, float *values);
    void *self;
};

/* Reads `part` of the table from a checkpoint. Missing, surplus and mis-shaped tensors and those of other types are all
   listed (ERR_INPUT) before the first value is read. */
int weights_load(const struct weights_sink *sink, const struct param_table *table, const struct checkpoint *checkpoint,
                 enum weights_part part);
/* Reads the values of one parameter from the checkpoint that has its tensors, which weights_check has found to fit. */
int weights_load_param(const struct weights_sink *sink, const struct param *param, const struct checkpoint *checkpoint);
/* Puts a quantised weight where its slice is kept: in device memory, in host memory, or (NULL) not there. */
void weights_put_quantised(elem *device, elem *host, const struct param *param, const void *codes, const float *scales);
/* Only checks, without reading values. */
int weights_check(const struct param_table *table, const struct checkpoint *checkpoint, enum weights_part part);
/* Makes a sink that fills device arenas [table->total], those that are not NULL. `arena` must outlive the sink. */
struct weights_arena {
    const struct param_table *table;
    elem *weights;
    real *master;
};
struct weights_sink weights_to_arena(struct weights_arena *arena);

struct weights_format {
    enum weights_naming naming;
    enum safetensors_type type; /* ST_F32, ST_BF16 or ST_F16 */
    /* Type of the blocks' linear weights (dit_param_quantises): each is written as I8 or F8_E4M3, and behind it its
       scales, F32 [dout], as NAME.scale. QUANTISED_NONE: they are of `type` as well. */
    enum quantised_type quantised;
    size_t shard_bytes; /* largest file; 0: one file */
};
/* Writes `part` as FOLDER/BASE.safetensors or its shards (shards.h). ERR_NUMERIC: a value that F16 cannot hold. */
int weights_save(const char *folder, const char *base, const struct param_table *table,
                 const struct weights_source *source, enum weights_part part, const struct weights_format *format);
/* Makes a source from host values [table->total], which must outlive it. */
struct weights_host {
    const struct param_table *table;
    const float *values;
};
struct weights_source weights_from_host(struct weights_host *host);

#endif
