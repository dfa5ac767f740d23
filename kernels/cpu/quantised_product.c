/* quantised_product.c: a linear layer of quantised rows and weights, in one of three ways.
     int8 by oneDNN   on processors with instructions for it (VNNI, AMX): sums in int32, then a pass for scales and bias
     int8 by AVX2     elsewhere. The library's own way there adds pairs of products in 16 bits, which saturate; here
                      both operands become 16 bits wide and vpmaddwd adds pairs of products in 32 bits. A tile of 4 rows
                      and 2 columns stays in 8 registers along the whole inner index, as both operands lie along it.
     widened          fp8, and int8 on other processors: the codes become elem, which holds them exactly, and an
                      ordinary product sums them in float.
   Whole numbers have one sum whatever the order, so bits depend on nothing there. */
#include <omp.h>
#include <pthread.h>
#include <stdlib.h>
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/cpu/buffer.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/simd.h"

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__) || defined(__AMX_INT8__)
#define INT8_BY_LIBRARY 1
#elif defined(__AVX2__)
#define INT8_BY_AVX2 1
#endif

/* The layer's operands (kernels.h). */
struct layer {
    elem *y;
    const uint8_t *x, *w;
    const real *x_scale, *w_scale;
    const elem *b;
    long n, din, dout;
};

SIMD elem scaled(float sum, float row, float column, const elem *b, long o) {
    float v = sum * (row * column);
    return elem_store(b ? v + elem_load(b[o]) : v);
}

#ifdef INT8_BY_AVX2

enum { ROWS = 4, COLUMNS = 2, DEPTH = 16 }; /* a tile, and the numbers of a register */
enum { PANEL = 64, CHUNK = 48 }; /* rows and columns that a thread takes at once: they stay in its second cache */

/* Widens `count` codes at `from`, to multiples of DEPTH with zeros. */
static void widen_int8(int16_t *to, const uint8_t *from, long count, long padded) {
    long i = 0;
    for (; i + DEPTH <= count; i += DEPTH)
        _mm256_storeu_si256((__m256i *)(to + i), _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(from + i))));
    for (; i < padded; i++) to[i] = i < count ? (int8_t)from[i] : 0;
}

/* Adds up each of four registers; lane i is the sum of the i-th. */
SIMD __m128i four_sums(__m256i a, __m256i b, __m256i c, __m256i d) {
    __m256i halves = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
}

SIMD __m256i load_numbers(const int16_t *p) { return _mm256_loadu_si256((const __m256i *)p); }

/* The sums of row i with the two columns, in registers. The empty instruction makes the compiler finish a row's sums
   before it begins the next one's: it would otherwise do all products first and run out of registers. */
#define EACH_ROW(DO)   DO(0) DO(1) DO(2) DO(3)
#define SUMS_OF_ROW(i) __m256i a##i = _mm256_setzero_si256(), b##i = a##i;
#define ADD_ROW(i)                                                                                                     \
    {                                                                                                                  \
        const __m256i row = load_numbers(x + (i)*depth + k);                                                           \
        a##i = _mm256_add_epi32(a##i, _mm256_madd_epi16(row, first));                                                  \
        b##i = _mm256_add_epi32(b##i, _mm256_madd_epi16(row, second));                                                 \
        __asm__("" : "+x"(a##i), "+x"(b##i));                                                                          \
    }

/* sum[j][i] = row i of x times column j of w, whose rows and columns lie `depth` apart. */
static void tile_sums(int32_t sum[COLUMNS][ROWS], const int16_t *x, const int16_t *w, long depth) {
    EACH_ROW(SUMS_OF_ROW)
    for (long k = 0; k < depth; k += DEPTH) {
        __m256i first = load_numbers(w + k), second = load_numbers(w + depth + k);
        __asm__("" : "+x"(first), "+x"(second)); /* not read from memory again for each row */
        EACH_ROW(ADD_ROW)
    }
    _mm_storeu_si128((__m128i *)sum[0], four_sums(a0, a1, a2, a3));
    _mm_storeu_si128((__m128i *)sum[1], four_sums(b0, b1, b2, b3));
}

static long least(long a, long b) { return a < b ? a : b; }

/* Makes the columns from `first` on of a panel of rows. x: the panel's rows, w: room for COLUMNS columns. */
static void panel_columns(const struct layer *l, const int16_t *x, int16_t *w, long row, long rows, long first,
                          long depth) {
    const long columns = least(COLUMNS, l->dout - first);
    int32_t sum[COLUMNS][ROWS];
    for (long j = 0; j < columns; j++) widen_int8(w + j * depth, l->w + (first + j) * l->din, l->din, depth);
    for (long top = 0; top < rows; top += ROWS) {
        tile_sums(sum, x + top * depth, w, depth);
        for (long i = 0; i < least(ROWS, rows - top); i++) {
            const long r = row + top + i;
            for (long j = 0; j < columns; j++)
                l->y[r * l->dout + first + j] =
                    scaled((float)sum[j][i], l->x_scale[r], l->w_scale[first + j], l->b, first + j);
        }
    }
}

static long rounded(long n, long to) { return (n + to - 1) / to * to; }

/* The room holds x with 16 bits a number, its rows rounded up to ROWS, and a thread's columns of w. */
static long int8_floats(long n, long din, long dout) {
    return (void)dout, (rounded(n, ROWS) + COLUMNS * omp_get_max_threads()) * rounded(din, DEPTH) / 2;
}

static int int8_product(const struct layer *l) {
    const long depth = rounded(l->din, DEPTH), rows = rounded(l->n, ROWS);
    const long panels = (l->n + PANEL - 1) / PANEL, chunks = (l->dout + CHUNK - 1) / CHUNK;
    long floats = int8_floats(l->n, l->din, l->dout);
    int16_t *x = (int16_t *)cpu_buffer_take(1, &floats), *w = x + rows * depth;
    if (!x) return 1;
#pragma omp parallel
    {
        int16_t *own = w + omp_get_thread_num() * COLUMNS * depth;
#pragma omp for schedule(static)
        for (long r = 0; r < rows; r++) widen_int8(x + r * depth, l->x + r * l->din, r < l->n ? l->din : 0, depth);
        memset(own, 0, sizeof *own * (size_t)(COLUMNS * depth));
#pragma omp for schedule(static) collapse(2)
        for (long p = 0; p < panels; p++)
            for (long c = 0; c < chunks; c++)
                for (long first = c * CHUNK; first < least((c + 1) * CHUNK, l->dout); first += COLUMNS)
                    panel_columns(l, x + p * PANEL * depth, own, p * PANEL, least(PANEL, l->n - p * PANEL), first,
                                  depth);
    }
    cpu_buffer_give();
    return 1;
}

#elif defined(INT8_BY_LIBRARY)

static long int8_floats(long n, long din, long dout) { return (void)din, n * dout; }

static int int8_product(const struct layer *l) {
    long sums = int8_floats(l->n, l->din, l->dout);
    int32_t *sum = (int32_t *)cpu_buffer_take(1, &sums);
    if (!sum) return 1;
    int done = product_of_int8(sum, (const int8_t *)l->x, (const int8_t *)l->w, l->n, l->din, l->dout);
    if (done) {
#pragma omp parallel for schedule(static)
        for (long r = 0; r < l->n; r++)
            for (long o = 0; o < l->dout; o++)
                l->y[r * l->dout + o] = scaled((float)sum[r * l->dout + o], l->x_scale[r], l->w_scale[o], l->b, o);
    }
    cpu_buffer_give();
    return done;
}

#else

static long int8_floats(long n, long din, long dout) { return (void)n, (void)din, (void)dout, 0; }
static int int8_product(const struct layer *l) { return (void)l, 0; }

#endif

/* ---- widened ---- */

/* Memory for one layer's operands and sums, which stays; products take turns with it. The buffer of tiles is not free
   for it, because the product in between uses that. */
static struct {
    pthread_mutex_t lock;
    float *memory;
    size_t floats;
} room = {.lock = PTHREAD_MUTEX_INITIALIZER};

static float *room_of(size_t floats) {
    if (floats <= room.floats) return room.memory;
    free(room.memory);
    room.memory = aligned_alloc(64, (sizeof(float) * floats + 63) / 64 * 64);
    room.floats = room.memory ? floats : 0;
    if (!room.memory) device_fail("no memory for a widened weight: %.1f MiB", (double)floats * 4 / 1048576);
    return room.memory;
}

static void widen(elem *to, const uint8_t *from, long count, enum quantised_type type) {
    elem value[256];
    for (int code = 0; code < 256; code++) value[code] = elem_store(quantised_value((uint8_t)code, type));
#pragma omp parallel for schedule(static)
    for (long i = 0; i < count; i++) to[i] = value[from[i]];
}

/* Numbers rounded up to whole lines of a cache. */
static size_t lines_of(long numbers) { return ((size_t)numbers + 31) / 32 * 32; }

/* The room holds the sums in float, then x and w in elem. */
static size_t widened_floats(long n, long din, long dout) {
    return lines_of(n * dout) + (lines_of(n * din) + lines_of(dout * din)) * sizeof(elem) / sizeof(float);
}

static void widened_product(const struct layer *l, enum quantised_type type) {
    pthread_mutex_lock(&room.lock);
    float *sum = room_of(widened_floats(l->n, l->din, l->dout));
    if (sum) {
        elem *x = (elem *)(sum + lines_of(l->n * l->dout)), *w = x + lines_of(l->n * l->din);
        widen(x, l->x, l->n * l->din, type);
        widen(w, l->w, l->dout * l->din, type);
        linear_forward_real(sum, x, w, NULL, l->n, l->din, l->dout);
#pragma omp parallel for schedule(static)
        for (long r = 0; r < l->n; r++)
            for (long o = 0; o < l->dout; o++)
                l->y[r * l->dout + o] = scaled(sum[r * l->dout + o], l->x_scale[r], l->w_scale[o], l->b, o);
    }
    pthread_mutex_unlock(&room.lock);
}

void linear_quantised_forward(elem *y, const uint8_t *x, const real *x_scale, const uint8_t *w, const real *w_scale,
                              const elem *b, enum quantised_type type, long n, long din, long dout) {
    KERNEL_SCOPE;
    const struct layer l = {y, x, w, x_scale, w_scale, b, n, din, dout};
    if (n <= 0 || dout <= 0) return;
    if (type == QUANTISED_INT8 && int8_product(&l)) return;
    widened_product(&l, type);
}

long quantised_room(enum quantised_type type, long n, long din, long dout) {
    long whole = type == QUANTISED_INT8 ? int8_floats(n, din, dout) : 0;
    return (long)sizeof(float) * (whole ? whole : (long)widened_floats(n, din, dout));
}
