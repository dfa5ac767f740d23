/* refine_config.h: the settings of `refine`, most of which are the discriminator's. Their keys are in refine_step.c. */
#ifndef TRAIN_METHOD_REFINE_CONFIG_H
#define TRAIN_METHOD_REFINE_CONFIG_H

#include "model/dit/discriminator.h"
#include "train/method/history_spoil.h"
#include "train/method/levels.h"
#include "train/method/stage_config.h"
#include "train/optimiser/optimiser.h"

struct refine_config {
    struct stage_config stage;
    char student[RUN_PATH], teacher[RUN_PATH];
    int exit;
    int frames; /* largest number of latent frames of a rollout (self_forcing.h); 0: a clip's */
    int passes; /* passes of a chunk that the student ends with (pass_reduction.h); 0: those of rollout.sigma */
    struct spoil_config spoil;
    struct discriminator_config discriminator;
    struct optimiser_config discriminator_optimiser;
    struct level_config level;          /* noise levels at which clips are judged */
    long head_warmup;                   /* discriminator updates that train the heads alone, before all else */
    long warmup;                        /* most updates of the whole discriminator that follow */
    double warmup_margin;               /* margin above which they end */
    double hold_margin;                 /* the generator is held still while the margin is not above this */
    int ratio;                          /* discriminator updates after each generator update */
    double local_weight, global_weight; /* weights of the branches */
    double r1, r2, fd_step;             /* weights of the penalties; h */
    double distill_share;               /* weight of the distillation loss, with the settings of `distill` */
};
extern const struct config_section refine_section;

#endif
