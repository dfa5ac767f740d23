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
   in its workspace instead, and each number of a result is then summed by one block; engines that keep less are refused
   (graph.h: kept). */
cudnn_builder cudnn_attention_backward_whole, cudnn_attention_backward_parts, cudnn_attention_backward_ordered;

/* The forms to ask for, best first, at most CUDNN_BACKWARD_FORMS; returns their number. version: cudnnGetVersion();
   deterministic: only forms whose sums have a fixed order by construction. */
enum { CUDNN_BACKWARD_FORMS = 2 };
int cudnn_attention_backward_forms(cudnn_builder **form, size_t version, int deterministic);

/* Where the ordered form wants more than there is, one sample's keys are worked through in pieces: each piece's own
   gradients are final, the queries' are added up in float, piece after piece. Keys of a piece, for S queries and a
   range of so many keys: all pieces but the last are alike, and a multiple of 128 (1 piece: all keys). 0: `bytes` of
   workspace do not suffice for any. */
long cudnn_attention_piece(long S, long H, long D, long keys, size_t bytes);
/* Bytes of workspace that the ordered form wants to keep gradients of scores, of B samples. */
size_t cudnn_attention_kept(long B, long S, long H, long keys);
/* What the caller takes of a piece's bytes beside those: the queries' gradient of a piece and their sum, delta, the
   gradients of its keys. */
size_t cudnn_attention_piece_beside(long S, long H, long D, long piece);

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
