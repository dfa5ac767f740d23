/* best.c: chooses among a stage's states by a measure of held-out clips, and ends a stage that gets no better
   (stage.h). The numbers are integers of the state, in billionths, so that a resumed run chooses as one that was never
   stopped. */
#include <math.h>
#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "checkpoints/state.h"
#include "train/stage/stage.h"

static const double unit = 1e9, most = 1e9; /* larger measures, and those that are not finite, count as this */

static double value_of(int64_t billionths) { return (double)billionths / unit; }
static const char *name_of(const struct stage *s) { return s->program->section->name; }

int stage_measures(const struct stage *s) { return s->settings->best_every > 0; }

int stage_best_check(const struct stage *s) {
    if (!stage_measures(s) || s->program->measure) return OK;
    return error_set(ERR_USAGE, "%s.best_every: this stage has no measure of held-out clips", name_of(s));
}

int stage_best_due(const struct stage *s) {
    if (!stage_measures(s) || s->skipping || s->measured_step == s->step) return 0;
    return s->step % s->settings->best_every == 0 || s->step == s->settings->steps;
}

int stage_early(const struct stage *s) {
    return stage_measures(s) && s->settings->best_patience && s->best_waited >= s->settings->best_patience;
}

int stage_held_out_batches(const struct stage *s) {
    long rows = dataset_rows(s->set, SPLIT_HELD_OUT) / s->shown;
    long wanted = (s->config.development_clips + s->shown - 1) / s->shown;
    long count = rows < wanted ? rows : wanted;
    return count > 1 ? (int)count : 1;
}

int stage_each_held_out(struct stage *s, int (*take)(void *user, const struct device_batch *clips, int number),
                        void *user) {
    struct loader_config config = {
        .seed = (uint64_t)s->config.seed, .batch = s->shown, .split = SPLIT_HELD_OUT, .latents = 1};
    struct loader *loader;
    const struct loader_batch *batch;
    TRY(loader_open(&loader, s->set, &config, 0));
    int code = OK;
    for (int i = 0; i < stage_held_out_batches(s) && !code; i++) {
        code = loader_next(loader, &batch);
        if (code) break;
        device_batch_upload(&s->development, batch, s->negative);
        code = take(user, &s->development, i);
    }
    loader_close(loader);
    return code;
}

/* The measure, the same on all ranks. */
static int measure(struct stage *s, double *value) {
    comm_busy(&s->comm, "measuring held-out clips");
    TRY(s->program->measure(s->self, value));
    if (!(*value <= most)) *value = most;
    if (s->comm.size > 1) TRY(comm_values(&s->comm, COMM_MAX, value, 1));
    comm_busy(&s->comm, NULL);
    return OK;
}

static void log_measure(const struct stage *s, double value, int better) {
    char patience[48] = "";
    if (better) {
        log_line("step %ld: development %.4g, the best so far", (long)s->step, value);
        return;
    }
    if (s->settings->best_patience)
        snprintf(patience, sizeof patience, " (%ld of %d)", (long)s->best_waited, s->settings->best_patience);
    log_line("step %ld: development %.4g, no better than %.4g of step %ld%s", (long)s->step, value,
             value_of(s->best_value), (long)s->best_step, patience);
}

/* Logs once that the measure is far worse than it was. */
static void watch_measure(struct stage *s, double value) {
    const double far = 2; /* times the best */
    if (s->alarmed || value < far * value_of(s->best_value)) return;
    s->alarmed = 1;
    log_line("warning: step %ld: held-out clips measure %.3g, and %.3g at step %ld: the run has collapsed; "
             "checkpoints/best.h5 is the state of that step (docs/troubleshooting.md)",
             (long)s->step, value, value_of(s->best_value), (long)s->best_step);
}

int stage_judge(struct stage *s) {
    double value = -most;
    TRY(measure(s, &value));
    const struct metric figure = {"development", value};
    if (s->folder.metrics) TRY(metrics_write(s->folder.metrics, (long)s->step, &figure, 1));
    s->measured_step = s->step;
    int better = s->best_step < 0 || llround(unit * value) < s->best_value;
    if (better) {
        s->best_step = s->step;
        s->best_value = llround(unit * value);
        s->best_unmarked = 1;
    }
    s->best_waited = better ? 0 : s->best_waited + 1;
    log_measure(s, value, better);
    watch_measure(s, value);
    if (stage_early(s) && s->step < s->settings->steps)
        log_line("%s: ends early at step %ld of %ld: %ld measures in a row were no better than that of step %ld, whose "
                 "state is checkpoints/best.h5",
                 name_of(s), (long)s->step, s->settings->steps, (long)s->best_waited, (long)s->best_step);
    return OK;
}

int stage_mark_best(struct stage *s) {
    char name[64], path[FILE_PATH_MAX];
    if (!s->best_unmarked || s->saved.write) return OK;
    s->best_unmarked = 0;
    if (s->comm.rank) return OK;
    snprintf(name, sizeof name, "checkpoints/step_%08ld.h5.sum", (long)s->best_step);
    TRY(file_join(path, sizeof path, s->folder.path, name));
    return file_exists(path) ? state_mark_best(s->folder.path, (long)s->best_step) : OK;
}
