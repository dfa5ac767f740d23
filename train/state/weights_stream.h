/* weights_stream.h: reads a network's weights from where they are kept: a group of a training state; adapters, which
   are merged into the weights under them (which may be such a state again); or a checkpoint of another kind
   (checkpoints/pretrained.h). They pass in pieces: host memory holds one slice and the adapters, whatever the network's
   size. */
#ifndef TRAIN_STATE_WEIGHTS_STREAM_H
#define TRAIN_STATE_WEIGHTS_STREAM_H

#include "checkpoints/state.h"
#include "checkpoints/weights.h"
#include "train/optimiser/frozen.h"

/* Which weights of a state are meant: the average when there is one, or the trained ones themselves. */
enum weights_choice { WEIGHTS_AVERAGE, WEIGHTS_RAW };

/* Set an origin: a network of a state, where `from` is a stage's folder (its newest whole state) or a state; or a
   checkpoint of another kind. ERR_INPUT: there is none. */
int weights_origin_of_state(struct weights_origin *origin, const char *from, const char *network,
                            enum weights_choice source);
int weights_origin_of_checkpoint(struct weights_origin *origin, const char *path, uint64_t seed);
/* 1 where both hold the same weights: equal checksums where both are known, else the same place. */
int weights_origin_same(const struct weights_origin *x, const struct weights_origin *y);
/* Writes the place of a base as a state names it: relative to the state where both lie in one run's folder, so that the
   folder may be moved. */
void weights_place(char place[FILE_PATH_MAX], const char *state, const char *path);

/* Passes every parameter of the table to the sink (NULL: to nobody) and sets the origin's checksum. Names and shapes
   must be those of the origin. ERR_INPUT, after the values were passed: the checksum was known and is another now. */
int weights_stream(struct weights_origin *origin, const struct param_table *table, const struct weights_sink *sink);

/* Reads of a group of a state whether it is adapters (*adapted), and then their settings and the origin of the weights
   under them. path: the state's. */
int weights_adapters(struct state_reader *r, const char *path, const char *group, int *adapted,
                     struct lora_config *config, struct weights_origin *base);
/* Reads the values of such adapters of a network with this table: malloc'd [lora->adapters.total]. Whatever it returns,
   the caller then calls lora_destroy and frees *values. */
int weights_adapters_read(struct state_reader *r, const char *group, const struct param_table *table,
                          const struct lora_config *config, struct lora *lora, float **values);

#endif
