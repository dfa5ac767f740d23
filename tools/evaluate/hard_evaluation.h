/* hard_evaluation.h: the measures of the puppet's hard world (hard_world.h) in an evaluation of several sources over
   several dialogues, which workers share. On the plain world every function does nothing. Host memory. */
#ifndef TOOLS_EVALUATE_HARD_EVALUATION_H
#define TOOLS_EVALUATE_HARD_EVALUATION_H

#include <cjson/cJSON.h>

#include "tools/evaluate/figures.h"
#include "tools/evaluate/hard_world.h"

struct hard_evaluation {
    enum puppet_world world;
    int dialogues, sources, copy; /* copy: number of the source that is the yardstick */
    struct hard_sums *sums;       /* [dialogues, sources], shared; NULL on the plain world */
    int index;                    /* the present dialogue */
    struct hard_trial trial;
    struct hard_track track; /* the present source's */
};
/* Opens it before the workers are forked. data: the data set that tells the world; one that is not there, or not of
   puppets, means the plain one. */
int hard_evaluation_open(struct hard_evaluation *e, const char *data, int dialogues, int sources, int copy);
void hard_evaluation_close(struct hard_evaluation *e);

/* Begins a dialogue, whose trial must outlive it. spread: 1 measures how far two draws of the truth are apart, in the
   trial's encoder. */
int hard_dialogue_begin(struct hard_evaluation *e, int index, const struct trial *trial, int spread);
void hard_dialogue_end(struct hard_evaluation *e);
/* Begins a source of the dialogue; takes its pictures in order, with the places of the person in them; ends it. The
   copy comes first. spread: distance of this rollout from another of the same source (latents.h), whole picture; 0:
   there is none. */
int hard_source_begin(struct hard_evaluation *e);
void hard_source_take(struct hard_evaluation *e, long frame, const float *picture, const struct person_places *places);
int hard_source_end(struct hard_evaluation *e, int source, double spread);

/* Adds the figures of one dialogue to the "by_dialogue" of a source (figures_report.h). */
void hard_dialogue_add(const struct hard_evaluation *e, cJSON *of, int source, int dialogue);
/* Names the world in root, and adds "hard_world" to the object of each source and to "differences". names: those of the
   sources' objects. Prints a table of the columns. */
int hard_evaluation_report(const struct hard_evaluation *e, uint64_t seed, cJSON *root, const char *const *names,
                           const struct figure_pair *pairs, int pair_count, const int *columns, int column_count);

#endif
