/* resample.c: kernels.h's changes of layout and resolution, channels-last, as the definition. */
#include "kernels/kernels.h"
#include "kernels/device.h"

/* Where the depth layout [t, h, w, C nt nh nw] keeps channel 0 of position p of the block layout [t nt, h nh, w nw]. */
static long depth_index(long p, long h, long w, long C, const struct block_order *order) {
    long nt = order->size[0], nh = order->size[1], nw = order->size[2];
    long column = p % (w * nw), row = p / (w * nw) % (h * nh), frame = p / (w * nw * h * nh);
    return ((frame / nt * h + row / nh) * w + column / nw) * C * nt * nh * nw + frame % nt * order->step[0] +
           row % nh * order->step[1] + column % nw * order->step[2];
}

static long block_positions(long t, long h, long w, const struct block_order *order) {
    return t * order->size[0] * h * order->size[1] * w * order->size[2];
}

void depth_to_block(elem *y, const elem *x, long t, long h, long w, long C, const struct block_order *order) {
    KERNEL_SCOPE;
    long positions = block_positions(t, h, w, order);
#pragma omp parallel for
    for (long p = 0; p < positions; p++) {
        const elem *from = x + depth_index(p, h, w, C, order);
        for (long c = 0; c < C; c++) y[p * C + c] = from[c * order->channel];
    }
}

void block_to_depth(elem *y, const elem *x, long t, long h, long w, long C, const struct block_order *order) {
    KERNEL_SCOPE;
    long positions = block_positions(t, h, w, order);
#pragma omp parallel for
    for (long p = 0; p < positions; p++) {
        elem *to = y + depth_index(p, h, w, C, order);
        for (long c = 0; c < C; c++) to[c * order->channel] = x[p * C + c];
    }
}

void upsample_nearest(elem *y, const elem *x, long t, long h, long w, long C, int n) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long p = 0; p < t * h * n * w * n; p++) {
        long column = p % (w * n), row = p / (w * n) % (h * n), frame = p / (w * n * h * n);
        const elem *from = x + ((frame * h + row / n) * w + column / n) * C;
        for (long c = 0; c < C; c++) y[p * C + c] = from[c];
    }
}

void upsample_nearest_backward(elem *dx, const elem *dy, long t, long h, long w, long C, int n) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long p = 0; p < t * h * w; p++) {
        const elem *block = dy + (p / w * n * w * n + p % w * n) * C; /* frame and row together: p / w */
        for (long c = 0; c < C; c++) {
            real sum = 0;
            for (long k = 0; k < (long)n * n; k++) sum += elem_load(block[(k / n * w * n + k % n) * C + c]);
            dx[p * C + c] = elem_store(sum);
        }
    }
}

void channel_mean(elem *y, const elem *x, long n, long C, long g) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long i = 0; i < n * C; i++) {
        real sum = 0;
        for (long j = 0; j < g; j++) sum += elem_load(x[i * g + j]);
        y[i] = elem_store(sum / (real)g);
    }
}

void channel_repeat(elem *y, const elem *x, long n, long C, long g) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long i = 0; i < n * C; i++)
        for (long j = 0; j < g; j++) y[i * g + j] = x[i];
}

void channels_last(elem *y, const real *x, long frames, long C, long size) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long p = 0; p < frames * size; p++)
        for (long c = 0; c < C; c++) y[p * C + c] = elem_store(x[(p / size * C + c) * size + p % size]);
}

void channels_first(real *y, const elem *x, long frames, long C, long size) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long p = 0; p < frames * size; p++)
        for (long c = 0; c < C; c++) y[(p / size * C + c) * size + p % size] = elem_load(x[p * C + c]);
}

void channels_last_scaled(real *y, const real *x, const real *scale, const real *shift, long C, long size) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long p = 0; p < size; p++)
        for (long c = 0; c < C; c++) y[p * C + c] = x[c * size + p] * scale[c] + shift[c];
}

void planes_from_depth(real *y, const real *x, long t, long h, long w, long C, const struct block_order *order) {
    KERNEL_SCOPE;
    long positions = block_positions(t, h, w, order), plane = h * order->size[1] * w * order->size[2];
#pragma omp parallel for
    for (long p = 0; p < positions; p++) {
        const real *from = x + depth_index(p, h, w, C, order);
        for (long c = 0; c < C; c++) y[(p / plane * C + c) * plane + p % plane] = from[c * order->channel];
    }
}

void depth_from_planes(real *y, const real *x, long t, long h, long w, long C, const struct block_order *order) {
    KERNEL_SCOPE;
    long positions = block_positions(t, h, w, order), plane = h * order->size[1] * w * order->size[2];
#pragma omp parallel for
    for (long p = 0; p < positions; p++) {
        real *to = y + depth_index(p, h, w, C, order);
        for (long c = 0; c < C; c++) to[c * order->channel] = x[(p / plane * C + c) * plane + p % plane];
    }
}
