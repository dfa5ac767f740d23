/* graph.h: cuDNN through its C backend interface: descriptors made one after the other with one check at the end,
   graphs of operations, and plans that are made once for a shape. What makes descriptors needs no device. */
#ifndef KERNELS_CUDA_CUDNN_GRAPH_H
#define KERNELS_CUDA_CUDNN_GRAPH_H

#include <stddef.h>
#include <stdint.h>
#include <cudnn.h>
#include "kernels/types.h"

#ifdef TYPE_BF16
#define CUDNN_ELEM CUDNN_DATA_BFLOAT16
#else
#define CUDNN_ELEM CUDNN_DATA_FLOAT
#endif

/* The descriptors of a graph. The first failure stays; after it nothing more is made. */
enum { CUDNN_PARTS = 32, CUDNN_OPERATIONS = 4, CUDNN_DIMS = 5 };
struct cudnn_parts {
    cudnnBackendDescriptor_t part[CUDNN_PARTS], operation[CUDNN_OPERATIONS];
    int count, operations;
    cudnnStatus_t status;
    char name[96];    /* of the graph, for reports: the builder's */
    char failed[160]; /* what failed first, and the library's own words for it */
};
void cudnn_parts_free(struct cudnn_parts *parts);

/* A descriptor is begun, given attributes, and ended; NULL after a failure. */
cudnnBackendDescriptor_t cudnn_begin(struct cudnn_parts *parts, cudnnBackendDescriptorType_t type);
void cudnn_set(struct cudnn_parts *parts, cudnnBackendDescriptor_t part, cudnnBackendAttributeName_t name,
               cudnnBackendAttributeType_t type, int64_t count, const void *values);
void cudnn_set_part(struct cudnn_parts *parts, cudnnBackendDescriptor_t part, cudnnBackendAttributeName_t name,
                    cudnnBackendDescriptor_t value);
void cudnn_end(struct cudnn_parts *parts, cudnnBackendDescriptor_t part);
/* What the graph is called in reports: "attention backward 1 x 1914 x 8294, 24 x 128". */
void cudnn_name(struct cudnn_parts *parts, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends an operation and adds it to the graph. */
void cudnn_end_operation(struct cudnn_parts *parts, cudnnBackendDescriptor_t operation);

/* A tensor of `dims` dimensions; uid names it in cudnn_run. */
enum cudnn_place { CUDNN_IN_MEMORY, CUDNN_INSIDE /* between operations */, CUDNN_BY_VALUE /* one host float */ };
struct cudnn_tensor {
    int64_t uid;
    cudnnDataType_t type;
    enum cudnn_place place;
    int dims;
    int64_t dim[CUDNN_DIMS], stride[CUDNN_DIMS];
};
cudnnBackendDescriptor_t cudnn_tensor(struct cudnn_parts *parts, const struct cudnn_tensor *tensor);

/* ---- plans ---- */

/* All numbers that a graph is made from; compared byte for byte. */
enum { CUDNN_KEY = 32 };
struct cudnn_key {
    long v[CUDNN_KEY];
};
/* Makes the operations of the key's graph. */
typedef void cudnn_builder(struct cudnn_parts *parts, const struct cudnn_key *key);

/* What a run binds to the tensors. */
enum { CUDNN_BINDINGS = 12 };
struct cudnn_bindings {
    int count;
    int64_t uid[CUDNN_BINDINGS];
    void *pointer[CUDNN_BINDINGS];
};
void cudnn_bind(struct cudnn_bindings *bindings, int64_t uid, const void *pointer);

/* 1 when the library has an engine for the graph: the heuristic's first whose notes this build accepts (with
   determinism asked for, none that may change its bits; float builds, none that rounds operands) and whose workspace
   fits. A graph that is refused is logged once, with the reason, which is kept for the table of who served what
   (kernels/served.h) too. */
int cudnn_supports(const struct cudnn_key *key, cudnn_builder *build);
/* Bytes that a run takes from the workspace; after cudnn_supports said yes. */
size_t cudnn_workspace(const struct cudnn_key *key, cudnn_builder *build);
/* Queues the graph on the current stream; a failure is kept. Only after cudnn_supports said yes. */
void cudnn_run(const struct cudnn_key *key, cudnn_builder *build, const struct cudnn_bindings *bindings);

#endif
