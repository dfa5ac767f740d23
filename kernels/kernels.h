/* kernels.h: every operation that runs on the device, declared once for all backends (ref, cpu, cuda).
   Plain pointers and sizes; all pointers are device pointers unless marked host. Row-major. Letters:
     n rows, d width, B samples, F latent frames, P tokens of a frame, S query tokens, K key tokens, H heads, D width of
     a head, C channels. "rows_per_group": consecutive rows that share one modulation vector (a frame's tokens).
   Functions that add to their output say "+="; all others assign. Gradients of weights are always added to.
   A NULL gradient pointer means: not wanted, not computed.
   Types: types.h. Errors: device.h (kernels return nothing). Every backend keeps sums in a fixed order: same thread
   count, same bits. */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include <stdint.h>
#include "types.h"
#ifdef ORACLE /* ref/ compiled as the oracle: double, ref_ names */
#include "oracle_names.h"
#endif

/* ---- conversion and pointwise ---- */
void elem_from_real(elem *y, const real *x, long n);
void real_from_elem(real *y, const elem *x, long n);
void real_fill(real *y, real value, long n);
/* y = a x + b y */
void real_axpby(real *y, real a, const real *x, real b, long n);
/* y[g, i] = a[g] x[g, i] + b[g] z[g, i] for groups g of `size` elements; z may equal y. Noising: a = 1 - sigma, b =
   sigma; x0 from velocity: a = 1, b = -sigma. a, b: device [groups]. */
void real_group_combine(real *y, const real *a, const real *x, const real *b, const real *z, long groups, long size);
/* y += x, elem into real */
void real_add_elem(real *y, const elem *x, long n);
/* y += x */
void elem_add(elem *y, const elem *x, long n);
void gelu_forward(elem *y, const elem *x, long n);                   /* tanh form; y may be x */
void gelu_backward(elem *dx, const elem *dy, const elem *x, long n); /* dx may equal dy */
void gelu_erf_forward(elem *y, const elem *x, long n);               /* x/2 (1 + erf(x / sqrt 2)); y may be x */
void silu_forward(elem *y, const real *x, long n);
void silu_backward(real *dx, const elem *dy, const real *x, long n);
void relu_forward(elem *y, const elem *x, long n);
void relu_backward(elem *dx, const elem *dy, const elem *y, long n); /* by the output's sign; dx may equal dy */

/* y = limit tanh(x / limit); y may equal x */
void soft_clamp(real *y, const real *x, real limit, long n);

/* ---- gemm ----
   A linear layer's weight is w [dout, din], its bias b [dout] (NULL: none). */
/* y [n, dout] = beta y + x w^T + b */
void linear_forward(elem *y, const elem *x, const elem *w, const elem *b, long n, long din, long dout, real beta);
/* Linear layers of the same rows at once, i < parts: y [n, dout] at y + i y_stride of w [parts, dout, din] and
   b [parts, dout]. Backward they are one layer with the rows of dy side by side, [n, parts, dout]. */
void linear_parts_forward(elem *y, const elem *x, const elem *w, const elem *b, long parts, long y_stride, long n,
                          long din, long dout);
/* as linear_forward with beta 0, result in real */
void linear_forward_real(real *y, const elem *x, const elem *w, const elem *b, long n, long din, long dout);
/* pre = x w^T + b; y = gelu(pre). pre NULL: it is not kept; the backward needs it */
void linear_gelu_forward(elem *y, elem *pre, const elem *x, const elem *w, const elem *b, long n, long din, long dout);
/* dx [n, din] = beta dx + dy w */
void linear_backward_input(elem *dx, const elem *dy, const elem *w, long n, long din, long dout, real beta);
/* dx [n, din] = (dy w) gelu'(pre), pre [n, din] */
void linear_gelu_backward_input(elem *dx, const elem *dy, const elem *w, const elem *pre, long n, long din, long dout);
/* dw [dout, din] += dy^T x;  db [dout] += column sums of dy */
void linear_backward_weight(real *dw, real *db, const elem *dy, const elem *x, long n, long din, long dout);
/* c [m, n] = a [m, k] b [k, n], all real: codecs and small algebra, never bf16 */
void matmul_real(real *c, const real *a, const real *b, long m, long k, long n);
/* c [m, n] = a [m, k] b^T, b [n, k] */
void matmul_real_nt(real *c, const real *a, const real *b, long m, long k, long n);
/* c [m, n] = a^T b, a [k, m] */
void matmul_real_tn(real *c, const real *a, const real *b, long m, long k, long n);

/* ---- copies of weights in the order that products read fastest ----
   For weights that many products read between two changes. Products find the copy by the weight's address and make it
   when they first want it; the calls that write device memory (mem_*, elem_from_real, adamw_update) say so by
   themselves, whoever writes past them calls packed_renew. Products are the same with and without copies, to the
   bit. */
/* Elements of room that n weights want; 0: this backend reads weights as they are, and the others do nothing. */
long packed_room(long n);
/* From here on products with weights among these n use copies in `room`; those of fewer than `rows_least` rows do
   without where the backend has another way with equal bits. A copy costs about as much as it spares a product of 500
   rows. */
void packed_open(elem *room, const elem *weights, long n, long rows_least);
/* These bytes are new: copies of weights among them are to be made again. */
void packed_renew(const void *memory, long bytes);
/* These bytes are no longer weights or room. An arena that is freed says so by itself. */
void packed_close(const void *memory, long bytes);

/* ---- convolution ----
   Activations are channels-last, so that a frame's positions are rows for gemm, for norms over channels and for
   attention: x [samples, t, h, w, ci], y [samples, t', h', w', co]. Weights w [co, kt, kh, kw, ci/groups], bias b [co]
   (NULL: none); checkpoints that hold [co, ci/groups, kt, kh, kw] are permuted once, when they are loaded. One or two
   axes of length 1 with kernel 1 make a convolution of two dimensions or one. Padding is zero, each end of each axis
   its own. Streaming: the input buffer of a causal layer has room for its past frames in front of the new ones; the
   layer before writes behind that room, only the past frames are copied into it, and before[0] falls by their
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
/* Which channel of the depth layout [t, h, w, C nt nh nw] holds place (i, j, k) of the nt x nh x nw block of channel c:
   c channel + i step[0] + j step[1] + k step[2] */
struct block_order {
    int size[3]; /* nt, nh, nw */
    long channel, step[3];
};
#endif
/* y = beta y + conv(x, w) + b */
void conv_forward(elem *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape, real beta);
/* as conv_forward with beta 0, result in real */
void conv_forward_real(real *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape);
/* dx = beta dx + ... */
void conv_backward_input(elem *dx, const elem *dy, const elem *w, const struct conv_shape *shape, real beta);
/* dw, db += ... (NULL: not wanted) */
void conv_backward_weight(real *dw, real *db, const elem *dy, const elem *x, const struct conv_shape *shape);
/* y [t nt, h nh, w nw, C] from x [t, h, w, C nt nh nw]: pixel shuffle, growth in time; frames of all samples in t */
void depth_to_block(elem *y, const elem *x, long t, long h, long w, long C, const struct block_order *order);
/* Its inverse, which is also its backward: y [t, h, w, C nt nh nw] from x [t nt, h nh, w nw, C] */
void block_to_depth(elem *y, const elem *x, long t, long h, long w, long C, const struct block_order *order);
/* y [t, h n, w n, C]: each position of x [t, h, w, C] n x n times */
void upsample_nearest(elem *y, const elem *x, long t, long h, long w, long C, int n);
/* dx [t, h, w, C] = the sums of dy over n x n */
void upsample_nearest_backward(elem *dx, const elem *dy, long t, long h, long w, long C, int n);
/* y [n, C] = means of g consecutive channels of x [n, C g] */
void channel_mean(elem *y, const elem *x, long n, long C, long g);
/* y [n, C g] = every channel of x [n, C] g times in a row */
void channel_repeat(elem *y, const elem *x, long n, long C, long g);
/* y [frames, size, C] from x [frames, C, size]: from the latents' and pixels' layout, and back */
void channels_last(elem *y, const real *x, long frames, long C, long size);
void channels_first(real *y, const elem *x, long frames, long C, long size);
/* The two at once, as patches of pixels go: y [t nt, C, h nh, w nw] from x [t, h, w, C nt nh nw], and its inverse,
   which is also its backward */
void planes_from_depth(real *y, const real *x, long t, long h, long w, long C, const struct block_order *order);
void depth_from_planes(real *y, const real *x, long t, long h, long w, long C, const struct block_order *order);
/* y [size, C] from x [C, size]: x times its channel's scale [C] plus its shift [C], product and sum each rounded: a
   latent frame out of a codec's normalisation */
void channels_last_scaled(real *y, const real *x, const real *scale, const real *shift, long C, long size);
/* rgb [frames, size, 3] from the planes x [frames, 3, size]. Of scale x + shift, a colour in [-1, 1], product and sum
   each rounded, the byte by base/pixels.h, in float in every build: scale 1 and shift 0 for colours in [-1, 1], 2 and
   -1 for those in [0, 1]. What lies beyond is held within. fault [1] becomes 1 where an x is not finite, else stays. */
void pixels_to_bytes(uint8_t *rgb, uint8_t *fault, const real *x, real scale, real shift, long frames, long size);

/* ---- norms ----
   Statistics in real; saved as mean and rstd per row. */
/* y = LN(x) (1 + scale[g]) + shift[g], no affine; scale and shift of group g at + g group_stride */
void layernorm_modulate_forward(elem *y, real *mean, real *rstd, const resid *x, const real *shift, const real *scale,
                                long n, long d, long rows_per_group, long group_stride, real eps);
/* dx += ..., dshift[g] += ..., dscale[g] += ... (same group_stride) */
void layernorm_modulate_backward(resid *dx, real *dshift, real *dscale, const elem *dy, const resid *x,
                                 const real *mean, const real *rstd, const real *scale, long n, long d,
                                 long rows_per_group, long group_stride);
/* y = LN(x) w + b */
void layernorm_forward(elem *y, real *mean, real *rstd, const resid *x, const elem *w, const elem *b, long n, long d,
                       real eps);
/* dx += ...; dw, db += ... (NULL: not wanted) */
void layernorm_backward(resid *dx, real *dw, real *db, const elem *dy, const resid *x, const real *mean,
                        const real *rstd, const elem *w, long n, long d);
/* y = x rstd w over the whole row (the model's width, before the split in heads) */
void rmsnorm_forward(elem *y, real *rstd, const elem *x, const elem *w, long n, long d, real eps);
/* dx = ..., dw += ... ; dx may equal dy */
void rmsnorm_backward(elem *dx, real *dw, const elem *dy, const elem *x, const real *rstd, const elem *w, long n,
                      long d);
/* Over the channels of a position: y = x sqrt(d)/max(|x|, 1e-12) w; and the SiLU of that. Video autoencoders; no
   backward. y may equal x. */
void length_norm(elem *y, const elem *x, const elem *w, long n, long d);
void length_norm_silu(elem *y, const elem *x, const elem *w, long n, long d);

/* ---- modulation, gates, residual ---- */
/* m[g, i] = table[i] + e[g, i]; table [width] are parameters, e and m real [groups, width] */
void modulation_forward(real *m, const elem *table, const real *e, long groups, long width);
/* dtable[i] += sum over g of dm[g, i]; de[g, i] += dm[g, i] */
void modulation_backward(real *dtable, real *de, const real *dm, long groups, long width);
/* out = x + y gate[g]; gate NULL: out = x + y. out may equal x */
void residual_forward(resid *out, const resid *x, const elem *y, const real *gate, long n, long d, long rows_per_group,
                      long group_stride);
/* A residual and the norm behind it in one pass: out = x + branch gate[g] (gate NULL: x + branch; out may equal x), and
   y, mean, rstd of out as layernorm_modulate_forward and layernorm_forward have them, to the bit. The gate of group g
   lies at + g gate_stride, shift and scale at + g group_stride. */
void residual_modulate_forward(elem *y, real *mean, real *rstd, resid *out, const resid *x, const elem *branch,
                               const real *gate, long gate_stride, const real *shift, const real *scale, long n, long d,
                               long rows_per_group, long group_stride, real eps);
void residual_layernorm_forward(elem *y, real *mean, real *rstd, resid *out, const resid *x, const elem *branch,
                                const real *gate, long gate_stride, const elem *w, const elem *b, long n, long d,
                                long rows_per_group, real eps);
/* dy = dout gate[g]; dgate[g] += sum over the group's rows of dout y; db[i] += sum over all rows of dout gate[g], the
   gradient of a bias that y ended with. gate NULL: dy = dout */
void residual_backward(elem *dy, real *dgate, real *db, const resid *dout, const elem *y, const real *gate, long n,
                       long d, long rows_per_group, long group_stride);
/* The norm's backward and, with the sum that dx then is, that of the residual in front of it, in one pass: dx, dw, db,
   dshift, dscale as layernorm_backward and layernorm_modulate_backward have them; dbranch, dgate and dbias as
   residual_backward has dy, dgate and db for dout = dx, y = branch. dbranch may be dy. Only sums may be NULL. */
void residual_layernorm_backward(resid *dx, real *dw, real *db, elem *dbranch, real *dgate, real *dbias, const elem *dy,
                                 const resid *x, const real *mean, const real *rstd, const elem *w, const elem *branch,
                                 const real *gate, long gate_stride, long n, long d, long rows_per_group);
void residual_modulate_backward(resid *dx, real *dshift, real *dscale, elem *dbranch, real *dgate, real *dbias,
                                const elem *dy, const resid *x, const real *mean, const real *rstd, const real *scale,
                                const elem *branch, const real *gate, long gate_stride, long n, long d,
                                long rows_per_group, long group_stride);
/* s [n, width] = [cos(t w_i), sin(t w_i)], w_i = 10000^(-i / (width/2)); angles in double */
void time_sinusoid(elem *s, const real *t, long n, long width);

/* ---- rope ----
   Pairs (2j, 2j+1) of each head; table rows of D/2 cosines and sines, one row a token. */
#ifndef KERNELS_ORACLE_PASS
struct rope_axes {
    int head_dim;                  /* D */
    int pairs_t, pairs_h, pairs_w; /* sum D/2; order in a head: t, h, w */
    double theta_t, theta_hw;      /* angle of pair k on an axis of n pairs = position theta^(-k/n) */
};
#endif
/* cos, sin [frames * ph * pw, D/2]; frame_position is a host array [frames]; token order h, then w */
void rope_table(real *cos, real *sin, const struct rope_axes *axes, const int *frame_position, int frames, int ph,
                int pw);
/* y = rotate(x): x, y [B, n, H, D], table row of token i is i; y may equal x; sign +1 forward, -1 its inverse, which is
   also the backward. Sample b of x and y starts at b x_stride, b y_stride elements. */
void rope_apply(elem *y, const elem *x, const real *cos, const real *sin, long B, long n, long H, long D, long x_stride,
                long y_stride, int sign);
/* The inverse rotation of real gradients, added: y += rotate(x, -1) */
void rope_add_inverse(real *y, const real *x, const real *cos, const real *sin, long B, long n, long H, long D,
                      long x_stride, long y_stride);
/* RMSNorm over the whole row and the rotation in one pass: normed = RMS(x) w (rounded to elem; NULL: not wanted),
   y = rotate(normed). x [B, n, H, D] packed, rstd [B n]; sample b of y starts at b y_stride, of normed at b
   normed_stride. */
void rmsnorm_rope_forward(elem *y, elem *normed, real *rstd, const elem *x, const elem *w, const real *cos,
                          const real *sin, long B, long n, long H, long D, long y_stride, long normed_stride, real eps);
/* dx = ..., dw += ... (NULL: not wanted) from dy, the gradient at the rotated rows. Rows of dx begin dx_stride elements
   apart, all else is packed; where dx is, too, it may equal dy. */
void rmsnorm_rope_backward(elem *dx, long dx_stride, real *dw, const elem *dy, const elem *x, const real *rstd,
                           const elem *w, const real *cos, const real *sin, long B, long n, long H, long D);

/* ---- attention ----
   q, o [B, S, H, D]. Keys and values come as a list of ranges, each [B, length, H, D] with its own distance between
   samples. Dense: every query sees every key of every range. Online softmax: no S x K buffer.
   Self-attention over a chunk: ranges [sink | ring | current]. Cross-attention: one range. Audio by frame: B = B*F,
   S = P, one range of the frame's audio tokens. */
struct attention_range {
    const elem *k, *v;
    long length;             /* tokens */
    long k_stride, v_stride; /* elements from one sample to the next */
    elem *dk, *dv;           /* backward: assigned, [B, length, H, D] packed; NULL: not wanted */
    real *dk_sum, *dv_sum;   /* backward: added to, at k_stride, v_stride; NULL: not wanted */
};
#ifndef KERNELS_ORACLE_PASS
enum { ATTENTION_RANGES_MAX = 8, ATTENTION_HEAD_MAX = 256 }; /* the second: largest D */
#endif
/* lse [B, H, S] = log of the sum of exponentials. ranges: host array, [count] */
void attention_forward(elem *o, real *lse, const elem *q, const struct attention_range *ranges, int count, long B,
                       long S, long H, long D, real scale);
/* dq = ... (NULL: not wanted); the ranges' gradients as they ask */
void attention_backward(elem *dq, const elem *dout, const elem *o, const real *lse, const elem *q,
                        const struct attention_range *ranges, int count, long B, long S, long H, long D, real scale);
/* Each row of p [n, d] = softmax(scale s): attention by products, for heads wider than attention_forward takes. */
void softmax_forward(elem *p, const real *s, real scale, long n, long d);

/* ---- latents and tokens ----
   Latents real [B][F, C, H, W], sample b at b stride elements. Tokens [B, F, H/2, W/2]. */
/* tokens [., 4C], element c*4 + q*2 + r (q row offset, r column offset) */
void patchify(elem *tokens, const real *latents, long B, long F, long C, long H, long W, long stride);
/* dlatents += (same stride) */
void patchify_backward(real *dlatents, const elem *dtokens, long B, long F, long C, long H, long W, long stride);
/* out element (q*2 + r)*C + c of the head, real */
void unpatchify(real *latents, const real *tokens, long B, long F, long C, long H, long W, long stride);
void unpatchify_backward(real *dtokens, const real *dlatents, long B, long F, long C, long H, long W, long stride);
/* From a prediction of the clean latents to the velocity, in place: v = (x - v) / max(t / 1000, floor), t [B, F],
   frames of `size` elements; strides between samples. */
void clean_to_velocity(real *v, long v_stride, const real *x, long x_stride, const real *t, real floor, long B, long F,
                       long size);
/* dclean [B, F, size] packed = -dv / max(t / 1000, floor); dx += dv / max(t / 1000, floor) (NULL: not wanted) */
void clean_to_velocity_backward(real *dclean, real *dx, long dx_stride, const real *dv, long dv_stride, const real *t,
                                real floor, long B, long F, long size);

/* Audio windows of latent frames first .. first+F-1 of a clip: window [B, F, AUDIO_WINDOW, D] (base/media_rates.h) elem
   from features [B, T, D] times mask [B, T] (NULL: ones). Latent i >= 1 takes video frames 4i-5 .. 4i+2, latent 0 takes
   -2 .. 2 in its first rows (the rest zero); indices clamped to 0 .. T-1. feature_start: video frame of features row 0
   (streaming). */
void audio_windows(elem *window, const real *features, const real *mask, long B, long T, long D, long first, long F,
                   long feature_start);

/* ---- pieces: rows cut between ranks, for exchanges ----
   rows [n, items, width bytes]; pieces, one after the other: piece r of `count` [n, its items, width bytes], its items
   as piece_first (pieces.h) says; a piece may have none. Bytes are moved as they are. */
void pieces_pack(void *pieces, const void *rows, long n, long items, long width, long count);
void pieces_unpack(void *rows, const void *pieces, long n, long items, long width, long count);

/* ---- signals: rows over time ---- */
/* y [n, width] = the windows of x that start every `stride` elements. With rows of channels this makes the operand of a
   convolution over time that is one linear layer: width = taps C, stride = step C. x holds (n - 1) stride + width. */
void unfold_rows(elem *y, const elem *x, long n, long width, long stride);
/* mean, variance [d] of the columns of x [n, d], merged into those there: `weight` of these rows and 1 - weight of what
   was (Chan 1979). weight 1: what was is not read. */
void channel_moments(real *mean, real *variance, const real *x, long n, long d, real weight);
/* y [n, d] = (x - mean) / sqrt(variance + eps) w + b by column; w and b [d] may be NULL: none */
void channel_norm(elem *y, const real *x, const real *mean, const real *variance, const elem *w, const elem *b, long n,
                  long d, real eps);
/* Row i of y [m, d] = x [n, d] at row first + i step, linear between rows, the ends repeated */
void interpolate_rows(real *y, const real *x, long n, long m, long d, double first, double step);

/* ---- losses ----
   loss: real [1] on the device, +=. */
/* loss += sum_g weight[g] mean over the group of (pred - target)^2; dpred = its gradient (NULL: not wanted) */
void mse_loss(real *loss, real *dpred, const real *pred, const real *target, const real *weight, long groups,
              long size);
/* Over planes [n, size] of pictures of `colours` planes each, m [n / colours, size] the weight of every place in a
   picture (NULL: 1): loss += weight mean m |pred - target|; dpred += its gradient, 0 where they are equal (NULL: not
   wanted) */
void abs_loss(real *loss, real *dpred, const real *pred, const real *target, const real *m, long colours, real weight,
              long n, long size);
/* Difference of gradients, over the same planes, size = H x W, e = pred - target, m at the first of two neighbours:
   loss += weight (mean m |e[., y, x+1] - e[., y, x]| + mean m |e[., y+1, x] - e[., y, x]|); dpred += (NULL: not
   wanted) */
void gradient_difference_loss(real *loss, real *dpred, const real *pred, const real *target, const real *m,
                              long colours, real weight, long n, long H, long W);
/* out[b] = mean |x - y| over sample b's n elements */
void mean_abs_difference(real *out, const real *x, const real *y, long B, long n);
/* DMD (Yin 2024): g = (f - r) / (norm[b] N), N = B n;  loss += mean of (f - r)^2 (a figure to watch) */
void dmd_gradient(real *g, real *loss, const real *f, const real *r, const real *norm, long B, long n);
/* SiD terms per element: a = r - f, b = (r - x) - alpha a, k = 1/(n B norm[b]):
   g_r = k (b + (1 - alpha) a), g_f = k (alpha a - b), g_x = -k a; loss += k a b */
void sid_gradients(real *g_r, real *g_f, real *g_x, real *loss, const real *x, const real *r, const real *f,
                   const real *norm, real alpha, long B, long n);
/* Relativistic pairing: loss += weight mean softplus(-(a - b)) over n logits; da, db = gradients (NULL: not wanted).
   With a = D(real), b = D(fake) it is the discriminator's; with a = D(fake), b = D(real) the generator's. */
void relativistic_loss(real *loss, real *da, real *db, const real *a, const real *b, real weight, long n);
/* Finite-difference penalty: loss += weight mean ((moved - still)/h)^2; dmoved, dstill += gradients */
void finite_difference_penalty(real *loss, real *dmoved, real *dstill, const real *moved, const real *still, real h,
                               real weight, long n);

/* ---- what a decoder's training weighs and disturbs ---- */
/* How much clips of pictures move. x [B, 1 + 4 G, 3, size], the first picture of each clip the reference, then G groups
   of four: y [B, G, size] = the largest deviation of the four from their mean + a quarter of |mean - reference|, each
   of the two the largest of the three colours */
void picture_motion(real *y, const real *x, long B, long G, long size);
/* y [n, H, W] = the largest of x in the 3 x 3 places about each */
void largest_around(real *y, const real *x, long n, long H, long W);
/* m [B, 1 + 4 G, size] = 1 in the first picture of a clip, 1 + gain min(1, motion / limit) in the four of a group,
   motion [B, G, size]; 0 in the first group of clips whose first[b] is 0. first: device [B] */
void motion_weights(real *m, const real *motion, const real *first, real gain, real limit, long B, long G, long size);
/* y [B, size] = the root of the mean over channels and frames 1 .. F - 1 of the squared deviation of x [B, F, C, size]
   from its mean over those frames */
void latent_motion(real *y, const real *x, long B, long F, long C, long size);
/* Frames f > 0 of z [B, F, C, size] += (level[b, 0] + u) still[b, c, .] + (level[b, 1] + u) each[b, f, c, .] with u =
   level[b, 2] min(1, motion[b, .]); frame 0 stays. still [B, C, size], each as z, level: device [B, 3] */
void latent_noise(real *z, const real *still, const real *each, const real *motion, const real *level, long B, long F,
                  long C, long size);

/* ---- T5: text encoders, forward only ---- */
/* y = x / sqrt(mean(x^2) + eps) w by row: no mean is taken off, no statistics kept */
void rmsnorm_resid_forward(elem *y, const resid *x, const elem *w, long n, long d, real eps);
/* y = gelu(gate) up, tanh form; y may equal gate or up */
void gelu_gate_forward(elem *y, const elem *gate, const elem *up, long n);
/* One sequence of S tokens, all seeing all: o [S, H, D] = softmax(scale q.k + bias) v, where query s and key t of head
   h have the bias [H, 2 reach - 1] at (s - t + reach - 1) of row h; reach >= S. */
void attention_relative_forward(elem *o, const elem *q, const elem *k, const elem *v, const real *bias, long S, long H,
                                long D, long reach, real scale);

/* ---- random numbers: base/philox.h says how element, frame, sample, purpose, pass and step make the counter ---- */
/* y [B, F, size] = normals; sample b, frame f of y is the address (sample0 + b, frame0 + f) */
void random_normal(real *y, uint64_t seed, uint64_t step, int purpose, int pass, long sample0, long B, long frame0,
                   long F, long size);
/* y [size] elements = mean 0, deviation `scale`; sample 0, frame `tensor`: initial weights */
void random_init(real *y, uint64_t seed, int tensor, real scale, long size);

/* ---- optimiser ----
   struct optim_state lives on the device; the host reads a copy one step late. */
#ifndef KERNELS_ORACLE_PASS
struct optim_state {
    double norm_squared; /* of all gradients, summed by grad_norm_add */
    float norm;          /* its root */
    float clip;          /* factor for the gradients: min(1, max_norm/norm) */
    int32_t nonfinite;   /* 1: this update is skipped: not finite, or a spike */
    int32_t spiked;      /* 1: the norm is a spike (grad_norm_spike) */
    int32_t skipped_in_row, skipped;
    float typical;   /* running mean of the norms of updates made; 0: none yet */
    int64_t updates; /* made so far: Adam's t */
};
#endif
void grad_norm_begin(struct optim_state *state);
void grad_norm_add(struct optim_state *state, const real *grad, long n);
/* Sharded gradients: the sum of n ranks' sums so far, in their order, becomes this one's. all: device [n] */
void grad_norm_combine(struct optim_state *state, const struct optim_state *all, long n);
/* Before grad_norm_end: after `warmup` updates a norm above `factor` times the running mean (0.98 of it and 0.02 of
   each update's norm) is a spike, which is skipped and leaves the mean as it is. */
void grad_norm_spike(struct optim_state *state, real factor, long warmup);
/* Closes the norm; loss [1] is looked at too (NULL: none). max_norm <= 0: no clipping. Counts the update or the
   skip. */
void grad_norm_end(struct optim_state *state, const real *loss, real max_norm);
struct adamw {
    real lr, beta1, beta2, eps, decay;
    real average, warmup; /* of the average */
    int clear;            /* gradients become 0 */
};
/* One pass over what an update touches, so that nothing is read twice:
   AdamW with decoupled decay on master weights (Loshchilov 2019), which writes the elem copy, too;
   ema = d ema + (1 - d) master, d = min(average, (1 + u)/(warmup + u)), u = updates (ema NULL: there is none);
   grad = 0, for the next update's sums (clear). Where state says skip the last alone. */
void adamw_update(real *master, real *m, real *v, real *ema, elem *weights, real *grad, long n, const struct adamw *how,
                  const struct optim_state *state);

#endif
