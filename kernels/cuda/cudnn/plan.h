/* plan.h: makes plans of graphs, each once for a shape, keeps them and runs them. */
#ifndef KERNELS_CUDA_CUDNN_PLAN_H
#define KERNELS_CUDA_CUDNN_PLAN_H

#include <stddef.h>
#include "kernels/cuda/cudnn/graph.h"

/* The pointers that a run binds to the tensors. */
enum { CUDNN_BINDINGS = 16 };
struct cudnn_bindings {
    int count;
    int64_t uid[CUDNN_BINDINGS];
    void *pointer[CUDNN_BINDINGS];
};
void cudnn_bind(struct cudnn_bindings *bindings, int64_t uid, const void *pointer);

/* Finds or makes the plan of the key's graph. It uses the first of the library's engines whose notes and settings this
   build accepts (with determinism, none that may change its bits; in float builds, none that rounds operands) and that
   fits into what the current workspace has left beside `beside` bytes, which the caller is going to take before the
   run. NULL: there is no such engine. A graph that is refused is logged once with the reason, which also goes to the
   table of who served what (kernels/served.h). Plans stay until device_shutdown. */
struct cudnn_plan;
const struct cudnn_plan *cudnn_plan(const struct cudnn_key *key, cudnn_builder *build, size_t beside);
/* Queues the graph on the current stream; a failure is kept. */
void cudnn_run(const struct cudnn_plan *plan, const struct cudnn_bindings *bindings);

#endif
