/* test_cuda_attention.c: attention's backward through attention_library.c, as cuDNN would be given it, over a stand-in
   that evaluates the graphs on the host (evaluate.h): ranges that lie side by side or not, gradients that are assigned,
   added to or not wanted, and, with determinism asked for and little workspace, keys in pieces. Against the double
   oracle, with what rounding to bf16 allows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/error.h"
#include "kernels/arena.h"
#include "kernels/cuda/attention/attention_cudnn.h"
#include "kernels/cuda/attention/attention_merge.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/cudnn/plan.h"
#include "kernels/device.h"
#include "kernels/oracle.h"
#include "tests/cuda/devices.h"
#include "tests/cuda/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the backend around it ---- */

static char memory[8 << 20] __attribute__((aligned(256)));
static size_t workspace, taken; /* bytes of it */

size_t cuda_workspace_left(void) { return workspace - taken; }
int cuda_workspace_holds(const char *what, size_t bytes) { return (void)what, bytes <= cuda_workspace_left(); }
void *__wrap_workspace_push(size_t bytes);
void __wrap_workspace_pop(void *pointer);
void *__wrap_workspace_push(size_t bytes) {
    void *at = memory + taken;
    assert_true(arena_aligned(bytes) <= cuda_workspace_left());
    memset(at, 0xff, bytes);
    taken += arena_aligned(bytes);
    return at;
}
void __wrap_workspace_pop(void *pointer) {
    if (pointer) taken = (size_t)((char *)pointer - memory);
}
void attention_merge(elem *o, real *lse, const elem *parts, const real *sums, int count, long B, long S, long H,
                     long D) {
    (void)o, (void)lse, (void)parts, (void)sums, (void)count, (void)B, (void)S, (void)H, (void)D;
    fail(); /* the forward's */
}
void elem_add(elem *y, const elem *x, long n) {
    for (long i = 0; i < n; i++) y[i] = elem_store(elem_load(y[i]) + elem_load(x[i]));
}
void real_add_elem(real *y, const elem *x, long n) {
    for (long i = 0; i < n; i++) y[i] += elem_load(x[i]);
}
void elem_from_real(elem *y, const real *x, long n) {
    for (long i = 0; i < n; i++) y[i] = elem_store(x[i]);
}

/* ---- the library ---- */

/* A plan is the graph; it is made where the workspace holds what the graph keeps. */
struct cudnn_plan {
    struct cudnn_graph graph;
    struct cudnn_key key;
    cudnn_builder *build;
};
static struct cudnn_plan plans[64];
static int planned, runs;
static double largest; /* magnitude of a number of dq that a run gave, before it is rounded */

size_t cudnnGetVersion(void) { return 91900; }

const struct cudnn_plan *cudnn_plan(const struct cudnn_key *key, cudnn_builder *build, size_t beside) {
    struct cudnn_plan *p = plans;
    while (p < plans + planned && (p->build != build || memcmp(&p->key, key, sizeof *key))) p++;
    if (p == plans + planned) {
        assert_true(planned++ < 64);
        memset(p, 0, sizeof *p);
        p->key = *key, p->build = build;
        build(&p->graph, key);
    }
    size_t left = cuda_workspace_left();
    return left >= beside && left - beside >= p->graph.kept ? p : NULL;
}

void cudnn_bind(struct cudnn_bindings *b, int64_t uid, const void *pointer) {
    assert_true(b->count < CUDNN_BINDINGS && pointer);
    b->uid[b->count] = uid;
    b->pointer[b->count++] = (void *)(uintptr_t)pointer;
}

static const struct cudnn_tensor *tensor_of(const struct cudnn_graph *g, int64_t uid) {
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i].uid == uid) return &g->tensor[i];
    return NULL;
}

static int is_result(int64_t uid) {
    return uid == ATTENTION_DQ || uid == ATTENTION_DK || uid == ATTENTION_DV || uid == ATTENTION_DELTA ||
           uid == ATTENTION_DQ_SUM;
}

static void take(double *to, const void *from, const struct cudnn_tensor *t) {
    for (long i = 0, n = evaluation_span(t); i < n; i++)
        to[i] = t->type == CUDNN_ELEM ? elem_load(((const elem *)from)[i]) : ((const float *)from)[i];
}

/* Only numbers of the tensor are written: what lies between is NaN in the evaluation. */
static void give(void *to, const double *from, const struct cudnn_tensor *t) {
    for (long i = 0, n = evaluation_span(t); i < n; i++) {
        if (isnan(from[i])) continue;
        if (t->type == CUDNN_ELEM)
            ((elem *)to)[i] = elem_store((real)from[i]);
        else
            ((float *)to)[i] = (float)from[i];
    }
}

void cudnn_run(const struct cudnn_plan *plan, const struct cudnn_bindings *b) {
    struct evaluation e;
    runs++;
    evaluation_open(&e, &plan->graph);
    for (int i = 0; i < b->count; i++) {
        const struct cudnn_tensor *t = tensor_of(&plan->graph, b->uid[i]);
        assert_non_null(t);
        if (!is_result(t->uid)) take(evaluation_memory(&e, t->uid), b->pointer[i], t);
    }
    assert_true(evaluate(&e));
    for (int i = 0; i < b->count; i++) {
        const struct cudnn_tensor *t = tensor_of(&plan->graph, b->uid[i]);
        double *x = evaluation_memory(&e, t->uid);
        if (is_result(t->uid)) give(b->pointer[i], x, t);
        for (long k = 0; t->uid == ATTENTION_DQ && k < evaluation_span(t); k++) largest = fmax(largest, fabs(x[k]));
    }
    evaluation_close(&e);
}

/* ---- problems ---- */

enum { RANGES = 3 };
struct problem {
    long B, S, H, D, length[RANGES];
    int ranges, together; /* together: one sample's keys of all ranges lie side by side */
};

struct operands { /* the device's, and the oracle's */
    elem *q, *o, *dout, *dq, *k, *v, *dk[RANGES], *dv[RANGES];
    real *lse, *dk_sum, *dv_sum;
    double *Q, *O, *Dout, *Dq, *K, *V, *Dk[RANGES], *Dv[RANGES], *Lse, *Dk_sum, *Dv_sum;
    struct attention_range range[RANGES];
    struct ref_attention_range wanted[RANGES];
    long queries, keys, sums, stride;
};

static double next_number(void) {
    static unsigned seed = 1;
    seed = seed * 1664525u + 1013904223u;
    return (double)(seed >> 8) / (1 << 23) - 1;
}

static void *room(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(p);
    memset(p, 0xff, (bytes + 63) / 64 * 64);
    return p;
}

static double *numbers(elem **device, long n) {
    double *x = room(sizeof *x * (size_t)n);
    *device = room(sizeof **device * (size_t)n);
    for (long i = 0; i < n; i++) {
        (*device)[i] = elem_store((real)next_number());
        x[i] = elem_load((*device)[i]);
    }
    return x;
}

/* Gradients: those of the first range are added to sums, the second's are not wanted, the last one's assigned. */
static void make_ranges(struct operands *x, const struct problem *p) {
    long token = p->H * p->D, at = 0;
    for (int r = 0; r < p->ranges; r++) {
        long n = p->length[r] * token, last = r == p->ranges - 1, first = r == 0 && !last;
        x->dk[r] = room(sizeof(elem) * (size_t)(p->B * n)), x->dv[r] = room(sizeof(elem) * (size_t)(p->B * n));
        x->Dk[r] = room(sizeof(double) * (size_t)(p->B * n)), x->Dv[r] = room(sizeof(double) * (size_t)(p->B * n));
        x->range[r] = (struct attention_range){
            .k = x->k + at, .v = x->v + at, .length = p->length[r], .k_stride = x->stride, .v_stride = x->stride};
        x->wanted[r] = (struct ref_attention_range){
            .k = x->K + at, .v = x->V + at, .length = p->length[r], .k_stride = x->stride, .v_stride = x->stride};
        if (last) x->range[r].dk = x->dk[r], x->range[r].dv = x->dv[r];
        if (last) x->wanted[r].dk = x->Dk[r], x->wanted[r].dv = x->Dv[r];
        if (first) x->range[r].dk_sum = x->dk_sum + at, x->range[r].dv_sum = x->dv_sum + at;
        if (first) x->wanted[r].dk_sum = x->Dk_sum + at, x->wanted[r].dv_sum = x->Dv_sum + at;
        at += n + (p->together ? 0 : 16);
    }
}

static void open_operands(struct operands *x, const struct problem *p) {
    long all = 16 * RANGES;
    for (int r = 0; r < p->ranges; r++) all += p->length[r] * p->H * p->D;
    *x = (struct operands){.queries = p->B * p->S * p->H * p->D, .sums = p->B * p->H * p->S, .stride = all};
    x->keys = p->B * all;
    x->Q = numbers(&x->q, x->queries), x->O = numbers(&x->o, x->queries), x->Dout = numbers(&x->dout, x->queries);
    x->K = numbers(&x->k, x->keys), x->V = numbers(&x->v, x->keys);
    x->dq = room(sizeof(elem) * (size_t)x->queries), x->Dq = room(sizeof(double) * (size_t)x->queries);
    x->lse = room(sizeof(real) * (size_t)x->sums), x->Lse = room(sizeof(double) * (size_t)x->sums);
    x->dk_sum = room(sizeof(real) * (size_t)x->keys), x->dv_sum = room(sizeof(real) * (size_t)x->keys);
    x->Dk_sum = room(sizeof(double) * (size_t)x->keys), x->Dv_sum = room(sizeof(double) * (size_t)x->keys);
    for (long i = 0; i < x->keys; i++) x->dk_sum[i] = x->dv_sum[i] = 1, x->Dk_sum[i] = x->Dv_sum[i] = 1;
    make_ranges(x, p);
}

static void close_operands(struct operands *x) {
    void *all[] = {x->q, x->o, x->dout, x->dq, x->k, x->v, x->lse, x->dk_sum, x->dv_sum,
                   x->Q, x->O, x->Dout, x->Dq, x->K, x->V, x->Lse, x->Dk_sum, x->Dv_sum};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    for (int r = 0; r < RANGES; r++) free(x->dk[r]), free(x->dv[r]), free(x->Dk[r]), free(x->Dv[r]);
}

/* Off by at most `units` roundings to bf16 of the largest number that is wanted. */
static void near_elem(const elem *got, const double *wanted, long n, double units, double scale) {
    double most = scale;
    for (long i = 0; i < n; i++) most = fmax(most, fabs(wanted[i]));
    for (long i = 0; i < n; i++) assert_true(fabs(elem_load(got[i]) - wanted[i]) <= units * 0x1p-8 * most + 1e-6);
}

static void near_sums(const real *got, const double *wanted, long n) {
    double most = 0;
    for (long i = 0; i < n; i++) most = fmax(most, fabs(wanted[i] - 1));
    for (long i = 0; i < n; i++) assert_true(fabs((double)got[i] - wanted[i]) <= 0x1p-8 * most + 1e-6);
}

/* Returns how often the library was run. */
static int backward(const struct problem *p, size_t bytes) {
    struct operands x;
    const double scale = 0.25;
    open_operands(&x, p);
    double *o = room(sizeof *o * (size_t)x.queries);
    ref_attention_forward(o, x.Lse, x.Q, x.wanted, p->ranges, p->B, p->S, p->H, p->D, scale);
    for (long i = 0; i < x.sums; i++) x.lse[i] = (real)x.Lse[i], x.Lse[i] = (double)x.lse[i];
    ref_attention_backward(x.Dq, x.Dout, x.O, x.Lse, x.Q, x.wanted, p->ranges, p->B, p->S, p->H, p->D, scale);
    struct attention a = {x.range, p->ranges, p->B, p->S, p->H, p->D, (real)scale};
    workspace = bytes, taken = 0, runs = planned = 0, largest = 0;
    int served = attention_cudnn_backward(x.dq, x.dout, x.o, x.lse, x.q, &a), last = p->ranges - 1;
    assert_int_equal(taken, 0);
    if (served) {
        long keys = p->B * p->length[last] * p->H * p->D;
        near_elem(x.dq, x.Dq, x.queries, 2 * runs + 1, largest); /* a part is rounded, and so may be its sum */
        near_elem(x.dk[last], x.Dk[last], keys, 1, 0);
        near_elem(x.dv[last], x.Dv[last], keys, 1, 0);
        near_sums(x.dk_sum, x.Dk_sum, x.keys);
        near_sums(x.dv_sum, x.Dv_sum, x.keys);
    }
    close_operands(&x);
    free(o);
    return served ? runs : 0;
}

/* ---- tests ---- */

static const struct problem one = {1, 12, 2, 8, {300}, 1, 1}, two = {2, 12, 2, 8, {300}, 1, 1},
                            apart = {2, 6, 2, 8, {140, 9, 270}, 3, 0}, beside = {1, 6, 2, 8, {140, 9, 270}, 3, 1};

static void ranges(void **state) {
    (void)state;
    for (asked_deterministic = 0; asked_deterministic < 2; asked_deterministic++) {
        assert_int_equal(backward(&one, sizeof memory), 1);
        assert_int_equal(backward(&two, sizeof memory), 1);
        assert_int_equal(backward(&apart, sizeof memory), 3);
        assert_int_equal(backward(&beside, sizeof memory), 1);
    }
    asked_deterministic = 0;
}

/* Bytes for pieces of so many keys. */
static size_t bytes_for(const struct problem *p, long piece) {
    return cudnn_attention_piece_beside(p->S, p->H, p->D, piece) + cudnn_attention_kept(1, p->S, p->H, piece);
}

static void pieces_of_keys(void **state) {
    (void)state;
    asked_deterministic = 1;
    assert_int_equal(cudnn_attention_piece(12, 2, 8, 300, bytes_for(&one, 128)), 128);
    assert_int_equal(cudnn_attention_piece(12, 2, 8, 300, bytes_for(&one, 256)), 256);
    assert_int_equal(cudnn_attention_piece(12, 2, 8, 300, bytes_for(&one, 300)), 300);
    assert_int_equal(cudnn_attention_piece(12, 2, 8, 300, bytes_for(&one, 128) - 1), 0);
    assert_int_equal(backward(&one, bytes_for(&one, 128)), 3);
    assert_int_equal(backward(&one, bytes_for(&one, 256)), 2);
    assert_int_equal(backward(&two, bytes_for(&two, 128)), 6);      /* sample by sample */
    assert_int_equal(backward(&apart, bytes_for(&apart, 128)), 12); /* 2 x (2 + 1 + 3) */
    assert_int_equal(backward(&beside, bytes_for(&beside, 128)), 6);
    assert_int_equal(backward(&one, bytes_for(&one, 128) - 1), 0);
    asked_deterministic = 0;
    assert_int_equal(backward(&one, 512), 0); /* the other forms come whole or not at all */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ranges), cmocka_unit_test(pieces_of_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
