/* student_show.c: see student_show.h. */
#include "train/stage/student_show.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/philox.h"
#include "kernels/device.h"
#include "train/method/latent_distance.h"

int student_show_layout(struct student_show *w, struct stage *stage, struct arena *arena) {
    const struct run_config *c = &stage->config;
    const struct rollout_config rollout = run_config_rollout(c, stage->program->section->name, stage->settings->steps);
    struct batch_split split;
    TRY(batch_split_of(&split, c->samples, 1, 0, 1)); /* all ranks show the same clips */
    TRY(self_forcing_layout(&w->rollout, &stage->net, &rollout, &split, c->frames, 0, arena));
    return shard_layout_frozen(&w->weights, "samples", &stage->net.table, &stage->shards, arena);
}

void student_show_free(struct student_show *w) {
    self_forcing_free(&w->rollout);
    shard_free(&w->weights);
    memset(w, 0, sizeof *w);
}

/* Rolls a batch of held-out clips out, from noise that is addressed from sample0 on. */
static int roll_out(struct student_show *w, struct stage *stage, const struct params *params,
                    const struct device_batch *clips, long sample0) {
    struct part part = part_whole(stage->shown);
    struct rollout_noise noise = {.seed = (uint64_t)stage->config.seed, .purpose = RANDOM_SAMPLER, .sample0 = sample0};
    return self_forcing_rollout(&w->rollout, params, &part, clips->clips, w->rollout.clip, &clips->condition, &noise,
                                w->rollout.rollout.config.steps - 1, 0);
}

int student_show_run(struct student_show *w, struct stage *stage, const char *label, struct optimiser *student) {
    optimiser_average(student, &w->weights);
    struct params params = shard_frozen(&w->weights);
    TRY(roll_out(w, stage, &params, &stage->held_out, 0));
    shard_settle(&w->weights); /* its memory serves others now */
    return stage_show(stage, label, w->rollout.x);
}

struct measurement {
    struct student_show *show;
    struct stage *stage;
    struct params params;
    struct latent_distance distance;
    real *host; /* [shown, F, C, H, W] */
};

static int measure_batch(void *user, const struct device_batch *clips, int number) {
    struct measurement *m = user;
    size_t bytes = clips->values * sizeof(real);
    TRY(roll_out(m->show, m->stage, &m->params, clips, (long)number * m->stage->shown));
    mem_download(m->host, m->show->rollout.x, bytes);
    latent_distance_add(&m->distance, LATENTS_MADE, m->host, m->stage->shown);
    mem_download(m->host, clips->clips, bytes);
    latent_distance_add(&m->distance, LATENTS_REAL, m->host, m->stage->shown);
    return device_sync();
}

/* Logs once that the person of the reference is lost: latents are much farther from it than real ones. */
static void watch_drift(struct stage *s, double drift) {
    const double far = 2;
    if (s->alarmed || drift < far) return;
    s->alarmed = 1;
    log_line("warning: step %ld: held-out clips are %.3g times as far from their references as real ones: the student "
             "loses the person; take an earlier state and a smaller learning rate (docs/troubleshooting.md)",
             (long)s->step, drift);
}

int student_show_measure(struct student_show *w, struct stage *stage, struct optimiser *student, double *value) {
    struct measurement m = {.show = w, .stage = stage};
    optimiser_average(student, &w->weights);
    m.params = shard_frozen(&w->weights);
    m.host = malloc(stage->development.values * sizeof *m.host);
    int code = m.host ? latent_distance_open(&m.distance, stage->config.frames, w->rollout.size)
                      : error_set(ERR_DEVICE, "out of memory for a measure");
    if (!code) code = stage_each_held_out(stage, measure_batch, &m);
    shard_settle(&w->weights); /* its memory serves others now */
    if (!code) {
        *value = latent_distance(&m.distance);
        watch_drift(stage, latent_drift(&m.distance));
    }
    latent_distance_close(&m.distance);
    free(m.host);
    return code;
}
