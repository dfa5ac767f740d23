/* attention_cudnn.h: the graphs of attention that this backend asks cuDNN for. Each is a function of a key alone, so
   that tests can make them without a device. */
#ifndef KERNELS_CUDA_ATTENTION_ATTENTION_CUDNN_H
#define KERNELS_CUDA_ATTENTION_ATTENTION_CUDNN_H

#include "kernels/cuda/attention/attention.h"
#include "kernels/cuda/cudnn/graph.h"

/* Attention of B samples, S queries, H heads of D, against one range of `range` (its length and strides). */
struct cudnn_key cudnn_attention_key(const struct attention *a, const struct attention_range *range);
cudnn_builder cudnn_attention_forward_graph;

/* Three forms of the backward. `whole` is the library's one operation for it. `parts` is made of products and
   elementwise steps, which the library recognises; engines add up dq in ATTENTION_DQ_SUM, block by block as they come,
   so its bits may change from run to run. `ordered` has no such sum: the library keeps all S K gradients of the scores
   in its workspace instead, and each number of a result is then summed by one block. */
cudnn_builder cudnn_attention_backward_whole, cudnn_attention_backward_parts, cudnn_attention_backward_ordered;

/* Lists the forms to ask for, best first, at most CUDNN_BACKWARD_FORMS; returns their number. version
   is that of cudnnGetVersion(), capability that of the device (90 for 9.0); deterministic 1: only forms
   whose sums have a fixed order by construction. */
enum { CUDNN_BACKWARD_FORMS = 2 };
int cudnn_attention_backward_forms(cudnn_builder **form, size_t version, int capability, int deterministic);

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
    ATTENTION_DV,
    ATTENTION_ONE,    /* the number 1 */
    ATTENTION_DELTA,  /* float [B, H, S]: sums of dout o; the caller's memory, written by the graph */
    ATTENTION_DQ_SUM, /* float [B, H, S, D]: as ATTENTION_DELTA; for `parts` only */
    ATTENTION_INSIDE  /* tensors that stay inside have this number and higher ones */
};

#endif
