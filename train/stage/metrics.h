/* metrics.h: the numbers of a run over its steps: FOLDER/metrics.jsonl, one JSON object a line
   {"step": 12, "time": 1700000000.123, "loss": 0.25, ...}, and beside it a TensorBoard event file with the same
   scalars. metrics.jsonl is the truth; the event file is made anew from it when a run resumes. A value that is not
   finite is null in the JSON and left out of the events. */
#ifndef TRAIN_STAGE_METRICS_H
#define TRAIN_STAGE_METRICS_H

enum { METRICS_MAX = 64, METRICS_NAME_MAX = 64 };
struct metric {
    const char *name; /* letters, digits and _ . / - */
    double value;
};
struct metrics;
/* Lines of steps up to last_step are kept, later ones (and a torn last line) cut, so that after a resume from last_step
   the file is that of an uninterrupted run, times apart. A fresh run: last_step -1. ERR_INPUT. */
int metrics_open(struct metrics **metrics, const char *folder, long last_step);
/* One line; steps never descend. */
int metrics_write(struct metrics *metrics, long step, const struct metric *list, int count);
/* Everything written so far is on the disk: before a checkpoint that counts on it. */
int metrics_sync(struct metrics *metrics);
void metrics_close(struct metrics *metrics);

#endif
