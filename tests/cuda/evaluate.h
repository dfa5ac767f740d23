/* evaluate.h: a graph that cuDNN is asked for (kernels/cuda/cudnn/graph.h), computed on the host as it is described:
   operation by operation, number by number, in double and without rounding. What comes out is what the graph says,
   whatever an engine does with it. The library's own operations of attention have no steps to follow and are not
   evaluated. */
#ifndef TESTS_CUDA_EVALUATE_H
#define TESTS_CUDA_EVALUATE_H

#include "kernels/cuda/cudnn/graph.h"

struct evaluation {
    const struct cudnn_graph *graph;
    double *memory[GRAPH_TENSORS]; /* each tensor's values, laid out by its strides; NaN at first */
};

void evaluation_open(struct evaluation *e, const struct cudnn_graph *graph);
void evaluation_close(struct evaluation *e);
/* Numbers that the tensor's memory spans, and that memory; fails the test where the graph has no such tensor. */
long evaluation_span(const struct cudnn_tensor *tensor);
double *evaluation_memory(const struct evaluation *e, int64_t uid);
/* Returns 0 when an operation is not known here. */
int evaluate(const struct evaluation *e);

#endif
