/* student_show.c: see student_show.h. */
#include "train/student_show.h"

#include <string.h>

#include "base/error.h"
#include "base/philox.h"

int student_show_layout(struct student_show *w, const struct stage *stage, struct arena *arena) {
    const struct run_config *c = &stage->config;
    TRY(self_forcing_layout(&w->rollout, &stage->net, &c->rollout, c->samples, c->frames, arena));
    w->weights = ARENA_TAKE(arena, "weights for samples", elem, stage->net.table.total);
    return OK;
}

void student_show_free(struct student_show *w) {
    self_forcing_free(&w->rollout);
    memset(w, 0, sizeof *w);
}

int student_show_run(struct student_show *w, struct stage *stage, const char *label, const struct optimiser *student) {
    elem_from_real(w->weights, student->ema ? student->ema : student->master, (long)student->table->total);
    struct params params = {.table = student->table, .weights = w->weights};
    struct rollout_noise noise = {.seed = (uint64_t)stage->config.seed, .purpose = RANDOM_SAMPLER};
    TRY(self_forcing_rollout(&w->rollout, &params, stage->shown_clips, w->rollout.clip, &stage->shown_condition, &noise,
                             stage->config.rollout.steps - 1));
    return stage_show(stage, label, w->rollout.x);
}
