/* evaluation_sums.c: see evaluation_sums.h. */
#include "tools/evaluate/evaluation_sums.h"

#include <stdlib.h>

#include "base/error.h"

const char *const source_names[SOURCES] = {
    "drawn",    "codec",    "teacher", "causal",  "distilled",       "refined", "refined_reseeded",
    "shuffled", "silenced", "no_sink", "no_rapr", "no_sink_no_rapr", "varied",  "varied_codec"};

const struct figure_pair source_pairs[SOURCE_PAIRS] = {
    {SOURCE_DISTILLED, SOURCE_CAUSAL}, {SOURCE_REFINED, SOURCE_DISTILLED}, {SOURCE_RESEEDED, SOURCE_REFINED}};

static void merge(struct evaluation_sums *sums, const struct dialogue_result *results, int dialogues, int ablations) {
    for (int i = 0; i < dialogues; i++) {
        const struct dialogue_result *r = &results[i];
        for (int s = 0; s < SOURCES; s++) {
            source_merge(&sums->totals[s], &r->totals[s]);
            shift_sums_merge(sums->shifts[s], r->shifts[s], FOLLOWED);
            stream_times_add(&sums->times[s], &r->times[s]);
        }
        copy_halves_merge(&sums->halves, &r->halves);
        if (i >= ablations) continue;
        source_merge(&sums->refined_ablated, &r->totals[SOURCE_REFINED]);
        source_merge(&sums->copy_ablated, &r->totals[SOURCE_CODEC]);
    }
}

/* Computes the figures over those of the codec's copy, with intervals. */
static int compute(struct evaluation_sums *sums, const struct dialogue_result *results, int dialogues, uint64_t seed) {
    const struct source_totals **of = calloc((size_t)dialogues * COMPARED, sizeof *of);
    sums->over_copy = malloc((size_t)(COMPARED * figure_count) * sizeof *sums->over_copy);
    sums->over_drawn = malloc((size_t)(COMPARED * figure_count) * sizeof *sums->over_drawn);
    sums->differences = malloc((size_t)(SOURCE_PAIRS * figure_count) * sizeof *sums->differences);
    int code = of && sums->over_copy && sums->over_drawn && sums->differences
                   ? OK
                   : error_set(ERR_DEVICE, "out of memory for figures");
    for (int i = 0; i < dialogues && !code; i++)
        for (int s = 0; s < COMPARED; s++)
            if (results[i].totals[s].trials > 0) of[i * COMPARED + s] = &results[i].totals[s];
    const struct figure_table table = {dialogues, COMPARED, SOURCE_CODEC, SOURCE_DRAWN, of};
    if (!code)
        code = figures_compute(&table, seed, source_pairs, SOURCE_PAIRS, sums->over_copy, sums->over_drawn,
                               sums->differences);
    free(of);
    return code;
}

int evaluation_sums_add(struct evaluation_sums *sums, const struct dialogue_result *results, int dialogues,
                        int ablations, uint64_t seed) {
    merge(sums, results, dialogues, ablations);
    return compute(sums, results, dialogues, seed);
}

void evaluation_sums_close(struct evaluation_sums *sums) {
    free(sums->over_copy);
    free(sums->over_drawn);
    free(sums->differences);
}
