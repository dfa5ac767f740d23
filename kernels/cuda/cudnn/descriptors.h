/* descriptors.h: a graph in cuDNN's C backend interface: descriptors made one after the
   other with one check at the end. Needs no device. */
#ifndef KERNELS_CUDA_CUDNN_DESCRIPTORS_H
#define KERNELS_CUDA_CUDNN_DESCRIPTORS_H

#include "kernels/cuda/cudnn/graph.h"

/* The descriptors of a graph. The first failure is kept, and nothing more is made after it. Each tensor takes one, an
   operation up to two; 40 are left for the graph as a whole and the engines that are tried. */
enum { CUDNN_PARTS = GRAPH_TENSORS + 2 * GRAPH_NODES + 40 };
struct cudnn_parts {
    cudnnBackendDescriptor_t part[CUDNN_PARTS], operation[GRAPH_NODES];
    int count, operations;
    cudnnStatus_t status;
    char failed[160]; /* the step that failed first, and the library's words for it */
};
void cudnn_parts_free(struct cudnn_parts *parts);

/* Make a descriptor: begin it, give it attributes, end it. They return NULL after a failure. */
cudnnBackendDescriptor_t cudnn_begin(struct cudnn_parts *parts, cudnnBackendDescriptorType_t type);
void cudnn_set(struct cudnn_parts *parts, cudnnBackendDescriptor_t part, cudnnBackendAttributeName_t name,
               cudnnBackendAttributeType_t type, int64_t count, const void *values);
void cudnn_set_part(struct cudnn_parts *parts, cudnnBackendDescriptor_t part, cudnnBackendAttributeName_t name,
                    cudnnBackendDescriptor_t value);
void cudnn_end(struct cudnn_parts *parts, cudnnBackendDescriptor_t part);

/* Makes the graph's tensors and operations. */
void cudnn_describe(struct cudnn_parts *parts, const struct cudnn_graph *graph);
/* Writes `what` and the library's words for its last refusal on this thread, on one line. */
void cudnn_words(char *to, size_t size, const char *what);

#endif
