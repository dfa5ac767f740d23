/* train_state.h: saving and resuming a stage: any set of networks with their optimisers, named integers and named device
   arrays (a replay of rollouts), through checkpoints/state.h. Saved whole between two steps, so a resumed run goes on
   bit for bit. In the file: NETWORK/master, /m, /v, /ema (parameters by name), NETWORK/updates, /skipped, integers and
   arrays by their names, `config`. A stage saves its `step` among the integers. */
#ifndef TRAIN_TRAIN_STATE_H
#define TRAIN_TRAIN_STATE_H

#include "train/optimiser.h"

enum { STATE_ITEMS_MAX = 64 };
struct saved_network {
    const char *name; /* "teacher", "student", "critic", "discriminator" */
    struct optimiser *optimiser;
};
struct saved_integer {
    const char *name;
    int64_t *value;
};
struct saved_array {
    char name[48];
    real *device;
    size_t count;
};
struct train_state {
    struct saved_network networks[4];
    struct saved_integer integers[16];
    struct saved_array arrays[STATE_ITEMS_MAX];
    int network_count, integer_count, array_count;
};
void train_state_network(struct train_state *s, const char *name, struct optimiser *optimiser);
void train_state_integer(struct train_state *s, const char *name, int64_t *value);
int train_state_array(struct train_state *s, const char *name, real *device, size_t count);

/* Waits for the device; writes FOLDER/checkpoints/step_00001234.h5, keeps the last `keep`. */
int train_state_save(struct train_state *s, const char *folder, long step, int keep, const char *config);
/* From the newest whole state in FOLDER; *found 0: there is none, nothing was changed. Warns on stderr's log when device,
   type or thread count differ from those that wrote it. */
int train_state_resume(struct train_state *s, const char *folder, int *found);

/* Weights of one network from another stage: its average when it has one, or those trained themselves. `from`: a
   stage's folder (newest whole state) or a file; the names must be those of `table`; device [table->total]; step: the
   update that they are from, or NULL. As master weights, or as weights to read only. */
enum weights_source { WEIGHTS_AVERAGE, WEIGHTS_RAW };
int train_state_load_weights(const char *from, const char *network, enum weights_source source,
                             const struct param_table *table, real *master, long *step);
int train_state_load_frozen(const char *from, const char *network, const struct param_table *table, elem *weights);

#endif
