/* state.h: saves and resumes a stage: any set of networks with their optimisers, named integers and named device arrays
   (a replay of rollouts), through checkpoints/state.h. A state is taken between two steps and is complete, so that a
   resumed run goes on bit for bit. It holds
     NETWORK/master, /m, /v, /ema       parameters by name, of adapters where the network has them
     NETWORK/updates, /skipped, ...     its counts; with adapters also where the weights under them are
     integers and arrays by name        a stage's `step` is one of the integers
     config                             the text of the config
   The file holds whole tensors and whole batches, so that the ranks which read it need not be as many as those that
   wrote it: every rank writes its part of each and reads what it needs. All ranks must see the run folder.
   Writing goes on beside the steps, on a thread of each rank:

     steps     | step n | save | step n+1 ...            | step n+2 ...
     thread                    | copies to the staging   | writes to the file, the first rank then checks and renames

   An optimiser's update waits before it changes arrays that are not copied yet (optimiser.h, copying). The staging is
   host memory and part of the plan. The first rank lays the file out; when all ranks have written it makes the
   checksum, syncs the file and gives it its name. There is one write at a time: the next save waits for it. */
#ifndef TRAIN_STATE_STATE_H
#define TRAIN_STATE_STATE_H

#include "train/optimiser/optimiser.h"
#include "train/optimiser/batch_split.h"
#include "train/state/weights_stream.h"

/* Names in a state, which writing and reading share: the arrays by enum optimiser_array, and the counts of struct
   optim_state. */
enum { STATE_NAME_MAX = 128, STATE_COUNTS = 3 };
static const char *const state_array_names[] = {"master", "m", "v", "ema"};
static const char *const state_count_names[STATE_COUNTS] = {"updates", "skipped", "skipped_in_row"};

enum { STATE_NETWORKS_MAX = 4, STATE_INTEGERS_MAX = 24, STATE_ROWS_MAX = 16 };
struct saved_network {
    const char *name; /* "teacher", "student", "critic", "discriminator" */
    struct optimiser *optimiser;
    float *staging[OPTIMISER_ARRAYS]; /* host [elements of this rank's pieces] */
    struct optim_state account;       /* the account as the write under way saves it */
    const char *source_key, *source;  /* key and value of train_state_source; source "": the config names none */
    const char *source_network;       /* network of the state there; NULL: a checkpoint of another kind */
};
struct saved_integer {
    const char *name;
    int64_t *value;
    int64_t staged; /* its value at the save */
    int newer;      /* 1: older states lack it */
};
/* `slots` batches of rows, of each of which this rank has its samples' rows. Steps may change them at any time, so they
   are copied in the save itself. */
struct saved_rows {
    char name[48];
    real *device; /* [slots][split][size] */
    int slots;
    size_t size;
    float *staging; /* host, as on the device */
};
struct state_write; /* a write under way (state_write.h) */
/* The writes that have ended on this rank. */
struct state_figures {
    long count;
    double paused; /* seconds, in all, that steps have waited in saves and at updates */
    double wrote;  /* seconds, in all, that the threads took */
};
struct train_state {
    struct saved_network networks[STATE_NETWORKS_MAX];
    struct saved_integer integers[STATE_INTEGERS_MAX];
    struct saved_rows rows[STATE_ROWS_MAX];
    int network_count, integer_count, row_count;
    struct sharding *shards; /* NULL: one process */
    struct batch_split split;
    struct state_write *write;
    int64_t saves; /* number of saves begun */
    struct state_figures figures;
};
/* Forgets what is registered. Called before anything is registered, in both passes of the layout. split: this rank's
   samples, of which rows are registered. */
void train_state_begin(struct train_state *s, struct sharding *shards, const struct batch_split *split);
void train_state_network(struct train_state *s, const char *name, struct optimiser *optimiser);
/* Registers where the config says that a network with adapters starts (key and value). On resume the adapters' base
   must be that source or have the same checksum. source: kept by the caller; network: its name in the state there, NULL
   for a checkpoint of another kind. */
void train_state_source(struct train_state *s, const char *name, const char *key, const char *source,
                        const char *network);
void train_state_integer(struct train_state *s, const char *name, int64_t *value);
/* Registers an integer that states of earlier versions lack: where it is missing the value stays as it is. */
void train_state_newer_integer(struct train_state *s, const char *name, int64_t *value);
int train_state_rows(struct train_state *s, const char *name, real *device, int slots, size_t size);
/* Lays out the staging (arena.h); called when everything is registered. */
void train_state_layout(struct train_state *s, struct arena *host);

/* Which states are kept when a new one is there, and the config's text for it. */
struct state_keeping {
    int keep;           /* number of the last states that are kept */
    long every;         /* states of steps that are multiples of this are kept too; 0: none */
    const char *config; /* text of the config */
};
/* Takes the present state and starts to write it to FOLDER/checkpoints/step_00001234.h5; all ranks call it. Waits for
   an earlier write that has not ended yet, and returns that one's error. Until the next wait only optimiser_step may
   change arrays of optimisers. */
int train_state_save(struct train_state *s, const char *folder, long step, const struct state_keeping *keeping);
/* The error of this rank's last write: train_state_poll returns it if the write has ended and OK otherwise,
   train_state_wait waits for the end. Each failure is returned once, by the rank whose part it is and by the first rank
   for the file. */
int train_state_poll(struct train_state *s);
int train_state_wait(struct train_state *s);
/* Waits for the write's end, drops its error and leaves the error text as it is. */
void train_state_settle(struct train_state *s);
/* Resumes from the newest whole state in FOLDER, which the first rank looks for; all ranks call it. *found: 0 where
   there is none, and nothing was changed. Logs a warning when device, number type or thread count differ from those
   that wrote it. */
int train_state_resume(struct train_state *s, const char *folder, int *found);

/* Load the weights of one network from another stage: its average when it has one, or the trained ones themselves.
   from: a stage's folder (its newest whole state) or a file, whose names must be those of the table. Adapters come
   merged.
     _weights   into a whole array, device [table->total]; step: receives the step that they are from, or NULL
     _master    into the first slices of an optimiser's master weights; where it has adapters, as the weights under new
                ones (adapters of the same kind over the same weights are trained on instead)
     _frozen    as weights to read only */
int train_state_load_weights(const char *from, const char *network, enum weights_choice source,
                             const struct param_table *table, real *master, long *step);
int train_state_load_master(const char *from, const char *network, enum weights_choice source,
                            const struct param_table *table, struct optimiser *optimiser);
/* Loads a checkpoint of another kind (checkpoints/pretrained.h) into master weights or under new adapters. seed: for
   the audio modules that the checkpoint lacks. */
int train_state_load_checkpoint(const char *path, struct optimiser *optimiser, uint64_t seed);
int train_state_load_frozen(const char *from, const char *network, struct frozen_weights *weights);
/* Checks, after a resume, that the frozen weights which the optimiser shares are those under its adapters. Called when
   they are loaded. */
int train_state_check_base(const struct optimiser *o, const char *name);

#endif
