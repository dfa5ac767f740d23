/* graph.h: describes what cuDNN is asked for as data: tensors, and operations on them in order. One
   description has three uses: the library's descriptors are made from it (descriptors.h), a plan is
   chosen and run by it (plan.h), and tests evaluate it on the host, number by number, against the
   definition (tests/cuda/evaluate.h). Nothing here calls the library. */
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

/* A tensor of `dims` axes; a stride is the number of elements from one index to the next.
   uid names the tensor in a run. */
enum cudnn_place { CUDNN_IN_MEMORY, CUDNN_INSIDE /* between operations */, CUDNN_BY_VALUE /* one host float */ };
enum { CUDNN_DIMS = 5 };
struct cudnn_tensor {
    int64_t uid;
    cudnnDataType_t type;
    enum cudnn_place place;
    int dims;
    int64_t dim[CUDNN_DIMS], stride[CUDNN_DIMS];
};

/* Operations and their operands, in this order. All sums and elementwise arithmetic are in float. */
enum graph_operation {
    GRAPH_PRODUCT,         /* a, b, c: c [.., m, n] = a [.., m, k] b [.., k, n] */
    GRAPH_MULTIPLY,        /* x, b, y: y = x b; b is spread along the axes where it has one element */
    GRAPH_ADD,             /* x, b, y: y = x + b */
    GRAPH_SUBTRACT,        /* x, b, y: y = x - b */
    GRAPH_EXP,             /* x, y: y = e^x */
    GRAPH_COPY,            /* x, y: y = x in y's type and layout */
    GRAPH_SUM,             /* x, y: y = x summed over the axes where y has one element */
    GRAPH_VIEW,            /* x, y: y is the memory of x with axes and strides of its own */
    GRAPH_CONVOLVE,        /* x, w, y: y = conv(x, w) + beta y, by the graph's windows */
    GRAPH_CONVOLVE_INPUT,  /* dx, w, dy: dx = gradient of x + beta dx */
    GRAPH_CONVOLVE_WEIGHT, /* dw, x, dy: dw = gradient of w + beta dw */
    GRAPH_ATTEND,          /* q, k, v, o, statistics, scale */
    GRAPH_ATTEND_BACKWARD, /* q, k, v, o, dout, statistics, scale, dq, dk, dv */
    GRAPH_OPERATIONS
};
enum { GRAPH_OPERANDS = 10 };
struct graph_node {
    enum graph_operation operation;
    int operands, operand[GRAPH_OPERANDS]; /* tensors of the graph */
    float beta;                            /* factor of a convolution's old result: 0 or 1 */
};

/* Windows of a graph's convolutions over their input, on 2 or 3 axes. */
struct graph_windows {
    int axes;
    int64_t stride[3], before[3], after[3];
};

enum { GRAPH_TENSORS = 32, GRAPH_NODES = 20 };
struct cudnn_graph {
    char name[96]; /* name in reports: "attention backward 1 x 1914 x 8294, 24 x 128" */
    int tensors, nodes;
    int full; /* 1: something did not fit; no plan is made of such a graph */
    /* Least bytes of workspace of an engine; one with less adds up what the graph wants kept. 0: any engine will do */
    size_t kept;
    struct cudnn_tensor tensor[GRAPH_TENSORS];
    struct graph_node node[GRAPH_NODES];
    struct graph_windows windows;
};
void graph_name(struct cudnn_graph *graph, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds a tensor; returns its number. */
int graph_tensor(struct cudnn_graph *graph, const struct cudnn_tensor *tensor);
/* Adds an operation on `operands` tensors. */
struct graph_node *graph_add(struct cudnn_graph *graph, enum graph_operation operation, int operands,
                             const int *operand);
/* graph_add with a list of tensors. */
#define GRAPH(graph, operation, ...)                                                                                   \
    graph_add(graph, operation, (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__})

/* All numbers that a graph is made from; compared byte for byte. */
enum { CUDNN_KEY = 32 };
struct cudnn_key {
    long v[CUDNN_KEY];
};
/* Describes the key's graph. */
typedef void cudnn_builder(struct cudnn_graph *graph, const struct cudnn_key *key);

#endif
