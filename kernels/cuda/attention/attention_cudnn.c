/* attention_cudnn.c: attention by cuDNN, bf16 with float statistics: the graphs of attention_cudnn.h. */
#include "kernels/cuda/attention/attention_cudnn.h"

#include <string.h>

#include "kernels/arena.h"

enum { KEY_B, KEY_S, KEY_K, KEY_H, KEY_D, KEY_K_STRIDE, KEY_V_STRIDE };

/* Makes the key. With a single sample the distance to the next is left out, so that
   shapes that differ only in it share a plan. */
struct cudnn_key cudnn_attention_key(const struct attention *a, const struct attention_range *range) {
    struct cudnn_key key;
    long packed = range->length * a->H * a->D;
    memset(&key, 0, sizeof key);
    key.v[KEY_B] = a->B, key.v[KEY_S] = a->S, key.v[KEY_K] = range->length, key.v[KEY_H] = a->H, key.v[KEY_D] = a->D;
    key.v[KEY_K_STRIDE] = a->B > 1 ? range->k_stride : packed;
    key.v[KEY_V_STRIDE] = a->B > 1 ? range->v_stride : packed;
    return key;
}

/* ---- tensors ---- */

/* Adds a tensor that is [B, rows, H, D] in memory and [B, H, rows, D] to the library. */
static int rows_of_heads(struct cudnn_graph *g, int64_t uid, const struct cudnn_key *key, long rows, long stride) {
    long H = key->v[KEY_H], D = key->v[KEY_D];
    struct cudnn_tensor t = {uid, CUDNN_ELEM, CUDNN_IN_MEMORY, 4, {key->v[KEY_B], H, rows, D}, {stride, D, H * D, 1}};
    return graph_tensor(g, &t);
}

static int queries(struct cudnn_graph *g, int64_t uid, const struct cudnn_key *key) {
    return rows_of_heads(g, uid, key, key->v[KEY_S], key->v[KEY_S] * key->v[KEY_H] * key->v[KEY_D]);
}

static int keys(struct cudnn_graph *g, int64_t uid, const struct cudnn_key *key, long stride) {
    return rows_of_heads(g, uid, key, key->v[KEY_K], stride);
}

/* Adds the gradients of keys or values, packed. */
static int key_gradients(struct cudnn_graph *g, int64_t uid, const struct cudnn_key *key) {
    return keys(g, uid, key, key->v[KEY_K] * key->v[KEY_H] * key->v[KEY_D]);
}

/* Adds a float tensor [B, H, S, columns], packed. */
static int by_query(struct cudnn_graph *g, int64_t uid, const struct cudnn_key *key, enum cudnn_place place,
                    long columns) {
    long B = key->v[KEY_B], H = key->v[KEY_H], S = key->v[KEY_S];
    struct cudnn_tensor t = {uid, CUDNN_DATA_FLOAT,   place,
                             4,   {B, H, S, columns}, {H * S * columns, S * columns, columns, 1}};
    return graph_tensor(g, &t);
}

static int host_number(struct cudnn_graph *g, int64_t uid) {
    struct cudnn_tensor t = {uid, CUDNN_DATA_FLOAT, CUDNN_BY_VALUE, 4, {1, 1, 1, 1}, {1, 1, 1, 1}};
    return graph_tensor(g, &t);
}

static void name_graph(struct cudnn_graph *g, const char *what, const struct cudnn_key *key) {
    graph_name(g, "attention %s %ld x %ld x %ld, %ld x %ld", what, key->v[KEY_B], key->v[KEY_S], key->v[KEY_K],
               key->v[KEY_H], key->v[KEY_D]);
}

/* ---- the library's own operations ---- */

void cudnn_attention_forward_graph(struct cudnn_graph *g, const struct cudnn_key *key) {
    int q = queries(g, ATTENTION_Q, key), k = keys(g, ATTENTION_K, key, key->v[KEY_K_STRIDE]);
    int v = keys(g, ATTENTION_V, key, key->v[KEY_V_STRIDE]), o = queries(g, ATTENTION_O, key);
    int sums = by_query(g, ATTENTION_STATISTICS, key, CUDNN_IN_MEMORY, 1), scale = host_number(g, ATTENTION_SCALE);
    name_graph(g, "forward", key);
    GRAPH(g, GRAPH_ATTEND, q, k, v, o, sums, scale);
}

void cudnn_attention_backward_whole(struct cudnn_graph *g, const struct cudnn_key *key) {
    int q = queries(g, ATTENTION_Q, key), k = keys(g, ATTENTION_K, key, key->v[KEY_K_STRIDE]);
    int v = keys(g, ATTENTION_V, key, key->v[KEY_V_STRIDE]), o = queries(g, ATTENTION_O, key);
    int sums = by_query(g, ATTENTION_STATISTICS, key, CUDNN_IN_MEMORY, 1), scale = host_number(g, ATTENTION_SCALE);
    int dout = queries(g, ATTENTION_DO, key), dq = queries(g, ATTENTION_DQ, key);
    int dk = key_gradients(g, ATTENTION_DK, key), dv = key_gradients(g, ATTENTION_DV, key);
    name_graph(g, "backward", key);
    GRAPH(g, GRAPH_ATTEND_BACKWARD, q, k, v, o, dout, sums, scale, dq, dk, dv);
}

/* ---- the backward in parts ----
   With p = exp(scale q k^T - statistics), dp = dout v^T, delta = sums of dout o, ds = (dp - delta) p scale:
   dv = p^T dout, dk = ds^T q, dq = ds k. The order of the steps, what lies in memory and the multiplication of delta by
   1 are what the library's engines recognise. */

struct backward {
    struct cudnn_graph *g;
    const struct cudnn_key *key;
    int q, k_turned, v_turned, o, dout, statistics, scale;
};

/* Adds keys or values as [B, H, D, K]. */
static int turned_keys(struct cudnn_graph *g, int64_t uid, const struct cudnn_key *key, long stride) {
    long H = key->v[KEY_H], D = key->v[KEY_D];
    struct cudnn_tensor t = {
        uid, CUDNN_ELEM, CUDNN_IN_MEMORY, 4, {key->v[KEY_B], H, D, key->v[KEY_K]}, {stride, D, 1, H * D}};
    return graph_tensor(g, &t);
}

static struct backward backward_inputs(struct cudnn_graph *g, const struct cudnn_key *key) {
    struct backward b = {.g = g, .key = key};
    b.q = queries(g, ATTENTION_Q, key);
    b.k_turned = turned_keys(g, ATTENTION_K, key, key->v[KEY_K_STRIDE]);
    b.v_turned = turned_keys(g, ATTENTION_V, key, key->v[KEY_V_STRIDE]);
    b.o = queries(g, ATTENTION_O, key), b.dout = queries(g, ATTENTION_DO, key);
    b.statistics = by_query(g, ATTENTION_STATISTICS, key, CUDNN_IN_MEMORY, 1);
    b.scale = host_number(g, ATTENTION_SCALE);
    return b;
}

static int64_t inside_uid(const struct cudnn_graph *g) { return ATTENTION_INSIDE + g->tensors; }

/* Adds a float tensor [B, H, S, columns] that stays between two steps. */
static int inside(const struct backward *b, long columns) {
    return by_query(b->g, inside_uid(b->g), b->key, CUDNN_INSIDE, columns);
}

static int scores(const struct backward *b) { return inside(b, b->key->v[KEY_K]); }

/* Adds a matrix that stays inside, with its last two axes exchanged, in the type that products take. */
static int turned(const struct backward *b, int of) {
    const struct cudnn_tensor *x = &b->g->tensor[of];
    struct cudnn_tensor t = *x;
    t.uid = inside_uid(b->g), t.type = CUDNN_ELEM, t.place = CUDNN_INSIDE;
    t.dim[2] = x->dim[3], t.dim[3] = x->dim[2], t.stride[2] = x->stride[3], t.stride[3] = x->stride[2];
    int to = graph_tensor(b->g, &t);
    GRAPH(b->g, GRAPH_VIEW, of, to);
    return to;
}

static int sums_of_rows(const struct backward *b) {
    int product = inside(b, b->key->v[KEY_D]), sum = inside(b, 1);
    int delta = by_query(b->g, ATTENTION_DELTA, b->key, CUDNN_IN_MEMORY, 1), one = host_number(b->g, ATTENTION_ONE);
    GRAPH(b->g, GRAPH_MULTIPLY, b->dout, b->o, product);
    GRAPH(b->g, GRAPH_SUM, product, sum);
    GRAPH(b->g, GRAPH_MULTIPLY, sum, one, delta);
    return delta;
}

static int probabilities(const struct backward *b) {
    int product = scores(b), scaled = scores(b), shifted = scores(b), p = scores(b);
    GRAPH(b->g, GRAPH_PRODUCT, b->q, b->k_turned, product);
    GRAPH(b->g, GRAPH_MULTIPLY, product, b->scale, scaled);
    GRAPH(b->g, GRAPH_SUBTRACT, scaled, b->statistics, shifted);
    GRAPH(b->g, GRAPH_EXP, shifted, p);
    return p;
}

static int gradient_of_scores(const struct backward *b, int p, int delta) {
    int dp = scores(b), less = scores(b), weighted = scores(b), ds = scores(b);
    GRAPH(b->g, GRAPH_PRODUCT, b->dout, b->v_turned, dp);
    GRAPH(b->g, GRAPH_SUBTRACT, dp, delta, less);
    GRAPH(b->g, GRAPH_MULTIPLY, less, p, weighted);
    GRAPH(b->g, GRAPH_MULTIPLY, weighted, b->scale, ds);
    return ds;
}

/* Adds all of the backward but the queries' gradient; returns ds. */
static int up_to_keys(const struct backward *b) {
    int delta = sums_of_rows(b), p = probabilities(b);
    GRAPH(b->g, GRAPH_PRODUCT, turned(b, p), b->dout, key_gradients(b->g, ATTENTION_DV, b->key));
    int ds = gradient_of_scores(b, p, delta);
    GRAPH(b->g, GRAPH_PRODUCT, turned(b, ds), b->q, key_gradients(b->g, ATTENTION_DK, b->key));
    return ds;
}

void cudnn_attention_backward_parts(struct cudnn_graph *g, const struct cudnn_key *key) {
    struct backward b = backward_inputs(g, key);
    name_graph(g, "backward in parts", key);
    int ds = up_to_keys(&b), k = turned(&b, b.k_turned);
    int sum = by_query(g, ATTENTION_DQ_SUM, key, CUDNN_IN_MEMORY, key->v[KEY_D]);
    GRAPH(g, GRAPH_PRODUCT, ds, k, sum);
    GRAPH(g, GRAPH_COPY, sum, queries(g, ATTENTION_DQ, key));
}

void cudnn_attention_backward_ordered(struct cudnn_graph *g, const struct cudnn_key *key) {
    struct backward b = backward_inputs(g, key);
    name_graph(g, "backward in parts, ordered", key);
    int ds = up_to_keys(&b), k = turned(&b, b.k_turned);
    GRAPH(g, GRAPH_PRODUCT, ds, k, queries(g, ATTENTION_DQ, key));
    g->kept = sizeof(elem) * (size_t)(key->v[KEY_B] * key->v[KEY_H] * key->v[KEY_S] * key->v[KEY_K]);
}

/* Lists the forms. The form of one operation finalises from cuDNN 9.21 on, but has engines for every
   architecture only from 9.28 on. */
int cudnn_attention_backward_forms(cudnn_builder **form, size_t version, int deterministic) {
    int count = 0;
    if (deterministic) return *form = cudnn_attention_backward_ordered, 1;
    if (version >= 92800) form[count++] = cudnn_attention_backward_whole;
    form[count++] = cudnn_attention_backward_parts;
    return count;
}

/* ---- pieces of keys ---- */

/* Rows and columns of a tile; the library keeps gradients of scores in whole tiles. */
enum { KEPT_TILE = 128 };
static long whole_tiles(long n) { return (n + KEPT_TILE - 1) / KEPT_TILE * KEPT_TILE; }

size_t cudnn_attention_kept(long B, long S, long H, long keys) {
    return (size_t)(B * H * whole_tiles(S) * whole_tiles(keys)) * sizeof(elem);
}

size_t cudnn_attention_piece_beside(long S, long H, long D, long piece) {
    size_t queries = (size_t)(S * H * D), keys = (size_t)(piece * H * D);
    return arena_aligned(queries * sizeof(elem)) + arena_aligned(queries * sizeof(real)) +
           arena_aligned((size_t)(S * H) * sizeof(real)) + 2 * arena_aligned(keys * sizeof(elem));
}

long cudnn_attention_piece(long S, long H, long D, long keys, size_t bytes) {
    for (long pieces = 1; pieces <= whole_tiles(keys) / KEPT_TILE; pieces++) {
        long piece = pieces > 1 ? whole_tiles((keys + pieces - 1) / pieces) : keys;
        if (cudnn_attention_piece_beside(S, H, D, piece) + cudnn_attention_kept(1, S, H, piece) <= bytes) return piece;
    }
    return 0;
}
