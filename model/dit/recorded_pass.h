/* recorded_pass.h: records passes of a network once and replays them when they come again with the same memory and
   sizes (kernels/recordings.h), as a stream's do, whose places in the ring soon come round. Results are the same bits.
   One object, in host memory, serves one stream; it is not thread-safe. */
#ifndef MODEL_DIT_RECORDED_PASS_H
#define MODEL_DIT_RECORDED_PASS_H

#include "kernels/recordings.h"
#include "model/dit/dit.h"

/* One pass that has a history. step: number of the pass within its chunk. */
struct network_pass {
    const struct dit *net;
    const struct params *params;
    struct dit_acts *acts;
    const struct dit_input *in;
    real *result;
    int step;
};
struct recorded_passes;
/* Makes an empty set of recordings. ERR_DEVICE: out of memory. */
int recorded_passes_open(struct recorded_passes **passes, const struct dit *net);
void recorded_passes_close(struct recorded_passes *passes);                           /* NULL is allowed */
struct recording_counts recorded_passes_counts(const struct recorded_passes *passes); /* NULL: zeros */
/* Runs work(user), which queues the pass and what follows it, or replays its recording. With passes NULL, or with
   weights that are fetched slice by slice (params.h), nothing is recorded. Returns what `work` returned, or OK for a
   replay. */
int recorded_pass_run(struct recorded_passes *passes, const struct network_pass *pass, int (*work)(void *user),
                      void *user);

#endif
