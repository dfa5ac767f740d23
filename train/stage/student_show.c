/* student_show.c: see student_show.h. */
#include "train/stage/student_show.h"

#include <string.h>

#include "base/error.h"
#include "base/philox.h"

int student_show_layout(struct student_show *w, struct stage *stage, struct arena *arena) {
    const struct run_config *c = &stage->config;
    struct batch_split split;
    TRY(batch_split_of(&split, c->samples, 1, 0, 1)); /* all ranks show the same clips */
    TRY(self_forcing_layout(&w->rollout, &stage->net, &c->rollout, &split, c->frames, 0, arena));
    return shard_layout_frozen(&w->weights, "samples", &stage->net.table, &stage->shards, arena);
}

void student_show_free(struct student_show *w) {
    self_forcing_free(&w->rollout);
    shard_free(&w->weights);
    memset(w, 0, sizeof *w);
}

int student_show_run(struct student_show *w, struct stage *stage, const char *label, struct optimiser *student) {
    optimiser_average(student, &w->weights);
    struct params params = shard_frozen(&w->weights);
    struct part part = part_whole(stage->shown);
    struct rollout_noise noise = {.seed = (uint64_t)stage->config.seed, .purpose = RANDOM_SAMPLER};
    TRY(self_forcing_rollout(&w->rollout, &params, &part, stage->held_out.clips, w->rollout.clip,
                             &stage->held_out.condition, &noise, stage->config.rollout.steps - 1, 0));
    shard_settle(&w->weights); /* its memory serves others now */
    return stage_show(stage, label, w->rollout.x);
}
