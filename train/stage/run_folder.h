/* run_folder.h: the folder of one run (docs/formats.md):
     lock                             held while a job runs: a second job is refused with a line that names the first
                                      one's process and host
     config.yaml                      the config with every key's value
     log.txt, log.rank1.txt, ...      the log of the first rank and those of the others
     metrics.jsonl                    the numbers of every step (metrics.h); events.out.tfevents.*: for TensorBoard
     checkpoints/step_XXXXXXXX.h5     states, each with a .sum beside it
     samples/step_XXXXXXXX[_WHAT].EXT sheets and videos of held-out clips */
#ifndef TRAIN_STAGE_RUN_FOLDER_H
#define TRAIN_STAGE_RUN_FOLDER_H

#include <stddef.h>
#include "base/config.h"
#include "base/fileio.h"
#include "base/progress.h"
#include "train/stage/metrics.h"

struct run_folder {
    char path[FILE_PATH_MAX];
    int lock;                /* descriptor of the lock file; -1: not open */
    struct metrics *metrics; /* NULL until run_folder_begin */
};
/* For the first rank: makes the folders, takes the lock and appends log lines to log.txt from here on. */
int run_folder_open(struct run_folder *run, const char *path);
/* For the other ranks: takes no lock and writes nothing but log.rankN.txt. */
int run_folder_follow(struct run_folder *run, const char *path, int rank);
/* Saves config.yaml and opens the metrics. last_step: step of the state that the run resumes from; -1: a fresh run,
   which is refused (ERR_USAGE) in a folder that holds training states, because two runs would mix. */
int run_folder_begin(struct run_folder *run, const void *config, const struct config_field *fields, int count,
                     long last_step);
void run_folder_close(struct run_folder *run);

/* Makes the path FOLDER/samples/step_00001234_WHAT of a sample; what: "grid.png", "held_out.mp4". */
int run_folder_sample_path(const struct run_folder *run, long step, const char *what, char *path, size_t size);

#endif
