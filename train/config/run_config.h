/* run_config.h: the settings of a run, one YAML file for all stages; each program reads the common part and its own
   section, which lies beside the stage (train/method/stage_config.h). Sizes of latents, text and audio stand here too,
   so that a plan needs no data; opening the data set compares them and names both sides of a difference. */
#ifndef TRAIN_CONFIG_RUN_CONFIG_H
#define TRAIN_CONFIG_RUN_CONFIG_H

#include "data/picture_view.h"
#include "train/method/distill_step.h"
#include "train/method/light_decoder_step.h"
#include "train/method/ode_step.h"
#include "train/method/refine_step.h"
#include "train/method/teacher_step.h"

/* The processes of a job (comm/comm.h). */
enum run_transport { TRANSPORT_AUTO, TRANSPORT_SINGLE, TRANSPORT_TCP, TRANSPORT_MPI, TRANSPORT_NCCL };
extern const char *const comm_transports[];
struct comm_config {
    int transport;                   /* enum run_transport */
    int sequence;                    /* ranks that divide a clip's tokens between them (model/params/sequence.h) */
    double timeout, connect_timeout; /* seconds */
};
/* What becomes of updates that would do harm: they are skipped and counted; `after` of them in a row are a fault. */
enum fault_then { FAULT_STOP, FAULT_ROLL_BACK };
enum fault_checkpoint { CHECKPOINT_STOP, CHECKPOINT_GO_ON };
struct fault_config {
    double spike;   /* a gradient norm above this many times its running mean is skipped too; 0: off */
    int after;      /* skipped in a row */
    int then;       /* enum fault_then: end the run, or go back to the last state and on with other batches */
    int rollbacks;  /* at most, without a new state in between */
    int checkpoint; /* enum fault_checkpoint: one that cannot be written (a full disk) ends the run, or does not */
};

/* How networks are divided over ranks (model/params/shard.h). */
struct shard_config {
    int zero;    /* 0 to 3 */
    int offload; /* the optimisers' state in host memory */
};

/* Networks that are trained through adapters over frozen weights (model/params/lora.h). */
struct lora_settings {
    int rank;     /* 0: none is */
    double alpha; /* 0: the rank */
    char targets[LORA_LIST], whole[LORA_LIST];
    char networks[LORA_LIST]; /* with commas between */
};

/* The report on held-out puppet dialogues (tools/evaluate). */
struct evaluate_config {
    int dialogues;                 /* streamed through every stage's student */
    int teacher_dialogues;         /* sampled by the teacher */
    int ablations;                 /* of them, for sink and RAPR switched off and for the other party silenced */
    double seconds;                /* a dialogue */
    struct picture_variation vary; /* of the dialogues that the refined student streams once more, varied */
    struct sampler_config sampler; /* of the teacher */
};

/* What guidance has in place of no text. */
enum { PROMPT_TEXT = 1024 };
struct negative_config {
    char file[RUN_PATH]; /* of prompts (checkpoints/prompt_file.h); empty: the data set's empty prompt */
    char prompt[PROMPT_TEXT];
};

struct run_config {
    char run[RUN_PATH];  /* folder of the run */
    char data[RUN_PATH]; /* data set */
    int data_changed;    /* a run may go on with another data set than it began with */
    char codec_weights
        [RUN_PATH];         /* of a codec whose weights are in a file of their own; empty: where the data set says */
    char decoder[RUN_PATH]; /* file of a decoder in the codec's place; empty: the codec decodes */
    struct negative_config negative;
    long seed;
    int threads;
    int workspace_mib; /* scratch of kernels and libraries */
    int deterministic; /* on cuda */
    struct fault_config faults;
    int frames;  /* latent frames F of a training clip: 1 + chunks C */
    int samples; /* held-out clips shown */
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

/* Reads and checks what no single key can say (frames against chunks, levels falling from 1, taps). ERR_USAGE. */
int run_config_load(struct run_config *config, const char *path, const char *const *overrides, int override_count);
/* The schema of all sections, for base/config.h. */
const struct config_field *run_config_fields(int *count);
/* Prints the sections that this stage's program reads, and the names of the others. */
void run_config_describe(const char *stage, FILE *file);
/* Prints one section; ERR_USAGE: there is none of this name. */
int run_config_describe_section(const char *name, FILE *file);
/* Number i of the optimisers of all stages, and what lora.networks calls its network (NULL: nothing); NULL after the
   last. */
struct optimiser_config *run_config_optimiser(struct run_config *config, int i, const char **network);
/* Seed of a stage's own random numbers and order of clips: the run's for the first stage, another for each other one,
   so that no stage sees the clips in the order, or draws the noise, that another did. */
uint64_t run_config_seed(const struct run_config *config, const char *stage);
/* The network that this stage is about, as its states call it: the first that it trains. NULL: there is no such stage,
   or its network is none of those that make a student (light_decoder). */
const char *run_config_network(const char *stage);
/* The resolved config as malloc'd text. */
int run_config_text(const struct run_config *config, char **text);

#endif
