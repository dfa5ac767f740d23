/* run_config.h: the settings of a run, one YAML file for all stages. Each program reads the common part and its own
   section, whose keys lie beside the stage's step (train/method/stage_config.h). The sizes of latents, text and audio
   are keys too, so that a plan needs no data; opening the data set compares them with its own and names both sides of a
   difference. `--help-config` of a program says what every key is. */
#ifndef TRAIN_CONFIG_RUN_CONFIG_H
#define TRAIN_CONFIG_RUN_CONFIG_H

#include "data/picture_view.h"
#include "train/method/distill_step.h"
#include "train/method/light_decoder_step.h"
#include "train/method/ode_step.h"
#include "train/method/refine_step.h"
#include "train/method/teacher_step.h"

/* Communication between the processes of a job (comm/comm.h). */
enum run_transport { TRANSPORT_AUTO, TRANSPORT_SINGLE, TRANSPORT_TCP, TRANSPORT_MPI, TRANSPORT_NCCL };
extern const char *const comm_transports[];
struct comm_config {
    int transport;                   /* enum run_transport */
    int sequence;                    /* ranks that divide a clip's tokens between them (model/params/sequence.h) */
    double timeout, connect_timeout; /* seconds */
};
/* Updates that would do harm (a loss or gradient that is not finite, a spike) are skipped and counted. After
   max_skipped_in_row of them in a row the run counts as diverged and does what on_fault says. */
enum fault_then { FAULT_STOP, FAULT_ROLL_BACK };
enum fault_checkpoint { CHECKPOINT_STOP, CHECKPOINT_GO_ON };
struct fault_config {
    double spike;           /* a gradient norm above this many times its running mean is a spike; 0: none is */
    int max_skipped_in_row; /* updates (faults.after) */
    int on_fault;           /* enum fault_then: end, or go back to the last state and on with other batches */
    int rollbacks;          /* most rollbacks without a new state in between */
    int checkpoint;         /* enum fault_checkpoint: whether a checkpoint that cannot be written ends the run */
};

/* How networks are divided over ranks (model/params/shard.h). */
struct shard_config {
    int zero;    /* 0 to 3: nothing, optimiser state, gradients too, weights too */
    int offload; /* 1: the optimisers' state lies in host memory */
};

/* Networks that are trained through adapters over frozen weights (model/params/lora.h). */
struct lora_settings {
    int rank;                                  /* 0: no network has adapters */
    double alpha;                              /* scale alpha / rank; 0: alpha is the rank */
    char targets[LORA_LIST], whole[LORA_LIST]; /* parts of names: adapted weights, weights trained whole */
    char networks[LORA_LIST];                  /* names with commas between */
};

/* The report on held-out puppet dialogues (tools/evaluate): settings and checkpoints are chosen on the development
   persons, claims are made on the test persons. */
enum evaluate_persons { PERSONS_TEST, PERSONS_DEVELOPMENT };
struct evaluate_config {
    int dialogues;                 /* dialogues that every stage's student streams; the next four are among them */
    int teacher_dialogues;         /* dialogues that the teacher samples */
    int reseeded;                  /* dialogues that the last student streams a second time, from other noise */
    int persons;                   /* enum evaluate_persons */
    int ablations;                 /* dialogues with sink, RAPR and the other party's sound switched off in turn */
    int cache_type;                /* enum kv_type of the students' caches */
    double seconds;                /* length of a dialogue */
    struct picture_variation vary; /* amounts by which dialogues are varied that the refined student streams again */
    struct sampler_config sampler; /* the teacher's */
};

/* Which state of a stage's folder others take. */
enum which_state { STATES_NEWEST, STATES_BEST };

/* Prompt that guidance has in place of no text. */
enum { PROMPT_TEXT = 1024 };
struct negative_config {
    char file[RUN_PATH];      /* file of prompts (checkpoints/prompt_file.h); empty: the data set's empty prompt */
    char prompt[PROMPT_TEXT]; /* text or name of one of them; empty: the file's default */
};

struct run_config {
    char run[RUN_PATH];  /* folder of the run */
    char data[RUN_PATH]; /* data set */
    int data_changed;    /* 1: the run may go on with another data set than it began with */
    /* File of the weights of a codec that has them in one (wan21, wan22); empty: the one that the data set names. */
    char codec_weights[RUN_PATH];
    char decoder[RUN_PATH]; /* file of a decoder in the codec's place; empty: the codec decodes */
    struct negative_config negative;
    long seed;
    int threads, threads_adapt;
    int workspace_mib; /* limit of the scratch memory of kernels and libraries; 0: none */
    int deterministic; /* 1: cuda takes no algorithm that adds in another order each time */
    struct fault_config faults;
    int frames;            /* latent frames F of a training clip: 1 + a multiple of causal.chunk */
    int samples;           /* held-out clips that a stage shows */
    int development_clips; /* held-out clips that a stage measures */
    int states;            /* enum which_state: the one that is taken of another stage's folder */
    struct comm_config comm;
    struct shard_config shard;
    struct lora_settings lora;
    struct dit_config model;
    struct rollout_config rollout;
    double sigma[ROLLOUT_STEPS_MAX];
    int sigma_count;
    struct teacher_config teacher;
    struct ode_init_config ode_init;
    struct distill_config distill;
    struct refine_config refine;
    struct light_config light;
    struct evaluate_config evaluate;
};

/* Reads the config, with overrides "key=value" on top, and checks keys against each other too (frames against chunks,
   levels that fall from 1). path NULL: defaults and overrides alone. ERR_USAGE: the text names the key. */
int run_config_load(struct run_config *config, const char *path, const char *const *overrides, int override_count);
/* The rows of all sections' keys, for base/config.h; *count of them, static memory. */
const struct config_field *run_config_fields(int *count);
/* Prints the sections that this stage's program reads, and the names of the others. */
void run_config_describe(const char *stage, FILE *file);
/* Prints one section; ERR_USAGE: there is none of this name. */
int run_config_describe_section(const char *name, FILE *file);
/* Settings of optimiser number i of all stages, NULL after the last; *network: its network's name in lora.networks,
   NULL where that takes no adapters. */
struct optimiser_config *run_config_optimiser(struct run_config *config, int i, const char **network);
/* Where a stage's weights are: `path`, a value of the config, or the folder RUN/STAGE where that is empty. Of a folder
   it is the best state, where `states` asks for it and the folder has one. ERR_USAGE: a path is too long. */
int run_config_source(const struct run_config *config, const char *path, const char *stage, char *source, size_t size);
/* Seed of a stage's own random numbers and order of clips: the run's for the first stage, another for each other one,
   so that no stage sees the clips in the order, or draws the noise, that another did. */
uint64_t run_config_seed(const struct run_config *config, const char *stage);
/* Name of the network that a stage is for, as its states call it: the first that it trains. NULL: there is no such
   stage, or its network is none of those that make a student (light_decoder). */
const char *run_config_network(const char *stage);
/* The rollout of the student that a stage has after update number `step`, counted from 0: it was trained for those
   passes. After the stage's last update and beyond: that which the stage ends with. */
struct rollout_config run_config_rollout(const struct run_config *config, const char *stage, long step);
/* The config with every key's value as text, malloc'd: the caller frees *text. */
int run_config_text(const struct run_config *config, char **text);

#endif
