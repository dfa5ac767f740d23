/* attention_cudnn.c: attention by cuDNN's one operation for it, forward and backward, bf16 with float statistics.
   A list of ranges is worked through range by range and merged by the log-sums: copying the keys into one piece would move
   hundreds of megabytes a layer, merging moves the output (attention_merge.cu). The backward splits the same way without
   any merging of statistics: each range needs the sums over all ranges, which the forward has left, so its keys' gradients
   are final and the queries' add up. Ranges that lie side by side are taken as one in the forward. */
#include "kernels/cuda/attention/attention_merge.h"
#include "kernels/arena.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/attention/attention_cudnn.h"
#include "kernels/device.h"
#include "kernels/served.h"

#include <string.h>

enum { HEAD_MAX = 128 }; /* widest head that the backward takes on every target */

enum { KEY_B, KEY_S, KEY_K, KEY_H, KEY_D, KEY_K_STRIDE, KEY_V_STRIDE };

struct cudnn_key cudnn_attention_key(const struct attention *a, const struct attention_range *range) {
    struct cudnn_key key;
    memset(&key, 0, sizeof key);
    key.v[KEY_B] = a->B, key.v[KEY_S] = a->S, key.v[KEY_K] = range->length, key.v[KEY_H] = a->H, key.v[KEY_D] = a->D;
    key.v[KEY_K_STRIDE] = range->k_stride, key.v[KEY_V_STRIDE] = range->v_stride;
    return key;
}

/* ---- graphs ---- */

/* [B, rows, H, D] in memory, as the library's [B, H, rows, D]. */
static cudnnBackendDescriptor_t rows_of_heads(struct cudnn_parts *parts, int64_t uid, const struct cudnn_key *key,
                                              long rows, long stride) {
    long H = key->v[KEY_H], D = key->v[KEY_D];
    struct cudnn_tensor t = {uid, CUDNN_ELEM, CUDNN_IN_MEMORY, 4, {key->v[KEY_B], H, rows, D}, {stride, D, H * D, 1}};
    return cudnn_tensor(parts, &t);
}

static cudnnBackendDescriptor_t queries(struct cudnn_parts *parts, int64_t uid, const struct cudnn_key *key) {
    return rows_of_heads(parts, uid, key, key->v[KEY_S], key->v[KEY_S] * key->v[KEY_H] * key->v[KEY_D]);
}

static cudnnBackendDescriptor_t keys(struct cudnn_parts *parts, int64_t uid, const struct cudnn_key *key, long stride) {
    return rows_of_heads(parts, uid, key, key->v[KEY_K], stride);
}

static cudnnBackendDescriptor_t statistics(struct cudnn_parts *parts, const struct cudnn_key *key) {
    long H = key->v[KEY_H], S = key->v[KEY_S];
    struct cudnn_tensor t = {ATTENTION_STATISTICS,     CUDNN_DATA_FLOAT, CUDNN_IN_MEMORY, 4,
                             {key->v[KEY_B], H, S, 1}, {H * S, S, 1, 1}};
    return cudnn_tensor(parts, &t);
}

static cudnnBackendDescriptor_t scale_of_scores(struct cudnn_parts *parts) {
    struct cudnn_tensor t = {ATTENTION_SCALE, CUDNN_DATA_FLOAT, CUDNN_BY_VALUE, 4, {1, 1, 1, 1}, {1, 1, 1, 1}};
    return cudnn_tensor(parts, &t);
}

static void name_graph(struct cudnn_parts *parts, const char *direction, const struct cudnn_key *key) {
    cudnn_name(parts, "attention %s %ld x %ld x %ld, %ld x %ld", direction, key->v[KEY_B], key->v[KEY_S], key->v[KEY_K],
               key->v[KEY_H], key->v[KEY_D]);
}

#define FORWARD(name)  CUDNN_ATTR_OPERATION_SDPA_FWD_##name
#define BACKWARD(name) CUDNN_ATTR_OPERATION_SDPA_BWD_##name

void cudnn_attention_forward_graph(struct cudnn_parts *parts, const struct cudnn_key *key) {
    cudnnBackendDescriptor_t q = queries(parts, ATTENTION_Q, key),
                             k = keys(parts, ATTENTION_K, key, key->v[KEY_K_STRIDE]);
    cudnnBackendDescriptor_t v = keys(parts, ATTENTION_V, key, key->v[KEY_V_STRIDE]),
                             o = queries(parts, ATTENTION_O, key);
    cudnnBackendDescriptor_t sums = statistics(parts, key), scale = scale_of_scores(parts);
    cudnnBackendDescriptor_t operation = cudnn_begin(parts, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
    cudnn_set_part(parts, operation, FORWARD(QDESC), q);
    cudnn_set_part(parts, operation, FORWARD(KDESC), k);
    cudnn_set_part(parts, operation, FORWARD(VDESC), v);
    cudnn_set_part(parts, operation, FORWARD(ODESC), o);
    cudnn_set_part(parts, operation, FORWARD(STATSDESC), sums);
    cudnn_set_part(parts, operation, FORWARD(SCALEDESC), scale);
    name_graph(parts, "forward", key);
    cudnn_end_operation(parts, operation);
}

void cudnn_attention_backward_graph(struct cudnn_parts *parts, const struct cudnn_key *key) {
    long packed = key->v[KEY_K] * key->v[KEY_H] * key->v[KEY_D];
    cudnnBackendDescriptor_t q = queries(parts, ATTENTION_Q, key),
                             k = keys(parts, ATTENTION_K, key, key->v[KEY_K_STRIDE]);
    cudnnBackendDescriptor_t v = keys(parts, ATTENTION_V, key, key->v[KEY_V_STRIDE]),
                             o = queries(parts, ATTENTION_O, key);
    cudnnBackendDescriptor_t dout = queries(parts, ATTENTION_DO, key), dq = queries(parts, ATTENTION_DQ, key);
    cudnnBackendDescriptor_t dk = keys(parts, ATTENTION_DK, key, packed), dv = keys(parts, ATTENTION_DV, key, packed);
    cudnnBackendDescriptor_t sums = statistics(parts, key), scale = scale_of_scores(parts);
    cudnnBackendDescriptor_t operation = cudnn_begin(parts, CUDNN_BACKEND_OPERATION_SDPA_BWD_DESCRIPTOR);
    cudnn_set_part(parts, operation, BACKWARD(QDESC), q);
    cudnn_set_part(parts, operation, BACKWARD(KDESC), k);
    cudnn_set_part(parts, operation, BACKWARD(VDESC), v);
    cudnn_set_part(parts, operation, BACKWARD(ODESC), o);
    cudnn_set_part(parts, operation, BACKWARD(DODDESC), dout);
    cudnn_set_part(parts, operation, BACKWARD(STATSDESC), sums);
    cudnn_set_part(parts, operation, BACKWARD(SCALEDESC), scale);
    cudnn_set_part(parts, operation, BACKWARD(DQDESC), dq);
    cudnn_set_part(parts, operation, BACKWARD(DKDESC), dk);
    cudnn_set_part(parts, operation, BACKWARD(DVDESC), dv);
    name_graph(parts, "backward", key);
    cudnn_end_operation(parts, operation);
}

/* ---- ranges ---- */

static int range_fits(const struct attention_range *r) {
    return aligned16(r->k) && aligned16(r->v) && r->k_stride % 8 == 0 && r->v_stride % 8 == 0;
}

static int problem_fits(const struct attention *a, const elem *q, const elem *o, const real *lse) {
    int fits = CUDNN_ELEM == CUDNN_DATA_BFLOAT16 && a->D % 8 == 0 && a->D <= HEAD_MAX && aligned16(q) && aligned16(o) &&
               lse && aligned16(lse);
    for (int r = 0; r < a->count; r++) fits = fits && range_fits(&a->ranges[r]);
    if (!fits) served_refuse("cudnn: bf16, heads up to %d and rows of 16 bytes are what is asked of it", HEAD_MAX);
    return fits;
}

static int workspace_holds(size_t bytes) {
    int holds = cuda_workspace_holds("attention", bytes);
    if (!holds) served_refuse("cudnn: %.1f MiB of workspace are wanted", (double)bytes / 1048576);
    return holds;
}

/* The ranges that have keys, neighbours in memory joined; returns their number. */
static int join_ranges(struct attention_range *joined, const struct attention *a) {
    int count = 0;
    for (int r = 0; r < a->count; r++) {
        const struct attention_range *next = &a->ranges[r];
        struct attention_range *last = count ? &joined[count - 1] : NULL;
        if (next->length <= 0) continue;
        long size = last ? last->length * a->H * a->D : 0;
        if (last && next->k == last->k + size && next->v == last->v + size &&
            (a->B == 1 || (next->k_stride == last->k_stride && next->v_stride == last->v_stride)))
            last->length += next->length;
        else
            joined[count++] = *next;
    }
    return count;
}

static void forward_range(elem *o, real *lse, const elem *q, const struct attention *a,
                          const struct attention_range *range, const struct cudnn_key *key) {
    struct cudnn_bindings b = {.count = 0};
    cudnn_bind(&b, ATTENTION_Q, q);
    cudnn_bind(&b, ATTENTION_K, range->k);
    cudnn_bind(&b, ATTENTION_V, range->v);
    cudnn_bind(&b, ATTENTION_O, o);
    cudnn_bind(&b, ATTENTION_STATISTICS, lse);
    cudnn_bind(&b, ATTENTION_SCALE, &a->scale);
    cudnn_run(key, cudnn_attention_forward_graph, &b);
}

int attention_cudnn_forward(elem *o, real *lse, const elem *q, const struct attention *a) {
    struct attention_range range[ATTENTION_RANGES_MAX];
    struct cudnn_key key[ATTENTION_RANGES_MAX];
    size_t library = 0;
    if (!problem_fits(a, q, o, lse)) return 0;
    int count = join_ranges(range, a);
    for (int r = 0; r < count; r++) {
        key[r] = cudnn_attention_key(a, &range[r]);
        if (!cudnn_supports(&key[r], cudnn_attention_forward_graph)) return 0;
        size_t bytes = cudnn_workspace(&key[r], cudnn_attention_forward_graph);
        if (bytes > library) library = bytes;
    }
    if (count == 1) return forward_range(o, lse, q, a, &range[0], &key[0]), 1;
    /* each range's own output and sums: [count] of them */
    size_t rows = (size_t)(a->B * a->S * a->H), n = (size_t)count, pitch = (size_t)attention_pitch(a->B, a->S, a->H);
    if (!workspace_holds(arena_aligned(sizeof(elem) * rows * (size_t)a->D * n) +
                         arena_aligned(sizeof(real) * pitch * n) + library))
        return 0;
    elem *part = workspace_push(sizeof(elem) * rows * (size_t)(a->D * count));
    real *sums = part ? workspace_push(sizeof(real) * pitch * n) : NULL;
    for (int r = 0; r < count && sums; r++)
        forward_range(part + (size_t)r * rows * (size_t)a->D, sums + (size_t)r * pitch, q, a, &range[r], &key[r]);
    if (sums) attention_merge(o, lse, part, sums, count, a->B, a->S, a->H, a->D);
    workspace_pop(sums);
    workspace_pop(part);
    return 1;
}

/* ---- backward ---- */

struct backward {
    const elem *dout, *o, *q;
    const real *lse;
    const struct attention *a;
};

static void backward_range(elem *dq, elem *dk, elem *dv, const struct backward *p, const struct attention_range *range,
                           const struct cudnn_key *key) {
    struct cudnn_bindings b = {.count = 0};
    cudnn_bind(&b, ATTENTION_Q, p->q);
    cudnn_bind(&b, ATTENTION_K, range->k);
    cudnn_bind(&b, ATTENTION_V, range->v);
    cudnn_bind(&b, ATTENTION_O, p->o);
    cudnn_bind(&b, ATTENTION_DO, p->dout);
    cudnn_bind(&b, ATTENTION_STATISTICS, p->lse);
    cudnn_bind(&b, ATTENTION_SCALE, &p->a->scale);
    cudnn_bind(&b, ATTENTION_DQ, dq);
    cudnn_bind(&b, ATTENTION_DK, dk);
    cudnn_bind(&b, ATTENTION_DV, dv);
    cudnn_run(key, cudnn_attention_backward_graph, &b);
}

/* sum [B] at a stride += gradient [B, packed] */
static void add_to_sum(real *sum, const elem *gradient, long B, long packed, long stride) {
    for (long b = 0; b < B && sum; b++) real_add_elem(sum + b * stride, gradient + b * packed, packed);
}

/* One range: its own gradients to where it wants them, the queries' added to what earlier ranges left in dq. */
static void backward_of(elem *dq, const struct backward *p, const struct attention_range *range, int first,
                        const struct cudnn_key *key) {
    const struct attention *a = p->a;
    long packed = range->length * a->H * a->D, queries = a->B * a->S * a->H * a->D;
    size_t keys = sizeof(elem) * (size_t)(a->B * packed);
    elem *part = dq && first ? NULL : workspace_push(sizeof(elem) * (size_t)queries); /* the library always writes it */
    elem *dk = range->dk ? NULL : workspace_push(keys), *dv = range->dv ? NULL : workspace_push(keys);
    if ((part || (dq && first)) && (dk || range->dk) && (dv || range->dv)) {
        elem *to_dk = dk ? dk : range->dk, *to_dv = dv ? dv : range->dv;
        backward_range(part ? part : dq, to_dk, to_dv, p, range, key);
        add_to_sum(range->dk_sum, to_dk, a->B, packed, range->k_stride);
        add_to_sum(range->dv_sum, to_dv, a->B, packed, range->v_stride);
        if (dq && part) elem_add(dq, part, queries);
    }
    workspace_pop(dv);
    workspace_pop(dk);
    workspace_pop(part);
}

/* What backward_of takes for this range. */
static size_t backward_bytes(const elem *dq, const struct attention *a, const struct attention_range *range, int first,
                             const struct cudnn_key *key) {
    size_t keys = arena_aligned(sizeof(elem) * (size_t)(a->B * range->length * a->H * a->D));
    size_t bytes = cudnn_workspace(key, cudnn_attention_backward_graph);
    if (!dq || !first) bytes += arena_aligned(sizeof(elem) * (size_t)(a->B * a->S * a->H * a->D));
    return bytes + (range->dk ? 0 : keys) + (range->dv ? 0 : keys);
}

static int gradients_fit(const struct attention *a, const elem *dq, const elem *dout) {
    int fit = aligned16(dq) && aligned16(dout);
    for (int r = 0; r < a->count; r++) fit = fit && aligned16(a->ranges[r].dk) && aligned16(a->ranges[r].dv);
    if (!fit) served_refuse("cudnn: a gradient is not aligned to 16 bytes");
    return fit;
}

int attention_cudnn_backward(elem *dq, const elem *dout, const elem *o, const real *lse, const elem *q,
                             const struct attention *a) {
    struct backward p = {dout, o, q, lse, a};
    struct cudnn_key key[ATTENTION_RANGES_MAX];
    int first = 1;
    if (!problem_fits(a, q, o, lse) || !gradients_fit(a, dq, dout)) return 0;
    for (int r = 0; r < a->count; r++) {
        key[r] = cudnn_attention_key(a, &a->ranges[r]);
        if (a->ranges[r].length <= 0) continue;
        if (!cudnn_supports(&key[r], cudnn_attention_backward_graph)) return 0;
        if (!workspace_holds(backward_bytes(dq, a, &a->ranges[r], first, &key[r]))) return 0;
        first = 0;
    }
    first = 1;
    for (int r = 0; r < a->count; r++) {
        if (a->ranges[r].length <= 0) continue;
        backward_of(dq, &p, &a->ranges[r], first, &key[r]);
        first = 0;
    }
    return 1;
}
