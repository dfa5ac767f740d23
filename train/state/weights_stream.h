/* weights_stream.h: a network's weights from where they are kept: a group of a training state, adapters merged into the
   weights that they are over (which may be such a state again), or a checkpoint of another kind
   (checkpoints/pretrained.h). They pass in pieces: host memory holds one slice and the adapters, whatever the network's
   size. */
#ifndef TRAIN_STATE_WEIGHTS_STREAM_H
#define TRAIN_STATE_WEIGHTS_STREAM_H

#include "checkpoints/state.h"
#include "checkpoints/weights.h"
#include "train/optimiser/frozen.h"

/* Which weights of a state: the average when there is one, or those trained themselves. */
enum weights_choice { WEIGHTS_AVERAGE, WEIGHTS_RAW };

/* `from`: a stage's folder (newest whole state) or a state. ERR_INPUT: there is none. */
int weights_origin_of_state(struct weights_origin *origin, const char *from, const char *network,
                            enum weights_choice source);
int weights_origin_of_checkpoint(struct weights_origin *origin, const char *path, uint64_t seed);
/* The same values where both sums are known, else the same place. */
int weights_origin_same(const struct weights_origin *x, const struct weights_origin *y);
/* How a state names the place of a base: relative to itself where both lie in one run's folder. */
void weights_place(char place[FILE_PATH_MAX], const char *state, const char *path);

/* Every parameter of the table, whose names and shapes must be those of the origin; taker NULL: nobody wants them. The
   origin's sum is set; when it was known and is another now: ERR_INPUT, after the values were taken. */
int weights_stream(struct weights_origin *origin, const struct param_table *table, const struct weights_sink *sink);

/* What a group of a state is when it is adapters: *adapted 0 otherwise. path: the state's. base: what they are over. */
int weights_adapters(struct state_reader *r, const char *path, const char *group, int *adapted,
                     struct lora_config *config, struct weights_origin *base);
/* Such adapters of a network with this table, and their values: malloc'd [lora->adapters.total]. Then, whatever it
   returned: lora_destroy, free. */
int weights_adapters_read(struct state_reader *r, const char *group, const struct param_table *table,
                          const struct lora_config *config, struct lora *lora, float **values);

#endif
