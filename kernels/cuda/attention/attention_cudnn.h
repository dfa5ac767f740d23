/* attention_cudnn.h: the graphs of attention that this backend asks cuDNN for. Each is a function of a key alone, so
   that tests can make them without a device. */
#ifndef KERNELS_CUDA_ATTENTION_ATTENTION_CUDNN_H
#define KERNELS_CUDA_ATTENTION_ATTENTION_CUDNN_H

#include "kernels/cuda/attention/attention.h"
#include "kernels/cuda/cudnn/graph.h"

/* Attention of B samples, S queries, H heads of D, against one range of `range` (its length and strides). */
struct cudnn_key cudnn_attention_key(const struct attention *a, const struct attention_range *range);
cudnn_builder cudnn_attention_forward_graph, cudnn_attention_backward_graph;
enum cudnn_attention_uid {
    ATTENTION_Q = 1,
    ATTENTION_K,
    ATTENTION_V,
    ATTENTION_O,
    ATTENTION_STATISTICS,
    ATTENTION_SCALE,
    ATTENTION_DO,
    ATTENTION_DQ,
    ATTENTION_DK,
    ATTENTION_DV
};

#endif
