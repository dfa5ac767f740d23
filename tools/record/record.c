/* record.c: see record.h. A line for each kernel says what it reads and writes, with the operands of
   kernels.h; sums that are added to are read and written, outputs that a call does not want (NULL) do
   not count. A new kernel in the network's passes needs a line here. Where no dry run is on, the same
   lines tell the clock (timed.h) what it has timed. */
#include "tools/record/record.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "kernels/arena.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "tools/record/timed.h"

enum { KERNELS_MAX = 64, FEW_KEYS = 16 }; /* FEW_KEYS: attention to that many keys or fewer has a name of its own */
static const size_t ADDRESSES = (size_t)1 << 40;

static struct {
    int on, count;
    char *base;
    size_t used;
    struct dry_entry entries[KERNELS_MAX];
} dry;

int dry_begin(void) {
    dry.base = mmap(NULL, ADDRESSES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (dry.base == MAP_FAILED) return error_set(ERR_DEVICE, "dry run: no addresses for the network");
    dry.used = 0;
    dry.on = 1;
    dry_clear();
    return OK;
}

void dry_end(void) {
    dry.on = 0;
    munmap(dry.base, ADDRESSES);
}

void dry_clear(void) { dry.count = 0; }

int dry_entry(int i, struct dry_entry *entry) {
    if (i < 0 || i >= dry.count) return 0;
    *entry = dry.entries[i];
    return 1;
}

struct traffic dry_sum(void) {
    struct traffic sum = {0};
    for (int i = 0; i < dry.count; i++) traffic_add(&sum, &dry.entries[i].traffic);
    return sum;
}

static void note(const char *kernel, struct traffic t) {
    int i = 0;
    while (i < dry.count && strcmp(dry.entries[i].kernel, kernel) != 0) i++;
    if (i == KERNELS_MAX) return device_fail("dry run: more than %d kernels", KERNELS_MAX);
    if (i == dry.count) dry.entries[dry.count++] = (struct dry_entry){.kernel = kernel};
    traffic_add(&dry.entries[i].traffic, &t);
}

static void count(const char *kernel, struct numbers in, struct numbers out, double operations) {
    note(kernel, (struct traffic){1, numbers_bytes(in), numbers_bytes(out), operations});
}

/* Counts a copy as one of elem, in bf16, because it knows no type. */
static void count_copy(size_t bytes) {
    double moved = 2.0 * (double)(bytes / sizeof(elem));
    if (bytes) note("mem_copy", (struct traffic){1, moved, moved, 0});
}

/* ---- attention ---- */

static int side_by_side(const struct attention_range *a, const struct attention_range *b, long B, long width) {
    long size = a->length * width;
    return b->k == a->k + size && b->v == a->v + size &&
           (B == 1 || (b->k_stride == a->k_stride && b->v_stride == a->v_stride));
}

/* Number of calls of the library for a list of ranges: ranges without keys need none, and
   a range that lies behind the one before shares its call. */
static long pieces_of(const struct attention_range *ranges, int count, long B, long width) {
    long pieces = 0;
    const struct attention_range *last = NULL;
    for (int r = 0; r < count; r++) {
        if (ranges[r].length <= 0) continue;
        if (!last || !side_by_side(last, &ranges[r], B, width)) pieces++;
        last = &ranges[r];
    }
    return pieces;
}

static double keys_of(const struct attention_range *ranges, int count) {
    double keys = 0;
    for (int r = 0; r < count; r++) keys += (double)ranges[r].length;
    return keys;
}

/* Counts the forward: each piece reads the queries and leaves an output; a further kernel merges several. */
static void count_attention_forward(const struct attention_range *ranges, int n, double B, double S, double H,
                                    double D) {
    double width = H * D, keys = keys_of(ranges, n), rows = B * S;
    double pieces = (double)pieces_of(ranges, n, (long)B, (long)width);
    struct numbers in = {pieces * rows * width + 2 * B * keys * width, 0},
                   out = {pieces * rows * width, pieces * rows * H};
    note("attention_forward",
         (struct traffic){(long)pieces, numbers_bytes(in), numbers_bytes(out), 4 * rows * keys * width});
    if (pieces > 1) count("attention_merge", out, (struct numbers){rows * width, rows * H}, 0);
}

/* Counts the backward: the library gives the keys' gradients in elem; where sums are wanted, a kernel of its own adds
   them. Every piece but the first leaves a part of the queries' gradient, which is added too. */
static void count_attention_backward(const elem *dq, const struct attention_range *ranges, int n, double B, double S,
                                     double H, double D) {
    double width = H * D, rows = B * S, pieces = 0;
    for (int r = 0; r < n; r++) {
        double keys = B * (double)ranges[r].length * width;
        if (keys <= 0) continue;
        struct numbers in = {3 * rows * width + 2 * keys, rows * H}, out = {rows * width + 2 * keys, 0};
        count("attention_backward", in, out, 10 * rows * keys / B);
        if (pieces++ > 0 && dq)
            count("elem_add", (struct numbers){2 * rows * width, 0}, (struct numbers){rows * width, 0}, 0);
        for (int i = 0; i < (ranges[r].dk_sum != NULL) + (ranges[r].dv_sum != NULL); i++)
            count("real_add_elem", (struct numbers){keys, keys}, (struct numbers){0, keys}, 0);
    }
}

/* ---- every kernel of the network's passes ---- */

#define N(elems, reals) ((struct numbers){(double)(elems), (double)(reals)})
#define IF(pointer, n)  ((pointer) ? (n) : 0)
#define GROUPS          ((n) / (rows_per_group))

/* Declares the linker's names (DRY_WRAP): calls of `name` come to __wrap_name, and __real_name is the kernel. */
#define WRAPPED(type, name, declared)                                                                                  \
    type __real_##name declared;                                                                                       \
    type __wrap_##name declared;                                                                                       \
    type __wrap_##name declared
/* Makes a call, timed where the clock runs. */
#define TIMED(name, in, out, operations, call)                                                                         \
    do {                                                                                                               \
        if (timed_on()) timed_open();                                                                                  \
        call;                                                                                                          \
        if (timed_on()) timed_close(name, in, out, operations);                                                        \
    } while (0)
#define COUNTED(name, declared, given, in, out, operations)                                                            \
    WRAPPED(void, name, declared) {                                                                                    \
        if (dry.on)                                                                                                    \
            count(#name, in, out, operations);                                                                         \
        else                                                                                                           \
            TIMED(#name, in, out, operations, __real_##name given);                                                    \
    }

/* pointwise */
COUNTED(elem_from_real, (elem * y, const real *x, long n), (y, x, n), N(0, n), N(n, 0), 0)
COUNTED(real_fill, (real * y, real value, long n), (y, value, n), N(0, 0), N(0, n), 0)
COUNTED(real_axpby, (real * y, real a, const real *x, real b, long n), (y, a, x, b, n), N(0, 2 * n), N(0, n), 0)
COUNTED(real_add_elem, (real * y, const elem *x, long n), (y, x, n), N(n, n), N(0, n), 0)
COUNTED(silu_forward, (elem * y, const real *x, long n), (y, x, n), N(0, n), N(n, 0), 0)
COUNTED(silu_backward, (real * dx, const elem *dy, const real *x, long n), (dx, dy, x, n), N(n, n), N(0, n), 0)
COUNTED(gelu_forward, (elem * y, const elem *x, long n), (y, x, n), N(n, 0), N(n, 0), 0)
COUNTED(gelu_backward, (elem * dx, const elem *dy, const elem *x, long n), (dx, dy, x, n), N(2 * n, 0), N(n, 0), 0)
COUNTED(relu_forward, (elem * y, const elem *x, long n), (y, x, n), N(n, 0), N(n, 0), 0)
COUNTED(relu_backward, (elem * dx, const elem *dy, const elem *y, long n), (dx, dy, y, n), N(2 * n, 0), N(n, 0), 0)
COUNTED(random_normal,
        (real * y, uint64_t seed, uint64_t step, int purpose, int pass, long sample0, long B, long frame0, long F,
         long size),
        (y, seed, step, purpose, pass, sample0, B, frame0, F, size), N(0, 0), N(0, B *F *size), 0)
COUNTED(random_init, (real * y, uint64_t seed, int tensor, real scale, long size), (y, seed, tensor, scale, size),
        N(0, 0), N(0, size), 0)

/* products */
#define PRODUCT (2.0 * (double)n * (double)din * (double)dout)
#define WEIGHTS (din * dout + IF(b, dout))
COUNTED(linear_forward, (elem * y, const elem *x, const elem *w, const elem *b, long n, long din, long dout, real beta),
        (y, x, w, b, n, din, dout, beta), N(n *din + WEIGHTS + (beta != 0 ? n * dout : 0), 0), N(n *dout, 0), PRODUCT)
COUNTED(linear_parts_forward,
        (elem * y, const elem *x, const elem *w, const elem *b, long parts, long y_stride, long n, long din, long dout),
        (y, x, w, b, parts, y_stride, n, din, dout), N(n *din + parts * WEIGHTS, 0), N(parts *n *dout, 0),
        (double)parts *PRODUCT)
COUNTED(linear_forward_real, (real * y, const elem *x, const elem *w, const elem *b, long n, long din, long dout),
        (y, x, w, b, n, din, dout), N(n *din + WEIGHTS, 0), N(0, n *dout), PRODUCT)
COUNTED(linear_gelu_forward,
        (elem * y, elem *pre, const elem *x, const elem *w, const elem *b, long n, long din, long dout),
        (y, pre, x, w, b, n, din, dout), N(n *din + WEIGHTS, 0), N(n *dout + IF(pre, n *dout), 0), PRODUCT)
COUNTED(linear_backward_input, (elem * dx, const elem *dy, const elem *w, long n, long din, long dout, real beta),
        (dx, dy, w, n, din, dout, beta), N(n *dout + din * dout + (beta != 0 ? n * din : 0), 0), N(n *din, 0), PRODUCT)
COUNTED(linear_gelu_backward_input,
        (elem * dx, const elem *dy, const elem *w, const elem *pre, long n, long din, long dout),
        (dx, dy, w, pre, n, din, dout), N(n *dout + din * dout + n * din, 0), N(n *din, 0), PRODUCT)
/* When it is timed, the bias is a call of its own. */
WRAPPED(void, linear_backward_weight,
        (real * dw, real *db, const elem *dy, const elem *x, long n, long din, long dout)) {
    const struct numbers rows = N(n * din + n * dout, 0), sums = N(0, IF(dw, din * dout)), bias = N(0, IF(db, dout));
    if (dry.on) {
        count("linear_backward_weight", N(rows.elems, sums.reals + bias.reals), N(0, sums.reals + bias.reals), PRODUCT);
    } else if (timed_on()) {
        if (dw)
            TIMED("linear_backward_weight", N(rows.elems, sums.reals), sums, PRODUCT,
                  __real_linear_backward_weight(dw, NULL, dy, x, n, din, dout));
        if (db)
            TIMED("linear_backward_bias", N(n * dout, dout), bias, 0,
                  __real_linear_backward_weight(NULL, db, dy, x, n, din, dout));
    } else {
        __real_linear_backward_weight(dw, db, dy, x, n, din, dout);
    }
}

/* norms */
#define MODULATED (2 * GROUPS * d)
COUNTED(layernorm_modulate_forward,
        (elem * y, real *mean, real *rstd, const resid *x, const real *shift, const real *scale, long n, long d,
         long rows_per_group, long group_stride, real eps),
        (y, mean, rstd, x, shift, scale, n, d, rows_per_group, group_stride, eps), N(0, n *d + MODULATED),
        N(n *d, 2 * n), 0)
COUNTED(layernorm_modulate_backward,
        (resid * dx, real *dshift, real *dscale, const elem *dy, const resid *x, const real *mean, const real *rstd,
         const real *scale, long n, long d, long rows_per_group, long group_stride),
        (dx, dshift, dscale, dy, x, mean, rstd, scale, n, d, rows_per_group, group_stride),
        N(n *d, 2 * n * d + 2 * n + GROUPS * d + IF(dshift, MODULATED)), N(0, n *d + IF(dshift, MODULATED)), 0)
COUNTED(layernorm_forward,
        (elem * y, real *mean, real *rstd, const resid *x, const elem *w, const elem *b, long n, long d, real eps),
        (y, mean, rstd, x, w, b, n, d, eps), N(2 * d, n *d), N(n *d, 2 * n), 0)
#define RESIDUAL (n * d + IF(gate, GROUPS * d))
COUNTED(residual_modulate_forward,
        (elem * y, real *mean, real *rstd, resid *out, const resid *x, const elem *branch, const real *gate,
         long gate_stride, const real *shift, const real *scale, long n, long d, long rows_per_group, long group_stride,
         real eps),
        (y, mean, rstd, out, x, branch, gate, gate_stride, shift, scale, n, d, rows_per_group, group_stride, eps),
        N(n *d, RESIDUAL + MODULATED), N(n *d, n *d + 2 * n), 0)
COUNTED(residual_layernorm_forward,
        (elem * y, real *mean, real *rstd, resid *out, const resid *x, const elem *branch, const real *gate,
         long gate_stride, const elem *w, const elem *b, long n, long d, long rows_per_group, real eps),
        (y, mean, rstd, out, x, branch, gate, gate_stride, w, b, n, d, rows_per_group, eps), N(n *d + 2 * d, RESIDUAL),
        N(n *d, n *d + 2 * n), 0)
/* Codes are half an elem of bf16 each. */
#define CODES(count) (0.5 * (double)(count))
COUNTED(residual_modulate_quantise,
        (uint8_t * codes, real *code_scale, enum quantised_type type, elem *y, real *mean, real *rstd, resid *out,
         const resid *x, const elem *branch, const real *gate, long gate_stride, const real *shift, const real *scale,
         long n, long d, long rows_per_group, long group_stride, real eps),
        (codes, code_scale, type, y, mean, rstd, out, x, branch, gate, gate_stride, shift, scale, n, d, rows_per_group,
         group_stride, eps),
        N(IF(branch, n *d), RESIDUAL + MODULATED), N(CODES(n *d), IF(branch, n *d) + 3 * n), 0)
COUNTED(residual_layernorm_quantise,
        (uint8_t * codes, real *code_scale, enum quantised_type type, elem *y, real *mean, real *rstd, resid *out,
         const resid *x, const elem *branch, const real *gate, long gate_stride, const elem *w, const elem *b, long n,
         long d, long rows_per_group, real eps),
        (codes, code_scale, type, y, mean, rstd, out, x, branch, gate, gate_stride, w, b, n, d, rows_per_group, eps),
        N(n *d + 2 * d, RESIDUAL), N(CODES(n *d), n *d + 3 * n), 0)
COUNTED(rows_quantise, (uint8_t * codes, real *scale, enum quantised_type type, const elem *x, long n, long d),
        (codes, scale, type, x, n, d), N(n *d, 0), N(CODES(n *d), n), 0)
COUNTED(rows_widen, (elem * y, const uint8_t *codes, const real *scale, enum quantised_type type, long n, long d),
        (y, codes, scale, type, n, d), N(CODES(n *d), n), N(n *d, 0), 0)
COUNTED(gelu_quantise, (uint8_t * codes, real *scale, enum quantised_type type, const elem *x, long n, long d),
        (codes, scale, type, x, n, d), N(n *d, 0), N(CODES(n *d), n), 0)
COUNTED(linear_quantised_forward,
        (elem * y, const uint8_t *x, const real *x_scale, const uint8_t *w, const real *w_scale, const elem *b,
         enum quantised_type type, long n, long din, long dout),
        (y, x, x_scale, w, w_scale, b, type, n, din, dout), N(CODES(n *din + dout * din) + IF(b, dout), n + dout),
        N(n *dout, 0), PRODUCT)
COUNTED(layernorm_backward,
        (resid * dx, real *dw, real *db, const elem *dy, const resid *x, const real *mean, const real *rstd,
         const elem *w, long n, long d),
        (dx, dw, db, dy, x, mean, rstd, w, n, d), N(n *d + d, 2 * n * d + 2 * n + IF(dw, 2 * d)),
        N(0, n *d + IF(dw, 2 * d)), 0)
COUNTED(rmsnorm_forward, (elem * y, real *rstd, const elem *x, const elem *w, long n, long d, real eps),
        (y, rstd, x, w, n, d, eps), N(n *d + d, 0), N(n *d, n), 0)
COUNTED(rmsnorm_backward,
        (elem * dx, real *dw, const elem *dy, const elem *x, const real *rstd, const elem *w, long n, long d),
        (dx, dw, dy, x, rstd, w, n, d), N(2 * n * d + d, n + IF(dw, d)), N(n *d, IF(dw, d)), 0)
#define ROWS (B * n * H * D)
COUNTED(rmsnorm_rope_forward,
        (elem * y, elem *normed, real *rstd, const elem *x, const elem *w, const real *cos, const real *sin, long B,
         long n, long H, long D, long y_stride, long normed_stride, real eps),
        (y, normed, rstd, x, w, cos, sin, B, n, H, D, y_stride, normed_stride, eps), N(ROWS + H * D, n *D),
        N(ROWS + IF(normed, ROWS), B *n), 0)
COUNTED(rmsnorm_rope_backward,
        (elem * dx, long dx_stride, real *dw, const elem *dy, const elem *x, const real *rstd, const elem *w,
         const real *cos, const real *sin, long B, long n, long H, long D),
        (dx, dx_stride, dw, dy, x, rstd, w, cos, sin, B, n, H, D), N(2 * ROWS + H * D, B *n + n * D + IF(dw, H *D)),
        N(ROWS, IF(dw, H *D)), 0)

/* modulation, gates, residual */
COUNTED(modulation_forward, (real * m, const elem *table, const real *e, long groups, long width),
        (m, table, e, groups, width), N(width, groups *width), N(0, groups *width), 0)
COUNTED(modulation_backward, (real * dtable, real *de, const real *dm, long groups, long width),
        (dtable, de, dm, groups, width), N(0, groups *width + IF(dtable, width) + IF(de, groups *width)),
        N(0, IF(dtable, width) + IF(de, groups *width)), 0)
COUNTED(residual_forward,
        (resid * out, const resid *x, const elem *y, const real *gate, long n, long d, long rows_per_group,
         long group_stride),
        (out, x, y, gate, n, d, rows_per_group, group_stride), N(n *d, n *d + IF(gate, GROUPS *d)), N(0, n *d), 0)
#define GATE_SUMS(bias) (IF(dgate, GROUPS * d) + IF(bias, d))
COUNTED(residual_backward,
        (elem * dy, real *dgate, real *db, const resid *dout, const elem *y, const real *gate, long n, long d,
         long rows_per_group, long group_stride),
        (dy, dgate, db, dout, y, gate, n, d, rows_per_group, group_stride),
        N(IF(dgate, n *d), n *d + IF(gate, GROUPS *d) + GATE_SUMS(db)), N(n *d, GATE_SUMS(db)), 0)
COUNTED(residual_layernorm_backward,
        (resid * dx, real *dw, real *db, elem *dbranch, real *dgate, real *dbias, const elem *dy, const resid *x,
         const real *mean, const real *rstd, const elem *w, const elem *branch, const real *gate, long gate_stride,
         long n, long d, long rows_per_group),
        (dx, dw, db, dbranch, dgate, dbias, dy, x, mean, rstd, w, branch, gate, gate_stride, n, d, rows_per_group),
        N(n *d + d + IF(dgate, n *d), 2 * n * d + 2 * n + IF(dw, 2 * d) + IF(gate, GROUPS *d) + GATE_SUMS(dbias)),
        N(n *d, n *d + IF(dw, 2 * d) + GATE_SUMS(dbias)), 0)
COUNTED(residual_modulate_backward,
        (resid * dx, real *dshift, real *dscale, elem *dbranch, real *dgate, real *dbias, const elem *dy,
         const resid *x, const real *mean, const real *rstd, const real *scale, const elem *branch, const real *gate,
         long gate_stride, long n, long d, long rows_per_group, long group_stride),
        (dx, dshift, dscale, dbranch, dgate, dbias, dy, x, mean, rstd, scale, branch, gate, gate_stride, n, d,
         rows_per_group, group_stride),
        N(n *d + IF(dgate, n *d),
          2 * n * d + 2 * n + GROUPS * d + IF(dshift, MODULATED) + IF(gate, GROUPS *d) + GATE_SUMS(dbias)),
        N(n *d, n *d + IF(dshift, MODULATED) + GATE_SUMS(dbias)), 0)
COUNTED(time_sinusoid, (elem * s, const real *t, long n, long width), (s, t, n, width), N(0, n), N(n *width, 0), 0)

/* rotation */
COUNTED(rope_table,
        (real * cos, real *sin, const struct rope_axes *axes, const int *frame_position, int frames, int ph, int pw),
        (cos, sin, axes, frame_position, frames, ph, pw), N(0, 0), N(0, (long)frames *ph *pw * axes->head_dim), 0)
COUNTED(rope_apply,
        (elem * y, const elem *x, const real *cos, const real *sin, long B, long n, long H, long D, long x_stride,
         long y_stride, int sign),
        (y, x, cos, sin, B, n, H, D, x_stride, y_stride, sign), N(ROWS, n *D), N(ROWS, 0), 0)
COUNTED(rope_widen,
        (elem * y, const uint8_t *codes, const real *scale, enum quantised_type type, const real *cos, const real *sin,
         long n, long H, long D),
        (y, codes, scale, type, cos, sin, n, H, D), N(CODES(n *H *D), n *H + n * D), N(n *H *D, 0), 0)
COUNTED(rope_add_inverse,
        (real * y, const real *x, const real *cos, const real *sin, long B, long n, long H, long D, long x_stride,
         long y_stride),
        (y, x, cos, sin, B, n, H, D, x_stride, y_stride), N(0, 2 * ROWS + n * D), N(0, ROWS), 0)

/* latents and tokens */
#define LATENTS (B * F * C * H * W)
COUNTED(patchify, (elem * tokens, const real *latents, long B, long F, long C, long H, long W, long stride),
        (tokens, latents, B, F, C, H, W, stride), N(0, LATENTS), N(LATENTS, 0), 0)
COUNTED(patchify_backward, (real * dlatents, const elem *dtokens, long B, long F, long C, long H, long W, long stride),
        (dlatents, dtokens, B, F, C, H, W, stride), N(LATENTS, LATENTS), N(0, LATENTS), 0)
COUNTED(unpatchify, (real * latents, const real *tokens, long B, long F, long C, long H, long W, long stride),
        (latents, tokens, B, F, C, H, W, stride), N(0, LATENTS), N(0, LATENTS), 0)
COUNTED(unpatchify_backward,
        (real * dtokens, const real *dlatents, long B, long F, long C, long H, long W, long stride),
        (dtokens, dlatents, B, F, C, H, W, stride), N(0, LATENTS), N(0, LATENTS), 0)

/* prediction and losses */
COUNTED(clean_to_velocity,
        (real * v, long v_stride, const real *x, long x_stride, const real *t, real floor, long B, long F, long size),
        (v, v_stride, x, x_stride, t, floor, B, F, size), N(0, 2 * B * F * size), N(0, B *F *size), 0)
COUNTED(clean_to_velocity_backward,
        (real * dclean, real *dx, long dx_stride, const real *dv, long dv_stride, const real *t, real floor, long B,
         long F, long size),
        (dclean, dx, dx_stride, dv, dv_stride, t, floor, B, F, size), N(0, B *F *size + IF(dx, B *F *size)),
        N(0, B *F *size + IF(dx, B *F *size)), 0)
COUNTED(reference_gate_forward,
        (real * clean, long clean_stride, const real *gate, const real *reference, long reference_stride, long B,
         long F, long size),
        (clean, clean_stride, gate, reference, reference_stride, B, F, size), N(0, 2 * B * F * size + B * size),
        N(0, B *F *size), 0)
COUNTED(reference_gate_backward,
        (real * d, real *dreference, long dreference_stride, const real *gate, const real *reference,
         long reference_stride, long B, long F, long size),
        (d, dreference, dreference_stride, gate, reference, reference_stride, B, F, size),
        N(0, 2 * B * F * size + B * size + IF(dreference, B *size)), N(0, B *F *size + IF(dreference, B *size)), 0)
COUNTED(real_group_combine,
        (real * y, const real *a, const real *x, const real *b, const real *z, long groups, long size),
        (y, a, x, b, z, groups, size), N(0, 2 * groups * size), N(0, groups *size), 0)
COUNTED(mse_loss,
        (real * loss, real *dpred, const real *pred, const real *target, const real *weight, long groups, long size),
        (loss, dpred, pred, target, weight, groups, size), N(0, 2 * groups * size), N(0, IF(dpred, groups *size)), 0)

/* optimiser */
COUNTED(grad_norm_begin, (struct optim_state * state), (state), N(0, 0), N(0, 0), 0)
COUNTED(grad_norm_add, (struct optim_state * state, const real *grad, long n), (state, grad, n), N(0, n), N(0, 0), 0)
COUNTED(grad_norm_end, (struct optim_state * state, const real *loss, real max_norm), (state, loss, max_norm), N(0, 0),
        N(0, 0), 0)
COUNTED(adamw_update,
        (real * master, real *m, real *v, real *ema, elem *weights, real *grad, long n, const struct adamw *how,
         const struct optim_state *state),
        (master, m, v, ema, weights, grad, n, how, state), N(0, 4 * n + IF(ema, n)),
        N(n, 3 * n + IF(how->clear, n) + IF(ema, n)), 0)

/* ---- attention's calls ---- */

WRAPPED(void, attention_forward,
        (elem * o, real *lse, const elem *q, const struct attention_range *ranges, int n, long B, long S, long H,
         long D, real scale)) {
    if (dry.on)
        count_attention_forward(ranges, n, (double)B, (double)S, (double)H, (double)D);
    else
        TIMED(keys_of(ranges, n) > FEW_KEYS ? "attention_forward" : "attention_few_forward",
              N((B * S + 2 * B * keys_of(ranges, n)) * H * D, 0), N(B * S * H * D, B * S * H),
              4.0 * (double)(B * S * H * D) * keys_of(ranges, n),
              __real_attention_forward(o, lse, q, ranges, n, B, S, H, D, scale));
}

WRAPPED(void, attention_backward,
        (elem * dq, const elem *dout, const elem *o, const real *lse, const elem *q,
         const struct attention_range *ranges, int n, long B, long S, long H, long D, real scale)) {
    if (dry.on)
        count_attention_backward(dq, ranges, n, (double)B, (double)S, (double)H, (double)D);
    else
        TIMED(keys_of(ranges, n) > FEW_KEYS ? "attention_backward" : "attention_few_backward",
              N((3 * B * S + 2 * B * keys_of(ranges, n)) * H * D, B * S * H),
              N((B * S + 2 * B * keys_of(ranges, n)) * H * D, 0), 10.0 * (double)(B * S * H * D) * keys_of(ranges, n),
              __real_attention_backward(dq, dout, o, lse, q, ranges, n, B, S, H, D, scale));
}

/* ---- memory ---- */

#define MOVED(bytes) N(0, (bytes) / sizeof(real))

WRAPPED(void *, device_alloc, (size_t bytes)) {
    if (!dry.on) return __real_device_alloc(bytes);
    size_t size = arena_aligned(bytes);
    if (size > ADDRESSES - dry.used) return NULL;
    dry.used += size;
    return dry.base + dry.used - size;
}
WRAPPED(void, device_free, (void *pointer)) {
    if (!dry.on) __real_device_free(pointer);
}
WRAPPED(int, device_sync, (void)) { return dry.on ? OK : __real_device_sync(); }
WRAPPED(void, mem_upload, (void *to, const void *from, size_t bytes)) {
    if (!dry.on) __real_mem_upload(to, from, bytes);
}
WRAPPED(void, mem_copy, (void *to, const void *from, size_t bytes)) {
    if (dry.on)
        count_copy(bytes);
    else
        TIMED("mem_copy", MOVED(bytes), MOVED(bytes), 0, __real_mem_copy(to, from, bytes));
}
WRAPPED(void, mem_zero, (void *to, size_t bytes)) {
    if (dry.on)
        count("mem_zero", N(0, 0), N(0, bytes / sizeof(real)), 0);
    else
        TIMED("mem_zero", N(0, 0), MOVED(bytes), 0, __real_mem_zero(to, bytes));
}
WRAPPED(void, mem_copy_rows,
        (void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t bytes, size_t rows)) {
    if (dry.on)
        count_copy(bytes * rows);
    else
        TIMED("mem_copy_rows", MOVED(bytes * rows), MOVED(bytes * rows), 0,
              __real_mem_copy_rows(to, to_pitch, from, from_pitch, bytes, rows));
}
