/* resample.c: changes of layout and resolution (kernels.h), channels-last, as the definition. */
#include "kernels/kernels.h"
#include "kernels/device.h"

/* Numbers that a position of the depth layout [t, h, w, C nt nh nw] holds: a cell. */
static long depth_cell(long C, const struct block_order *order) {
    return C * order->size[0] * order->size[1] * order->size[2];
}

/* Index, in the depth layout, of channel 0 at the start of row r, counted over all frames, of the block layout [t nt, h
   nh, w nw]. Place k of block x of that row is x cells and k step[2] further. */
static long depth_row(long r, long h, long w, long C, const struct block_order *order) {
    long nt = order->size[0], nh = order->size[1], row = r % (h * nh), frame = r / (h * nh);
    return (frame / nt * h + row / nh) * w * depth_cell(C, order) + frame % nt * order->step[0] +
           row % nh * order->step[1];
}

static long block_rows(long t, long h, const struct block_order *order) {
    return t * order->size[0] * h * order->size[1];
}

void depth_to_block(elem *y, const elem *x, long t, long h, long w, long C, const struct block_order *order) {
    KERNEL_SCOPE;
    long rows = block_rows(t, h, order), nw = order->size[2], cell = depth_cell(C, order);
#pragma omp parallel for
    for (long r = 0; r < rows; r++) {
        const elem *row = x + depth_row(r, h, w, C, order);
        for (long i = 0; i < w; i++)
            for (long k = 0; k < nw; k++)
                for (long c = 0; c < C; c++)
                    y[((r * w + i) * nw + k) * C + c] = row[i * cell + k * order->step[2] + c * order->channel];
    }
}

void block_to_depth(elem *y, const elem *x, long t, long h, long w, long C, const struct block_order *order) {
    KERNEL_SCOPE;
    long rows = block_rows(t, h, order), nw = order->size[2], cell = depth_cell(C, order);
#pragma omp parallel for
    for (long r = 0; r < rows; r++) {
        elem *row = y + depth_row(r, h, w, C, order);
        for (long i = 0; i < w; i++)
            for (long k = 0; k < nw; k++)
                for (long c = 0; c < C; c++)
                    row[i * cell + k * order->step[2] + c * order->channel] = x[((r * w + i) * nw + k) * C + c];
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
        const elem *block = dy + (p / w * n * w * n + p % w * n) * C; /* p / w counts rows over all frames */
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

/* Index, in planes [frames, C, rows of a frame, w nw], of channel c of row r, counted over all frames. */
static long plane_row(long r, long c, long h, long w, long C, const struct block_order *order) {
    long rows = h * order->size[1];
    return ((r / rows * C + c) * rows + r % rows) * w * order->size[2];
}

void planes_from_depth(real *y, const real *x, long t, long h, long w, long C, const struct block_order *order) {
    KERNEL_SCOPE;
    long rows = block_rows(t, h, order), nw = order->size[2], cell = depth_cell(C, order);
#pragma omp parallel for
    for (long r = 0; r < rows; r++)
        for (long c = 0; c < C; c++) {
            const real *from = x + depth_row(r, h, w, C, order) + c * order->channel;
            real *to = y + plane_row(r, c, h, w, C, order);
            for (long i = 0; i < w; i++)
                for (long k = 0; k < nw; k++) to[i * nw + k] = from[i * cell + k * order->step[2]];
        }
}

void depth_from_planes(real *y, const real *x, long t, long h, long w, long C, const struct block_order *order) {
    KERNEL_SCOPE;
    long rows = block_rows(t, h, order), nw = order->size[2], cell = depth_cell(C, order);
#pragma omp parallel for
    for (long r = 0; r < rows; r++)
        for (long c = 0; c < C; c++) {
            const real *from = x + plane_row(r, c, h, w, C, order);
            real *to = y + depth_row(r, h, w, C, order) + c * order->channel;
            for (long i = 0; i < w; i++)
                for (long k = 0; k < nw; k++) to[i * cell + k * order->step[2]] = from[i * nw + k];
        }
}
