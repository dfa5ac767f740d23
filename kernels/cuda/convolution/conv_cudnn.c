/* conv_cudnn.c: convolutions by cuDNN: channels-last tensors, sums in float. Where time is one frame of the kernel the
   frames are samples of a convolution over two axes, for which the library has more engines. */
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/convolution/conv_cudnn.h"
#include "kernels/device.h"
#include "kernels/served.h"

#include <string.h>

/* real: y is; axes: 2 or 3; then for each axis in, out, kernel, stride, before, after. */
enum { KEY_SAMPLES, KEY_CI, KEY_CO, KEY_GROUPS, KEY_BETA, KEY_REAL, KEY_AXES, KEY_FIRST };
enum { IN, OUT, KERNEL, STRIDE, BEFORE, AFTER, PER_AXIS };

static int frames_are_samples(const struct conv_shape *s) {
    return s->kernel[0] == 1 && s->stride[0] == 1 && !s->before[0] && !s->after[0];
}

/* beta is 0 or 1: the library takes other factors, but then plans would be many. */
struct cudnn_key cudnn_conv_key(const struct conv_shape *s, real beta) {
    struct cudnn_key key;
    int first = frames_are_samples(s);
    memset(&key, 0, sizeof key);
    key.v[KEY_SAMPLES] = s->samples * (first ? s->in[0] : 1);
    key.v[KEY_CI] = s->ci, key.v[KEY_CO] = s->co, key.v[KEY_GROUPS] = s->groups;
    key.v[KEY_BETA] = beta != 0, key.v[KEY_AXES] = 3 - first;
    for (int axis = first, i = KEY_FIRST; axis < 3; axis++, i += PER_AXIS) {
        key.v[i + IN] = s->in[axis], key.v[i + OUT] = conv_out(s, axis);
        key.v[i + KERNEL] = s->kernel[axis], key.v[i + STRIDE] = s->stride[axis];
        key.v[i + BEFORE] = s->before[axis], key.v[i + AFTER] = s->after[axis];
    }
    return key;
}

/* [samples, axes.., channels] in memory, as the library's [samples, channels, axes..]. what: IN, OUT or KERNEL, or -1 for
   ones (a bias). */
static cudnnBackendDescriptor_t channels_last_tensor(struct cudnn_parts *parts, int64_t uid, cudnnDataType_t type,
                                                     enum cudnn_place place, long samples, long channels,
                                                     const struct cudnn_key *key, int what) {
    int axes = (int)key->v[KEY_AXES];
    struct cudnn_tensor t = {uid, type, place, axes + 2, {samples, channels}, {0, 1}};
    int64_t stride = channels;
    for (int axis = axes - 1; axis >= 0; axis--) {
        t.dim[2 + axis] = what < 0 ? 1 : key->v[KEY_FIRST + axis * PER_AXIS + what];
        t.stride[2 + axis] = stride;
        stride *= t.dim[2 + axis];
    }
    t.stride[0] = stride;
    return cudnn_tensor(parts, &t);
}

static cudnnBackendDescriptor_t input(struct cudnn_parts *parts, const struct cudnn_key *key) {
    return channels_last_tensor(parts, CONV_X, CUDNN_ELEM, CUDNN_IN_MEMORY, key->v[KEY_SAMPLES], key->v[KEY_CI], key,
                                IN);
}
static cudnnBackendDescriptor_t output(struct cudnn_parts *parts, const struct cudnn_key *key) {
    return channels_last_tensor(parts, CONV_Y, key->v[KEY_REAL] ? CUDNN_DATA_FLOAT : CUDNN_ELEM, CUDNN_IN_MEMORY,
                                key->v[KEY_SAMPLES], key->v[KEY_CO], key, OUT);
}
static cudnnBackendDescriptor_t weights(struct cudnn_parts *parts, const struct cudnn_key *key, cudnnDataType_t type) {
    return channels_last_tensor(parts, CONV_W, type, CUDNN_IN_MEMORY, key->v[KEY_CO],
                                key->v[KEY_CI] / key->v[KEY_GROUPS], key, KERNEL);
}

static void name_graph(struct cudnn_parts *parts, const char *what, const struct cudnn_key *key) {
    const long *last = key->v + KEY_FIRST + (key->v[KEY_AXES] - 1) * PER_AXIS, *rows = last - PER_AXIS;
    cudnn_name(parts, "convolution %s of %ld x %ldd, %ld x %ld, %ld -> %ld%s", what, key->v[KEY_SAMPLES],
               key->v[KEY_AXES], rows[IN], last[IN], key->v[KEY_CI], key->v[KEY_CO], key->v[KEY_BETA] ? ", added" : "");
}

static cudnnBackendDescriptor_t convolution(struct cudnn_parts *parts, const struct cudnn_key *key) {
    cudnnBackendDescriptor_t part = cudnn_begin(parts, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    int64_t axes = key->v[KEY_AXES], one[3] = {1, 1, 1}, stride[3], before[3], after[3];
    for (int axis = 0; axis < axes; axis++) {
        const long *v = key->v + KEY_FIRST + axis * PER_AXIS;
        stride[axis] = v[STRIDE], before[axis] = v[BEFORE], after[axis] = v[AFTER];
    }
    cudnn_set(parts, part, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes);
    cudnn_set(parts, part, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    cudnn_set(parts, part, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    cudnn_set(parts, part, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, axes, before);
    cudnn_set(parts, part, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, axes, after);
    cudnn_set(parts, part, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, axes, one);
    cudnn_set(parts, part, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, axes, stride);
    cudnn_end(parts, part);
    return part;
}

static void forward_operation(struct cudnn_parts *parts, const struct cudnn_key *key, cudnnBackendDescriptor_t y,
                              float beta) {
    cudnnBackendDescriptor_t x = input(parts, key), w = weights(parts, key, CUDNN_ELEM),
                             shape = convolution(parts, key);
    cudnnBackendDescriptor_t operation = cudnn_begin(parts, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    float one = 1;
    cudnn_set_part(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
    cudnn_set_part(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
    cudnn_set_part(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
    cudnn_set_part(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, shape);
    cudnn_set(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &one);
    cudnn_set(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &beta);
    cudnn_end_operation(parts, operation);
}

void cudnn_conv_forward_graph(struct cudnn_parts *parts, const struct cudnn_key *key) {
    name_graph(parts, "forward", key);
    forward_operation(parts, key, output(parts, key), (float)key->v[KEY_BETA]);
}

static cudnnBackendDescriptor_t output_as(struct cudnn_parts *parts, const struct cudnn_key *key, int64_t uid,
                                          enum cudnn_place place) {
    return channels_last_tensor(parts, uid, place == CUDNN_INSIDE ? CUDNN_DATA_FLOAT : CUDNN_ELEM, place,
                                key->v[KEY_SAMPLES], key->v[KEY_CO], key, OUT);
}

/* y = x + b */
static void add_operation(struct cudnn_parts *parts, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t b,
                          cudnnBackendDescriptor_t y) {
    cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t add = cudnn_begin(parts, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    cudnn_set(parts, add, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    cudnn_set(parts, add, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type);
    cudnn_end(parts, add);
    cudnnBackendDescriptor_t operation = cudnn_begin(parts, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    cudnn_set_part(parts, operation, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, add);
    cudnn_set_part(parts, operation, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    cudnn_set_part(parts, operation, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    cudnn_set_part(parts, operation, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    cudnn_end_operation(parts, operation);
}

/* Sums stay inside as float; bias and what y was are added before anything is rounded. */
void cudnn_conv_bias_graph(struct cudnn_parts *parts, const struct cudnn_key *key) {
    name_graph(parts, "with bias", key);
    cudnnBackendDescriptor_t sum = output_as(parts, key, CONV_SUM, CUDNN_INSIDE);
    cudnnBackendDescriptor_t bias =
        channels_last_tensor(parts, CONV_BIAS, CUDNN_ELEM, CUDNN_IN_MEMORY, 1, key->v[KEY_CO], key, -1);
    cudnnBackendDescriptor_t y = output(parts, key);
    forward_operation(parts, key, sum, 0);
    if (!key->v[KEY_BETA]) return add_operation(parts, sum, bias, y);
    cudnnBackendDescriptor_t biased = output_as(parts, key, CONV_BIASED, CUDNN_INSIDE);
    add_operation(parts, sum, bias, biased);
    add_operation(parts, biased, output_as(parts, key, CONV_OLD_Y, CUDNN_IN_MEMORY), y);
}

void cudnn_conv_input_graph(struct cudnn_parts *parts, const struct cudnn_key *key) {
    name_graph(parts, "gradient of the input", key);
    cudnnBackendDescriptor_t dx = input(parts, key), w = weights(parts, key, CUDNN_ELEM), dy = output(parts, key);
    cudnnBackendDescriptor_t shape = convolution(parts, key);
    cudnnBackendDescriptor_t operation =
        cudnn_begin(parts, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
    float one = 1, beta = (float)key->v[KEY_BETA];
    cudnn_set_part(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, dx);
    cudnn_set_part(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, w);
    cudnn_set_part(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, dy);
    cudnn_set_part(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, shape);
    cudnn_set(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_TYPE_FLOAT, 1, &one);
    cudnn_set(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_TYPE_FLOAT, 1, &beta);
    cudnn_end_operation(parts, operation);
}

/* Always added to, in float. */
void cudnn_conv_weight_graph(struct cudnn_parts *parts, const struct cudnn_key *key) {
    name_graph(parts, "gradient of the weights", key);
    cudnnBackendDescriptor_t x = input(parts, key), dw = weights(parts, key, CUDNN_DATA_FLOAT), dy = output(parts, key);
    cudnnBackendDescriptor_t shape = convolution(parts, key);
    cudnnBackendDescriptor_t operation =
        cudnn_begin(parts, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR);
    float one = 1;
    cudnn_set_part(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, dw);
    cudnn_set_part(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, x);
    cudnn_set_part(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, dy);
    cudnn_set_part(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, shape);
    cudnn_set(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_TYPE_FLOAT, 1, &one);
    cudnn_set(parts, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_TYPE_FLOAT, 1, &one);
    cudnn_end_operation(parts, operation);
}

/* ---- runs ---- */

static int fits(const void *x, const void *w, const void *y, real beta) {
    int fit = aligned16(x) && aligned16(w) && aligned16(y) && (beta == 0 || beta == 1);
    if (!fit) served_refuse("cudnn: an operand is not aligned to 16 bytes, or beta is neither 0 nor 1");
    return fit;
}

static int run_key(const struct cudnn_key *key, cudnn_builder *build, const void *x, const void *w, const void *y,
                   const void *bias) {
    struct cudnn_bindings b = {.count = 0};
    if (!cudnn_supports(key, build)) return 0;
    cudnn_bind(&b, CONV_X, x);
    cudnn_bind(&b, CONV_W, w);
    cudnn_bind(&b, CONV_Y, y);
    if (bias) cudnn_bind(&b, CONV_BIAS, bias);
    if (bias && key->v[KEY_BETA]) cudnn_bind(&b, CONV_OLD_Y, y);
    cudnn_run(key, build, &b);
    return 1;
}

static int run(const struct conv_shape *shape, real beta, cudnn_builder *build, const void *x, const void *w,
               const void *y, const void *bias) {
    struct cudnn_key key = cudnn_conv_key(shape, beta);
    return run_key(&key, build, x, w, y, bias);
}

/* Without an engine that adds the bias on the way it is put into y first (exactly, where y is not added to), and the sum
   added to that. */
int conv_cudnn_forward(elem *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape,
                       real beta) {
    struct cudnn_key adding = cudnn_conv_key(shape, 1);
    long rows = shape->samples * conv_out(shape, 0) * conv_out(shape, 1) * conv_out(shape, 2);
    if (!fits(x, w, y, beta) || !aligned16(b)) return 0;
    if (!b) return run(shape, beta, cudnn_conv_forward_graph, x, w, y, NULL);
    if (run(shape, beta, cudnn_conv_bias_graph, x, w, y, b)) return 1;
    if (!cudnn_supports(&adding, cudnn_conv_forward_graph)) return 0;
    conv_put_bias(y, b, rows, shape->co, beta);
    return run(shape, 1, cudnn_conv_forward_graph, x, w, y, NULL);
}

int conv_cudnn_forward_real(real *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape) {
    struct cudnn_key key = cudnn_conv_key(shape, 0);
    key.v[KEY_REAL] = 1;
    return fits(x, w, y, 0) && aligned16(b) &&
           run_key(&key, b ? cudnn_conv_bias_graph : cudnn_conv_forward_graph, x, w, y, b);
}

int conv_cudnn_backward_input(elem *dx, const elem *dy, const elem *w, const struct conv_shape *shape, real beta) {
    return fits(dx, w, dy, beta) && run(shape, beta, cudnn_conv_input_graph, dx, w, dy, NULL);
}

int conv_cudnn_backward_weight(real *dw, const elem *dy, const elem *x, const struct conv_shape *shape) {
    return fits(x, dw, dy, 0) && run(shape, 1, cudnn_conv_weight_graph, x, dw, dy, NULL);
}
