/* conv_library.c: convolutions (conv.h) by cuDNN: binds and runs the graphs of conv_cudnn.h. */
#include "kernels/cuda/convolution/conv_cudnn.h"
#include "kernels/arena.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/cudnn/plan.h"
#include "kernels/device.h"
#include "kernels/served.h"

static int fits(const void *x, const void *w, const void *y, real beta) {
    int fit = aligned16(x) && aligned16(w) && aligned16(y) && (beta == 0 || beta == 1);
    if (!fit) served_refuse("cudnn: an operand is not aligned to 16 bytes, or beta is neither 0 nor 1");
    return fit;
}

struct operands {
    const void *x, *w, *y, *bias; /* bias NULL: none */
};

static int run(const struct cudnn_key *key, cudnn_builder *build, const struct operands *o, int adds) {
    struct cudnn_bindings b = {.count = 0};
    const struct cudnn_plan *plan = cudnn_plan(key, build, 0);
    if (!plan) return 0;
    cudnn_bind(&b, CONV_X, o->x);
    cudnn_bind(&b, CONV_W, o->w);
    cudnn_bind(&b, CONV_Y, o->y);
    if (o->bias) cudnn_bind(&b, CONV_BIAS, o->bias);
    if (o->bias && adds) cudnn_bind(&b, CONV_OLD_Y, o->y);
    cudnn_run(plan, &b);
    return 1;
}

/* The forward. Where no engine adds the bias on the way, the bias is put into y first (exactly, where y is not added
   to), and the sum is added to that. */
int conv_cudnn_forward(elem *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape,
                       real beta) {
    struct cudnn_key key = cudnn_conv_key(shape, beta, 0), adding = cudnn_conv_key(shape, 1, 0);
    struct operands biased = {x, w, y, b}, plain = {x, w, y, NULL};
    long rows = shape->samples * conv_out(shape, 0) * conv_out(shape, 1) * conv_out(shape, 2);
    if (!fits(x, w, y, beta) || !aligned16(b)) return 0;
    if (!b) return run(&key, cudnn_conv_forward_graph, &plain, 0);
    if (run(&key, cudnn_conv_bias_graph, &biased, beta != 0)) return 1;
    if (!cudnn_plan(&adding, cudnn_conv_forward_graph, 0)) return 0;
    conv_put_bias(y, b, rows, shape->co, beta);
    return run(&adding, cudnn_conv_forward_graph, &plain, 0);
}

int conv_cudnn_forward_real(real *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape) {
    struct cudnn_key key = cudnn_conv_key(shape, 0, 1);
    struct operands o = {x, w, y, b};
    return fits(x, w, y, 0) && aligned16(b) && run(&key, b ? cudnn_conv_bias_graph : cudnn_conv_forward_graph, &o, 0);
}

int conv_cudnn_backward_input(elem *dx, const elem *dy, const elem *w, const struct conv_shape *shape, real beta) {
    struct cudnn_key key = cudnn_conv_key(shape, beta, 0);
    struct operands o = {dx, w, dy, NULL};
    return fits(dx, w, dy, beta) && run(&key, cudnn_conv_input_graph, &o, 0);
}

static int add_weight(real *dw, const elem *dy, const elem *x, const struct conv_shape *s, cudnn_builder *form) {
    struct cudnn_key key = cudnn_conv_key(s, 0, 0);
    struct cudnn_bindings b = {.count = 0};
    long n = s->co * s->kernel[0] * s->kernel[1] * s->kernel[2] * (s->ci / s->groups);
    size_t bytes = form == cudnn_conv_weight_narrow ? sizeof(elem) * (size_t)n : 0;
    const struct cudnn_plan *plan = cudnn_plan(&key, form, arena_aligned(bytes));
    elem *part = plan && bytes ? workspace_push(bytes) : NULL;
    if (!plan) return 0;
    cudnn_bind(&b, CONV_X, x);
    cudnn_bind(&b, CONV_Y, dy);
    cudnn_bind(&b, bytes ? CONV_DW_PART : CONV_W, bytes ? (void *)part : (void *)dw);
    if (form == cudnn_conv_weight_added) cudnn_bind(&b, CONV_OLD_DW, dw);
    if (part || !bytes) cudnn_run(plan, &b);
    if (part) real_add_elem(dw, part, n);
    workspace_pop(part);
    return 1;
}

int conv_cudnn_backward_weight(real *dw, const elem *dy, const elem *x, const struct conv_shape *shape) {
    cudnn_builder *form[CUDNN_WEIGHT_FORMS];
    int forms = cudnn_conv_weight_forms(form, cuda_deterministic()), done = 0;
    if (!fits(x, dw, dy, 0)) return 0;
    for (int f = 0; f < forms && !done; f++) done = add_weight(dw, dy, x, shape, form[f]);
    return done;
}
