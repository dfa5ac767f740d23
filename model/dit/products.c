/* products.c: the blocks' linear layers and what makes their operands, for weights of elem and for quantised ones. A
   quantised network keeps one operand at a time: each is made right in front of the products that read it. */
#include "model/dit/private.h"

void dit_operand_of(const struct dit_pass *pass, const elem *x, long n, long width) {
    const struct dit_operand *o = &pass->acts->operand;
    if (pass->config->weights) rows_quantise(o->codes, o->scale, pass->config->weights, x, n, width);
}

void dit_linear(const struct dit_pass *pass, elem *y, const elem *x, const elem *w, size_t weight, size_t bias, long n,
                long din, long dout) {
    const struct dit_operand *o = &pass->acts->operand;
    if (!pass->config->weights) {
        linear_forward(y, x, w + weight, w + bias, n, din, dout, 0);
        return;
    }
    struct quantised_weight q = quantised_weight(w + weight, dout, din);
    linear_quantised_forward(y, o->codes, o->scale, q.codes, q.scale, w + bias, pass->config->weights, n, din, dout);
}

void dit_linear_inputs(const struct dit_pass *pass, elem *y, long y_stride, const elem *x, const elem *w,
                       const struct dit_attention_offsets *at) {
    const size_t weight[] = {at->q_w, at->k_w, at->v_w}, bias[] = {at->q_b, at->k_b, at->v_b};
    const long N = pass->N, d = pass->d;
    if (!pass->config->weights)
        linear_parts_forward(y, x, w + at->q_w, w + at->q_b, 3, y_stride, N, d, d);
    else
        for (int i = 0; i < 3; i++) dit_linear(pass, y + i * y_stride, x, w, weight[i], bias[i], N, d, d);
}

void dit_two_layers(const struct dit_pass *pass, elem *y, elem *h, elem *pre, const elem *x, const elem *w,
                    const struct dit_block_offsets *at) {
    const struct dit_operand *o = &pass->acts->operand;
    const long N = pass->N, d = pass->d, wide = pass->config->ffn_dim;
    if (pass->config->weights) {
        dit_linear(pass, h, x, w, at->ffn0_w, at->ffn0_b, N, d, wide);
        gelu_quantise(o->codes, o->scale, pass->config->weights, h, N, wide);
    } else {
        linear_gelu_forward(h, pre, x, w + at->ffn0_w, w + at->ffn0_b, N, d, wide);
    }
    dit_linear(pass, y, h, w, at->ffn2_w, at->ffn2_b, N, wide, d);
}

void dit_modulated_rows(const struct dit_pass *pass, elem *y, real *mean, real *rstd, const struct dit_step *front,
                        const real *m, long stride) {
    const long N = pass->N, d = pass->d;
    if (front->branch)
        residual_modulate_forward(y, mean, rstd, front->x, front->before, front->branch, front->gate, 6 * d, m, m + d,
                                  N, d, pass->P, stride, pass->eps);
    else
        layernorm_modulate_forward(y, mean, rstd, front->before, m, m + d, N, d, pass->P, stride, pass->eps);
}

void dit_modulated_operand(const struct dit_pass *pass, elem *y, real *mean, real *rstd, const struct dit_step *front,
                           const real *m) {
    const struct dit_operand *o = &pass->acts->operand;
    const long N = pass->N, d = pass->d;
    if (pass->config->weights)
        residual_modulate_quantise(o->codes, o->scale, pass->config->weights, y, mean, rstd, front->x, front->before,
                                   front->branch, front->gate, 6 * d, m, m + d, N, d, pass->P, 6 * d, pass->eps);
    else
        dit_modulated_rows(pass, y, mean, rstd, front, m, 6 * d);
}

void dit_affine_operand(const struct dit_pass *pass, const struct attention_query *q, const struct dit_step *front,
                        const elem *w, const elem *b) {
    const struct dit_operand *o = &pass->acts->operand;
    const long N = pass->N, d = pass->d;
    if (pass->config->weights)
        residual_layernorm_quantise(o->codes, o->scale, pass->config->weights, q->y, q->mean, q->rstd, front->x,
                                    front->before, front->branch, front->gate, 6 * d, w, b, N, d, pass->P, pass->eps);
    else
        residual_layernorm_forward(q->y, q->mean, q->rstd, front->x, front->before, front->branch, front->gate, 6 * d,
                                   w, b, N, d, pass->P, pass->eps);
}
