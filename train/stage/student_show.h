/* student_show.h: held-out clips rolled out by a student's averaged weights, for the samples of ode_init, distill and
   refine and for the measure by which they choose a state. They have the passes that the stage ends with, also while it
   still trains more of them (refine.passes). */
#ifndef TRAIN_STAGE_STUDENT_SHOW_H
#define TRAIN_STAGE_STUDENT_SHOW_H

#include "train/method/self_forcing.h"
#include "train/stage/stage.h"

struct student_show {
    struct self_forcing rollout;
    struct sharded weights; /* the student's averaged weights, read only */
};
int student_show_layout(struct student_show *w, struct stage *stage, struct arena *arena);
void student_show_free(struct student_show *w);
/* Rolls the held-out clips out and shows them (stage_show). The noise is always the same, so that samples of different
   steps can be compared. */
int student_show_run(struct student_show *w, struct stage *stage, const char *label, struct optimiser *student);
/* Measures it for the choice of the best state: the distance of rollouts of held-out clips from those clips as
   distributions of latents (latent_distance.h), always from the same noise. Warns once when clips do not keep the
   person that they begin with. */
int student_show_measure(struct student_show *w, struct stage *stage, struct optimiser *student, double *value);

#endif
