/* resample.cu: changes of layout and resolution (kernels.h), channels-last. A thread writes one number or, where
   channels stay together, one vector of channels. */
#include "kernels/cuda/kernel.cuh"

/* Index, in the depth layout [t, h, w, C nt nh nw], of channel 0 of position p of the block layout [t nt, h nh, w nw].
   Sizes and their products here are at most the number of elements, so they fit where places do. */
template <class I>
__device__ static inline I depth_index(I p, long h, long w, long C, const struct block_order &order) {
    I nt = (I)order.size[0], nh = (I)order.size[1], nw = (I)order.size[2];
    I line = quotient(p, w * nw), column = p - line * (I)(w * nw), frame = quotient(line, h * nh),
      row = line - frame * (I)(h * nh);
    return ((frame / nt * (I)h + row / nh) * (I)w + column / nw) * (I)C * nt * nh * nw + frame % nt * (I)order.step[0] +
           row % nh * (I)order.step[1] + column % nw * (I)order.step[2];
}

struct block_from_depth {
    elem *y;
    const elem *x;
    long h, w, C;
    struct block_order order;
    template <int V, class I> __device__ void at(I i) const {
        float v[V];
        I p = quotient(i, C), from = depth_index(p, h, w, C, order) + (i - p * (I)C) * (I)order.channel;
        load(v, x + from);
        store(y + i, v);
    }
};
struct depth_from_block {
    elem *y;
    const elem *x;
    long h, w, C;
    struct block_order order;
    template <int V, class I> __device__ void at(I i) const {
        float v[V];
        I p = quotient(i, C), to = depth_index(p, h, w, C, order) + (i - p * (I)C) * (I)order.channel;
        load(v, x + i);
        store(y + to, v);
    }
};

/* 1: a position's channels lie side by side in the depth layout too, so that vectors can be used. */
static int channels_together(const elem *y, const elem *x, long C, const struct block_order *o) {
    return aligned16(y) && aligned16(x) && C % VECTOR == 0 && o->channel == 1 && o->step[0] % VECTOR == 0 &&
           o->step[1] % VECTOR == 0 && o->step[2] % VECTOR == 0;
}

static long block_elements(long t, long h, long w, long C, const struct block_order *order) {
    return t * order->size[0] * h * order->size[1] * w * order->size[2] * C;
}

void depth_to_block(elem *y, const elem *x, long t, long h, long w, long C, const struct block_order *order) {
    for_each_place(block_from_depth{y, x, h, w, C, *order}, block_elements(t, h, w, C, order),
                   channels_together(y, x, C, order));
}

void block_to_depth(elem *y, const elem *x, long t, long h, long w, long C, const struct block_order *order) {
    for_each_place(depth_from_block{y, x, h, w, C, *order}, block_elements(t, h, w, C, order),
                   channels_together(y, x, C, order));
}

struct upsample {
    elem *y;
    const elem *x;
    long h, w, C, n;
    template <int V, class I> __device__ void at(I i) const {
        I p = quotient(i, C), line = quotient(p, w * n), column = p - line * (I)(w * n); /* lines of all frames */
        float v[V];
        load(v, x + (quotient(line, n) * w + quotient(column, n)) * C + (i - p * (I)C));
        store(y + i, v);
    }
};

void upsample_nearest(elem *y, const elem *x, long t, long h, long w, long C, int n) {
    for_each_place(upsample{y, x, h, w, C, n}, t * h * w * n * n * C, aligned16(y) && aligned16(x) && C % VECTOR == 0);
}

struct upsample_slope {
    elem *dx;
    const elem *dy;
    long w, C, n;
    template <int V, class I> __device__ void at(I i) const {
        I p = quotient(i, C), line = quotient(p, w); /* lines of all frames */
        const elem *block = dy + (line * n * w * n + (p - line * (I)w) * n) * C + (i - p * (I)C);
        float sum[V] = {0};
#pragma unroll 1 /* n is 2 mostly; nvcc's four turns at a time, with a division of long numbers in each, would spill */
        for (long k = 0; k < n * n; k++) {
            float v[V];
            load(v, block + (k / n * w * n + k % n) * C);
#pragma unroll
            for (int j = 0; j < V; j++) sum[j] += v[j];
        }
        store(dx + i, sum);
    }
};

void upsample_nearest_backward(elem *dx, const elem *dy, long t, long h, long w, long C, int n) {
    for_each_place(upsample_slope{dx, dy, w, C, n}, t * h * w * C, aligned16(dx) && aligned16(dy) && C % VECTOR == 0);
}

struct mean_of_channels {
    elem *y;
    const elem *x;
    long g;
    __device__ void at(long i) const {
        float sum = 0;
        for (long k = 0; k < g; k++) sum += to_float(x[i * g + k]);
        y[i] = from_float<elem>(sum / (float)g);
    }
};

void channel_mean(elem *y, const elem *x, long n, long C, long g) { for_each_one(mean_of_channels{y, x, g}, n * C); }

struct repeat_channels {
    elem *y;
    const elem *x;
    long g;
    template <int V, class I> __device__ void at(I i) const {
        float v[V];
#pragma unroll
        for (int j = 0; j < V; j++) v[j] = to_float(x[quotient((I)(i + j), g)]);
        store(y + i, v);
    }
};

void channel_repeat(elem *y, const elem *x, long n, long C, long g) {
    for_each_place(repeat_channels{y, x, g}, n * C * g, aligned16(y));
}

/* ---- transposes: a tile goes through shared memory, so that both sides are read and written as whole lines ---- */

enum { TILE = 32, TILE_ROWS = BLOCK_THREADS / TILE };

/* y [columns, rows] = x [rows, columns], frame by frame */
template <class Y, class X>
__global__ void __launch_bounds__(BLOCK_THREADS)
    transpose_kernel(Y *y, const X *x, long rows, long columns, long tiles) {
    __shared__ float tile[TILE][TILE + 1];
    long frame = blockIdx.x / (tiles * ((rows + TILE - 1) / TILE)),
         rest = blockIdx.x % (tiles * ((rows + TILE - 1) / TILE));
    long row = rest / tiles * TILE, column = rest % tiles * TILE;
    int lane = threadIdx.x % TILE, first = threadIdx.x / TILE;
    x += frame * rows * columns;
    y += frame * rows * columns;
    for (int i = first; i < TILE; i += TILE_ROWS)
        if (row + i < rows && column + lane < columns) tile[i][lane] = to_float(x[(row + i) * columns + column + lane]);
    __syncthreads();
    for (int i = first; i < TILE; i += TILE_ROWS)
        if (column + i < columns && row + lane < rows)
            y[(column + i) * rows + row + lane] = from_float<Y>(tile[lane][i]);
}

template <class Y, class X> static void transpose(Y *y, const X *x, long frames, long rows, long columns) {
    long tiles = divide_up(columns, TILE), blocks = launch_blocks(frames * divide_up(rows, TILE) * tiles, 1);
    if (blocks < 0) return device_fail("a transposition of %ld frames: too many", frames);
    if (blocks) LAUNCH((transpose_kernel<Y, X>), blocks, BLOCK_THREADS, 0, y, x, rows, columns, tiles);
}

void channels_last(elem *y, const real *x, long frames, long C, long size) { transpose(y, x, frames, C, size); }

void channels_first(real *y, const elem *x, long frames, long C, long size) { transpose(y, x, frames, size, C); }

struct scaled_channel {
    real *y;
    const real *x, *scale, *shift;
    long C, size;
    template <class I> __device__ void at(I i) const {
        I p = quotient(i, C), c = i - p * (I)C;
        y[i] = __fadd_rn(__fmul_rn(x[c * (I)size + p], scale[c]), shift[c]);
    }
};

void channels_last_scaled(real *y, const real *x, const real *scale, const real *shift, long C, long size) {
    for_each_place_one(scaled_channel{y, x, scale, shift, C, size}, C * size);
}

/* Index, in the depth layout, of number i of the planes [t nt, C, h nh, w nw]. */
template <class I>
__device__ static inline I depth_of_plane(I i, long h, long w, long C, const struct block_order &order) {
    I size = (I)(h * order.size[1] * w * order.size[2]), plane = quotient(i, size), frame = quotient(plane, C),
      c = plane - frame * (I)C, p = frame * size + (i - plane * size);
    return depth_index(p, h, w, C, order) + c * (I)order.channel;
}

struct plane_from_depth {
    real *y;
    const real *x;
    long h, w, C;
    struct block_order order;
    template <class I> __device__ void at(I i) const { y[i] = x[depth_of_plane(i, h, w, C, order)]; }
};
struct depth_from_plane {
    real *y;
    const real *x;
    long h, w, C;
    struct block_order order;
    template <class I> __device__ void at(I i) const { y[depth_of_plane(i, h, w, C, order)] = x[i]; }
};

void planes_from_depth(real *y, const real *x, long t, long h, long w, long C, const struct block_order *order) {
    for_each_place_one(plane_from_depth{y, x, h, w, C, *order}, block_elements(t, h, w, C, order));
}

void depth_from_planes(real *y, const real *x, long t, long h, long w, long C, const struct block_order *order) {
    for_each_place_one(depth_from_plane{y, x, h, w, C, *order}, block_elements(t, h, w, C, order));
}
