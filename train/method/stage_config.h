/* stage_config.h: the settings that every stage has, and how a stage brings its section of the config. A stage's step
   file holds all that its keys are: the struct of its settings, their rows (base/config.h), its optimisers, what no
   single key can say. train/config/run_config.c lists the sections. */
#ifndef TRAIN_METHOD_STAGE_CONFIG_H
#define TRAIN_METHOD_STAGE_CONFIG_H

#include "base/config.h"
#include "model/dit/rollout.h"
#include "train/optimiser/optimiser.h"

enum { RUN_PATH = 256 };

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
extern const char *const recompute_names[], *const solver_names[], *const schedule_names[];

#define STAGE_KEYS(key, member, steps_default, batch_default)                                                          \
    LONG(key ".steps", member.steps, 0, 1e9, steps_default, "updates of the network that the stage trains"),           \
        INT(key ".batch", member.batch, 1, 65536, batch_default, "samples a step, over all ranks"),                    \
        INT(key ".accumulate", member.accumulate, 1, 65536, "1", "parts that a rank takes its samples in"),            \
        CHOICE(key ".recompute", member.recompute, recompute_names, "none",                                            \
               "block: keep block inputs only and run each block again in backward"),                                  \
        LONG(key ".log_every", member.log_every, 1, 1e9, "10", "steps between log lines"),                             \
        LONG(key ".sample_every", member.sample_every, 0, 1e9, "0", "steps between samples; 0: at the end only"),      \
        LONG(key ".save_every", member.save_every, 0, 1e9, "0", "steps between checkpoints; 0: at the end only"),      \
        INT(key ".keep", member.keep, 1, 1000, "2", "checkpoints kept: the last so many"),                             \
        LONG(key ".keep_every", member.keep_every, 0, 1e9, "0", "steps whose checkpoints are kept for ever; 0: none")

/* Of a struct sampler_config (model/dit/sampler.h). */
#define SAMPLER_KEYS(key, member, steps_default, shift_default, guidance_default)                                      \
    INT(key ".steps", member.steps, 1, 1000, steps_default, "steps of the solver"),                                    \
        CHOICE(key ".solver", member.solver, solver_names, "euler", "unipc: order 2, for fewer steps"),                \
        CHOICE(key ".schedule", member.schedule, schedule_names, "linear",                                             \
               "of the levels; wan, diffusers: as those programs have them, with whole timesteps"),                    \
        REAL(key ".shift", member.shift, 1, 100, shift_default, "of the levels"),                                      \
        REAL(key ".guidance", member.guidance, 0, 100, guidance_default, "of audio; 1: none"),                         \
        REAL(key ".text_guidance", member.text_guidance, 0, 100, "1", "of text; 1: none"),                             \
        REAL(                                                                                                          \
            key ".listen_guidance", member.listen_guidance, -1, 100, "-1",                                             \
            "Guidance of the other party's sound, where it is not to be that of all audio; -1: the same. The teacher " \
            "must have been trained with drop_talk and drop_listen.")

/* An optimiser among a stage's settings. */
struct stage_optimiser {
    const char
        *network; /* whose weights it trains, as lora.networks calls it; NULL: a network that takes no adapters */
    size_t at;    /* of its struct optimiser_config in the settings */
};
/* A stage's section of the config: the keys that begin with NAME and a dot. */
struct config_section {
    const char *name, *does;           /* does: a sentence, the first of the program's help */
    const struct config_field *fields; /* of the struct of its settings */
    int count;
    const char *reads; /* besides its own section and those that all stages read: names with spaces between */
    int (*check)(const void *settings);   /* what no single key can say: ERR_USAGE; NULL: nothing */
    struct stage_optimiser optimisers[3]; /* with one of at 0 after the last */
};
/* Of the table `fields` and FIELDS_OF: SECTION(distill, does, reads, check, TRAINS("student", stage.optimiser), ...).
   */
#define SECTION(key, does, reads, check, ...)                                                                          \
    const struct config_section key##_section = {#key, does, fields, FIELDS(fields), reads, check, {__VA_ARGS__}}
#define TRAINS(network, member)                                                                                        \
    { network, offsetof(FIELDS_OF, member) }

/* What a step is laid out for, beside its own settings. */
struct step_setup {
    const struct dit *net;
    const struct rollout_config *rollout;
    int F; /* latent frames of a clip */
    uint64_t seed;
    struct sharding *shards; /* NULL: one process */
};

#endif
