/* operations.c: see operations.h. */
#include "tools/bench/operations.h"

#include <math.h>
#include <stdio.h>

#include "base/philox.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

void bench_linear(const struct limits *l, const struct operands *o, long n, long din, long dout) {
    char name[80];
    double work = 2.0 * (double)n * (double)din * (double)dout;
    snprintf(name, sizeof name, "linear %ld x %ld -> %ld forward", n, din, dout);
    MEASURE(l, name, ARITHMETIC, work, linear_forward(o->e[0], o->e[1], o->e[2], o->e[3], n, din, dout, 0));
    snprintf(name, sizeof name, "linear %ld x %ld -> %ld backward, input", n, din, dout);
    MEASURE(l, name, ARITHMETIC, work, linear_backward_input(o->e[0], o->e[1], o->e[2], n, din, dout, 0));
    snprintf(name, sizeof name, "linear %ld x %ld -> %ld backward, weight", n, din, dout);
    MEASURE(l, name, ARITHMETIC, work, linear_backward_weight(o->r[0], o->r[1], o->e[1], o->e[2], n, din, dout));
}

void bench_gelu(const struct limits *l, const struct operands *o, long n, long d, long ffn) {
    char name[80];
    double work = 2.0 * (double)n * (double)d * (double)ffn;
    snprintf(name, sizeof name, "linear and gelu %ld x %ld -> %ld forward", n, d, ffn);
    MEASURE(l, name, ARITHMETIC, work, linear_gelu_forward(o->e[0], o->e[1], o->e[2], o->e[3], o->e[4], n, d, ffn));
    snprintf(name, sizeof name, "linear and gelu %ld x %ld <- %ld backward, input", n, ffn, d);
    MEASURE(l, name, ARITHMETIC, work, linear_gelu_backward_input(o->e[0], o->e[2], o->e[3], o->e[1], n, ffn, d));
}

void bench_attention(const struct limits *l, const struct operands *o, const char *what, long B, long S, long K, long H,
                     long D) {
    char name[80];
    double work = 4.0 * (double)(B * S * K) *
                  (double)(H * D); /* those of the forward; the backward has five products where it has two */
    long stride = K * H * D;
    struct attention_range range = {.k = o->e[1], .v = o->e[2], .length = K, .k_stride = stride, .v_stride = stride};
    snprintf(name, sizeof name, "attention %s %ld x %ld x %ld, %ld x %ld forward", what, B, S, K, H, D);
    MEASURE(l, name, ARITHMETIC, work,
            attention_forward(o->e[0], o->r[0], o->e[3], &range, 1, B, S, H, D, (real)(1 / sqrt((double)D))));
    range.dk = o->e[1] + o->size / 2, range.dv = o->e[2] + o->size / 2;
    snprintf(name, sizeof name, "attention %s %ld x %ld x %ld, %ld x %ld backward", what, B, S, K, H, D);
    MEASURE(l, name, ARITHMETIC, 2.5 * work,
            attention_backward(o->e[4], o->e[3], o->e[0], o->r[0], o->e[3], &range, 1, B, S, H, D,
                               (real)(1 / sqrt((double)D))));
}

/* Measures operations that memory bounds; bytes are those that must be read and written
   once. n rows of width d, in groups of `rows`. */
void bench_streams(const struct limits *l, const struct operands *o, long n, long d, long rows, long H) {
    double e = (double)(n * d) * sizeof(elem), r = (double)(n * d) * sizeof(real);
    long half = o->size / 2;
    printf("rows %ld x %ld:\n", n, d);
    MEASURE(l, "layernorm_modulate forward", MEMORY, r + e,
            layernorm_modulate_forward(o->e[0], o->r[3], o->r[3] + n, o->r[0], o->r[1], o->r[2], n, d, rows, d,
                                       (real)1e-6));
    MEASURE(l, "layernorm_modulate backward", MEMORY, 3 * r + e,
            layernorm_modulate_backward(o->r[2], o->r[1], o->r[1] + half, o->e[0], o->r[0], o->r[3], o->r[3] + n,
                                        o->r[3] + 2 * n, n, d, rows, d));
    MEASURE(l, "layernorm forward", MEMORY, r + e,
            layernorm_forward(o->e[0], o->r[3], o->r[3] + n, o->r[0], o->e[1], o->e[2], n, d, (real)1e-6));
    MEASURE(l, "layernorm backward", MEMORY, 3 * r + e,
            layernorm_backward(o->r[2], o->r[1], o->r[1] + d, o->e[0], o->r[0], o->r[3], o->r[3] + n, o->e[1], n, d));
    MEASURE(l, "rmsnorm forward", MEMORY, 2 * e, rmsnorm_forward(o->e[0], o->r[3], o->e[1], o->e[2], n, d, (real)1e-6));
    MEASURE(l, "rmsnorm backward", MEMORY, 3 * e,
            rmsnorm_backward(o->e[0], o->r[1], o->e[3], o->e[1], o->r[3], o->e[2], n, d));
    MEASURE(l, "residual forward, gated", MEMORY, 2 * r + e,
            residual_forward(o->r[0], o->r[1], o->e[0], o->r[2], n, d, rows, d));
    MEASURE(l, "residual backward, gated", MEMORY, r + 2 * e,
            residual_backward(o->e[0], o->r[2] + half, NULL, o->r[0], o->e[1], o->r[2], n, d, rows, d));
    MEASURE(l, "rope", MEMORY, 2 * e, rope_apply(o->e[0], o->e[1], o->r[0], o->r[1], 1, n, H, d / H, n * d, n * d, 1));
    MEASURE(l, "rmsnorm and rope forward", MEMORY, 2 * e,
            rmsnorm_rope_forward(o->e[0], NULL, o->r[3], o->e[1], o->e[2], o->r[0], o->r[1], 1, n, H, d / H, n * d, 0,
                                 (real)1e-6));
    MEASURE(l, "rmsnorm and rope backward", MEMORY, 3 * e,
            rmsnorm_rope_backward(o->e[0], d, o->r[2], o->e[3], o->e[1], o->r[3], o->e[2], o->r[0], o->r[1], 1, n, H,
                                  d / H));
    MEASURE(l, "gelu forward", MEMORY, 2 * e, gelu_forward(o->e[0], o->e[1], n * d));
    MEASURE(l, "gelu backward", MEMORY, 3 * e, gelu_backward(o->e[0], o->e[1], o->e[2], n * d));
    MEASURE(l, "normals", MEMORY, r, random_normal(o->r[0], 1, 2, RANDOM_TEST, 0, 0, 1, 0, 1, n * d));
    struct optim_state *state = device_alloc(sizeof *state);
    if (!state) return;
    mem_zero(state, sizeof *state);
    MEASURE(l, "gradient norm", MEMORY, r, grad_norm_add(state, o->r[0], n * d));
    grad_norm_end(state, NULL, 1);
    const struct adamw how = {
        .beta1 = (real)0.9, .beta2 = (real)0.99, .eps = (real)1e-8, .average = (real)0.99, .warmup = 10, .clear = 1};
    long count = n * d < half ? n * d : half;
    MEASURE(l, "adamw with the average", MEMORY, (double)count * (10 * sizeof(real) + sizeof(elem)),
            adamw_update(o->r[0], o->r[1], o->r[2], o->r[0] + half, o->e[0], o->r[3], count, &how, state));
    device_free(state);
}

void bench_conv(const struct limits *l, const struct operands *o, long frames, long h, long w, long ci, long co) {
    const struct conv_shape shape = {.samples = 1,
                                     .ci = ci,
                                     .co = co,
                                     .groups = 1,
                                     .in = {frames, h, w},
                                     .kernel = {1, 3, 3},
                                     .stride = {1, 1, 1},
                                     .before = {0, 1, 1},
                                     .after = {0, 1, 1}};
    char name[80];
    double work = 2.0 * 9 * (double)(frames * h * w) * (double)ci * (double)co;
    snprintf(name, sizeof name, "convolution %ld x %ld x %ld, %ld -> %ld forward", frames, h, w, ci, co);
    MEASURE(l, name, ARITHMETIC, work, conv_forward(o->e[0], o->e[1], o->e[2], o->e[3], &shape, 0));
    snprintf(name, sizeof name, "convolution %ld x %ld x %ld, %ld -> %ld backward, input", frames, h, w, ci, co);
    MEASURE(l, name, ARITHMETIC, work, conv_backward_input(o->e[1], o->e[0], o->e[2], &shape, 0));
    snprintf(name, sizeof name, "convolution %ld x %ld x %ld, %ld -> %ld backward, weight", frames, h, w, ci, co);
    MEASURE(l, name, ARITHMETIC, work, conv_backward_weight(o->r[0], o->r[1], o->e[0], o->e[1], &shape));
}

void bench_dit_operations(const struct limits *l, const struct operands *o, int tiny) {
    const long P = tiny ? 8 : 22 * 29, F = tiny ? 4 : 21, N = F * P, H = tiny ? 3 : 24, D = tiny ? 32 : 128;
    const long d = H * D, ffn = tiny ? 448 : 14336, chunk = 3, history = 10;
    bench_linear(l, o, N, d, d);
    bench_linear(l, o, N, ffn, d);
    bench_gelu(l, o, N, d, ffn);
    bench_attention(l, o, "self", 1, N, N, H, D);
    bench_attention(l, o, "chunk", 1, chunk * P, (chunk + history) * P, H, D);
    bench_attention(l, o, "text", 1, N, tiny ? 16 : 512, H, D);
    bench_attention(l, o, "audio by frame", F, P, 16, H, D);
    bench_streams(l, o, N, d, P, H);
    bench_conv(l, o, chunk, tiny ? 8 : 44, tiny ? 8 : 58, tiny ? 32 : 256, tiny ? 32 : 256);
    bench_conv(l, o, 4 * chunk, tiny ? 8 : 352, tiny ? 8 : 464, tiny ? 16 : 64, tiny ? 16 : 64);
}

/* Makes the call once without the profiler, so that the libraries have their plans, and once more with it. */
#define PROFILED(name, call)                                                                                           \
    do {                                                                                                               \
        call;                                                                                                          \
        device_sync();                                                                                                 \
        printf("profiled: %s\n", name);                                                                                \
        device_profile(1);                                                                                             \
        call;                                                                                                          \
        device_sync();                                                                                                 \
        device_profile(0);                                                                                             \
    } while (0)

void bench_profiled(const struct operands *o, int tiny) {
    const long P = tiny ? 8 : 22 * 29, H = tiny ? 3 : 24, D = tiny ? 32 : 128, d = H * D, ffn = tiny ? 448 : 14336;
    const long S = 3 * P, K = 13 * P, h = tiny ? 8 : 352, w = tiny ? 8 : 464, ci = tiny ? 16 : 64;
    const real scale = (real)(1 / sqrt((double)D));
    struct attention_range range = {.k = o->e[1], .v = o->e[2], .length = K, .k_stride = K * d, .v_stride = K * d};
    const struct conv_shape shape = {.samples = 1,
                                     .ci = ci,
                                     .co = ci,
                                     .groups = 1,
                                     .in = {12, h, w},
                                     .kernel = {1, 3, 3},
                                     .stride = {1, 1, 1},
                                     .before = {0, 1, 1},
                                     .after = {0, 1, 1}};
    PROFILED("attention of a chunk, forward",
             attention_forward(o->e[0], o->r[0], o->e[3], &range, 1, 1, S, H, D, scale));
    range.dk = o->e[1] + o->size / 2, range.dv = o->e[2] + o->size / 2;
    PROFILED("attention of a chunk, backward",
             attention_backward(o->e[4], o->e[3], o->e[0], o->r[0], o->e[3], &range, 1, 1, S, H, D, scale));
    PROFILED("product with bias and gelu, d to ffn",
             linear_gelu_forward(o->e[0], o->e[1], o->e[2], o->e[3], o->e[4], S, d, ffn));
    PROFILED("layernorm_modulate", layernorm_modulate_forward(o->e[0], o->r[3], o->r[3] + S, o->r[0], o->r[1], o->r[2],
                                                              S, d, P, d, (real)1e-6));
    PROFILED("rmsnorm and rope", rmsnorm_rope_forward(o->e[0], NULL, o->r[3], o->e[1], o->e[2], o->r[0], o->r[1], 1, S,
                                                      H, D, S * H * D, 0, (real)1e-6));
    PROFILED("convolution of the light decoder", conv_forward(o->e[0], o->e[1], o->e[2], o->e[3], &shape, 0));
}
