/* conv.c: convolutions of kernels.h, as the definition: one dot product an output, summed in real over the kernel's
   places, then the group's channels. Output position o and kernel place k of an axis meet input position
   o stride + k - before; what lies outside the input is zero. */
#include "kernels/kernels.h"
#include "kernels/device.h"

/* A position or a kernel place on the three axes. */
struct place {
    long t, h, w;
};

static struct place place_at(long index, long h, long w) {
    return (struct place){index / (h * w), index / w % h, index % w};
}

static long kernel_places(const struct conv_shape *s) { return (long)s->kernel[0] * s->kernel[1] * s->kernel[2]; }
static struct place kernel_place(const struct conv_shape *s, long k) { return place_at(k, s->kernel[1], s->kernel[2]); }
static long in_positions(const struct conv_shape *s) { return s->in[0] * s->in[1] * s->in[2]; }
static long out_positions(const struct conv_shape *s) { return conv_out(s, 0) * conv_out(s, 1) * conv_out(s, 2); }

/* Index of the input position that output position `out` reads through kernel place k; -1: it lies outside. */
static long meets_input(const struct conv_shape *s, long out, long k) {
    struct place o = place_at(out, conv_out(s, 1), conv_out(s, 2)), p = kernel_place(s, k);
    long t = o.t * s->stride[0] + p.t - s->before[0], h = o.h * s->stride[1] + p.h - s->before[1];
    long w = o.w * s->stride[2] + p.w - s->before[2];
    if (t < 0 || h < 0 || w < 0 || t >= s->in[0] || h >= s->in[1] || w >= s->in[2]) return -1;
    return (t * s->in[1] + h) * s->in[2] + w;
}

/* Output coordinate, on one axis, that reads input coordinate `in` through kernel coordinate k; -1: none does. */
static long serves(const struct conv_shape *s, int axis, long in, long k) {
    long from = in + s->before[axis] - k;
    return from < 0 || from % s->stride[axis] || from / s->stride[axis] >= conv_out(s, axis) ? -1
                                                                                             : from / s->stride[axis];
}

/* Index of the output position that reads input position `in` through kernel place k; -1: none does. */
static long serves_output(const struct conv_shape *s, long in, long k) {
    struct place i = place_at(in, s->in[1], s->in[2]), p = kernel_place(s, k);
    long t = serves(s, 0, i.t, p.t), h = serves(s, 1, i.h, p.h), w = serves(s, 2, i.w, p.w);
    return t < 0 || h < 0 || w < 0 ? -1 : (t * conv_out(s, 1) + h) * conv_out(s, 2) + w;
}

/* Value of channel o at output position `out` for one sample x. */
static real conv_dot(const elem *x, const elem *w, const elem *b, const struct conv_shape *s, long out, long o) {
    long width = s->ci / s->groups, first = o / (s->co / s->groups) * width, places = kernel_places(s);
    real sum = b ? elem_load(b[o]) : 0;
    for (long k = 0; k < places; k++) {
        long in = meets_input(s, out, k);
        for (long i = 0; i < width && in >= 0; i++)
            sum += elem_load(x[in * s->ci + first + i]) * elem_load(w[(o * places + k) * width + i]);
    }
    return sum;
}

void conv_forward(elem *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape, real beta) {
    KERNEL_SCOPE;
    long in = in_positions(shape), out = out_positions(shape);
#pragma omp parallel for
    for (long r = 0; r < shape->samples * out; r++) {
        const elem *sample = x + r / out * in * shape->ci;
        for (long o = 0; o < shape->co; o++) {
            real sum = conv_dot(sample, w, b, shape, r % out, o);
            elem *to = y + r * shape->co + o;
            *to = elem_store(beta == 0 ? sum : sum + beta * elem_load(*to));
        }
    }
}

void conv_forward_real(real *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape) {
    KERNEL_SCOPE;
    long in = in_positions(shape), out = out_positions(shape);
#pragma omp parallel for
    for (long r = 0; r < shape->samples * out; r++)
        for (long o = 0; o < shape->co; o++)
            y[r * shape->co + o] = conv_dot(x + r / out * in * shape->ci, w, b, shape, r % out, o);
}

/* Gradient of channel i at input position `in`: a sum over the outputs of i's group that read it. */
static real conv_dot_transposed(const elem *dy, const elem *w, const struct conv_shape *s, long in, long i) {
    long width = s->ci / s->groups, outs = s->co / s->groups, first = i / width * outs, places = kernel_places(s);
    real sum = 0;
    for (long k = 0; k < places; k++) {
        long out = serves_output(s, in, k);
        for (long o = first; o < first + outs && out >= 0; o++)
            sum += elem_load(dy[out * s->co + o]) * elem_load(w[(o * places + k) * width + i % width]);
    }
    return sum;
}

void conv_backward_input(elem *dx, const elem *dy, const elem *w, const struct conv_shape *shape, real beta) {
    KERNEL_SCOPE;
    long in = in_positions(shape), out = out_positions(shape);
#pragma omp parallel for
    for (long r = 0; r < shape->samples * in; r++) {
        const elem *sample = dy + r / in * out * shape->co;
        for (long i = 0; i < shape->ci; i++) {
            real sum = conv_dot_transposed(sample, w, shape, r % in, i);
            elem *to = dx + r * shape->ci + i;
            *to = elem_store(beta == 0 ? sum : sum + beta * elem_load(*to));
        }
    }
}

/* Gradient of the weight of output channel o, kernel place k and input channel i of its group. */
static real conv_weight_sum(const elem *dy, const elem *x, const struct conv_shape *s, long o, long k, long i) {
    long in = in_positions(s), out = out_positions(s), channel = o / (s->co / s->groups) * (s->ci / s->groups) + i;
    real sum = 0;
    for (long r = 0; r < s->samples * out; r++) {
        long met = meets_input(s, r % out, k);
        if (met >= 0) sum += elem_load(dy[r * s->co + o]) * elem_load(x[(r / out * in + met) * s->ci + channel]);
    }
    return sum;
}

void conv_backward_weight(real *dw, real *db, const elem *dy, const elem *x, const struct conv_shape *shape) {
    KERNEL_SCOPE;
    long width = shape->ci / shape->groups, places = kernel_places(shape), rows = shape->samples * out_positions(shape);
#pragma omp parallel for
    for (long o = 0; o < shape->co; o++) {
        for (long j = 0; j < places * width && dw; j++)
            dw[o * places * width + j] += conv_weight_sum(dy, x, shape, o, j / width, j % width);
        real sum = 0;
        for (long r = 0; r < rows && db; r++) sum += elem_load(dy[r * shape->co + o]);
        if (db) db[o] += sum;
    }
}
