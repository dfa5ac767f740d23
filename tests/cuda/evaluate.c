/* evaluate.c: see evaluate.h. */
#include "tests/cuda/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct place {
    int64_t at[CUDNN_DIMS];
};

long evaluation_span(const struct cudnn_tensor *t) {
    long last = 0;
    for (int i = 0; i < t->dims; i++) last += (t->dim[i] - 1) * t->stride[i];
    return last + 1;
}

void evaluation_open(struct evaluation *e, const struct cudnn_graph *graph) {
    memset(e, 0, sizeof *e);
    e->graph = graph;
    for (int i = 0; i < graph->tensors; i++) {
        long n = evaluation_span(&graph->tensor[i]);
        e->memory[i] = malloc(sizeof(double) * (size_t)n);
        for (long j = 0; j < n; j++) e->memory[i][j] = NAN;
    }
}

void evaluation_close(struct evaluation *e) {
    for (int i = 0; i < e->graph->tensors; i++) free(e->memory[i]);
}

double *evaluation_memory(const struct evaluation *e, int64_t uid) {
    for (int i = 0; i < e->graph->tensors; i++)
        if (e->graph->tensor[i].uid == uid) return e->memory[i];
    printf("%s: no tensor %ld\n", e->graph->name, (long)uid);
    exit(1);
}

/* ---- places ---- */

/* The next place of the tensor, last axis fastest; 0 behind the last. */
static int next_place(struct place *p, const struct cudnn_tensor *t) {
    for (int i = t->dims - 1; i >= 0; i--) {
        if (++p->at[i] < t->dim[i]) return 1;
        p->at[i] = 0;
    }
    return 0;
}

/* Where the place is in the tensor's memory; along an axis where it has one element every index is that. */
static long index_of(const struct place *p, const struct cudnn_tensor *t) {
    long at = 0;
    for (int i = 0; i < t->dims; i++) at += (t->dim[i] == 1 ? 0 : p->at[i]) * t->stride[i];
    return at;
}

static const struct cudnn_tensor *tensor_of(const struct evaluation *e, const struct graph_node *n, int operand) {
    return &e->graph->tensor[n->operand[operand]];
}
static double *memory_of(const struct evaluation *e, const struct graph_node *n, int operand) {
    return e->memory[n->operand[operand]];
}

/* ---- operations ---- */

static void product(const struct evaluation *e, const struct graph_node *n) {
    const struct cudnn_tensor *a = tensor_of(e, n, 0), *b = tensor_of(e, n, 1), *c = tensor_of(e, n, 2);
    struct place p = {{0}};
    int row = c->dims - 2, column = c->dims - 1;
    do {
        struct place pa = p, pb = p;
        double sum = 0;
        for (int64_t k = 0; k < a->dim[column]; k++) {
            pa.at[column] = k, pb.at[row] = k;
            sum += memory_of(e, n, 0)[index_of(&pa, a)] * memory_of(e, n, 1)[index_of(&pb, b)];
        }
        memory_of(e, n, 2)[index_of(&p, c)] = sum;
    } while (next_place(&p, c));
}

static double with(enum graph_operation operation, double x, double b) {
    switch (operation) {
    case GRAPH_MULTIPLY:
        return x * b;
    case GRAPH_ADD:
        return x + b;
    case GRAPH_SUBTRACT:
        return x - b;
    case GRAPH_EXP:
        return exp(x);
    default:
        return x;
    }
}

static void elementwise(const struct evaluation *e, const struct graph_node *n) {
    const struct cudnn_tensor *x = tensor_of(e, n, 0), *b = tensor_of(e, n, 1), *y = tensor_of(e, n, n->operands - 1);
    struct place p = {{0}};
    do {
        double second = n->operands == 3 ? memory_of(e, n, 1)[index_of(&p, b)] : 0;
        memory_of(e, n, n->operands - 1)[index_of(&p, y)] =
            with(n->operation, memory_of(e, n, 0)[index_of(&p, x)], second);
    } while (next_place(&p, y));
}

static void sum(const struct evaluation *e, const struct graph_node *n) {
    const struct cudnn_tensor *x = tensor_of(e, n, 0), *y = tensor_of(e, n, 1);
    struct place p = {{0}};
    do memory_of(e, n, 1)[index_of(&p, y)] = 0;
    while (next_place(&p, y));
    do memory_of(e, n, 1)[index_of(&p, y)] += memory_of(e, n, 0)[index_of(&p, x)];
    while (next_place(&p, x));
}

static void view(const struct evaluation *e, const struct graph_node *n) {
    const struct cudnn_tensor *y = tensor_of(e, n, 1);
    struct place p = {{0}};
    do memory_of(e, n, 1)[index_of(&p, y)] = memory_of(e, n, 0)[index_of(&p, y)];
    while (next_place(&p, y));
}

/* The input's place that output place y meets through weight place w, for input channel j of the group; 0: in the
   padding. */
static int meets(struct place *x, const struct place *y, const struct place *w, const struct cudnn_tensor *input,
                 const struct graph_windows *windows) {
    x->at[0] = y->at[0];
    for (int axis = 0; axis < windows->axes; axis++) {
        x->at[2 + axis] = y->at[2 + axis] * windows->stride[axis] + w->at[2 + axis] - windows->before[axis];
        if (x->at[2 + axis] < 0 || x->at[2 + axis] >= input->dim[2 + axis]) return 0;
    }
    return 1;
}

/* Every product of a convolution once: x, w, y are the operands' numbers, `to` is the one that is a sum of the others'
   products. */
static void convolve(const struct evaluation *e, const struct graph_node *n, int x, int w, int y, int to) {
    const struct cudnn_tensor *tx = tensor_of(e, n, x), *tw = tensor_of(e, n, w), *ty = tensor_of(e, n, y),
                              *result = tensor_of(e, n, to);
    double *mx = memory_of(e, n, x), *mw = memory_of(e, n, w), *my = memory_of(e, n, y), *sums = memory_of(e, n, to);
    int64_t outs = tw->dim[0] / (tx->dim[1] / tw->dim[1]); /* output channels of a group */
    struct place p = {{0}}, py = {{0}};
    do sums[index_of(&p, result)] = n->beta != 0 ? n->beta * sums[index_of(&p, result)] : 0;
    while (next_place(&p, result));
    do {
        struct place pw = {{0}}, px;
        do {
            if (pw.at[0] != py.at[1] || !meets(&px, &py, &pw, tx, &e->graph->windows)) continue;
            px.at[1] = py.at[1] / outs * tw->dim[1] + pw.at[1];
            double *at[3];
            at[x] = &mx[index_of(&px, tx)], at[w] = &mw[index_of(&pw, tw)], at[y] = &my[index_of(&py, ty)];
            *at[to] += *at[(to + 1) % 3] * *at[(to + 2) % 3];
        } while (next_place(&pw, tw));
    } while (next_place(&py, ty));
}

int evaluate(const struct evaluation *e) {
    for (int i = 0; i < e->graph->nodes; i++) {
        const struct graph_node *n = &e->graph->node[i];
        switch (n->operation) {
        case GRAPH_PRODUCT:
            product(e, n);
            break;
        case GRAPH_SUM:
            sum(e, n);
            break;
        case GRAPH_VIEW:
            view(e, n);
            break;
        case GRAPH_CONVOLVE:
            convolve(e, n, 0, 1, 2, 2);
            break;
        case GRAPH_CONVOLVE_INPUT:
            convolve(e, n, 0, 1, 2, 0);
            break;
        case GRAPH_CONVOLVE_WEIGHT:
            convolve(e, n, 1, 0, 2, 0);
            break;
        case GRAPH_ATTEND:
        case GRAPH_ATTEND_BACKWARD:
            return 0;
        default:
            elementwise(e, n);
        }
    }
    return 1;
}
