/* conv.h: the ways to compute convolutions in this backend; kernels.h has the operations. */
#ifndef KERNELS_CUDA_CONVOLUTION_CONV_H
#define KERNELS_CUDA_CONVOLUTION_CONV_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* cuDNN. 1: it did it, or failed and kept the failure; 0: it does not take the problem. The forward adds biases; dw is
   added to; the gradient of the bias is computed elsewhere. */
int conv_cudnn_forward(elem *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape, real beta);
int conv_cudnn_forward_real(real *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape);
int conv_cudnn_backward_input(elem *dx, const elem *dy, const elem *w, const struct conv_shape *shape, real beta);
int conv_cudnn_backward_weight(real *dw, const elem *dy, const elem *x, const struct conv_shape *shape);
/* y [rows, C] = beta y + b, by row. */
void conv_put_bias(elem *y, const elem *b, long rows, long C, real beta);

#ifdef __cplusplus
}
#endif

#endif
