/* cudnn_builders.h: the graphs that this backend asks cuDNN for. Each is a function of a key alone, so that tests can make
   them without a device. */
#ifndef KERNELS_CUDA_CUDNN_BUILDERS_H
#define KERNELS_CUDA_CUDNN_BUILDERS_H

#include "kernels/cuda/attention/attention.h"
#include "kernels/cuda/convolution/conv.h"
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

/* y = conv(x, w) + beta y; with bias: y = conv(x, w) + bias + beta y in one pass, beta 0 or 1. */
struct cudnn_key cudnn_conv_key(const struct conv_shape *shape, real beta);
cudnn_builder cudnn_conv_forward_graph, cudnn_conv_bias_graph, cudnn_conv_input_graph, cudnn_conv_weight_graph;
enum cudnn_conv_uid { CONV_X = 1, CONV_W, CONV_Y, CONV_BIAS, CONV_SUM, CONV_BIASED, CONV_OLD_Y };

#endif
