/* conv_cudnn.h: the graphs of convolutions that this backend asks cuDNN for. Each is a function of a key alone, so that
   tests can make them without a device. */
#ifndef KERNELS_CUDA_CONVOLUTION_CONV_CUDNN_H
#define KERNELS_CUDA_CONVOLUTION_CONV_CUDNN_H

#include "kernels/cuda/convolution/conv.h"
#include "kernels/cuda/cudnn/graph.h"

/* y = conv(x, w) + beta y; with bias: y = conv(x, w) + bias + beta y in one pass, beta 0 or 1. */
struct cudnn_key cudnn_conv_key(const struct conv_shape *shape, real beta);
cudnn_builder cudnn_conv_forward_graph, cudnn_conv_bias_graph, cudnn_conv_input_graph, cudnn_conv_weight_graph;
enum cudnn_conv_uid { CONV_X = 1, CONV_W, CONV_Y, CONV_BIAS, CONV_SUM, CONV_BIASED, CONV_OLD_Y };

#endif
