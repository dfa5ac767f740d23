/* test_kernels_pointwise.c: conversions, pointwise operations, modulation and residuals against the oracle. */
#include "kernel_harness.h"
#include "kernels/pieces.h"

static void convert(struct trial *t, const long *s) {
    struct buffer *x = make(t, REAL, INPUT, s[0]), *y = make(t, ELEM, OUTPUT, s[0]);
    struct buffer *z = make(t, ELEM, INPUT, s[0]), *w = make(t, REAL, OUTPUT, s[0]);
    load(t);
    elem_from_real(dev(y), dev(x), s[0]);
    ref_elem_from_real(val(y), val(x), s[0]);
    real_from_elem(dev(w), dev(z), s[0]);
    ref_real_from_elem(val(w), val(z), s[0]);
}

static void fill(struct trial *t, const long *s) {
    struct buffer *y = make(t, REAL, OUTPUT, s[0]);
    load(t);
    real_fill(dev(y), (real)-2.5, s[0]);
    ref_real_fill(val(y), -2.5, s[0]);
}

/* b = 0 must not read y. */
static void axpby(struct trial *t, const long *s) {
    double a = -1.5, b = t->variant == 0 ? 0 : t->variant == 1 ? 1 : 0.75;
    struct buffer *x = make(t, REAL, INPUT, s[0]), *y = make(t, REAL, t->variant ? UPDATED : OUTPUT, s[0]);
    load(t);
    real_axpby(dev(y), (real)a, dev(x), (real)b, s[0]);
    ref_real_axpby(val(y), a, val(x), b, s[0]);
    ref_real_axpby(mag(y), fabs(a), mag(x), b, s[0]);
    allow(y, 2);
}

/* Variant 1: y is z. */
static void group_combine(struct trial *t, const long *s) {
    long n = s[0] * s[1];
    struct buffer *a = make(t, REAL, INPUT, s[0]), *b = make(t, REAL, INPUT, s[0]), *x = make(t, REAL, INPUT, n);
    struct buffer *y = make(t, REAL, t->variant ? UPDATED : OUTPUT, n), *z = t->variant ? y : make(t, REAL, INPUT, n);
    load(t);
    real_group_combine(dev(y), dev(a), dev(x), dev(b), dev(z), s[0], s[1]);
    ref_real_group_combine(val(y), val(a), val(x), val(b), val(z), s[0], s[1]);
    ref_real_group_combine(mag(y), mag(a), mag(x), mag(b), mag(z), s[0], s[1]);
    allow(y, 2);
}

static void add_elem(struct trial *t, const long *s) {
    struct buffer *x = make(t, ELEM, INPUT, s[0]), *y = make(t, REAL, UPDATED, s[0]);
    load(t);
    real_add_elem(dev(y), dev(x), s[0]);
    ref_real_add_elem(val(y), val(x), s[0]);
    ref_real_add_elem(mag(y), mag(x), s[0]);
    allow(y, 2);
}

static void add_elems(struct trial *t, const long *s) {
    struct buffer *x = make(t, ELEM, INPUT, s[0]), *y = make(t, ELEM, UPDATED, s[0]);
    load(t);
    elem_add(dev(y), dev(x), s[0]);
    ref_elem_add(val(y), val(x), s[0]);
    ref_elem_add(mag(y), mag(x), s[0]);
    allow(y, 1);
}

/* Small and large arguments, both zeros. */
static void awkward_arguments(struct buffer *x) {
    static const double some[] = {0, -0.0, 30, -30, 5, -5, 1e-20, -1e-20, 1e4, -1e4};
    spread(x, -4, 4);
    for (long i = 0; i < 10 && i < x->n; i++) put(x, x->n - 1 - i, some[i]);
}

/* Functions of one argument whose own error is a few units at 1 + |x|: a tanh or sigmoid good to 1e-7 times x. */
static void activation_forward(struct trial *t, const long *s) {
    struct buffer *x = make(t, ELEM, INPUT, s[0]), *g = make(t, ELEM, OUTPUT, s[0]), *r = make(t, ELEM, OUTPUT, s[0]);
    struct buffer *u = make(t, REAL, INPUT, s[0]), *v = make(t, ELEM, OUTPUT, s[0]);
    awkward_arguments(x);
    awkward_arguments(u);
    load(t);
    gelu_forward(dev(g), dev(x), s[0]);
    ref_gelu_forward(val(g), val(x), s[0]);
    relu_forward(dev(r), dev(x), s[0]);
    ref_relu_forward(val(r), val(x), s[0]);
    silu_forward(dev(v), dev(u), s[0]);
    ref_silu_forward(val(v), val(u), s[0]);
    for (long i = 0; i < s[0]; i++) {
        g->noise[i] = slack(1) * fabs(x->value[i]);
        v->noise[i] = slack(1) * fabs(u->value[i]);
    }
}

/* Variant 1: dx is dy. */
static void gelu_slope(struct trial *t, const long *s) {
    struct buffer *x = make(t, ELEM, INPUT, s[0]), *dx = make(t, ELEM, t->variant ? UPDATED : OUTPUT, s[0]);
    struct buffer *dy = t->variant ? dx : make(t, ELEM, INPUT, s[0]);
    awkward_arguments(x);
    for (long i = 0; i < s[0]; i++) dx->noise[i] = slack(1) * dy->magnitude[i] * (1 + fabs(x->value[i]));
    load(t);
    gelu_backward(dev(dx), dev(dy), dev(x), s[0]);
    ref_gelu_backward(val(dx), val(dy), val(x), s[0]);
}

static void silu_slope(struct trial *t, const long *s) {
    struct buffer *x = make(t, REAL, INPUT, s[0]), *dx = make(t, REAL, OUTPUT, s[0]);
    struct buffer *dy = make(t, ELEM, INPUT, s[0]);
    awkward_arguments(x);
    for (long i = 0; i < s[0]; i++) dx->noise[i] = slack(1) * dy->magnitude[i] * (1 + fabs(x->value[i]));
    load(t);
    silu_backward(dev(dx), dev(dy), dev(x), s[0]);
    ref_silu_backward(val(dx), val(dy), val(x), s[0]);
}

/* Variant 1: dx is dy. Exact. */
static void relu_slope(struct trial *t, const long *s) {
    struct buffer *y = make(t, ELEM, INPUT, s[0]), *dx = make(t, ELEM, t->variant ? UPDATED : OUTPUT, s[0]);
    struct buffer *dy = t->variant ? dx : make(t, ELEM, INPUT, s[0]);
    for (long i = 0; i < s[0]; i++) put(y, i, y->value[i] < 0 ? 0 : y->value[i]);
    load(t);
    relu_backward(dev(dx), dev(dy), dev(y), s[0]);
    ref_relu_backward(val(dx), val(dy), val(y), s[0]);
}

static void modulate(struct trial *t, const long *s) {
    long n = s[0] * s[1];
    struct buffer *table = make(t, ELEM, INPUT, s[1]), *e = make(t, REAL, INPUT, n), *m = make(t, REAL, OUTPUT, n);
    load(t);
    modulation_forward(dev(m), dev(table), dev(e), s[0], s[1]);
    ref_modulation_forward(val(m), val(table), val(e), s[0], s[1]);
    ref_modulation_forward(mag(m), mag(table), mag(e), s[0], s[1]);
    allow(m, 2);
}

static void modulate_backward(struct trial *t, const long *s) {
    long n = s[0] * s[1];
    struct buffer *dm = make(t, REAL, INPUT, n), *dtable = make_unless(t, 0, REAL, UPDATED, s[1]);
    struct buffer *de = make_unless(t, 1, REAL, UPDATED, n);
    load(t);
    modulation_backward(dev(dtable), dev(de), dev(dm), s[0], s[1]);
    ref_modulation_backward(val(dtable), val(de), val(dm), s[0], s[1]);
    ref_modulation_backward(mag(dtable), mag(de), mag(dm), s[0], s[1]);
    allow(dtable, s[0]);
    allow(de, 2);
}

/* Sizes: rows, width, rows of a group, stride of the groups. Bit 0: no gate; bit 1: out is x. */
static void residual(struct trial *t, const long *s) {
    long n = s[0], d = s[1], groups = (n + s[2] - 1) / s[2];
    struct buffer *gate = make_unless(t, 0, REAL, INPUT, groups * s[3]), *y = make(t, ELEM, INPUT, n * d);
    struct buffer *out = make(t, RESID, t->variant & 2 ? UPDATED : OUTPUT, n * d);
    struct buffer *x = t->variant & 2 ? out : make(t, RESID, INPUT, n * d);
    load(t);
    residual_forward(dev(out), dev(x), dev(y), dev(gate), n, d, s[2], s[3]);
    ref_residual_forward(val(out), val(x), val(y), val(gate), n, d, s[2], s[3]);
    ref_residual_forward(mag(out), mag(x), mag(y), mag(gate), n, d, s[2], s[3]);
    allow(out, 2);
}

/* Bit 0: no gate (and no gradient of it); bit 1: its gradient is not wanted; bit 2: the bias's is not. */
static void residual_slope(struct trial *t, const long *s) {
    long n = s[0], d = s[1], groups = (n + s[2] - 1) / s[2];
    struct buffer *gate = make_unless(t, 0, REAL, INPUT, groups * s[3]), *y = make(t, ELEM, INPUT, n * d);
    struct buffer *dout = make(t, RESID, INPUT, n * d), *dy = make(t, ELEM, OUTPUT, n * d);
    struct buffer *dgate = gate ? make_unless(t, 1, REAL, UPDATED, groups * s[3]) : NULL;
    struct buffer *db = make_unless(t, 2, REAL, UPDATED, d);
    load(t);
    residual_backward(dev(dy), dev(dgate), dev(db), dev(dout), dev(y), dev(gate), n, d, s[2], s[3]);
    ref_residual_backward(val(dy), val(dgate), val(db), val(dout), val(y), val(gate), n, d, s[2], s[3]);
    ref_residual_backward(mag(dy), mag(dgate), mag(db), mag(dout), mag(y), mag(gate), n, d, s[2], s[3]);
    allow(dy, 1);
    allow(dgate, s[2]);
    allow(db, n);
}

/* Angles in double, so an error of a unit of the result only; t up to 1000. */
static void sinusoid(struct trial *t, const long *s) {
    struct buffer *time = make(t, REAL, INPUT, s[0]), *out = make(t, ELEM, OUTPUT, s[0] * s[1]);
    spread(time, 0, 1000);
    load(t);
    time_sinusoid(dev(out), dev(time), s[0], s[1]);
    ref_time_sinusoid(val(out), val(time), s[0], s[1]);
    for (long i = 0; i < out->n; i++) out->noise[i] = 2 * unit(REAL);
}

/* Around the clamp's knee. tanh has slope at most 1 and its argument is off by a rounding or two. Variant 1: in
   place. */
static void clamp(struct trial *t, const long *s) {
    struct buffer *x = make(t, REAL, t->variant ? UPDATED : INPUT, s[0]),
                  *y = t->variant ? x : make(t, REAL, OUTPUT, s[0]);
    spread(x, -9, 9);
    load(t);
    soft_clamp(dev(y), dev(x), 3, s[0]);
    ref_soft_clamp(val(y), val(x), 3, s[0]);
    for (long i = 0; i < y->n; i++) y->noise[i] = slack(1) * fabs(y->value[i]);
}

/* Sizes: samples, frames, elements of a frame, gap between samples. Levels on both sides of the floor. */
static void clean_velocity(struct trial *t, const long *s) {
    long stride = s[1] * s[2] + s[3], n = s[0] * stride;
    struct buffer *time = make(t, REAL, INPUT, s[0] * s[1]), *x = make(t, REAL, INPUT, n),
                  *v = make(t, REAL, UPDATED, n);
    spread(time, 0, 1000);
    put(time, 0, 0);
    load(t);
    clean_to_velocity(dev(v), stride, dev(x), stride, dev(time), (real)0.25, s[0], s[1], s[2]);
    ref_clean_to_velocity(val(v), stride, val(x), stride, val(time), 0.25, s[0], s[1], s[2]);
    for (long i = 0; i < n; i++) v->noise[i] = slack(2) * (v->magnitude[i] + x->magnitude[i]) / 0.25;
}

/* Variant 1: the input's gradient is not wanted. */
static void clean_velocity_slope(struct trial *t, const long *s) {
    long stride = s[1] * s[2] + s[3], n = s[0] * stride;
    struct buffer *time = make(t, REAL, INPUT, s[0] * s[1]), *dv = make(t, REAL, INPUT, n);
    struct buffer *dclean = make(t, REAL, OUTPUT, s[0] * s[1] * s[2]), *dx = make_unless(t, 0, REAL, UPDATED, n);
    spread(time, 0, 1000);
    load(t);
    clean_to_velocity_backward(dev(dclean), dev(dx), stride, dev(dv), stride, dev(time), (real)0.25, s[0], s[1], s[2]);
    ref_clean_to_velocity_backward(val(dclean), val(dx), stride, val(dv), stride, val(time), 0.25, s[0], s[1], s[2]);
    for (long i = 0; i < dclean->n; i++) dclean->noise[i] = slack(1) / 0.25;
    for (long i = 0; dx && i < n; i++) dx->noise[i] = slack(2) * (dx->magnitude[i] + dv->magnitude[i] / 0.25);
}

/* Sizes as in clean_velocity; the gap lies between the references, too. */
static void gate(struct trial *t, const long *s) {
    long stride = s[1] * s[2] + s[3], n = s[0] * stride, apart = s[2] + s[3];
    struct buffer *g = make(t, REAL, INPUT, s[0] * s[1] * s[2]), *r = make(t, REAL, INPUT, s[0] * apart),
                  *clean = make(t, REAL, UPDATED, n);
    spread(g, -9, 9);
    load(t);
    reference_gate_forward(dev(clean), stride, dev(g), dev(r), apart, s[0], s[1], s[2]);
    ref_reference_gate_forward(val(clean), stride, val(g), val(r), apart, s[0], s[1], s[2]);
    for (long i = 0; i < n; i++) clean->noise[i] = slack(2) * (clean->magnitude[i] + 1);
}

/* Variant 1: the reference's gradient is not wanted. 1 - s loses digits only where it is small itself. */
static void gate_slope(struct trial *t, const long *s) {
    long apart = s[2] + s[3], n = s[0] * s[1] * s[2];
    struct buffer *g = make(t, REAL, INPUT, n), *d = make(t, REAL, UPDATED, n), *r = make(t, REAL, INPUT, s[0] * apart),
                  *dr = make_unless(t, 0, REAL, UPDATED, s[0] * apart);
    spread(g, -9, 9);
    load(t);
    reference_gate_backward(dev(d), dev(dr), apart, dev(g), dev(r), apart, s[0], s[1], s[2]);
    ref_reference_gate_backward(val(d), val(dr), apart, val(g), val(r), apart, s[0], s[1], s[2]);
    for (long i = 0; i < n; i++) d->noise[i] = slack(2);
    for (long i = 0; dr && i < s[0] * apart; i++) dr->noise[i] = slack((int)s[1] + 1) * (1 + dr->magnitude[i]);
}

/* Sizes: rows, items, elements of an item, pieces. There and back, element by element as the definition has them. */
static void cut_in_pieces(struct trial *t, const long *s) {
    long n = s[0] * s[1] * s[2], width = s[2] * (long)sizeof(elem);
    struct buffer *rows = make(t, ELEM, INPUT, n), *pieces = make(t, ELEM, OUTPUT, n),
                  *again = make(t, ELEM, OUTPUT, n);
    load(t);
    pieces_pack(dev(pieces), dev(rows), s[0], s[1], width, s[3]);
    pieces_unpack(dev(again), dev(pieces), s[0], s[1], width, s[3]);
    for (long p = 0, at = 0; p < s[3]; p++)
        for (long row = 0; row < s[0]; row++)
            for (long i = piece_first(s[1], s[3], p); i < piece_first(s[1], s[3], p + 1); i++)
                for (long k = 0; k < s[2]; k++, at++)
                    pieces->value[at] = again->value[(row * s[1] + i) * s[2] + k] =
                        rows->value[(row * s[1] + i) * s[2] + k];
}

static const long lengths[][CASE_SIZES] = {{1}, {3}, {31}, {33}, {1000}, {0}};
static const long groups[][CASE_SIZES] = {{1, 1}, {3, 33}, {1, 31}, {7, 64}, {0}};
static const long rows[][CASE_SIZES] = {{1, 1, 1, 1}, {6, 33, 3, 33},    {12, 31, 4, 200},
                                        {7, 3, 7, 3}, {64, 96, 16, 576}, {0}};

static const long clips[][CASE_SIZES] = {{1, 1, 1, 0}, {2, 3, 33, 5}, {3, 2, 64, 0}, {0}};

static const struct kernel_case pointwise[] = {
    {"convert", convert, 1, lengths},
    {"real_fill", fill, 1, lengths},
    {"real_axpby", axpby, 3, lengths},
    {"real_group_combine", group_combine, 2, groups},
    {"real_add_elem", add_elem, 1, lengths},
    {"elem_add", add_elems, 1, lengths},
    {"gelu, relu, silu", activation_forward, 1, lengths},
    {"gelu_backward", gelu_slope, 2, lengths},
    {"silu_backward", silu_slope, 1, lengths},
    {"relu_backward", relu_slope, 2, lengths},
    {"soft_clamp", clamp, 2, lengths},
    {"modulation_forward", modulate, 1, groups},
    {"modulation_backward", modulate_backward, 4, groups},
    {"residual_forward", residual, 4, rows},
    {"residual_backward", residual_slope, 8, rows},
    {"clean_to_velocity", clean_velocity, 1, clips},
    {"clean_to_velocity_backward", clean_velocity_slope, 2, clips},
    {"reference_gate_forward", gate, 1, clips},
    {"reference_gate_backward", gate_slope, 2, clips},
    {"pieces_pack, pieces_unpack", cut_in_pieces, 1,
     (const long[][CASE_SIZES]){{3, 24, 128, 4}, {5, 7, 3, 2}, {1, 3, 8, 5}, {638, 5, 1, 3}, {2, 9, 16, 1}, {0}}},
    {"time_sinusoid", sinusoid, 1, (const long[][CASE_SIZES]){{1, 2}, {3, 6}, {5, 256}, {0}}},
};

int main(void) { return RUN_CASES(pointwise); }
