/* stage_config.h: the settings that every stage has, and how a stage brings its section of the config. A stage's step
   file has everything about its keys: the struct of its settings, their rows (base/config.h), its optimisers and the
   checks between keys. train/config/run_config.c lists the sections. */
#ifndef TRAIN_METHOD_STAGE_CONFIG_H
#define TRAIN_METHOD_STAGE_CONFIG_H

#include "base/config.h"
#include "model/dit/rollout.h"
#include "train/optimiser/optimiser.h"

enum { RUN_PATH = 256 };

struct stage_config {
    long steps;
    int batch, accumulate;             /* samples of the global batch; parts that every rank takes its samples in */
    struct optimiser_config optimiser; /* settings for the network that the stage is for */
    int recompute;                     /* enum run_recompute */
    long log_every, sample_every, save_every; /* steps; samples and states are made at the end too; 0: only there */
    int keep;                                 /* number of the last states that are kept */
    long keep_every;                          /* states of steps that are multiples of this are kept too; 0: none */
    long best_every;                          /* steps from one measure of development to the next; 0: none */
    int best_patience;                        /* measures without a better one that end the stage; 0: never */
};
enum run_recompute { RECOMPUTE_NONE, RECOMPUTE_BLOCK };
extern const char *const recompute_names[], *const solver_names[], *const schedule_names[];

#define STAGE_KEYS(key, member, steps_default, batch_default)                                                          \
    LONG(key ".steps", member.steps, 0, 1e9, steps_default,                                                            \
         "Number of updates of the network that the stage trains."),                                                   \
        INT(key ".batch", member.batch, 1, 65536, batch_default, "Samples of a step, over all ranks."),                \
        INT(key ".accumulate", member.accumulate, 1, 65536, "1",                                                       \
            "Number of parts that a rank takes its samples in, one after the other; more parts need less memory."),    \
        CHOICE(key ".recompute", member.recompute, recompute_names, "none",                                            \
               "What forward keeps for backward. none: everything; block: the blocks' inputs, and backward runs each " \
               "block again."),                                                                                        \
        LONG(key ".log_every", member.log_every, 1, 1e9, "10", "Steps from one log line to the next."),                \
        LONG(key ".sample_every", member.sample_every, 0, 1e9, "0",                                                    \
             "Steps from one set of samples to the next; 0: at the end only."),                                        \
        LONG(key ".save_every", member.save_every, 0, 1e9, "0",                                                        \
             "Steps from one checkpoint to the next; 0: at the end only."),                                            \
        INT(key ".keep", member.keep, 1, 1000, "2", "Number of checkpoints that are kept: the last ones."),            \
        LONG(key ".keep_every", member.keep_every, 0, 1e9, "0",                                                        \
             "Keeps the checkpoints of steps that are multiples of this for good; 0: of none."),                       \
        LONG(key ".best_every", member.best_every, 0, 1e9, "0",                                                        \
             "Steps from one measure of held-out clips (development_clips) to the next; the checkpoint with the "      \
             "smallest one is kept as checkpoints/best.h5. 0: nothing is measured."),                                  \
        INT(key ".best_patience", member.best_patience, 0, 1000000, "0",                                               \
            "Ends the stage early when so many measures in a row were no better than the best before; 0: never.")

/* The rows of a stage's settings, for its table of keys. key: "distill"; member: the struct stage_config in the
   stage's settings. SAMPLER_KEYS: those of a struct sampler_config (model/dit/sampler.h). */
#define SAMPLER_KEYS(key, member, steps_default, shift_default, guidance_default)                                      \
    INT(key ".steps", member.steps, 1, 1000, steps_default, "Number of steps of the teacher's sampler."),              \
        CHOICE(key ".solver", member.solver, solver_names, "euler",                                                    \
               "Solver of the sampler's equation. euler: order 1; unipc: order 2, for fewer steps."),                  \
        CHOICE(key ".schedule", member.schedule, schedule_names, "linear",                                             \
               "How noise levels fall over the steps. linear: evenly, then shifted; wan, diffusers: as those "         \
               "programs have them, with whole timesteps."),                                                           \
        REAL(key ".shift", member.shift, 1, 100, shift_default,                                                        \
             "Shift of the noise levels: above 1 more steps are spent at high levels."),                               \
        REAL(key ".guidance", member.guidance, 0, 100, guidance_default, "Scale of the guidance by sound; 1: none."),  \
        REAL(key ".text_guidance", member.text_guidance, 0, 100, "1", "Scale of the guidance by text; 1: none."),      \
        REAL(key ".listen_guidance", member.listen_guidance, -1, 100, "-1",                                            \
             "Scale of the guidance by the other party's sound, where it is not to be that of all sound; -1: the "     \
             "same. The teacher must have been trained with drop_talk and drop_listen.")

/* An optimiser among a stage's settings. */
struct stage_optimiser {
    const char *network; /* name in lora.networks of the network that it trains; NULL: one that takes no adapters */
    size_t at;           /* offset of its struct optimiser_config in the settings */
};
/* A stage's section of the config: the keys that begin with NAME and a dot. */
struct config_section {
    const char *name, *does;           /* does: one sentence, the first of the program's help */
    const struct config_field *fields; /* [count], for the struct of its settings */
    int count;
    const char *reads;                    /* names of further sections that the stage reads, with spaces between */
    int (*check)(const void *settings);   /* checks keys against each other: ERR_USAGE; NULL: nothing to check */
    struct stage_optimiser optimisers[3]; /* the one after the last has `at` 0 */
};
/* Defines a stage's section from the table `fields` of its file, whose struct is FIELDS_OF:
   SECTION(distill, does, reads, check, TRAINS("student", stage.optimiser), ...). */
#define SECTION(key, does, reads, check, ...)                                                                          \
    const struct config_section key##_section = {#key, does, fields, FIELDS(fields), reads, check, {__VA_ARGS__}}
#define TRAINS(network, member)                                                                                        \
    { network, offsetof(FIELDS_OF, member) }

/* What a step's layout needs to know beside its own settings. */
struct step_setup {
    const struct dit *net;
    const struct rollout_config *rollout;
    int F; /* latent frames of a clip */
    uint64_t seed;
    struct sharding *shards; /* NULL: one process */
};

#endif
