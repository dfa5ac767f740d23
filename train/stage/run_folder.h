/* run_folder.h: the folder of one run (docs/formats.md):
     lock, config.yaml (resolved), log.txt (log.rank1.txt, ... of a job's other ranks), metrics.jsonl,
     events.out.tfevents.*, checkpoints/step_XXXXXXXX.h5 (+ .sum), samples/step_XXXXXXXX[_WHAT].EXT
   One job at a time: a second is refused with a line that names the first one's process and host. */
#ifndef TRAIN_STAGE_RUN_FOLDER_H
#define TRAIN_STAGE_RUN_FOLDER_H

#include <stddef.h>
#include "base/config.h"
#include "base/fileio.h"
#include "base/progress.h"
#include "train/stage/metrics.h"

struct run_folder {
    char path[FILE_PATH_MAX];
    int lock;                /* -1: not open */
    struct metrics *metrics; /* NULL until run_folder_begin */
};
/* Makes the folders, takes the lock, appends to log.txt from here on. */
int run_folder_open(struct run_folder *run, const char *path);
/* For the other ranks of the job: no lock and nothing written but log.rankN.txt. */
int run_folder_follow(struct run_folder *run, const char *path, int rank);
/* Saves config.yaml and opens the metrics. last_step: that of the state resumed from, -1 for a fresh run. A fresh run
   in a folder that holds training states is refused (ERR_USAGE): it would mix two runs. */
int run_folder_begin(struct run_folder *run, const void *config, const struct config_field *fields, int count,
                     long last_step);
void run_folder_close(struct run_folder *run);

/* FOLDER/samples/step_00001234_WHAT; what "grid.png", "held_out.mp4". */
int run_folder_sample_path(const struct run_folder *run, long step, const char *what, char *path, size_t size);

#endif
