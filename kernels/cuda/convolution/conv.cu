/* conv.cu: convolutions of kernels.h, channels-last: by cuDNN where it takes the problem, else by plain kernels, which
   are also what the library is held against: one number of the result a thread, summed in float over the kernel's
   places, then the group's channels. Neighbouring threads have neighbouring channels of the result. */
#include "kernels/cuda/rows/rows.cuh"
#include "kernels/cuda/convolution/conv.h"
#include "kernels/served.h"

/* A convolution's shape, and numbers that follow from it and that threads need again and again. */
struct conv_sizes {
    struct conv_shape s;
    long out[3], in_positions, out_positions, places, width,
        outs; /* width, outs: input and output channels of a group */
};

static struct conv_sizes conv_sizes(const struct conv_shape *s) {
    struct conv_sizes c = {
        *s, {conv_out(s, 0), conv_out(s, 1), conv_out(s, 2)}, 0, 0, 0, s->ci / s->groups, s->co / s->groups};
    c.in_positions = s->in[0] * s->in[1] * s->in[2];
    c.out_positions = c.out[0] * c.out[1] * c.out[2];
    c.places = (long)s->kernel[0] * s->kernel[1] * s->kernel[2];
    return c;
}

/* Coordinates of position `index` of a grid, w fastest. */
__device__ static inline void coordinates(long (&at)[3], long index, long h, long w) {
    at[0] = index / (h * w), at[1] = index / w % h, at[2] = index % w;
}

/* Index of the input position that output position `out` reads through kernel place k; -1: it lies outside. */
__device__ static inline long meets_input(const struct conv_sizes &c, long out, long k) {
    long o[3], p[3], in = 0;
    coordinates(o, out, c.out[1], c.out[2]);
    coordinates(p, k, c.s.kernel[1], c.s.kernel[2]);
    for (int axis = 0; axis < 3; axis++) {
        long i = o[axis] * c.s.stride[axis] + p[axis] - c.s.before[axis];
        if (i < 0 || i >= c.s.in[axis]) return -1;
        in = in * c.s.in[axis] + i;
    }
    return in;
}

/* Index of the output position that reads input position `in` through kernel place k; -1: none does. */
__device__ static inline long serves_output(const struct conv_sizes &c, long in, long k) {
    long i[3], p[3], out = 0;
    coordinates(i, in, c.s.in[1], c.s.in[2]);
    coordinates(p, k, c.s.kernel[1], c.s.kernel[2]);
    for (int axis = 0; axis < 3; axis++) {
        long from = i[axis] + c.s.before[axis] - p[axis];
        if (from < 0 || from % c.s.stride[axis] || from / c.s.stride[axis] >= c.out[axis]) return -1;
        out = out * c.out[axis] + from / c.s.stride[axis];
    }
    return out;
}

struct conv_operands {
    const elem *x, *w, *b;
    struct conv_sizes c;
    /* Number i of y. */
    __device__ float sum_at(long i) const {
        long o = i % c.s.co, out = i / c.s.co, first = o / c.outs * c.width;
        const elem *sample = x + out / c.out_positions * c.in_positions * c.s.ci + first;
        float sum = b ? to_float(b[o]) : 0;
        for (long k = 0; k < c.places; k++) {
            long in = meets_input(c, out % c.out_positions, k);
            const elem *weight = w + (o * c.places + k) * c.width;
            for (long j = 0; j < c.width && in >= 0; j++)
                sum += to_float(sample[in * c.s.ci + j]) * to_float(weight[j]);
        }
        return sum;
    }
};

struct conv_output {
    elem *y;
    struct conv_operands operands;
    real beta;
    __device__ void at(long i) const {
        float sum = operands.sum_at(i);
        y[i] = from_float<elem>(beta == 0 ? sum : sum + beta * to_float(y[i]));
    }
};
struct conv_output_real {
    real *y;
    struct conv_operands operands;
    __device__ void at(long i) const { y[i] = operands.sum_at(i); }
};

static void served(const char *operation, const char *by, const struct conv_shape *s) {
    const long size[] = {s->samples, s->in[0], s->in[1], s->in[2], s->ci, s->co, s->kernel[0], s->kernel[1]};
    served_by(operation, by, sizeof size / sizeof *size, size);
}

void conv_forward(elem *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape, real beta) {
    if (conv_cudnn_forward(y, x, w, b, shape, beta)) return served("convolution forward", "cuDNN", shape);
    served("convolution forward", "conv.cu", shape);
    struct conv_sizes c = conv_sizes(shape);
    for_each_one(conv_output{y, {x, w, b, c}, beta}, shape->samples * c.out_positions * shape->co);
}

void conv_forward_real(real *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape) {
    if (conv_cudnn_forward_real(y, x, w, b, shape)) return served("convolution forward, real", "cuDNN", shape);
    served("convolution forward, real", "conv.cu", shape);
    struct conv_sizes c = conv_sizes(shape);
    for_each_one(conv_output_real{y, {x, w, b, c}}, shape->samples * c.out_positions * shape->co);
}

struct put_bias {
    elem *y;
    const elem *b;
    long C;
    real beta;
    template <int V, class I> __device__ void at(I i) const {
        float v[V], old[V];
        load(v, b + modulo(i, C));
        if (beta != 0) {
            load(old, y + i);
#pragma unroll
            for (int j = 0; j < V; j++) v[j] += beta * old[j];
        }
        store(y + i, v);
    }
};

void conv_put_bias(elem *y, const elem *b, long rows, long C, real beta) {
    for_each_place(put_bias{y, b, C, beta}, rows * C, aligned16(y) && aligned16(b) && C % VECTOR == 0);
}

/* Gradient of an input number: a sum over the outputs of its channel's group that read it. */
struct conv_input_slope {
    elem *dx;
    const elem *dy, *w;
    struct conv_sizes c;
    real beta;
    __device__ void at(long i) const {
        long channel = i % c.s.ci, in = i / c.s.ci, first = channel / c.width * c.outs;
        const elem *sample = dy + in / c.in_positions * c.out_positions * c.s.co;
        float sum = 0;
        for (long k = 0; k < c.places; k++) {
            long out = serves_output(c, in % c.in_positions, k);
            for (long o = first; o < first + c.outs && out >= 0; o++)
                sum +=
                    to_float(sample[out * c.s.co + o]) * to_float(w[(o * c.places + k) * c.width + channel % c.width]);
        }
        dx[i] = from_float<elem>(beta == 0 ? sum : sum + beta * to_float(dx[i]));
    }
};

void conv_backward_input(elem *dx, const elem *dy, const elem *w, const struct conv_shape *shape, real beta) {
    if (conv_cudnn_backward_input(dx, dy, w, shape, beta)) return served("convolution, input", "cuDNN", shape);
    served("convolution, input", "conv.cu", shape);
    struct conv_sizes c = conv_sizes(shape);
    for_each_one(conv_input_slope{dx, dy, w, c, beta}, shape->samples * c.in_positions * shape->ci);
}

/* Gradient of the weight of output channel o, kernel place k, input channel j of its
   group, in the order of the weights. */
struct conv_weight_slope {
    real *dw;
    const elem *dy, *x;
    struct conv_sizes c;
    __device__ void at(long i) const {
        long j = i % c.width, k = i / c.width % c.places, o = i / (c.width * c.places), first = o / c.outs * c.width;
        float sum = 0;
        for (long r = 0; r < c.s.samples * c.out_positions; r++) {
            long in = meets_input(c, r % c.out_positions, k);
            if (in < 0) continue;
            const elem *sample = x + r / c.out_positions * c.in_positions * c.s.ci;
            sum += to_float(dy[r * c.s.co + o]) * to_float(sample[in * c.s.ci + first + j]);
        }
        dw[i] += sum;
    }
};

void conv_backward_weight(real *dw, real *db, const elem *dy, const elem *x, const struct conv_shape *shape) {
    struct conv_sizes c = conv_sizes(shape);
    int library = dw && conv_cudnn_backward_weight(dw, dy, x, shape);
    if (dw && !library) for_each_one(conv_weight_slope{dw, dy, x, c}, shape->co * c.places * c.width);
    if (dw) served("convolution, weight", library ? "cuDNN" : "conv.cu", shape);
    if (db) column_sums(db, dy, shape->samples * c.out_positions, shape->co);
}
