/* evaluation_sums.h: the sources that an evaluation of puppet dialogues compares, what is measured of each in every
   dialogue, and the sums and figures over all of them. Host memory. */
#ifndef TOOLS_EVALUATE_EVALUATION_SUMS_H
#define TOOLS_EVALUATE_EVALUATION_SUMS_H

#include "infer/dialogue.h"
#include "tools/evaluate/figures.h"

/* The sources that make a dialogue's frames. The students' variants follow STUDENT_FIRST. */
enum source {
    SOURCE_DRAWN,
    SOURCE_CODEC,
    SOURCE_TEACHER,
    SOURCE_CAUSAL,
    SOURCE_DISTILLED,
    SOURCE_REFINED,
    SOURCE_RESEEDED, /* the refined student from other noise */
    SOURCE_SHUFFLED,
    SOURCE_SILENCED,
    SOURCE_NO_SINK,
    SOURCE_NO_RAPR,
    SOURCE_NEITHER,
    SOURCE_VARIED,      /* the refined student on the same dialogues in other colours, elsewhere and of another size */
    SOURCE_VARIED_COPY, /* the codec's copy of those */
    SOURCES
};
extern const char *const source_names[SOURCES];
enum { COMPARED = SOURCE_RESEEDED + 1 }; /* sources that figures are computed of: the first ones */
enum { SOURCE_PAIRS = 3 };
/* Pairs of sources that are compared dialogue by dialogue. */
extern const struct figure_pair source_pairs[SOURCE_PAIRS];

/* Measures of one dialogue, in memory that the workers share. */
struct dialogue_result {
    struct source_totals totals[SOURCES];
    struct shift_sums shifts[SOURCES][FOLLOWED];
    struct copy_halves halves;
    struct stream_times times[SOURCES];
};
/* Sums over all dialogues; start from zeros. */
struct evaluation_sums {
    struct source_totals totals[SOURCES];
    struct shift_sums shifts[SOURCES][FOLLOWED];
    struct copy_halves halves;
    /* The refined student's, and the codec's copy's, over the first `ablations` dialogues alone. */
    struct source_totals refined_ablated, copy_ablated;
    struct stream_times times[SOURCES];
    struct regression mask_only; /* the best prediction of the mouth from the talk mask alone */
    /* Figures with intervals (figures.h): [COMPARED, figure_count] twice, [SOURCE_PAIRS, figure_count]. */
    struct bootstrap_interval *over_copy;
    double *over_drawn;
    struct bootstrap_interval *differences;
};
/* Sums the results in the order of the dialogues, whichever worker made them, and computes the figures. ERR_DEVICE: out
   of memory. */
int evaluation_sums_add(struct evaluation_sums *sums, const struct dialogue_result *results, int dialogues,
                        int ablations, uint64_t seed);
void evaluation_sums_close(struct evaluation_sums *sums);

#endif
