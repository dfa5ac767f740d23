/* attention_library.c: attention (attention.h) by cuDNN. Ranges that lie side by side in memory are one
   problem. The ranges that then remain are done one by one and merged by their log-sums: copying the keys
   into one piece would move hundreds of megabytes a layer, merging moves the output (attention_merge.cu).
   The backward splits the same way without any merging of statistics: each part needs the sums over all
   keys, which the forward has left, so its keys' gradients are final and the queries' add up. */
#include "kernels/arena.h"
#include "kernels/cuda/attention/attention_cudnn.h"
#include "kernels/cuda/attention/attention_merge.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/cudnn/plan.h"
#include "kernels/device.h"
#include "kernels/served.h"

enum { HEAD_MAX = 128 }; /* widest head that the backward takes on every target */

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

/* Ranges that lie side by side in memory, as one. */
struct joined {
    struct attention_range keys; /* no gradients */
    const struct attention_range *first;
    int count; /* ranges from first[] on, those without keys included */
};

static int follows(const struct attention_range *next, const struct attention_range *last, const struct attention *a) {
    long size = last->length * a->H * a->D;
    return next->k == last->k + size && next->v == last->v + size &&
           (a->B == 1 || (next->k_stride == last->k_stride && next->v_stride == last->v_stride));
}

/* Joins ranges that are neighbours in memory, and leaves out those without keys; returns
   the number of joined ranges. */
static int join_ranges(struct joined *joined, const struct attention *a) {
    int count = 0;
    for (int r = 0; r < a->count; r++) {
        const struct attention_range *next = &a->ranges[r];
        if (next->length <= 0) continue;
        struct joined *last = count ? &joined[count - 1] : NULL;
        if (last && follows(next, &last->keys, a)) {
            last->keys.length += next->length;
            last->count = (int)(next - last->first) + 1;
            continue;
        }
        joined[count++] = (struct joined){
            .keys = {next->k, next->v, next->length, next->k_stride, next->v_stride}, .first = next, .count = 1};
    }
    return count;
}

/* ---- forward ---- */

static void forward_range(elem *o, real *lse, const elem *q, const struct attention *a,
                          const struct attention_range *range, const struct cudnn_plan *plan) {
    struct cudnn_bindings b = {.count = 0};
    cudnn_bind(&b, ATTENTION_Q, q);
    cudnn_bind(&b, ATTENTION_K, range->k);
    cudnn_bind(&b, ATTENTION_V, range->v);
    cudnn_bind(&b, ATTENTION_O, o);
    cudnn_bind(&b, ATTENTION_STATISTICS, lse);
    cudnn_bind(&b, ATTENTION_SCALE, &a->scale);
    cudnn_run(plan, &b);
}

int attention_cudnn_forward(elem *o, real *lse, const elem *q, const struct attention *a) {
    struct joined range[ATTENTION_RANGES_MAX];
    const struct cudnn_plan *plan[ATTENTION_RANGES_MAX];
    if (!problem_fits(a, q, o, lse)) return 0;
    /* each range's own output and sums: [count] of them, where there are several */
    int count = join_ranges(range, a);
    size_t rows = (size_t)(a->B * a->S * a->H), n = (size_t)count, pitch = (size_t)attention_pitch(a->B, a->S, a->H);
    size_t outputs = sizeof(elem) * rows * (size_t)a->D * n, all_sums = sizeof(real) * pitch * n;
    size_t pieces = count > 1 ? arena_aligned(outputs) + arena_aligned(all_sums) : 0;
    if (!workspace_holds(pieces)) return 0;
    for (int r = 0; r < count; r++) {
        struct cudnn_key key = cudnn_attention_key(a, &range[r].keys);
        plan[r] = cudnn_plan(&key, cudnn_attention_forward_graph, pieces);
        if (!plan[r]) return 0;
    }
    if (count == 1) return forward_range(o, lse, q, a, &range[0].keys, plan[0]), 1;
    elem *part = workspace_push(outputs);
    real *sums = part ? workspace_push(all_sums) : NULL;
    for (int r = 0; r < count && sums; r++)
        forward_range(part + (size_t)r * rows * (size_t)a->D, sums + (size_t)r * pitch, q, a, &range[r].keys, plan[r]);
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

/* One joined range: how it is computed, and the pieces of workspace that it takes beside the library's, in order. */
struct part {
    const struct joined *range;
    cudnn_builder *form;
    const struct cudnn_plan *plan;
    size_t dq, keys, delta, dq_sum; /* bytes; 0: not wanted */
};

/* 1: the library can write the keys' gradients where they are wanted. */
static int written_in_place(const struct joined *r) { return r->count == 1 && r->first->dk && r->first->dv; }

/* Sets the sizes of the part's pieces for this form; first 1: no part before it has written dq. */
static void set_pieces(struct part *part, const elem *dq, const struct attention *a, int first) {
    size_t rows = (size_t)(a->B * a->S * a->H), D = (size_t)a->D;
    part->dq = dq && first ? 0 : sizeof(elem) * rows * D; /* the library always writes it */
    part->keys =
        written_in_place(part->range) ? 0 : sizeof(elem) * (size_t)(a->B * part->range->keys.length * a->H * a->D);
    part->delta = part->form == cudnn_attention_backward_whole ? 0 : sizeof(real) * rows;
    part->dq_sum = part->form == cudnn_attention_backward_parts ? sizeof(real) * rows * D : 0;
}

static size_t pieces(const struct part *p) {
    return arena_aligned(p->dq) + 2 * arena_aligned(p->keys) + arena_aligned(p->delta) + arena_aligned(p->dq_sum);
}

/* 1: the workspace holds what the ordered form keeps; other forms keep nothing. */
static int kept_fits(const struct part *part, const struct attention *a) {
    if (part->form != cudnn_attention_backward_ordered) return 1;
    size_t bytes = pieces(part) + cudnn_attention_kept(a->B, a->S, a->H, part->range->keys.length);
    return bytes <= cuda_workspace_left();
}

/* Finds the form and the plan; 0: the library has none, or the workspace is too small. */
static int plan_part(struct part *part, const elem *dq, const struct attention *a, int first) {
    cudnn_builder *form[CUDNN_BACKWARD_FORMS];
    struct cudnn_key key = cudnn_attention_key(a, &part->range->keys);
    int forms = cudnn_attention_backward_forms(form, cudnnGetVersion(), cuda_deterministic());
    for (int f = 0; f < forms; f++) {
        part->form = form[f];
        set_pieces(part, dq, a, first);
        if (!kept_fits(part, a)) continue;
        if (workspace_holds(pieces(part)) && (part->plan = cudnn_plan(&key, form[f], pieces(part)))) return 1;
    }
    return 0;
}

/* sum += gradient for B samples, each array with a stride of its own */
static void add_to_sum(real *sum, const elem *gradient, long B, long n, long stride, long gradient_stride) {
    for (long b = 0; b < B && sum; b++) real_add_elem(sum + b * stride, gradient + b * gradient_stride, n);
}

/* Hands the gradients of joined keys out to their ranges. */
static void hand_out(const struct joined *joined, const elem *dk, const elem *dv, const struct attention *a) {
    size_t token = sizeof(elem) * (size_t)(a->H * a->D);
    long all = joined->keys.length * a->H * a->D, before = 0;
    for (int r = 0; r < joined->count; r++) {
        const struct attention_range *to = &joined->first[r];
        if (to->length <= 0) continue;
        long n = to->length * a->H * a->D;
        add_to_sum(to->dk_sum, dk + before, a->B, n, to->k_stride, all);
        add_to_sum(to->dv_sum, dv + before, a->B, n, to->v_stride, all);
        size_t bytes = token * (size_t)to->length, pitch = token * (size_t)joined->keys.length;
        if (to->dk && to->dk != dk) mem_copy_rows(to->dk, bytes, dk + before, pitch, bytes, (size_t)a->B);
        if (to->dv && to->dv != dv) mem_copy_rows(to->dv, bytes, dv + before, pitch, bytes, (size_t)a->B);
        before += n;
    }
}

struct targets {
    elem *dq, *dk, *dv;
    real *delta, *dq_sum;
};

/* Runs a part. ATTENTION_DQ_SUM need not be cleared: engines do that (cuDNN 9.6 and later). */
static void run_part(const struct part *part, const struct backward *p, const struct targets *to) {
    static const float one = 1;
    struct cudnn_bindings b = {.count = 0};
    cudnn_bind(&b, ATTENTION_Q, p->q);
    cudnn_bind(&b, ATTENTION_K, part->range->keys.k);
    cudnn_bind(&b, ATTENTION_V, part->range->keys.v);
    cudnn_bind(&b, ATTENTION_O, p->o);
    cudnn_bind(&b, ATTENTION_DO, p->dout);
    cudnn_bind(&b, ATTENTION_STATISTICS, p->lse);
    cudnn_bind(&b, ATTENTION_SCALE, &p->a->scale);
    cudnn_bind(&b, ATTENTION_DQ, to->dq);
    cudnn_bind(&b, ATTENTION_DK, to->dk);
    cudnn_bind(&b, ATTENTION_DV, to->dv);
    if (part->delta) cudnn_bind(&b, ATTENTION_DELTA, to->delta), cudnn_bind(&b, ATTENTION_ONE, &one);
    if (part->dq_sum) cudnn_bind(&b, ATTENTION_DQ_SUM, to->dq_sum);
    cudnn_run(part->plan, &b);
}

/* A piece of workspace; NULL where none is wanted. plan_part has seen that they fit. */
static void *piece(size_t bytes) { return bytes ? workspace_push(bytes) : NULL; }

/* Goes back through one part: the keys' gradients go where they are wanted, the queries' are added to what earlier
   parts left in dq or, where it is not NULL, in the float sum. */
static void backward_part(elem *dq, real *sum, const struct part *part, const struct backward *p) {
    const struct attention *a = p->a;
    const struct joined *range = part->range;
    elem *own_dq = piece(part->dq), *own_dk = piece(part->keys), *own_dv = piece(part->keys);
    real *delta = piece(part->delta), *dq_sum = piece(part->dq_sum);
    struct targets to = {part->dq ? own_dq : dq, part->keys ? own_dk : range->first->dk,
                         part->keys ? own_dv : range->first->dv, delta, dq_sum};
    if (to.dq && to.dk && to.dv && (delta || !part->delta) && (dq_sum || !part->dq_sum)) {
        run_part(part, p, &to);
        hand_out(range, to.dk, to.dv, a);
        if (dq && part->dq) elem_add(dq, own_dq, a->B * a->S * a->H * a->D);
        if (sum) real_add_elem(sum, own_dq, a->B * a->S * a->H * a->D);
    }
    workspace_pop(dq_sum);
    workspace_pop(delta);
    workspace_pop(own_dv);
    workspace_pop(own_dk);
    workspace_pop(own_dq);
}

/* ---- the ordered backward in pieces of one sample's keys, where the whole does not fit (attention_cudnn.h) ---- */

/* A piece of the keys of a sample's range, as a problem of its own. */
struct key_piece {
    struct attention one;
    struct attention_range keys;
    struct joined joined;
    struct part part;
};

static elem *rows_on(elem *rows, long elements) { return rows ? rows + elements : NULL; }
static real *sums_on(real *sums, long elements) { return sums ? sums + elements : NULL; }

static void cut_piece(struct key_piece *c, const struct attention *a, const struct attention_range *range, long sample,
                      long first, long length) {
    long token = a->H * a->D, k = sample * range->k_stride + first * token,
         v = sample * range->v_stride + first * token;
    long gradient = (sample * range->length + first) * token;
    c->keys = (struct attention_range){.k = range->k + k,
                                       .v = range->v + v,
                                       .length = length,
                                       .k_stride = length * token,
                                       .v_stride = length * token,
                                       .dk = rows_on(range->dk, gradient),
                                       .dv = rows_on(range->dv, gradient),
                                       .dk_sum = sums_on(range->dk_sum, k),
                                       .dv_sum = sums_on(range->dv_sum, v)};
    c->one = (struct attention){&c->keys, 1, 1, a->S, a->H, a->D, a->scale};
    c->joined = (struct joined){.keys = c->keys, .first = &c->keys, .count = 1};
    c->part = (struct part){.range = &c->joined, .form = cudnn_attention_backward_ordered};
    set_pieces(&c->part, NULL, &c->one, 0);
}

/* Calls each(piece, user) for every piece of a sample until it returns 0; returns 1 when it never did. */
static int for_pieces(const struct attention *a, long sample, size_t bytes,
                      int (*each)(struct key_piece *piece, void *user), void *user) {
    struct key_piece piece;
    int went = 1;
    for (int r = 0; r < a->count && went; r++) {
        const struct attention_range *range = &a->ranges[r];
        long most = range->length > 0 ? cudnn_attention_piece(a->S, a->H, a->D, range->length, bytes) : 0;
        if (range->length > 0 && !most) return 0;
        for (long first = 0; first < range->length && went; first += most) {
            cut_piece(&piece, a, range, sample, first, range->length - first < most ? range->length - first : most);
            went = each(&piece, user);
        }
    }
    return went;
}

/* Finds the plan of a piece; `user` points at the bytes that the caller takes beside those of the piece itself. */
static int plan_piece(struct key_piece *c, void *user) {
    struct cudnn_key key = cudnn_attention_key(&c->one, &c->keys);
    c->part.plan = cudnn_plan(&key, c->part.form, *(const size_t *)user + pieces(&c->part));
    return c->part.plan != NULL;
}

/* One sample of the backward. */
struct sample_backward {
    struct backward p;
    real *dq_sum; /* float gradient of the queries, in the workspace */
};

static int run_piece(struct key_piece *c, void *user) {
    struct sample_backward *s = user;
    size_t beside = 0;
    if (!plan_piece(c, &beside)) return device_fail("attention: the plan of a piece is gone"), 0;
    s->p.a = &c->one;
    backward_part(NULL, s->dq_sum, &c->part, &s->p);
    return 1;
}

static void backward_sample(elem *dq, const struct backward *p, long sample, size_t bytes) {
    const struct attention *a = p->a;
    long queries = a->S * a->H * a->D, at = sample * queries;
    struct sample_backward s = {{p->dout + at, p->o + at, p->q + at, p->lse + sample * a->H * a->S, NULL}, NULL};
    s.dq_sum = workspace_push(sizeof(real) * (size_t)queries);
    if (!s.dq_sum) return;
    mem_zero(s.dq_sum, sizeof(real) * (size_t)queries);
    for_pieces(a, sample, bytes, run_piece, &s);
    if (dq) elem_from_real(dq + at, s.dq_sum, queries);
    workspace_pop(s.dq_sum);
}

static int backward_in_pieces(elem *dq, const struct backward *p) {
    const struct attention *a = p->a;
    size_t bytes = cuda_workspace_left(), beside = arena_aligned(sizeof(real) * (size_t)(a->S * a->H * a->D));
    if (!for_pieces(a, 0, bytes, plan_piece, &beside) || (a->B > 1 && a->H * a->S % 4)) {
        served_refuse("cudnn: %.1f MiB of workspace do not hold the gradients of any scores (deterministic)",
                      (double)bytes / 1048576);
        return 0;
    }
    for (long b = 0; b < a->B; b++) backward_sample(dq, p, b, bytes);
    return 1;
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
    struct joined range[ATTENTION_RANGES_MAX];
    struct part part[ATTENTION_RANGES_MAX];
    if (!problem_fits(a, q, o, lse) || !gradients_fit(a, dq, dout)) return 0;
    int count = join_ranges(range, a);
    for (int r = 0; r < count; r++) {
        part[r] = (struct part){.range = &range[r]};
        if (!plan_part(&part[r], dq, a, r == 0)) return cuda_deterministic() ? backward_in_pieces(dq, &p) : 0;
    }
    for (int r = 0; r < count; r++) backward_part(dq, NULL, &part[r], &p);
    return 1;
}
