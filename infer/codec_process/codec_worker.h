/* codec_worker.h: the main loop of the process that runs the codec (codec_process.h). */
#ifndef INFER_CODEC_PROCESS_CODEC_WORKER_H
#define INFER_CODEC_PROCESS_CODEC_WORKER_H

#include "infer/codec_process/codec_process.h"

struct codec_worker {
    const char *folder;
    const struct student_description *description;
    int device, threads;
    int fd;
    void *shared; /* bytes of frames [capacity, H, W, 3], or float pixels to encode: a quarter as many frames */
    int capacity;
    int parent; /* id of the process that it works for */
};
/* Opens the codec and answers requests until it is told to end; runs in the new process. Returns the exit code: 0, or 5
   when the other process is gone without having said so, which is printed to stderr. */
int codec_worker_run(struct codec_worker *worker);

#endif
