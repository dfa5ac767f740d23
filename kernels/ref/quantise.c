/* quantise.c: rows of 8-bit numbers with a scale each (quantised.h), as the definition. */
#include "kernels/kernels.h"
#include "kernels/device.h"
#include "kernels/ref/gelu.h"

/* The larger magnitude; a NaN in either stays one. */
static float larger(float a, float b) { return isnan(a) || a > fabsf(b) ? a : fabsf(b); }

/* Quantises a row of which function(x[i]) are the values. */
static void quantise_row(uint8_t *codes, real *scale, enum quantised_type type, real (*function)(real), const elem *x,
                         long d) {
    float most = 0;
    for (long i = 0; i < d; i++) most = larger(most, (float)function(elem_load(x[i])));
    const float factor = quantised_factor(most, type);
    *scale = quantised_scale(most, type);
    for (long i = 0; i < d; i++)
        codes[i] = factor > 0 ? quantised_code((float)function(elem_load(x[i])) * factor, type) : 0;
}

static real same(real x) { return x; }

void rows_quantise(uint8_t *codes, real *scale, enum quantised_type type, const elem *x, long n, long d) {
    KERNEL_SCOPE;
    for (long r = 0; r < n; r++) quantise_row(codes + r * d, scale + r, type, same, x + r * d, d);
}

void rows_widen(elem *y, const uint8_t *codes, const real *scale, enum quantised_type type, long n, long d) {
    KERNEL_SCOPE;
    for (long i = 0; i < n * d; i++) y[i] = elem_store(scale[i / d] * (real)quantised_value(codes[i], type));
}

void gelu_quantise(uint8_t *codes, real *scale, enum quantised_type type, const elem *x, long n, long d) {
    KERNEL_SCOPE;
    for (long r = 0; r < n; r++) quantise_row(codes + r * d, scale + r, type, gelu_value, x + r * d, d);
}
