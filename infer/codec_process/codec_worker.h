/* codec_worker.h: the process that has the codec (codec_process.h). */
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
    int parent; /* process */
};
/* In the new process: opens the codec and serves it until it is told to end. Its exit code: 0, or 5 when the other
   process went away without a word, which it says on stderr. */
int codec_worker_run(struct codec_worker *worker);

#endif
