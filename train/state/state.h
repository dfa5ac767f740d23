/* state.h: saving and resuming a stage: any set of networks with their optimisers, named integers and named device
   arrays (a replay of rollouts), through checkpoints/state.h. Saved whole between two steps, so a resumed run goes on
   bit for bit. A network with adapters saves those, and what they are over by its place. In the file: NETWORK/master,
   /m, /v, /ema (parameters by name), NETWORK/updates, /skipped, integers and arrays by their names, `config`. A stage
   saves its `step` among the integers.
   The file holds whole tensors and whole batches, so the ranks that read it need not be as many as those that wrote it:
   every rank writes its part of each (checkpoints/state.h), and reads what is its. The run folder is one that all see.
   Writing is asynchronous, on a thread of each rank. It copies the rank's part to host memory (planned: the staging)
   while the next step runs, which waits before it changes what is not copied yet (optimiser.h, copying); then it
   writes. The first rank lays the file out, and when all have written sums, syncs and renames it. One write at a time:
   the next save waits for it. */
#ifndef TRAIN_STATE_STATE_H
#define TRAIN_STATE_STATE_H

#include "train/optimiser/optimiser.h"
#include "train/optimiser/batch_split.h"
#include "train/state/weights_stream.h"

/* Names in a state, which writing and reading share: by enum optimiser_array, and the fields of struct optim_state. */
enum { STATE_NAME_MAX = 128, STATE_COUNTS = 3 };
static const char *const state_array_names[] = {"master", "m", "v", "ema"};
static const char *const state_count_names[STATE_COUNTS] = {"updates", "skipped", "skipped_in_row"};

enum { STATE_NETWORKS_MAX = 4, STATE_INTEGERS_MAX = 16, STATE_ROWS_MAX = 16 };
struct saved_network {
    const char *name; /* "teacher", "student", "critic", "discriminator" */
    struct optimiser *optimiser;
    float *staging[OPTIMISER_ARRAYS]; /* host [elements of this rank's pieces] */
    struct optim_state account;       /* of the state under way */
    const char *source_key, *source;  /* train_state_source; source "": the config names none */
    const char *source_network;       /* NULL: a checkpoint of another kind */
};
struct saved_integer {
    const char *name;
    int64_t *value;
    int64_t staged;
    int newer; /* older states lack it */
};
/* A batch's rows `slots` times: of each the rank has its share's. Steps change them: they are copied in the save. */
struct saved_rows {
    char name[48];
    real *device; /* [slots][split][size] */
    int slots;
    size_t size;
    float *staging; /* host, as on the device */
};
struct state_write; /* the one under way */
/* Of the writes that have ended, on this rank. */
struct state_figures {
    long count;
    double paused,
        wrote; /* seconds, together: that steps have waited, in saves and at updates; that the threads took */
};
struct train_state {
    struct saved_network networks[STATE_NETWORKS_MAX];
    struct saved_integer integers[STATE_INTEGERS_MAX];
    struct saved_rows rows[STATE_ROWS_MAX];
    int network_count, integer_count, row_count;
    struct sharding *shards; /* NULL: one process */
    struct batch_split split;
    struct state_write *write;
    int64_t saves; /* begun */
    struct state_figures figures;
};
/* Forgets what is registered; what follows is of this rank's share. Before the names, in both layout passes. */
void train_state_begin(struct train_state *s, struct sharding *shards, const struct batch_split *split);
void train_state_network(struct train_state *s, const char *name, struct optimiser *optimiser);
/* Where the config says that a network with adapters starts: on resuming that must be what they are over, or hold the
   same. source: kept by the caller; network: of the state that it names, NULL for a checkpoint of another kind. */
void train_state_source(struct train_state *s, const char *name, const char *key, const char *source,
                        const char *network);
void train_state_integer(struct train_state *s, const char *name, int64_t *value);
/* One that states of earlier versions lack: where it is missing the value stays as it is. */
void train_state_newer_integer(struct train_state *s, const char *name, int64_t *value);
int train_state_rows(struct train_state *s, const char *name, real *device, int slots, size_t size);
/* The staging (arena.h), after all names. */
void train_state_layout(struct train_state *s, struct arena *host);

/* How a state is kept. */
struct state_keeping {
    int keep;           /* the last so many, */
    long every;         /* and those of steps that this divides (0: none) */
    const char *config; /* text */
};
/* Takes the state of now and starts to write FOLDER/checkpoints/step_00001234.h5; all ranks call it. Returns what an
   earlier write that had not ended yet came to. Arrays of optimisers change by optimiser_step alone until the next
   wait. */
int train_state_save(struct train_state *s, const char *folder, long step, const struct state_keeping *keeping);
/* What this rank's last write came to, if it has ended (OK otherwise); and when it has ended. Each failure is told
   once: by the rank whose part it is, and by the first one for the file. */
int train_state_poll(struct train_state *s);
int train_state_wait(struct train_state *s);
/* Waits for it whatever it comes to, and leaves the error text as it is. */
void train_state_settle(struct train_state *s);
/* From the newest whole state in FOLDER; *found 0: there is none, nothing was changed. Warns on stderr's log when
   device, type or thread count differ from those that wrote it. All ranks call it, and read what the first one
   finds. */
int train_state_resume(struct train_state *s, const char *folder, int *found);

/* Weights of one network from another stage: its average when it has one, or those trained themselves. `from`: a
   stage's folder (newest whole state) or a file; the names must be those of `table`; step: the update that they are
   from, or NULL. Adapters come merged. Into a whole array, device [table->total]; into the first slices of an
   optimiser's master weights, or, where it has adapters, as what new ones are over (adapters over the same weights, of
   the same kind, go on); as weights to read only. */
int train_state_load_weights(const char *from, const char *network, enum weights_choice source,
                             const struct param_table *table, real *master, long *step);
int train_state_load_master(const char *from, const char *network, enum weights_choice source,
                            const struct param_table *table, struct optimiser *optimiser);
/* A checkpoint of another kind (checkpoints/pretrained.h); seed: of the audio modules that it lacks. */
int train_state_load_checkpoint(const char *path, struct optimiser *optimiser, uint64_t seed);
int train_state_load_frozen(const char *from, const char *network, struct frozen_weights *weights);
/* After a resume, when the frozen weights that the optimiser shares are there: they are those that its adapters are
   over. */
int train_state_check_base(const struct optimiser *o, const char *name);

#endif
