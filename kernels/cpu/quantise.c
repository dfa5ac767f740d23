/* quantise.c: rows of 8-bit numbers with a scale each (quantised.h). A row waits in the first cache, as floats, until
   its largest magnitude is known. Magnitudes are compared as whole numbers, in whose order a NaN is above all others.
   */
#include <omp.h>
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/cpu/buffer.h"
#include "kernels/cpu/widen.h"

SIMD ivec larger(ivec a, ivec b) {
    ivec first = a > b;
    return (a & first) | (b & ~first);
}

static float largest(ivec v) {
    int32_t each[LANES];
    float size;
    memcpy(each, &v, sizeof each);
    for (int i = 1; i < LANES; i++)
        if (each[i] > each[0]) each[0] = each[i];
    memcpy(&size, each, sizeof size);
    return size;
}

/* The nearest whole numbers; |v| is below 2^22. */
SIMD ivec whole(vec v) { return (ivec)(v + vec_set(12582912.0f)) - 0x4b400000; }

/* fp8_code, lane by lane. */
SIMD ivec fp8_codes(vec v) {
    uvec bits = (uvec)v, size = bits & 0x7fffffffu;
    ivec normal = (ivec)((size + 0x7ffff + (size >> 20 & 1)) >> 20) - (120 << 3), most = normal > 0x7e;
    ivec small = (ivec)(size < 0x3c800000u), code = (normal & ~most) | (0x7e & most);
    return (ivec)(bits >> 24 & 0x80) | (whole((vec)size * 512.0f) & small) | (code & ~small);
}

/* The low bytes; gcc takes the lanes one by one where it is not told the instructions. */
SIMD bvec low_bytes(ivec v) {
#if defined(__AVX512F__)
    return (bvec)_mm512_cvtepi32_epi8((__m512i)v);
#elif defined(__AVX2__)
    const __m256i low = (__m256i)(v & 0xff);
    const __m128i half = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    return (bvec)_mm_cvtsi128_si64(_mm_packus_epi16(half, half));
#else
    return __builtin_convertvector(v, bvec);
#endif
}

SIMD void store_codes(uint8_t *to, ivec codes, long n) {
    bvec bytes = low_bytes(codes);
    if (n >= LANES)
        *(bvec_memory *)to = bytes;
    else
        for (long i = 0; i < n; i++) to[i] = bytes[i];
}

SIMD ivec magnitude(ivec most, vec x) { return larger(most, (ivec)x & 0x7fffffff); }

/* Writes a row of x, or gelu of it, to `row`; returns the largest magnitude. */
typedef float fill_row(float *row, const elem *x, long d);

static float fill_same(float *row, const elem *x, long d) {
    ivec most = {0};
    for (long i = 0; i < d; i += LANES) {
        vec v = elem_load_some(x + i, d - i);
        vec_store_some(row + i, v, d - i);
        most = magnitude(most, v);
    }
    return largest(most);
}

static float fill_gelu(float *row, const elem *x, long d) {
    ivec most = {0};
    for (long i = 0; i < d; i += LANES) {
        vec v = vec_gelu(elem_load_some(x + i, d - i)); /* gelu(0) = 0: lanes beyond the row stay zero */
        vec_store_some(row + i, v, d - i);
        most = magnitude(most, v);
    }
    return largest(most);
}

static void write_row(uint8_t *codes, real *scale, enum quantised_type type, const float *row, long d, float most) {
    const float factor = quantised_factor(most, type);
    *scale = quantised_scale(most, type);
    if (!(factor > 0))
        memset(codes, 0, (size_t)d);
    else if (type == QUANTISED_INT8)
        for (long i = 0; i < d; i += LANES)
            store_codes(codes + i, whole(vec_load_some(row + i, d - i) * factor), d - i);
    else
        for (long i = 0; i < d; i += LANES)
            store_codes(codes + i, fp8_codes(vec_load_some(row + i, d - i) * factor), d - i);
}

static void quantise(uint8_t *codes, real *scale, enum quantised_type type, fill_row *fill, const elem *x, long n,
                     long d) {
    long each = d;
    float *rows = cpu_buffer_take(omp_get_max_threads(), &each);
    if (!rows) return;
#pragma omp parallel for schedule(static)
    for (long r = 0; r < n; r++) {
        float *row = rows + omp_get_thread_num() * each;
        const float most = fill(row, x + r * d, d);
        write_row(codes + r * d, scale + r, type, row, d, most);
    }
    cpu_buffer_give();
}

void rows_quantise(uint8_t *codes, real *scale, enum quantised_type type, const elem *x, long n, long d) {
    KERNEL_SCOPE;
    quantise(codes, scale, type, fill_same, x, n, d);
}

void rows_widen(elem *y, const uint8_t *codes, const real *scale, enum quantised_type type, long n, long d) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long r = 0; r < n; r++)
        for (long i = 0; i < d; i += LANES)
            elem_store_some(y + r * d + i, codes_load_some(codes + r * d + i, type, d - i) * scale[r], d - i);
}

void gelu_quantise(uint8_t *codes, real *scale, enum quantised_type type, const elem *x, long n, long d) {
    KERNEL_SCOPE;
    quantise(codes, scale, type, fill_gelu, x, n, d);
}
