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
/* Opens the metrics of a run that resumes from last_step (-1: a fresh run). Lines of steps up to last_step are kept;
   later ones and a torn last line are cut off, so that the file becomes that of an uninterrupted run but for the times.
   ERR_INPUT: a file cannot be read or written. */
int metrics_open(struct metrics **metrics, const char *folder, long last_step);
/* Appends one line; steps never descend. */
int metrics_write(struct metrics *metrics, long step, const struct metric *list, int count);
/* Forces everything written so far to the disk: called before a checkpoint, whose resume counts on those lines. */
int metrics_sync(struct metrics *metrics);
void metrics_close(struct metrics *metrics);

#endif
