/* recorded_pass.h: passes of a network that come again with the same memory and sizes, recorded once and replayed
   (kernels/recordings.h): those of a stream, whose ring slots soon come round. The same bits. Host memory; one stream's
   work; not thread-safe. */
#ifndef MODEL_DIT_RECORDED_PASS_H
#define MODEL_DIT_RECORDED_PASS_H

#include "kernels/recordings.h"
#include "model/dit/dit.h"

/* A pass that has a history; step: which one of a chunk's, as a number that tells them apart. */
struct network_pass {
    const struct dit *net;
    const struct params *params;
    struct dit_acts *acts;
    const struct dit_input *in;
    real *result;
    int step;
};
struct recorded_passes;
/* ERR_DEVICE: out of memory. */
int recorded_passes_open(struct recorded_passes **passes, const struct dit *net);
void recorded_passes_close(struct recorded_passes *passes);                           /* NULL is allowed */
struct recording_counts recorded_passes_counts(const struct recorded_passes *passes); /* NULL: zeros */
/* Runs work(user), which queues the pass and what follows it, or its recording. passes NULL, or weights that are
   fetched slice by slice (params.h): runs as it is. Returns what `work` returned. */
int recorded_pass_run(struct recorded_passes *passes, const struct network_pass *pass, int (*work)(void *user),
                      void *user);

#endif
