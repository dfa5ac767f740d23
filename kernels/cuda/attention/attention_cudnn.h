/* attention_cudnn.h: the graphs of attention that this backend asks cuDNN for. Each is a function of a key alone, so
   that tests can make them without a device. */
#ifndef KERNELS_CUDA_ATTENTION_ATTENTION_CUDNN_H
#define KERNELS_CUDA_ATTENTION_ATTENTION_CUDNN_H

#include "kernels/cuda/attention/attention.h"
#include "kernels/cuda/cudnn/graph.h"

/* Attention of B samples, S queries, H heads of D, against one range of `range` (its length and strides). */
struct cudnn_key cudnn_attention_key(const struct attention *a, const struct attention_range *range);
cudnn_builder cudnn_attention_forward_graph;

/* Three forms of the backward. `whole` is the library's one operation for it. `parts` is made of
   products and elementwise steps, which the library recognises; engines add up dq in ATTENTION_DQ_SUM,
   block by block as they come, so its bits may change from run to run. `ordered` has no such sum: the
   library keeps all S K gradients of the scores in its workspace instead, and each number of a result
   is then summed by one block; engines that keep less are refused (graph.h: kept). */
cudnn_builder cudnn_attention_backward_whole, cudnn_attention_backward_parts, cudnn_attention_backward_ordered;

/* Lists the forms to ask for, best first, at most CUDNN_BACKWARD_FORMS; returns their number. version is that of
   cudnnGetVersion(); deterministic 1: only forms whose sums have a fixed order by construction. */
enum { CUDNN_BACKWARD_FORMS = 2 };
int cudnn_attention_backward_forms(cudnn_builder **form, size_t version, int deterministic);

/* Keys of a piece, for S queries and a range of `keys` keys, when the ordered form wants more workspace than there is:
   it then takes the keys of one sample in pieces. The gradients of a piece's keys are final; those of the queries are
   added up in float, piece after piece. All pieces but the last have the same size, a multiple of 128; a single piece
   has all keys. 0: `bytes` of workspace are too few for any piece. */
long cudnn_attention_piece(long S, long H, long D, long keys, size_t bytes);
/* Bytes of workspace in which the ordered form keeps the gradients of the scores of B samples. */
size_t cudnn_attention_kept(long B, long S, long H, long keys);
/* Bytes that the caller takes for a piece beside those: the queries' gradient of the piece and its sum over pieces,
   delta, and the gradients of the piece's keys. */
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
