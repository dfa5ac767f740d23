/* teacher_step.h: one update of the bidirectional teacher by flow matching. Opens no file: the batch comes as device
   arrays. The loader has already dropped conditions (teacher.drop_text and its like). */
#ifndef TRAIN_METHOD_TEACHER_STEP_H
#define TRAIN_METHOD_TEACHER_STEP_H

#include "model/dit/sampler.h"
#include "train/method/flow_matching.h"
#include "train/method/stage_config.h"
#include "train/method/step_work.h"

struct teacher_config {
    struct stage_config stage;
    char init[RUN_PATH]; /* transformer to start from (checkpoints/pretrained.h); empty: random weights */
    struct level_config level;
    double drop_text, drop_audio, drop_talk, drop_listen, far_reference;
    struct sampler_config sampler; /* sampler of what the stage shows */
};
extern const struct config_section teacher_section;

struct teacher_step {
    const struct dit *net;
    struct batch_split split;
    struct optimiser optimiser;
    struct flow_matching flow;
    struct dit_acts *acts;
    struct teacher_config config;
    uint64_t seed;
};
/* Lays out memory in two arenas: `state` for what a state holds and the weights, `activations` for the rest. */
int teacher_step_layout(struct teacher_step *s, const struct step_setup *setup, const struct teacher_config *config,
                        struct arena *state, struct arena *activations);
/* Lays out the network's activations. They are alive during a step only and may share memory with what is not. */
int teacher_step_acts_layout(struct teacher_step *s, struct arena *arena);
void teacher_step_free(struct teacher_step *s);
/* Writes the constants, once the memory is there. */
void teacher_step_prepare(struct teacher_step *s);
/* Starts afresh with random weights from the seed. */
void teacher_step_fresh(struct teacher_step *s);
/* Makes update number `step` (0, 1, ...) from this rank's samples of the batch, clips [split, F, C, H, W]. */
int teacher_step_run(struct teacher_step *s, const real *clips, const struct condition_batch *condition, long step);
/* Counts what a step costs this rank; called after the layout. */
void teacher_step_work(const struct teacher_step *s, struct step_work *work);

#endif
