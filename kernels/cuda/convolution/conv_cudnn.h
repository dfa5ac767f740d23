/* conv_cudnn.h: the graphs of convolutions that this backend asks cuDNN for. Each is a function of a key alone, so that
   tests can make them without a device. */
#ifndef KERNELS_CUDA_CONVOLUTION_CONV_CUDNN_H
#define KERNELS_CUDA_CONVOLUTION_CONV_CUDNN_H

#include "kernels/cuda/convolution/conv.h"
#include "kernels/cuda/cudnn/graph.h"

/* Forward: y = conv(x, w) + beta y or, with bias and in one pass, y = conv(x, w) + bias +
   beta y; beta is 0 or 1. real 1: y is float. */
struct cudnn_key cudnn_conv_key(const struct conv_shape *shape, real beta, int real_output);
cudnn_builder cudnn_conv_forward_graph, cudnn_conv_bias_graph, cudnn_conv_input_graph;

/* Three forms of the weights' gradient: dw += ... straight from the convolution (float builds: for bf16 operands no
   engine writes float); `added` keeps the sums inside in float and adds dw behind them; `narrow` rounds them to bf16 in
   CONV_DW_PART, from where the caller adds them. */
cudnn_builder cudnn_conv_weight_direct, cudnn_conv_weight_added, cudnn_conv_weight_narrow;
/* Lists the forms to ask for, best first, at most CUDNN_WEIGHT_FORMS; returns their number. deterministic 1: only those
   whose engines say in their settings whether a sum is divided (engines.h). */
enum { CUDNN_WEIGHT_FORMS = 2 };
int cudnn_conv_weight_forms(cudnn_builder **form, int deterministic);

enum cudnn_conv_uid {
    CONV_X = 1,
    CONV_W,
    CONV_Y,
    CONV_BIAS,
    CONV_SUM,
    CONV_BIASED,
    CONV_OLD_Y,
    CONV_OLD_DW,
    CONV_DW_PART
};

#endif
