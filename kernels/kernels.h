/* kernels.h: every operation that runs on the device, declared once for all backends (ref, cpu, cuda).

   How to read it. A comment stands above what it explains and says with a formula what the function computes; what
   kernels/ref/ does is the definition. Arguments are plain pointers and sizes; the output comes first. Every pointer is
   a device pointer unless the comment says host. Arrays are row-major. Letters stand for sizes:

     n  rows             B  samples                C  channels
     d  width of a row   F  latent frames          P  tokens of a frame
     H  heads            S  query tokens           D  width of a head

   "=" assigns, "+=" adds to what is there. Gradients of weights are always added. A gradient is called d and the name
   of its variable (dx for x). Where a pointer may be NULL, the comment says what that means; for an output it means
   that this output is not computed. `rows_per_group` consecutive rows share one vector of modulation (the tokens of a
   frame do). `x_stride` is the distance in elements between the first elements of two samples, groups or rows of x.

   Types: types.h. Kernels return nothing; device.h says where errors go. Every backend adds in a fixed order: the same
   thread count gives the same bits. */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include "base/media_rates.h"
#include "quantised.h"
#include "types.h"
#ifdef ORACLE /* ref/ compiled as the oracle: double, ref_ names */
#include "oracle_names.h"
#endif

/* ---- conversion and pointwise ---- */
/* y = x in the other type, rounded to nearest where that is narrower */
void elem_from_real(elem *y, const real *x, long n);
void real_from_elem(real *y, const elem *x, long n);
/* y = value, everywhere */
void real_fill(real *y, real value, long n);
/* y = a x + b y */
void real_axpby(real *y, real a, const real *x, real b, long n);
/* y[g, i] = a[g] x[g, i] + b[g] z[g, i] for groups g of `size` elements; a, b [groups]; z may equal y. It adds noise z
   with a = 1 - sigma and b = sigma, and finds the clean latents from a velocity z with a = 1 and b = -sigma. */
void real_group_combine(real *y, const real *a, const real *x, const real *b, const real *z, long groups, long size);
/* y += x, an elem array into a real one */
void real_add_elem(real *y, const elem *x, long n);
/* y += x */
void elem_add(elem *y, const elem *x, long n);
/* y = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))); y may equal x. In the backward dx may equal dy. */
void gelu_forward(elem *y, const elem *x, long n);
void gelu_backward(elem *dx, const elem *dy, const elem *x, long n);
/* y = x/2 (1 + erf(x / sqrt 2)); y may equal x */
void gelu_erf_forward(elem *y, const elem *x, long n);
/* y = x / (1 + exp(-x)) */
void silu_forward(elem *y, const real *x, long n);
void silu_backward(real *dx, const elem *dy, const real *x, long n);
/* y = max(x, 0). The backward takes the output y, whose sign says where the gradient passes; dx may equal dy. */
void relu_forward(elem *y, const elem *x, long n);
void relu_backward(elem *dx, const elem *dy, const elem *y, long n);

/* y = limit tanh(x / limit); y may equal x */
void soft_clamp(real *y, const real *x, real limit, long n);

/* ---- matrix products ----
   A linear layer takes rows x [n, din] to y [n, dout]; its weight is w [dout, din], its bias b [dout] (NULL: none). */
/* y [n, dout] = beta y + x w^T + b */
void linear_forward(elem *y, const elem *x, const elem *w, const elem *b, long n, long din, long dout, real beta);
/* `parts` linear layers of the same rows in one call: layer i has weight w[i] [dout, din] and bias b[i] [dout], and its
   y [n, dout] begins at y + i y_stride. Backward they are one layer whose dy is [n, parts, dout]. */
void linear_parts_forward(elem *y, const elem *x, const elem *w, const elem *b, long parts, long y_stride, long n,
                          long din, long dout);
/* y [n, dout] = x w^T + b, in real */
void linear_forward_real(real *y, const elem *x, const elem *w, const elem *b, long n, long din, long dout);
/* pre = x w^T + b, y = gelu(pre) in tanh form. pre NULL: it is not kept; the backward needs it. */
void linear_gelu_forward(elem *y, elem *pre, const elem *x, const elem *w, const elem *b, long n, long din, long dout);
/* dx [n, din] = beta dx + dy w */
void linear_backward_input(elem *dx, const elem *dy, const elem *w, long n, long din, long dout, real beta);
/* dx [n, din] = (dy w) gelu'(pre), pre [n, din] */
void linear_gelu_backward_input(elem *dx, const elem *dy, const elem *w, const elem *pre, long n, long din, long dout);
/* dw [dout, din] += dy^T x, db [dout] += the column sums of dy (each NULL: not computed) */
void linear_backward_weight(real *dw, real *db, const elem *dy, const elem *x, long n, long din, long dout);
/* The three products below are in real throughout, never bf16: codecs and small algebra use them.
   c [m, n] = a [m, k] b [k, n] */
void matmul_real(real *c, const real *a, const real *b, long m, long k, long n);
/* c [m, n] = a b^T with a [m, k], b [n, k] */
void matmul_real_nt(real *c, const real *a, const real *b, long m, long k, long n);
/* c [m, n] = a^T b with a [k, m], b [k, n] */
void matmul_real_tn(real *c, const real *a, const real *b, long m, long k, long n);

/* ---- copies of weights in the order that products read fastest ----
   They pay where many products read weights between two changes. A product finds the copy by the weight's address, and
   makes it when it first wants it. Calls that write device memory (mem_*, elem_from_real, adamw_update) mark copies of
   what they write as stale; code that writes in any other way calls packed_renew. Products with and without copies give
   the same bits. */
/* Elements of room that copies of n weights take. 0: this backend reads weights as they
   are, and the three functions below do nothing. */
long packed_room(long n);
/* Elements of the room that a product itself takes for a weight of n elements that has no copy; 0: it takes none. */
long packed_lent(long n);
/* From now on products whose weights lie among these n use copies in `room`. Products of fewer than
   `rows_least` rows do without where the backend has another way with equal bits, because making a copy
   costs about as much as it saves a product of 500 rows. */
void packed_open(elem *room, const elem *weights, long n, long rows_least);
/* Says that these bytes have been written: copies of weights among them are stale and will be made again. */
void packed_renew(const void *memory, long bytes);
/* Says that these bytes are no longer weights or room for copies. arena_free says so by itself. */
void packed_close(const void *memory, long bytes);

/* ---- convolution ----
   Activations are channels-last, so that a frame's positions are rows for gemm, for norms over channels and for
   attention: x [samples, t, h, w, ci], y [samples, t', h', w', co]. Weights w [co, kt, kh, kw, ci/groups], bias b [co]
   (NULL: none); checkpoints that hold [co, ci/groups, kt, kh, kw] are permuted once, when they are loaded. One or two
   axes of length 1 with kernel 1 make a convolution of two dimensions or one. Padding is zeros, whose number is chosen
   for each end of each axis.
   Streaming: the input buffer of a causal layer has room for its past frames in front of the new ones. The layer before
   writes its output behind that room, so that only the past frames are copied; padding before[0] is less by their
   number. */
#ifndef KERNELS_ORACLE_PASS
struct conv_shape {
    long samples, ci, co, groups; /* groups divides ci and co */
    long in[3];                   /* t, h, w of x */
    int kernel[3], stride[3];     /* all >= 1 */
    int before[3], after[3];      /* rows of zeros at the two ends of an axis, >= 0 */
};
static inline long conv_out(const struct conv_shape *s, int axis) {
    return (s->in[axis] + s->before[axis] + s->after[axis] - s->kernel[axis]) / s->stride[axis] + 1;
}
/* Order of channels in the depth layout [t, h, w, C nt nh nw], in which every position holds an nt x nh x nw block of
   each channel. Place (i, j, k) of the block of channel c is channel number
     c channel + i step[0] + j step[1] + k step[2] */
struct block_order {
    int size[3]; /* nt, nh, nw */
    long channel, step[3];
};
#endif
/* y = beta y + conv(x, w) + b */
void conv_forward(elem *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape, real beta);
/* y = conv(x, w) + b, in real */
void conv_forward_real(real *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape);
/* dx = beta dx + the gradient of x */
void conv_backward_input(elem *dx, const elem *dy, const elem *w, const struct conv_shape *shape, real beta);
/* dw, db += the gradients of w and b (NULL: not computed) */
void conv_backward_weight(real *dw, real *db, const elem *dy, const elem *x, const struct conv_shape *shape);
/* y [t nt, h nh, w nw, C] = x [t, h, w, C nt nh nw] with every block spread out (pixel shuffle, and its like in time).
   t counts the frames of all samples. */
void depth_to_block(elem *y, const elem *x, long t, long h, long w, long C, const struct block_order *order);
/* The inverse, which is also the backward: y [t, h, w, C nt nh nw] from x [t nt, h nh, w nw, C] */
void block_to_depth(elem *y, const elem *x, long t, long h, long w, long C, const struct block_order *order);
/* y [t, h n, w n, C] = each position of x [t, h, w, C] repeated n x n times */
void upsample_nearest(elem *y, const elem *x, long t, long h, long w, long C, int n);
/* dx [t, h, w, C] = the sums of dy over each n x n */
void upsample_nearest_backward(elem *dx, const elem *dy, long t, long h, long w, long C, int n);
/* y [n, C] = means over every g consecutive channels of x [n, C g] */
void channel_mean(elem *y, const elem *x, long n, long C, long g);
/* y [n, C g] = every channel of x [n, C], g times in a row */
void channel_repeat(elem *y, const elem *x, long n, long C, long g);
/* y [frames, size, C] from x [frames, C, size], the layout of latents and pixels; channels_first goes back */
void channels_last(elem *y, const real *x, long frames, long C, long size);
void channels_first(real *y, const elem *x, long frames, long C, long size);
/* depth_to_block and channels_first in one pass, which takes patches to pixels: y [t nt, C, h nh, w nw] from
   x [t, h, w, C nt nh nw]. depth_from_planes is the inverse and the backward. */
void planes_from_depth(real *y, const real *x, long t, long h, long w, long C, const struct block_order *order);
void depth_from_planes(real *y, const real *x, long t, long h, long w, long C, const struct block_order *order);
/* y [size, C] = scale[c] x [C, size] + shift[c] by channel c, product and sum each rounded:
   takes a latent frame out of a codec's normalisation */
void channels_last_scaled(real *y, const real *x, const real *scale, const real *shift, long C, long size);
/* rgb [frames, size, 3] = the bytes (base/pixels.h) of scale x + shift for planes x [frames, 3, size], product and sum
   each rounded to float in every build. Colours in [-1, 1] take scale 1 and shift 0, those in [0, 1] take 2 and -1;
   colours beyond are clamped. fault [1] becomes 1 if any x is not finite, and otherwise stays as it is. */
void pixels_to_bytes(uint8_t *rgb, uint8_t *fault, const real *x, real scale, real shift, long frames, long size);
/* A tile [h, w] of planes [planes, H, W], whose corner is at row `top` and column `left`. */
#ifndef KERNELS_ORACLE_PASS
struct tile_place {
    long planes, H, W, top, left, h, w;
};
#endif
/* tile [planes, h, w] = that part of whole */
void tile_take(real *tile, const real *whole, const struct tile_place *place);
/* that part of whole += rows[y] columns[x] tile[plane, y, x]; rows [h], columns [w] */
void tile_blend(real *whole, const real *tile, const real *rows, const real *columns, const struct tile_place *place);

/* ---- norms ----
   Statistics are in real and saved by row: mean [n], and rstd [n] = 1 / sqrt(variance + eps) (RMS norms: 1 / sqrt(mean
   of squares + eps)). LN(x) = (x - mean) rstd. */
/* y = LN(x) (1 + scale[g]) + shift[g], without weights; scale and shift of group g begin at g group_stride */
void layernorm_modulate_forward(elem *y, real *mean, real *rstd, const resid *x, const real *shift, const real *scale,
                                long n, long d, long rows_per_group, long group_stride, real eps);
/* dx, dshift[g], dscale[g] += the gradients of x, shift and scale (group_stride serves all four) */
void layernorm_modulate_backward(resid *dx, real *dshift, real *dscale, const elem *dy, const resid *x,
                                 const real *mean, const real *rstd, const real *scale, long n, long d,
                                 long rows_per_group, long group_stride);
/* y = LN(x) w + b */
void layernorm_forward(elem *y, real *mean, real *rstd, const resid *x, const elem *w, const elem *b, long n, long d,
                       real eps);
/* dx, dw, db += the gradients of x, w and b (dw, db NULL: not computed) */
void layernorm_backward(resid *dx, real *dw, real *db, const elem *dy, const resid *x, const real *mean,
                        const real *rstd, const elem *w, long n, long d);
/* y = x rstd w over the whole row, which is as wide as the model: the split in heads comes later */
void rmsnorm_forward(elem *y, real *rstd, const elem *x, const elem *w, long n, long d, real eps);
/* dx = the gradient of x, dw += that of w; dx may equal dy */
void rmsnorm_backward(elem *dx, real *dw, const elem *dy, const elem *x, const real *rstd, const elem *w, long n,
                      long d);
/* y = x sqrt(d) / max(|x|, 1e-12) w, where |x| is the length of the row, and the SiLU of the same. Video autoencoders
   use them over the channels of a position; there is no backward. y may equal x. */
void length_norm(elem *y, const elem *x, const elem *w, long n, long d);
void length_norm_silu(elem *y, const elem *x, const elem *w, long n, long d);

/* ---- modulation, gates, residual ---- */
/* m[g, i] = table[i] + e[g, i]; table [width] is a parameter, e and m are [groups, width] */
void modulation_forward(real *m, const elem *table, const real *e, long groups, long width);
/* dtable[i] += the sum over g of dm[g, i], de[g, i] += dm[g, i] */
void modulation_backward(real *dtable, real *de, const real *dm, long groups, long width);
/* out = x + y gate[g] (gate NULL: x + y); out may equal x; the gate of group g begins at g group_stride */
void residual_forward(resid *out, const resid *x, const elem *y, const real *gate, long n, long d, long rows_per_group,
                      long group_stride);
/* A residual and the norm behind it in one pass: out = x + branch gate[g] (gate NULL: x + branch; out may equal x),
   then y, mean and rstd from out, with the same bits as layernorm_modulate_forward or layernorm_forward. The gate of
   group g begins at g gate_stride, its shift and scale at g group_stride. */
void residual_modulate_forward(elem *y, real *mean, real *rstd, resid *out, const resid *x, const elem *branch,
                               const real *gate, long gate_stride, const real *shift, const real *scale, long n, long d,
                               long rows_per_group, long group_stride, real eps);
void residual_layernorm_forward(elem *y, real *mean, real *rstd, resid *out, const resid *x, const elem *branch,
                                const real *gate, long gate_stride, const elem *w, const elem *b, long n, long d,
                                long rows_per_group, real eps);
/* dy = dout gate[g] (gate NULL: dout), dgate[g] += the sum over the group's rows of dout y, db[i] += the sum over all
   rows of dout gate[g], which is the gradient of a bias that was added last in y. dgate, db NULL: not computed. */
void residual_backward(elem *dy, real *dgate, real *db, const resid *dout, const elem *y, const real *gate, long n,
                       long d, long rows_per_group, long group_stride);
/* The backward of the two functions above in one pass: first that of the norm, whose dx, dw, db, dshift and dscale are
   those of layernorm_backward or layernorm_modulate_backward; then, with the finished dx as dout and the branch as y,
   that of the residual: dbranch, dgate and dbias are the dy, dgate and db of residual_backward. dbranch may equal dy.
   Only sums (dw, db, dshift, dscale, dgate, dbias) may be NULL. */
void residual_layernorm_backward(resid *dx, real *dw, real *db, elem *dbranch, real *dgate, real *dbias, const elem *dy,
                                 const resid *x, const real *mean, const real *rstd, const elem *w, const elem *branch,
                                 const real *gate, long gate_stride, long n, long d, long rows_per_group);
void residual_modulate_backward(resid *dx, real *dshift, real *dscale, elem *dbranch, real *dgate, real *dbias,
                                const elem *dy, const resid *x, const real *mean, const real *rstd, const real *scale,
                                const elem *branch, const real *gate, long gate_stride, long n, long d,
                                long rows_per_group, long group_stride);
/* s [n, width] = [cos(t w_i), sin(t w_i)] with w_i = 10000^(-i / (width/2)), i < width/2:
   features of the timesteps t [n]; angles are in double */
void time_sinusoid(elem *s, const real *t, long n, long width);

/* ---- quantised rows and weights: forward only (quantised.h) ----
   Rows become codes [n, d] of one byte and a scale each, [n]. */
/* codes and scale from x [n, d] */
void rows_quantise(uint8_t *codes, real *scale, enum quantised_type type, const elem *x, long n, long d);
/* y [n, d] = codes times their row's scale, as rows_quantise made them */
void rows_widen(elem *y, const uint8_t *codes, const real *scale, enum quantised_type type, long n, long d);
/* codes and scale from gelu(x), in its tanh form, which is not rounded to elem in between */
void gelu_quantise(uint8_t *codes, real *scale, enum quantised_type type, const elem *x, long n, long d);
/* residual_modulate_forward (with branch NULL: layernorm_modulate_forward, and out is not touched) and
   residual_layernorm_forward, then rows_quantise of their y: with the same bits, in one pass where the backend can. y
   [n, d], mean and rstd [n] are room for backends that cannot; what is in them afterwards depends on the backend. */
void residual_modulate_quantise(uint8_t *codes, real *code_scale, enum quantised_type type, elem *y, real *mean,
                                real *rstd, resid *out, const resid *x, const elem *branch, const real *gate,
                                long gate_stride, const real *shift, const real *scale, long n, long d,
                                long rows_per_group, long group_stride, real eps);
void residual_layernorm_quantise(uint8_t *codes, real *code_scale, enum quantised_type type, elem *y, real *mean,
                                 real *rstd, resid *out, const resid *x, const elem *branch, const real *gate,
                                 long gate_stride, const elem *w, const elem *b, long n, long d, long rows_per_group,
                                 real eps);
/* y [n, dout] = x_scale[r] w_scale[o] (codes of x [n, din]) (codes of w [dout, din])^T + b (NULL: none). Sums of int8
   are exact (din up to 2^17), those of fp8 are in real. */
void linear_quantised_forward(elem *y, const uint8_t *x, const real *x_scale, const uint8_t *w, const real *w_scale,
                              const elem *b, enum quantised_type type, long n, long din, long dout);
/* Bytes of host memory that such a product takes beside its arguments and the workspace, where this backend makes wider
   numbers of the codes or sums apart. They stay and serve every product of that size or less. */
long quantised_room(enum quantised_type type, long n, long din, long dout);

/* ---- rotary position embedding (RoPE) ----
   Elements (2j, 2j+1) of each head are a pair that is rotated by an angle. A table has one row for each token, with the
   cosines and sines of its D/2 angles. */
#ifndef KERNELS_ORACLE_PASS
struct rope_axes {
    int head_dim;                  /* D */
    int pairs_t, pairs_h, pairs_w; /* pairs for time, row and column, in this order in a head; D/2 in all */
    double theta_t, theta_hw;      /* pair k of an axis with n pairs turns by position theta^(-k/n) radians */
};
#endif
/* Fills cos, sin [frames ph pw, D/2] for frames of ph x pw tokens, row by row.
   frame_position [frames] is a host array. */
void rope_table(real *cos, real *sin, const struct rope_axes *axes, const int *frame_position, int frames, int ph,
                int pw);
/* y = x [B, n, H, D] rotated, token i by row i of the table. sign +1: forward; -1: the inverse, which is also the
   backward. y may equal x. Sample b begins at b x_stride in x and at b y_stride in y. */
void rope_apply(elem *y, const elem *x, const real *cos, const real *sin, long B, long n, long H, long D, long x_stride,
                long y_stride, int sign);
/* y [n, H, D] = rows_widen of codes [n H, D], rotated before it is rounded, token i by row i of the table */
void rope_widen(elem *y, const uint8_t *codes, const real *scale, enum quantised_type type, const real *cos,
                const real *sin, long n, long H, long D);
/* y += x rotated back (sign -1), for gradients in real */
void rope_add_inverse(real *y, const real *x, const real *cos, const real *sin, long B, long n, long H, long D,
                      long x_stride, long y_stride);
/* rmsnorm_forward and the rotation in one pass: normed = x rstd w, rounded to elem (NULL: not kept), y
   = normed rotated. x [B, n, H, D] is packed, rstd is [B n]; sample b begins at b y_stride in y and at
   b normed_stride in normed. */
void rmsnorm_rope_forward(elem *y, elem *normed, real *rstd, const elem *x, const elem *w, const real *cos,
                          const real *sin, long B, long n, long H, long D, long y_stride, long normed_stride, real eps);
/* dx = the gradient of x, dw += that of w (NULL: not computed), from dy, the gradient of the rotated rows. Rows of dx
   begin dx_stride elements apart, all else is packed; a packed dx may equal dy. */
void rmsnorm_rope_backward(elem *dx, long dx_stride, real *dw, const elem *dy, const elem *x, const real *rstd,
                           const elem *w, const real *cos, const real *sin, long B, long n, long H, long D);

/* ---- attention ----
   Queries q and results o are [B, S, H, D]. Keys and values come as a list of ranges, each [B, length, H, D] with a
   distance of its own between samples. Every query sees every key of every range; no buffer of queries by keys is made.
     self-attention over a chunk   ranges [sink | ring | current]
     cross-attention to text       one range, the text's tokens
     audio attention by frame      every frame is a sample (B F of them) of S = P tokens; one range, its audio tokens */
struct attention_range {
    const elem *k, *v;
    long length;             /* keys of a sample */
    long k_stride, v_stride; /* elements from one sample to the next */
    elem *dk, *dv;           /* gradients, assigned, [B, length, H, D] packed; NULL: not computed */
    real *dk_sum, *dv_sum;   /* the same gradients, added, at k_stride and v_stride; NULL: not computed */
};
#ifndef KERNELS_ORACLE_PASS
enum { ATTENTION_RANGES_MAX = 8, ATTENTION_HEAD_MAX = 256 }; /* most ranges of a call; largest D */
#endif
/* o = softmax(scale q k^T) v over all keys; lse [B, H, S] = the log of the sum of exponentials, which the backward
   needs. ranges [count] is a host array. */
void attention_forward(elem *o, real *lse, const elem *q, const struct attention_range *ranges, int count, long B,
                       long S, long H, long D, real scale);
/* dq = the gradient of q (NULL: not computed); those of keys and values go where each range says */
void attention_backward(elem *dq, const elem *dout, const elem *o, const real *lse, const elem *q,
                        const struct attention_range *ranges, int count, long B, long S, long H, long D, real scale);
/* p [n, d] = softmax(scale s) by row: for heads wider than attention_forward takes, whose
   attention is made of products */
void softmax_forward(elem *p, const real *s, real scale, long n, long d);

/* ---- latents and tokens ----
   Latents are real [B, F, C, H, W]; sample b begins at b stride. A token is a patch of 2 x 2 places: [B, F, H/2, W/2].
   q and r (0 or 1) are the row and the column in the patch. */
/* tokens [B, F, H/2, W/2, 4 C] from latents; channel c at (q, r) is element c 4 + q 2 + r */
void patchify(elem *tokens, const real *latents, long B, long F, long C, long H, long W, long stride);
/* dlatents += the gradients of the tokens, at their places (same stride) */
void patchify_backward(real *dlatents, const elem *dtokens, long B, long F, long C, long H, long W, long stride);
/* latents from tokens [B, F, H/2, W/2, 4 C] of the head, whose element (q 2 + r) C + c is channel c at (q, r); and the
   backward, dtokens = dlatents at their places */
void unpatchify(real *latents, const real *tokens, long B, long F, long C, long H, long W, long stride);
void unpatchify_backward(real *dtokens, const real *dlatents, long B, long F, long C, long H, long W, long stride);
/* Turns a prediction of the clean latents into a velocity, in place: v = (x - v) / max(t / 1000, floor), with noisy
   latents x and timesteps t [B, F]; frames have `size` elements, samples begin v_stride and x_stride apart. */
void clean_to_velocity(real *v, long v_stride, const real *x, long x_stride, const real *t, real floor, long B, long F,
                       long size);
/* dclean [B, F, size], packed, = -dv / max(t / 1000, floor); dx += dv / max(t / 1000, floor) (NULL: not computed) */
void clean_to_velocity_backward(real *dclean, real *dx, long dx_stride, const real *dv, long dv_stride, const real *t,
                                real floor, long B, long F, long size);

/* Lets the reference shine through a prediction of clean latents, in place: clean += r / (1 + exp(-gate)). r: the
   reference's latents, [size] a sample, the same for all its frames; gate [B, F, size] is packed; samples of clean and
   of r begin clean_stride and reference_stride apart. */
void reference_gate_forward(real *clean, long clean_stride, const real *gate, const real *reference,
                            long reference_stride, long B, long F, long size);
/* Turns clean's gradient into the gate's, in place: d = d r s (1 - s), with s = 1 / (1 + exp(-gate)); before that
   dreference [size] a sample += the sum over frames of d s (NULL: not computed). d and gate [B, F, size] are packed. */
void reference_gate_backward(real *d, real *dreference, long dreference_stride, const real *gate, const real *reference,
                             long reference_stride, long B, long F, long size);

/* Gathers the sound that latent frames first .. first+F-1 of a clip hear: window [B, F, AUDIO_WINDOW, D]
   (base/media_rates.h) from features [B, T, D], one row a video frame, times mask [B, T] (NULL: 1). Latent frame i >= 1
   takes video frames 4i-5 .. 4i+2; latent frame 0 takes -2 .. 2 in its first rows, the rest is zero. Features begin at
   video frame feature_start (0 but in a stream); rows outside them are replaced by the first or last, and rows beyond
   `reach` by the last within it. */
void audio_windows(elem *window, const real *features, const real *mask, long B, long T, long D, long first, long F,
                   long feature_start, struct audio_reach reach);

/* ---- pieces: rows cut between ranks, for exchanges ----
   rows is [n, items] of `width` bytes each. pieces holds `count` pieces one after the other; piece r is [n, its items],
   and may be empty. piece_first (pieces.h) says which items a piece has. pieces_pack goes from rows to pieces,
   pieces_unpack back. */
void pieces_pack(void *pieces, const void *rows, long n, long items, long width, long count);
void pieces_unpack(void *rows, const void *pieces, long n, long items, long width, long count);

/* ---- signals: rows over time ---- */
/* y [n, width] = the windows of x that begin every `stride` elements; x has (n - 1) stride + width of
   them. From rows of C channels it makes the input of a linear layer that is a convolution over time:
   width = taps C, stride = step C. */
void unfold_rows(elem *y, const elem *x, long n, long width, long stride);
/* mean, variance [d] of the columns of x [n, d], merged with the ones that are there: `weight` is the weight of these
   rows, 1 - weight that of the old values (Chan 1979). With weight 1 the old values are not read. */
void channel_moments(real *mean, real *variance, const real *x, long n, long d, real weight);
/* y [n, d] = (x - mean) / sqrt(variance + eps) w + b by column; w, b [d] NULL: 1 and 0 */
void channel_norm(elem *y, const real *x, const real *mean, const real *variance, const elem *w, const elem *b, long n,
                  long d, real eps);
/* Row i of y [m, d] = x [n, d] at row first + i step, linear between rows; beyond the ends the end row is taken */
void interpolate_rows(real *y, const real *x, long n, long m, long d, double first, double step);

/* ---- losses ----
   loss is real [1] on the device; every loss is added to it. */
/* loss += the sum over groups of weight[g] times the group's mean of (pred - target)^2;
   dpred = its gradient (NULL: not computed) */
void mse_loss(real *loss, real *dpred, const real *pred, const real *target, const real *weight, long groups,
              long size);
/* loss += weight mean m |pred - target| over planes [n, size], of which a picture has `colours`; m [n /
   colours, size] is the weight of every place in a picture (NULL: 1). dpred += its gradient, 0 where
   pred equals target (NULL: not computed). */
void abs_loss(real *loss, real *dpred, const real *pred, const real *target, const real *m, long colours, real weight,
              long n, long size);
/* Difference of image gradients over the same planes of H x W places, with e = pred - target and m taken at the first
   of two neighbours: loss += weight (mean m |e[., y, x+1] - e[., y, x]| + mean m |e[., y+1, x] - e[., y, x]|); dpred +=
   its gradient (NULL: not computed). */
void gradient_difference_loss(real *loss, real *dpred, const real *pred, const real *target, const real *m,
                              long colours, real weight, long n, long H, long W);
/* out[b] = mean |x - y| over the n elements of sample b */
void mean_abs_difference(real *out, const real *x, const real *y, long B, long n);
/* DMD (Yin 2024): g = (f - r) / (norm[b] B n), from the clean latents that the critic (f) and the teacher (r) predict;
   loss += mean (f - r)^2, which is only a figure to watch */
void dmd_gradient(real *g, real *loss, const real *f, const real *r, const real *norm, long B, long n);
/* SiD, from the student's latents x and what the teacher (r) and the critic (f) predict. By element, with
   a = r - f, b = (r - x) - alpha a and k = 1 / (n B norm[b]): loss += k a b, g_r = k (b + (1 - alpha) a),
   g_f = k (alpha a - b), g_x = -k a (each g NULL: not computed). */
void sid_gradients(real *g_r, real *g_f, real *g_x, real *loss, const real *x, const real *r, const real *f,
                   const real *norm, real alpha, long B, long n);
/* Relativistic pairing: loss += weight mean softplus(-(a - b)) over n logits; da, db = its gradients
   (NULL: not computed). With a = D(real), b = D(fake) it is the discriminator's loss; with a = D(fake),
   b = D(real) the generator's. */
void relativistic_loss(real *loss, real *da, real *db, const real *a, const real *b, real weight, long n);
/* Finite-difference penalty: loss += weight mean ((moved - still) / h)^2, with logits at perturbed (moved) and plain
   (still) inputs, h being the size of the perturbation; dmoved, dstill += its gradients */
void finite_difference_penalty(real *loss, real *dmoved, real *dstill, const real *moved, const real *still, real h,
                               real weight, long n);

/* ---- motion: weights and noise for the training of decoders ---- */
/* y [B, G, size] = how much each place of clips of pictures moves. x [B, 1 + 4 G, 3, size] is, for each clip, the
   reference, then G groups of four pictures. y is the largest deviation of the four from their mean, plus a quarter of
   |mean - reference|; each of the two terms is the largest over the three colours. */
void picture_motion(real *y, const real *x, long B, long G, long size);
/* y [n, H, W] = the largest of x in the 3 x 3 places around each */
void largest_around(real *y, const real *x, long n, long H, long W);
/* m [B, 1 + 4 G, size] = 1 in the first picture of a clip, 1 + gain min(1, motion / limit) in the four pictures of a
   group, with motion [B, G, size]; 0 in the first group of clips whose first[b] is 0. first is [B]. */
void motion_weights(real *m, const real *motion, const real *first, real gain, real limit, long B, long G, long size);
/* y [B, size] = how much latents x [B, F, C, size] move: the standard deviation over
   frames 1 .. F - 1, as a root mean square over channels */
void latent_motion(real *y, const real *x, long B, long F, long C, long size);
/* Adds noise to latents z [B, F, C, size] but frame 0: z += (level[b, 0] + u) still[b, c, .] + (level[b, 1] + u)
   each[b, f, c, .] with u = level[b, 2] min(1, motion[b, .]). still [B, C, size] is the same in all frames, each is
   shaped as z, motion is [B, size], level is [B, 3]. */
void latent_noise(real *z, const real *still, const real *each, const real *motion, const real *level, long B, long F,
                  long C, long size);

/* ---- T5: text encoders, forward only ---- */
/* y = x / sqrt(mean(x^2) + eps) w by row; no statistics are kept */
void rmsnorm_resid_forward(elem *y, const resid *x, const elem *w, long n, long d, real eps);
/* y = gelu(gate) up, with the tanh form of gelu; y may equal gate or up */
void gelu_gate_forward(elem *y, const elem *gate, const elem *up, long n);
/* o [S, H, D] = softmax(scale q k^T + bias) v over one sequence of S tokens, all of which see all. The bias of query s
   and key t in head h is element s - t + reach - 1 of row h of bias [H, 2 reach - 1]; reach >= S. */
void attention_relative_forward(elem *o, const elem *q, const elem *k, const elem *v, const real *bias, long S, long H,
                                long D, long reach, real scale);

/* ---- random numbers ----
   base/philox.h says how seed, step, purpose, pass, sample, frame and element address every number. */
/* y [B, F, size] = standard normals; sample b, frame f of y has the address of sample sample0 + b, frame frame0 + f */
void random_normal(real *y, uint64_t seed, uint64_t step, int purpose, int pass, long sample0, long B, long frame0,
                   long F, long size);
/* y [size] = normals of mean 0 and standard deviation `scale`, for initial weights; their
   address is sample 0, frame `tensor` */
void random_init(real *y, uint64_t seed, int tensor, real scale, long size);

/* ---- optimiser ----
   struct optim_state lives on the device; the host reads a copy one step late. */
#ifndef KERNELS_ORACLE_PASS
struct optim_state {
    double norm_squared;             /* squared norm of all gradients, summed by grad_norm_add */
    float norm;                      /* its root */
    float clip;                      /* factor for the gradients: min(1, max_norm / norm) */
    int32_t nonfinite;               /* 1: this update is skipped, for a value that is not finite or for a spike */
    int32_t spiked;                  /* 1: the norm is a spike (grad_norm_spike) */
    int32_t skipped_in_row, skipped; /* updates skipped: since the last one made; in all */
    float typical;                   /* running mean of the norms of updates made; 0: none yet */
    int64_t updates;                 /* updates made so far: Adam's t */
};
#endif
/* Begins the norm of an update's gradients, at 0. */
void grad_norm_begin(struct optim_state *state);
/* norm_squared += the sum of grad^2 */
void grad_norm_add(struct optim_state *state, const real *grad, long n);
/* norm_squared = the sum of all [n] ranks' norm_squared, in rank order, for gradients that are sharded */
void grad_norm_combine(struct optim_state *state, const struct optim_state *all, long n);
/* Looks for a spike, before grad_norm_end: after `warmup` updates, a norm above `factor` times the running mean. Its
   update is skipped and leaves the mean as it is; any other makes the mean 0.98 of itself plus 0.02 of the norm. */
void grad_norm_spike(struct optim_state *state, real factor, long warmup);
/* Closes the norm: computes norm and clip, and counts the update or the skip. An update is also skipped where loss [1]
   (NULL: none) is not finite. max_norm <= 0: no clipping. */
void grad_norm_end(struct optim_state *state, const real *loss, real max_norm);
struct adamw {
    real lr, beta1, beta2, eps, decay;
    real average, warmup; /* largest decay of ema; the number that delays its rise (below) */
    int clear;            /* 1: the gradients become 0 afterwards */
};
/* One update of n weights in one pass over memory:
     master, m, v   AdamW with decoupled decay (Loshchilov 2019) from clip grad
     weights        = master in elem
     ema            = a ema + (1 - a) master with a = min(average, (1 + u) / (warmup + u)), u = updates (NULL: none)
     grad           = 0, for the sums of the next update (how->clear)
   When `state` says that this update is skipped, only grad changes. */
void adamw_update(real *master, real *m, real *v, real *ema, elem *weights, real *grad, long n, const struct adamw *how,
                  const struct optim_state *state);

#endif
