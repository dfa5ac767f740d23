/* run_config.h: the settings of a run, one YAML file for all stages; each program reads the common part and its own
   section. Sizes of latents, text and audio stand here too, so that a plan needs no data; opening the data set compares
   them and names both sides of a difference. docs/configuration: `teacher --help-config` prints every key. */
#ifndef TRAIN_CONFIG_RUN_CONFIG_H
#define TRAIN_CONFIG_RUN_CONFIG_H

#include "base/config.h"
#include "model/dit/discriminator.h"
#include "model/codec/light_decoder.h"
#include "model/params/lora.h"
#include "model/dit/rollout.h"
#include "model/dit/sampler.h"

enum { RUN_PATH = 256 };

struct optimiser_config {
    double lr, beta1, beta2, eps, decay, clip;
    long warmup, cooldown;   /* updates of linear rise from 0 and of linear fall to 0 at the end */
    double ema, ema_warmup;  /* min(ema, (1 + u)/(ema_warmup + u)) */
    double spike;            /* fault_config's, for all optimisers of a run */
    struct lora_config lora; /* lora_settings', where the network is among them */
};
/* What every stage has. */
struct stage_config {
    long steps;
    int batch, accumulate;             /* samples of the global batch; parts that every rank takes its share in */
    struct optimiser_config optimiser; /* of the network that the stage is about */
    int recompute;                     /* enum run_recompute */
    long log_every, sample_every, save_every; /* steps; sample and save also at the end; 0: at the end only */
    int keep;                                 /* checkpoints kept: the last so many */
    long keep_every;                          /* and those of steps that this divides; 0: none */
};
enum run_recompute { RECOMPUTE_NONE, RECOMPUTE_BLOCK };

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

/* Levels for a network that sees a whole clip at one level. */
enum level_sampling { LEVEL_SHIFTED_UNIFORM, LEVEL_LOGIT_NORMAL };
struct level_config {
    int sampling;
    double shift;           /* shifted uniform: sigma = shift u / (1 + (shift - 1) u) */
    double mean, deviation; /* logit-normal: sigma = sigmoid(mean + deviation n) */
    double min, max;        /* clamp */
};

struct teacher_config {
    struct stage_config stage;
    char init[RUN_PATH]; /* transformer to start from (checkpoints/pretrained.h); empty: random weights */
    struct level_config level;
    double drop_text, drop_audio;
    struct sampler_config sampler; /* of the samples that the stage shows */
};

enum ode_history { ODE_HISTORY_OWN, ODE_HISTORY_LAST };
struct ode_init_config {
    struct stage_config stage;
    char teacher[RUN_PATH]; /* a stage's folder or a state; empty: RUN/teacher */
    int trajectories;       /* clips recorded */
    struct sampler_config sampler;
    int history; /* enum ode_history: what a chunk's history is made of */
};

enum distill_loss { DISTILL_SID, DISTILL_DMD };
enum distill_exit { EXIT_LAST, EXIT_RANDOM };
/* The distribution matching part: real score (teacher), fake score (critic). */
struct score_config {
    int loss; /* enum distill_loss */
    double guidance, alpha;
    int guide_text; /* what guidance leaves out is audio and text, not audio alone */
    struct level_config level;
    struct optimiser_config critic;
    long critic_warmup; /* critic updates before the first generator update */
    int critic_ratio;   /* critic updates a generator update */
    int critic_replay;  /* rollouts kept for the critic; 0: a fresh rollout for every critic update */
};
struct distill_config {
    struct stage_config stage;
    char student[RUN_PATH], teacher[RUN_PATH];
    int exit; /* enum distill_exit */
    struct score_config score;
};

struct refine_config {
    struct stage_config stage;
    char student[RUN_PATH], teacher[RUN_PATH];
    int exit;
    struct discriminator_config discriminator;
    struct optimiser_config critic; /* of the discriminator */
    struct level_config level;      /* at which real and fake are judged */
    long head_warmup;               /* discriminator updates of the heads alone, before all else */
    int ratio;                      /* discriminator updates a generator update */
    double local_weight, global_weight;
    double r1, r2, fd_step; /* weights and step of the finite-difference penalties */
    double distill_share;   /* weight of the distillation loss, with the settings of `distill` */
};

enum light_loss { LIGHT_L1, LIGHT_MSE };
/* A light decoder from a codec. Its latents' channels are model.in_channels. */
struct light_config {
    struct stage_config stage;
    char from[RUN_PATH];             /* safetensors file that it starts from, with its sizes; empty: from the seed */
    struct light_decoder_config net; /* when it starts from the seed */
    int pixel;                       /* enum light_loss */
    double pixel_weight, gradient_weight, consistency_weight;
};

/* The report on held-out puppet dialogues (tools/evaluate). */
struct evaluate_config {
    int dialogues;                 /* streamed through every stage's student */
    int teacher_dialogues;         /* sampled by the teacher */
    int ablations;                 /* of them, for sink and RAPR switched off and for the other party silenced */
    double seconds;                /* a dialogue */
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
    char decoder[RUN_PATH]; /* light decoder that decodes in the codec's place; empty: the codec does */
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
/* The schema, for base/config.h. */
const struct config_field *run_config_fields(int *count);
/* The resolved config as malloc'd text. */
int run_config_text(const struct run_config *config, char **text);

#endif
