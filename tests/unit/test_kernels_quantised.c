/* test_kernels_quantised.c: rows of 8-bit numbers, what makes them, reads them and multiplies them, against the oracle.
   Sizes: n, d; n, H, D; or n, din, dout. */
#include "kernel_harness.h"

static enum quantised_type type_of(const struct trial *t) { return t->variant & 1 ? QUANTISED_FP8 : QUANTISED_INT8; }

static void fetch(const struct buffer *b, void *to) {
    mem_download(to, b->device, (size_t)b->n * number_size(b->number));
}

/* Half of the step between codes around the value v of a code. */
static double half_step(double v, enum quantised_type type) {
    int exponent;
    if (type == QUANTISED_INT8) return 0.5;
    frexp(v, &exponent); /* |v| in [2^(exponent - 1), 2^exponent), with 8 steps */
    return exponent - 1 < -6 ? 0x1p-10 : ldexp(0.0625, exponent - 1);
}

/* Takes the device's code where it is not the oracle's, if the value lies in the middle of the two, up to the rounding
   of the value and of the division by the scale. want: the oracle's codes; of: the values, each known up to `error`. */
static void accept_middles(struct buffer *codes, const uint8_t *want, const double *of, const double *error,
                           const double *scale, long d, enum quantised_type type) {
    uint8_t *got = malloc((size_t)codes->n);
    fetch(codes, got);
    for (long i = 0; i < codes->n; i++) {
        double s = scale[i / d], value = quantised_value(got[i], type), off = fabs(value * s - of[i]);
        double near = half_step(value, type) * s * (1 + 1e-6) + error[i] + 4 * unit(REAL) * fabs(of[i]);
        put(codes, i, got[i] != want[i] && off <= near ? got[i] : want[i]);
    }
    free(got);
}

/* Bit 0: the type; bit 1: gelu; bit 2: the second row is zeros, and the third tiny. */
static void rows(struct trial *t, const long *s) {
    const long n = s[0], d = s[1];
    const enum quantised_type type = type_of(t);
    struct buffer *x = make(t, ELEM, INPUT, n * d), *codes = make(t, BYTE, OUTPUT, n * d);
    struct buffer *scale = make(t, REAL, OUTPUT, n);
    uint8_t *want = malloc((size_t)(n * d));
    double *of = malloc(sizeof *of * (size_t)(n * d)), *error = calloc((size_t)(n * d), sizeof *error);
    spread(x, -3, 3);
    for (long i = d; t->variant & 4 && i < 3 * d && i < n * d; i++) put(x, i, i < 2 * d ? 0 : 1e-34 * x->value[i]);
    load(t);
    (t->variant & 2 ? gelu_quantise : rows_quantise)(dev(codes), dev(scale), type, dev(x), n, d);
    (t->variant & 2 ? ref_gelu_quantise : ref_rows_quantise)(want, val(scale), type, val(x), n, d);
    memcpy(of, val(x), sizeof *of * (size_t)(n * d));
    if (t->variant & 2) ref_gelu_forward(of, of, n * d);
    for (long i = 0; i < n * d; i++) error[i] = t->variant & 2 ? slack(1) * fabs(x->value[i]) : 0;
    for (long r = 0; r < n; r++)
        for (long i = r * d; i < (r + 1) * d; i++) /* an error of the largest value is one of the scale */
            scale->noise[r] = fmax(scale->noise[r], 4 * unit(REAL) * scale->value[r] + error[i]);
    for (long r = 0; r < n; r++)
        if (t->variant & 2)
            for (long i = r * d; i < (r + 1) * d; i++) error[i] += scale->noise[r] * quantised_largest(type);
    accept_middles(codes, want, of, error, val(scale), d, type);
    free(want), free(of), free(error);
}

/* A value that is not finite makes the scale a NaN, and with it all that is computed from the row. */
static void not_finite(struct trial *t, const long *s) {
    const long n = s[0], d = s[1];
    struct buffer *x = make(t, ELEM, INPUT, n * d), *codes = make(t, BYTE, OUTPUT, n * d);
    struct buffer *scale = make(t, REAL, OUTPUT, n);
    real *got = malloc(sizeof *got * (size_t)n);
    uint8_t *bytes = malloc((size_t)(n * d));
    for (long i = 0; i < n * d; i++)
        if (i % d == (7 * (i / d)) % d) put(x, i, t->variant & 2 ? (double)NAN : t->variant & 4 ? INFINITY : 1);
    load(t);
    rows_quantise(dev(codes), dev(scale), type_of(t), dev(x), n, d);
    fetch(scale, got);
    fetch(codes, bytes);
    for (long r = 0; r < n; r++) {
        if (!isnan(got[r]) != !(t->variant & 6)) complain(t, 2, "not told", r, (double)got[r], 0, 0);
        put(scale, r, 0);
        scale->noise[r] = INFINITY;
        if (isnan(got[r])) { /* told: finish compares numbers only */
            real zero = 0;
            mem_upload((real *)dev(scale) + r, &zero, sizeof zero);
        }
    }
    for (long i = 0; i < n * d; i++) put(codes, i, bytes[i]);
    free(got), free(bytes);
}

/* Codes of every kind but fp8's NaNs, with scales of every size. */
static struct buffer *make_codes(struct trial *t, long n, enum quantised_type type) {
    struct buffer *codes = make(t, BYTE, INPUT, n);
    for (long i = 0; i < n; i++) {
        int code = (int)floor(256 * draw(t));
        put(codes, i, type == QUANTISED_FP8 && (code & 0x7f) == FP8_NAN ? 0 : code == 0x80 ? 0x81 : code);
    }
    return codes;
}
static uint8_t *bytes_of(const struct buffer *codes) {
    uint8_t *bytes = malloc((size_t)codes->n);
    for (long i = 0; i < codes->n; i++) bytes[i] = (uint8_t)codes->value[i];
    return bytes;
}

/* Bit 0: the type. */
static void widen(struct trial *t, const long *s) {
    const long n = s[0], d = s[1];
    struct buffer *codes = make_codes(t, n * d, type_of(t)), *scale = make(t, REAL, INPUT, n);
    struct buffer *y = make(t, ELEM, OUTPUT, n * d);
    uint8_t *bytes = bytes_of(codes);
    load(t);
    rows_widen(dev(y), dev(codes), dev(scale), type_of(t), n, d);
    ref_rows_widen(val(y), bytes, val(scale), type_of(t), n, d);
    for (long i = 0; i < n * d; i++) y->noise[i] = unit(REAL) * fabs(y->value[i]);
    free(bytes);
}

/* Bit 0: the type. */
static void widen_rotated(struct trial *t, const long *s) {
    const long n = s[0], H = s[1], D = s[2], half = D / 2;
    struct buffer *codes = make_codes(t, n * H * D, type_of(t)), *scale = make(t, REAL, INPUT, n * H);
    struct buffer *c = make(t, REAL, INPUT, n * half), *sn = make(t, REAL, INPUT, n * half);
    struct buffer *y = make(t, ELEM, OUTPUT, n * H * D);
    uint8_t *bytes = bytes_of(codes);
    load(t);
    rope_widen(dev(y), dev(codes), dev(scale), type_of(t), dev(c), dev(sn), n, H, D);
    ref_rope_widen(val(y), bytes, val(scale), type_of(t), val(c), val(sn), n, H, D);
    for (long i = 0; i < n * H * D; i++) {
        double u = quantised_value(bytes[i / 2 * 2], type_of(t)), v = quantised_value(bytes[i / 2 * 2 + 1], type_of(t));
        y->noise[i] = slack(2) * fabs(scale->value[i / D]) * (fabs(u) + fabs(v));
    }
    free(bytes);
}

/* Room whose contents do not matter afterwards. */
static void ignore(struct buffer *b) {
    unsigned char *bytes = calloc((size_t)b->n, number_size(b->number));
    mem_upload(b->device, bytes, (size_t)b->n * number_size(b->number));
    for (long i = 0; i < b->n; i++) b->value[i] = 0;
    free(bytes);
}

static void expect_bytes(struct buffer *codes, const uint8_t *device) {
    uint8_t *want = malloc((size_t)codes->n);
    mem_download(want, device, (size_t)codes->n);
    for (long i = 0; i < codes->n; i++) put(codes, i, want[i]);
    free(want);
}

static void expect_reals(struct buffer *numbers, const real *device) {
    real *want = malloc(sizeof *want * (size_t)numbers->n);
    mem_download(want, device, sizeof *want * (size_t)numbers->n);
    for (long i = 0; i < numbers->n; i++) put(numbers, i, (double)want[i]);
    free(want);
}

/* The norms give the bits of one after the other. Bit 0: the type; bit 1: weights in place of modulation; bit 2: no
   gate; with modulation, bit 3: no branch. */
static void norms(struct trial *t, const long *s) {
    const long n = s[0], d = s[1], group = (n + 1) / 2, groups = 2;
    const int weights = t->variant >> 1 & 1, bare = t->variant >> 3 & 1 && !weights;
    const enum quantised_type type = type_of(t);
    struct buffer *x = make(t, RESID, INPUT, n * d), *branch = bare ? NULL : make(t, ELEM, INPUT, n * d);
    struct buffer *gate = make_unless(t, 2, REAL, INPUT, groups * d);
    struct buffer *shift = make(t, REAL, INPUT, groups * d), *factor = make(t, REAL, INPUT, groups * d);
    struct buffer *w = make(t, ELEM, INPUT, d), *b = make(t, ELEM, INPUT, d);
    struct buffer *y = make(t, ELEM, OUTPUT, n * d), *mean = make(t, REAL, OUTPUT, n), *rstd = make(t, REAL, OUTPUT, n);
    struct buffer *out = bare ? NULL : make(t, RESID, OUTPUT, n * d);
    struct buffer *codes = make(t, BYTE, OUTPUT, n * d), *scale = make(t, REAL, OUTPUT, n);
    load(t);
    const real eps = (real)1e-6;
    resid *summed = device_alloc(sizeof *summed * (size_t)(n * d));
    elem *normed = device_alloc(sizeof *normed * (size_t)(n * d));
    uint8_t *want = device_alloc((size_t)(n * d));
    real *want_scale = device_alloc(sizeof *want_scale * (size_t)n), *room = device_alloc(2 * sizeof *room * (size_t)n);
    if (weights) {
        residual_layernorm_quantise(dev(codes), dev(scale), type, dev(y), dev(mean), dev(rstd), dev(out), dev(x),
                                    dev(branch), dev(gate), d, dev(w), dev(b), n, d, group, eps);
        residual_layernorm_forward(normed, room, room + n, summed, dev(x), dev(branch), dev(gate), d, dev(w), dev(b), n,
                                   d, group, eps);
    } else {
        residual_modulate_quantise(dev(codes), dev(scale), type, dev(y), dev(mean), dev(rstd), dev(out), dev(x),
                                   dev(branch), dev(gate), d, dev(shift), dev(factor), n, d, group, d, eps);
        if (bare)
            layernorm_modulate_forward(normed, room, room + n, dev(x), dev(shift), dev(factor), n, d, group, d, eps);
        else
            residual_modulate_forward(normed, room, room + n, summed, dev(x), dev(branch), dev(gate), d, dev(shift),
                                      dev(factor), n, d, group, d, eps);
    }
    rows_quantise(want, want_scale, type, normed, n, d);
    ignore(y), ignore(mean), ignore(rstd);
    if (!bare) ref_residual_forward(val(out), val(x), val(branch), val(gate), n, d, group, d);
    for (long i = 0; out && i < n * d; i++) out->noise[i] = slack(1) * 3;
    expect_bytes(codes, want);
    expect_reals(scale, want_scale);
    device_free(summed), device_free(normed), device_free(want), device_free(want_scale), device_free(room);
}

static uint8_t drawn_code(struct trial *t, enum quantised_type type, int extreme) {
    const uint8_t code = (uint8_t)(256 * draw(t));
    if (type == QUANTISED_INT8) return extreme ? (code & 1 ? 127 : 127 + 2) : code == 0x80 ? 0 : code;
    if (extreme) return (uint8_t)(0x7e | (code & 0x80));
    return (code & 0x7f) == FP8_NAN ? 0 : code;
}

static uint8_t *codes_of(struct trial *t, struct buffer *b, enum quantised_type type, int extreme) {
    uint8_t *codes = malloc((size_t)b->n);
    for (long i = 0; i < b->n; i++) put(b, i, codes[i] = drawn_code(t, type, extreme));
    return codes;
}

/* Bit 0: the type; bit 1: no bias; bits 2 and 3: x and w consist of the largest codes, with any sign. With int8 and
   rows this short every sum is below 2^24, exact, and rounded by the scales and the bias alone. */
static void product(struct trial *t, const long *s) {
    const long n = s[0], din = s[1], dout = s[2];
    const enum quantised_type type = type_of(t);
    struct buffer *x = make(t, BYTE, INPUT, n * din), *w = make(t, BYTE, INPUT, dout * din);
    struct buffer *x_scale = make(t, REAL, INPUT, n), *w_scale = make(t, REAL, INPUT, dout);
    struct buffer *b = make_unless(t, 1, ELEM, INPUT, dout), *y = make(t, ELEM, OUTPUT, n * dout);
    uint8_t *x_codes = codes_of(t, x, type, t->variant >> 2 & 1), *w_codes = codes_of(t, w, type, t->variant >> 3 & 1);
    spread(x_scale, 1e-3, 1e-2);
    spread(w_scale, 1e-3, 1e-2);
    load(t);
    linear_quantised_forward(dev(y), dev(x), dev(x_scale), dev(w), dev(w_scale), dev(b), type, n, din, dout);
    ref_linear_quantised_forward(val(y), x_codes, val(x_scale), w_codes, val(w_scale), val(b), type, n, din, dout);
    for (long i = 0; i < n * dout; i++) {
        const long r = i / dout, o = i % dout;
        double sizes = 0, scale = x_scale->value[r] * w_scale->value[o], bias = b ? fabs(b->value[o]) : 0;
        for (long k = 0; k < din; k++)
            sizes += fabs(quantised_value(x_codes[r * din + k], type) * quantised_value(w_codes[o * din + k], type));
        y->noise[i] = type == QUANTISED_FP8 ? slack(din) * (sizes * scale + bias)
                                            : 4 * unit(REAL) * (fabs(y->value[i]) + 2 * bias);
    }
    free(x_codes), free(w_codes);
}

static const long row_shapes[][CASE_SIZES] = {{1, 1}, {3, 33}, {33, 31}, {31, 96}, {5, 256}, {2, 1030}, {0}};
static const long head_shapes[][CASE_SIZES] = {{1, 1, 2}, {3, 5, 6}, {33, 3, 16}, {31, 2, 34}, {5, 24, 128}, {0}};
static const long norm_shapes[][CASE_SIZES] = {{2, 33}, {34, 31}, {30, 96}, {6, 256}, {2, 1032}, {0}};
static const long shapes[][CASE_SIZES] = {{1, 1, 1},     {3, 1, 33},    {33, 31, 3},   {31, 96, 33},  {1, 64, 31},
                                          {64, 32, 128}, {70, 130, 40}, {67, 48, 101}, {5, 1000, 49}, {0}};

static const struct kernel_case quantised[] = {
    {"rows_quantise, gelu_quantise", rows, 8, row_shapes},
    {"rows_quantise, not finite", not_finite, 8, row_shapes},
    {"rows_widen", widen, 2, row_shapes},
    {"rope_widen", widen_rotated, 2, head_shapes},
    {"residual_modulate_quantise, residual_layernorm_quantise", norms, 16, norm_shapes},
    {"linear_quantised_forward", product, 16, shapes},
};

/* Every code of fp8 is the nearest one to its own value, and to all values up to the middles between its neighbours. */
static void check_fp8(void) {
    for (int code = 0; code < 256; code++) {
        if ((code & 0x7f) == FP8_NAN) continue;
        const float v = fp8_value((uint8_t)code);
        if (fp8_code(v) != code) printf("fp8 %02x is %g, whose code is %02x\n", code, (double)v, fp8_code(v)), exit(1);
        if ((code & 0x7f) >= 0x7e) continue;
        const float next = fp8_value((uint8_t)(code + 1)), middle = (v + next) / 2, even = code & 1 ? next : v;
        if (fp8_value(fp8_code(middle)) != even || fp8_value(fp8_code(nextafterf(middle, v))) != v ||
            fp8_value(fp8_code(nextafterf(middle, next))) != next)
            printf("fp8 %02x: %g between %g and %g\n", code, (double)middle, (double)v, (double)next), exit(1);
    }
    if (fp8_value(0x7e) != 448 || fp8_value(1) != 0x1p-9f || fp8_value(8) != 0x1p-6f || fp8_value(0x38) != 1) exit(1);
    if (fp8_value(fp8_code(1e9f)) != 448 || fp8_value(fp8_code(-1e9f)) != -448) exit(1);
}

int main(void) {
    check_fp8();
    return RUN_CASES(quantised);
}
