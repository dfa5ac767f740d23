/* discriminator.c: see discriminator.h. Letters: B F frames; W = 3 queries dim, the width of a frame's concatenated
   features. */
#include "model/dit/discriminator.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"
#include "model/dit/q_former.h"

enum { TAPS = 3 };
const char *const discriminator_scope_names[] = {"clip", "frame", NULL};

struct discriminator_heads {
    struct q_former_offsets reader[TAPS]; /* tap's lies in slice head_slice + tap */
    struct {                              /* lies in slice head_slice + TAPS */
        size_t norm_w, norm_b, fuse_w, fuse_b, local_w, local_b, change_w, change_b, global_norm_w, global_norm_b,
            global_w, global_b;
        struct attend_offsets global;
    } branch;
};

struct discriminator_acts {
    struct dit_acts *trunk;
    int B, F, capacity; /* samples of the current clips, frames, samples laid out */
    elem *text;         /* [B F, text_len, text_dim], each frame's copy of its clip's text; only in scope frame */
    int text_ready;     /* 1: text holds the current clips' */
    struct reader_shape reader_shape, global_shape;
    struct q_former_acts reader[TAPS];
    /* Only with a trunk divided over ranks: a Q-Former reads whole frames, and each rank gets some of them through
       `exchange`. */
    struct sequence_slot exchange;
    resid *frames[TAPS], *dframes; /* [groups, P, dim] */
    resid *feature;                /* [B F, queries dim], one tap's */
    struct attend_acts global;
    resid *features;                                /* [B F, W] */
    real *mean, *rstd;                              /* the LayerNorm's statistics of features */
    elem *norm, *fused_raw, *fused;                 /* [B F, W], [B F, dim] twice */
    resid *frame, *reference, *later, *consistency; /* [B, F | 1 | F-1 | 1, dim] */
    resid *difference;                              /* [B, F-1, dim]: later less reference */
    elem *difference_elem, *change_raw, *change;    /* [B, F-1, dim] */
    real *global_mean, *global_rstd;
    elem *global_norm; /* [B, dim] */
    real *local_all;   /* [B, F] */
    /* Backward only: */
    struct reader_scratch scratch, global_scratch;
    elem *dlogit, *dfused, *dnorm, *dglobal_norm, *dchange, *ddifference;
    resid *one_frame; /* [B, dim] */
    resid *dreference, *dlater, *dframe, *dfeatures, *dtok;
    resid *dtap[TAPS]; /* [B F P, dim] */
};

/* ---- parameters ---- */

static int resolve(struct discriminator_config *c, const struct dit_config *trunk) {
    static const int full[TAPS] = {13, 21, 29};
    int derive = c->taps[0] < 0 && c->taps[1] < 0 && c->taps[2] < 0;
    for (int i = 0; i < TAPS; i++) {
        if (derive) c->taps[i] = (int)lround((full[i] + 1) * trunk->layers / 30.0) - 1;
        if (c->taps[i] < (i ? c->taps[i - 1] + 1 : 0) || c->taps[i] >= trunk->layers)
            return error_set(ERR_USAGE, "discriminator: tap after block %d, expected three rising ones of 0 to %d",
                             c->taps[i], trunk->layers - 1);
    }
    if (!c->heads) c->heads = trunk->heads;
    if (!c->ffn_dim) c->ffn_dim = trunk->ffn_dim;
    if (c->heads < 1 || trunk->dim % c->heads)
        return error_set(ERR_USAGE, "discriminator: %d heads do not divide the width %d", c->heads, trunk->dim);
    if (c->queries < 1 || c->ffn_dim < 1)
        return error_set(ERR_USAGE, "discriminator: %d queries and ffn_dim %d, expected 1 or more", c->queries,
                         c->ffn_dim);
    return OK;
}

static size_t add(struct param_table *table, int slice, const char *name, enum param_init init, double deviation,
                  long rows, long columns) {
    char full[96];
    snprintf(full, sizeof full, "discriminator.%s", name);
    long matrix[] = {rows, columns, 0}, vector[] = {columns, 0};
    return param_add(table, slice, full, init, deviation, rows > 0, rows > 0 ? matrix : vector);
}

static void add_heads(struct discriminator *d) {
    struct param_table *t = &d->trunk.table;
    const struct discriminator_config *c = &d->config;
    int dim = d->trunk.config.dim, slice = d->head_slice;
    long width = (long)TAPS * c->queries * dim;
    for (int i = 0; i < TAPS; i++, slice++) {
        char prefix[48];
        snprintf(prefix, sizeof prefix, "discriminator.q_former.%d", i);
        q_former_params(&d->heads->reader[i], t, slice, prefix, dim, c->ffn_dim, c->queries);
    }
    /* Logits start near 0, because the rows that these layers multiply have at most unit variance. */
    double small = 0.1 / sqrt((double)dim);
    d->heads->branch.norm_w = add(t, slice, "norm.weight", INIT_ONE, 0, 0, width);
    d->heads->branch.norm_b = add(t, slice, "norm.bias", INIT_ZERO, 0, 0, width);
    d->heads->branch.fuse_w = add(t, slice, "fuse.weight", INIT_NORMAL, 1 / sqrt((double)width), dim, width);
    d->heads->branch.fuse_b = add(t, slice, "fuse.bias", INIT_ZERO, 0, 0, dim);
    d->heads->branch.local_w = add(t, slice, "local.weight", INIT_NORMAL, small, 1, dim);
    d->heads->branch.local_b = add(t, slice, "local.bias", INIT_ZERO, 0, 0, 1);
    d->heads->branch.change_w = add(t, slice, "global.change.weight", INIT_NORMAL, 1 / sqrt((double)dim), dim, dim);
    d->heads->branch.change_b = add(t, slice, "global.change.bias", INIT_ZERO, 0, 0, dim);
    attend_params(&d->heads->branch.global, t, slice, "discriminator.global.attend", dim);
    d->heads->branch.global_norm_w = add(t, slice, "global.norm.weight", INIT_ONE, 0, 0, dim);
    d->heads->branch.global_norm_b = add(t, slice, "global.norm.bias", INIT_ZERO, 0, 0, dim);
    d->heads->branch.global_w = add(t, slice, "global.logit.weight", INIT_NORMAL, small, 1, dim);
    d->heads->branch.global_b = add(t, slice, "global.logit.bias", INIT_ZERO, 0, 0, 1);
}

int discriminator_create(struct discriminator *d, const struct dit_config *trunk,
                         const struct discriminator_config *config) {
    memset(d, 0, sizeof *d);
    d->config = *config;
    TRY(resolve(&d->config, trunk));
    TRY(dit_create(&d->trunk, trunk, 1));
    d->heads = calloc(1, sizeof *d->heads);
    if (!d->heads) {
        dit_destroy(&d->trunk);
        return error_set(ERR_DEVICE, "discriminator: out of host memory");
    }
    d->head_slice = trunk->layers + 2;
    add_heads(d);
    int code = param_table_close(&d->trunk.table);
    if (code) discriminator_destroy(d);
    return code;
}

void discriminator_destroy(struct discriminator *d) {
    dit_destroy(&d->trunk);
    free(d->heads);
    memset(d, 0, sizeof *d);
}

/* ---- memory ---- */

static void take_branches(struct discriminator_acts *a, long width, long dim, struct arena *arena) {
    long B = a->B, n = (long)a->B * a->F, later = n - B;
    a->features = ARENA_TAKE(arena, "discriminator features", resid, n * width);
    a->mean = ARENA_TAKE(arena, "discriminator statistics", real, n);
    a->rstd = ARENA_TAKE(arena, "discriminator statistics", real, n);
    a->norm = ARENA_TAKE(arena, "discriminator features", elem, n * width);
    a->fused_raw = ARENA_TAKE(arena, "discriminator features", elem, n * dim);
    a->fused = ARENA_TAKE(arena, "discriminator features", elem, n * dim);
    a->frame = ARENA_TAKE(arena, "discriminator features", resid, n * dim);
    a->reference = ARENA_TAKE(arena, "discriminator features", resid, B * dim);
    a->later = ARENA_TAKE(arena, "discriminator features", resid, later * dim);
    a->consistency = ARENA_TAKE(arena, "discriminator features", resid, B * dim);
    a->difference = ARENA_TAKE(arena, "discriminator features", resid, later * dim);
    a->difference_elem = ARENA_TAKE(arena, "discriminator features", elem, later * dim);
    a->change_raw = ARENA_TAKE(arena, "discriminator features", elem, later * dim);
    a->change = ARENA_TAKE(arena, "discriminator features", elem, later * dim);
    a->global_mean = ARENA_TAKE(arena, "discriminator statistics", real, B);
    a->global_rstd = ARENA_TAKE(arena, "discriminator statistics", real, B);
    a->global_norm = ARENA_TAKE(arena, "discriminator features", elem, B * dim);
    a->local_all = ARENA_TAKE(arena, "discriminator logits", real, n);
    a->dlogit = ARENA_TAKE(arena, "discriminator gradients", elem, n);
    a->dfused = ARENA_TAKE(arena, "discriminator gradients", elem, n * dim);
    a->dnorm = ARENA_TAKE(arena, "discriminator gradients", elem, n * width);
    a->dglobal_norm = ARENA_TAKE(arena, "discriminator gradients", elem, B * dim);
    a->dchange = ARENA_TAKE(arena, "discriminator gradients", elem, later * dim);
    a->ddifference = ARENA_TAKE(arena, "discriminator gradients", elem, later * dim);
    a->one_frame = ARENA_TAKE(arena, "discriminator gradients", resid, B * dim);
    a->dreference = ARENA_TAKE(arena, "discriminator gradients", resid, B * dim);
    a->dlater = ARENA_TAKE(arena, "discriminator gradients", resid, later * dim);
    a->dframe = ARENA_TAKE(arena, "discriminator gradients", resid, n * dim);
    a->dfeatures = ARENA_TAKE(arena, "discriminator gradients", resid, n * width);
    a->dtok = ARENA_TAKE(arena, "discriminator gradients", resid, n * width / TAPS);
}

/* Takes the buffers that only a trunk divided over ranks needs. */
static void take_frames(struct discriminator_acts *a, struct arena *arena) {
    const struct reader_shape *s = &a->reader_shape;
    long whole = s->groups * s->keys * s->dim, features = (long)a->B * a->F * s->queries * s->dim;
    for (int i = 0; i < TAPS; i++) a->frames[i] = ARENA_TAKE(arena, "discriminator frames", resid, whole);
    a->dframes = ARENA_TAKE(arena, "discriminator frames", resid, whole);
    a->feature = ARENA_TAKE(arena, "discriminator features", resid, features);
    sequence_slot_layout(&a->exchange, sizeof(resid) * (size_t)(whole > features ? whole : features), arena);
}

int discriminator_acts_layout(struct discriminator_acts **acts, const struct discriminator *d, int B, int F,
                              enum dit_memory memory, struct arena *arena) {
    *acts = NULL;
    if (B < 1 || F < 2)
        return error_set(ERR_USAGE, "discriminator: %d samples of %d frames, expected 1, 2 or more", B, F);
    struct discriminator_acts *a = calloc(1, sizeof *a);
    if (!a) return error_set(ERR_DEVICE, "discriminator: out of host memory");
    const struct dit_config *t = &d->trunk.config;
    int frames_alone = d->config.scope == SCOPE_FRAME;
    if (memory == DIT_FORWARD_ONLY) memory = DIT_SAVE_BLOCKS;
    int code = frames_alone ? dit_acts_layout(&a->trunk, &d->trunk, B * F, 1, memory, arena)
                            : dit_acts_layout(&a->trunk, &d->trunk, B, F, memory, arena);
    if (code) {
        free(a);
        return code;
    }
    a->B = a->capacity = B;
    a->F = F;
    const struct sequence *seq = d->trunk.sequence;
    long frames = (long)B * F, P = dit_tokens(t), own = sequence_own(seq, P);
    a->text = ARENA_TAKE(arena, "text of single frames", elem, frames_alone ? frames * t->text_len * t->text_dim : 0);
    a->reader_shape = (struct reader_shape){.groups = sequence_own(seq, frames),
                                            .queries = d->config.queries,
                                            .keys = P,
                                            .dim = t->dim,
                                            .heads = d->config.heads,
                                            .ffn_dim = d->config.ffn_dim,
                                            .eps = t->eps};
    a->global_shape = (struct reader_shape){
        .groups = B, .queries = 1, .keys = F - 1, .dim = t->dim, .heads = d->config.heads, .eps = t->eps};
    for (int i = 0; i < TAPS; i++) q_former_layout(&a->reader[i], &a->reader_shape, arena);
    attend_layout(&a->global, &a->global_shape, arena);
    take_branches(a, (long)TAPS * d->config.queries * t->dim, t->dim, arena);
    reader_scratch_layout(&a->scratch, &a->reader_shape, arena);
    reader_scratch_layout(&a->global_scratch, &a->global_shape, arena);
    for (int i = 0; i < TAPS; i++)
        a->dtap[i] = ARENA_TAKE(arena, "discriminator tap gradients", resid, frames * own * t->dim);
    if (sequence_divides(seq)) take_frames(a, arena);
    *acts = a;
    return OK;
}

void discriminator_acts_free(struct discriminator_acts *a) {
    if (!a) return;
    dit_acts_free(a->trunk);
    free(a);
}

void discriminator_condition_reset(struct discriminator_acts *a) {
    dit_condition_reset(a->trunk, 1, 1);
    a->text_ready = 0;
}

/* ---- forward ---- */

/* gather copies rows of n reals that lie `pitch` apart into packed ones, spread does the reverse. */
static void gather(real *packed, const real *from, long pitch, long n, long rows) {
    mem_copy_rows(packed, sizeof(real) * (size_t)n, from, sizeof(real) * (size_t)pitch, sizeof(real) * (size_t)n,
                  (size_t)rows);
}
static void spread(real *to, long pitch, const real *packed, long n, long rows) {
    mem_copy_rows(to, sizeof(real) * (size_t)pitch, packed, sizeof(real) * (size_t)n, sizeof(real) * (size_t)n,
                  (size_t)rows);
}

/* Adds to each later frame's feature what its difference from the reference's gives: GELU(Linear(difference)). */
static void change_forward(const struct discriminator *d, const elem *w, struct discriminator_acts *a) {
    const struct discriminator_heads *h = d->heads;
    long B = a->B, F = a->F, dim = d->trunk.config.dim, n = B * (F - 1);
    for (int f = 0; f < F - 1; f++) spread(a->difference + f * dim, (F - 1) * dim, a->reference, dim, B);
    real_axpby(a->difference, 1, a->later, -1, n * dim);
    elem_from_real(a->difference_elem, a->difference, n * dim);
    linear_gelu_forward(a->change, a->change_raw, a->difference_elem, w + h->branch.change_w, w + h->branch.change_b, n,
                        dim, dim);
    real_add_elem(a->later, a->change, n * dim);
}

static void branches_forward(const struct discriminator *d, const elem *w, struct discriminator_acts *a, real *local,
                             real *global) {
    const struct discriminator_heads *h = d->heads;
    long B = a->B, F = a->F, n = B * F, dim = d->trunk.config.dim, width = TAPS * d->config.queries * dim;
    real eps = (real)d->trunk.config.eps;
    layernorm_forward(a->norm, a->mean, a->rstd, a->features, w + h->branch.norm_w, w + h->branch.norm_b, n, width,
                      eps);
    linear_gelu_forward(a->fused, a->fused_raw, a->norm, w + h->branch.fuse_w, w + h->branch.fuse_b, n, width, dim);

    linear_forward_real(a->local_all, a->fused, w + h->branch.local_w, w + h->branch.local_b, n, dim, 1);
    gather(local, a->local_all + 1, F, F - 1, B);

    real_from_elem(a->frame, a->fused, n * dim);
    gather(a->reference, a->frame, F * dim, dim, B);
    gather(a->later, a->frame + dim, F * dim, (F - 1) * dim, B);
    change_forward(d, w, a);
    attend_forward(&a->global_shape, &h->branch.global, w, &a->global, a->consistency, a->reference, a->later);
    layernorm_forward(a->global_norm, a->global_mean, a->global_rstd, a->consistency, w + h->branch.global_norm_w,
                      w + h->branch.global_norm_b, B, dim, eps);
    linear_forward_real(global, a->global_norm, w + h->branch.global_w, w + h->branch.global_b, B, dim, 1);
}

static int check_input(const struct discriminator *d, const struct discriminator_acts *a, const struct dit_input *in) {
    const struct dit_config *c = &d->trunk.config;
    long clip = (long)a->F * c->in_channels * c->height * c->width, sound = (long)a->F * AUDIO_WINDOW * c->audio_dim;
    if (d->config.scope == SCOPE_FRAME && (in->latent_stride != clip || (c->audio_dim && in->audio_stride != sound)))
        return error_set(ERR_USAGE,
                         "discriminator: in scope frame latents and sound must lie clip behind clip without gaps");
    if (in->batch >= 1 && in->batch <= a->capacity && in->frames == a->F && in->first_frame == 0 && !in->history)
        return OK;
    return error_set(ERR_USAGE, "discriminator: %d samples of %d frames from frame %d on, laid out for %d of %d",
                     in->batch, in->frames, in->first_frame, a->capacity, a->F);
}

/* Sets the number of samples of the current clips. */
static void use_samples(const struct discriminator *d, struct discriminator_acts *a, int B) {
    a->B = B;
    a->reader_shape.groups = sequence_own(d->trunk.sequence, (long)B * a->F);
    a->global_shape.groups = B;
}

/* Returns what one tap's Q-Former reads. */
static const resid *reader_input(const struct discriminator *d, const struct discriminator_acts *a, int tap) {
    return sequence_divides(d->trunk.sequence) ? a->frames[tap] : dit_tap(a->trunk, d->config.taps[tap]);
}

static int read_tap(const struct discriminator *d, const struct params *params, struct discriminator_acts *a, int tap) {
    const struct sequence *seq = d->trunk.sequence;
    const struct reader_shape *shape = &a->reader_shape;
    long part = shape->queries * shape->dim, frames = (long)a->B * a->F;
    int slice = d->head_slice + tap;
    const resid *feature = a->reader[tap].tok2;
    if (sequence_divides(seq))
        TRY(sequence_to_frames(seq, &a->exchange, a->frames[tap], dit_tap(a->trunk, d->config.taps[tap]), frames,
                               shape->keys, sizeof(resid) * (size_t)shape->dim));
    const elem *w = params_acquire(params, slice);
    if (shape->groups) q_former_forward(shape, &d->heads->reader[tap], w, &a->reader[tap], reader_input(d, a, tap));
    params_release(params, slice);
    if (sequence_divides(seq)) {
        TRY(sequence_gather(seq, &a->exchange, a->feature, feature, 1, frames, sizeof(resid) * (size_t)part));
        feature = a->feature;
    }
    spread(a->features + tap * part, TAPS * part, feature, part, frames);
    return OK;
}

/* Gives every frame a copy of its clip's text. */
static void spread_text(const struct discriminator *d, struct discriminator_acts *a, const elem *text) {
    long size = (long)d->trunk.config.text_len * d->trunk.config.text_dim;
    size_t bytes = sizeof(elem) * (size_t)size, all = bytes * (size_t)a->F;
    for (int f = 0; f < a->F && !a->text_ready; f++)
        mem_copy_rows(a->text + f * size, all, text, bytes, bytes, (size_t)a->B);
    a->text_ready = 1;
}

/* Returns the trunk's input: the clips, or in scope frame their frames as clips of one frame. A clip's latents and
   sound lie frame by frame, so other strides are enough to make its frames samples. */
static struct dit_input trunk_input(const struct discriminator *d, struct discriminator_acts *a,
                                    const struct dit_input *in) {
    static const int position[1] = {0};
    struct dit_input trunk = *in;
    trunk.blocks = d->config.taps[TAPS - 1] + 1;
    if (d->config.scope == SCOPE_CLIP) return trunk;
    spread_text(d, a, in->text);
    trunk.batch = a->B * a->F;
    trunk.frames = trunk.first_frame = 1; /* first_frame 1: no frame is the reference */
    trunk.positions = position;
    trunk.latent_stride = in->latent_stride / a->F;
    trunk.audio_stride = in->audio_stride / a->F;
    trunk.text = a->text;
    return trunk;
}

int discriminator_forward(const struct discriminator *d, const struct params *params, struct discriminator_acts *a,
                          const struct dit_input *in, real *local, real *global) {
    TRY(check_input(d, a, in));
    use_samples(d, a, in->batch);
    struct dit_input trunk = trunk_input(d, a, in);
    TRY(dit_forward(&d->trunk, params, a->trunk, &trunk, NULL, 0));
    for (int i = 0; i < TAPS; i++) TRY(read_tap(d, params, a, i));
    branches_forward(d, params_acquire(params, d->head_slice + TAPS), a, local, global);
    params_release(params, d->head_slice + TAPS);
    return OK;
}

/* ---- backward ---- */

static real *grad_at(real *grads, size_t offset) { return grads ? grads + offset : NULL; }

/* Adds to dlater and dreference what came through the differences. */
static void change_backward(const struct discriminator *d, const elem *w, real *g, struct discriminator_acts *a) {
    const struct discriminator_heads *h = d->heads;
    long B = a->B, F = a->F, dim = d->trunk.config.dim, n = B * (F - 1);
    elem_from_real(a->dchange, a->dlater, n * dim);
    gelu_backward(a->dchange, a->dchange, a->change_raw, n * dim);
    if (g)
        linear_backward_weight(g + h->branch.change_w, g + h->branch.change_b, a->dchange, a->difference_elem, n, dim,
                               dim);
    linear_backward_input(a->ddifference, a->dchange, w + h->branch.change_w, n, dim, dim, 0);
    real_add_elem(a->dlater, a->ddifference, n * dim);
    real_from_elem(a->difference, a->ddifference, n * dim);
    for (int f = 0; f < F - 1; f++) {
        gather(a->one_frame, a->difference + f * dim, (F - 1) * dim, dim, B);
        real_axpby(a->dreference, -1, a->one_frame, 1, B * dim);
    }
}

/* Goes back from the logits' gradients to dframe and on to dfeatures. */
static void branches_backward(const struct discriminator *d, const elem *w, real *g, struct discriminator_acts *a,
                              const real *dlocal, const real *dglobal) {
    const struct discriminator_heads *h = d->heads;
    long B = a->B, F = a->F, n = B * F, dim = d->trunk.config.dim, width = TAPS * d->config.queries * dim;

    elem_from_real(a->dlogit, dglobal, B);
    if (g) linear_backward_weight(g + h->branch.global_w, g + h->branch.global_b, a->dlogit, a->global_norm, B, dim, 1);
    linear_backward_input(a->dglobal_norm, a->dlogit, w + h->branch.global_w, B, dim, 1, 0);
    mem_zero(a->dreference, sizeof(resid) * (size_t)(B * dim));
    mem_zero(a->dlater, sizeof(resid) * (size_t)((n - B) * dim));
    layernorm_backward(a->dreference, grad_at(g, h->branch.global_norm_w), grad_at(g, h->branch.global_norm_b),
                       a->dglobal_norm, a->consistency, a->global_mean, a->global_rstd, w + h->branch.global_norm_w, B,
                       dim);
    attend_backward(&a->global_shape, &h->branch.global, w, g, &a->global, &a->global_scratch, a->dreference, a->dlater,
                    a->reference, a->later);
    change_backward(d, w, g, a);
    spread(a->dframe, F * dim, a->dreference, dim, B);
    spread(a->dframe + dim, F * dim, a->dlater, (F - 1) * dim, B);

    mem_zero(a->local_all, sizeof(real) * (size_t)n); /* the reference has no local logit */
    spread(a->local_all + 1, F, dlocal, F - 1, B);
    elem_from_real(a->dlogit, a->local_all, n);
    if (g) linear_backward_weight(g + h->branch.local_w, g + h->branch.local_b, a->dlogit, a->fused, n, dim, 1);
    linear_backward_input(a->dfused, a->dlogit, w + h->branch.local_w, n, dim, 1, 0);
    real_add_elem(a->dframe, a->dfused, n * dim);

    elem_from_real(a->dfused, a->dframe, n * dim);
    gelu_backward(a->dfused, a->dfused, a->fused_raw, n * dim);
    if (g) linear_backward_weight(g + h->branch.fuse_w, g + h->branch.fuse_b, a->dfused, a->norm, n, width, dim);
    linear_backward_input(a->dnorm, a->dfused, w + h->branch.fuse_w, n, width, dim, 0);
    mem_zero(a->dfeatures, sizeof(resid) * (size_t)(n * width));
    layernorm_backward(a->dfeatures, grad_at(g, h->branch.norm_w), grad_at(g, h->branch.norm_b), a->dnorm, a->features,
                       a->mean, a->rstd, w + h->branch.norm_w, n, width);
}

/* Goes back from dfeatures through one tap's Q-Former to dtap, gradients of the rank's rows (NULL: not wanted). */
static int read_tap_backward(const struct discriminator *d, const struct params *params, struct discriminator_acts *a,
                             int tap, resid *dtap) {
    const struct sequence *seq = d->trunk.sequence;
    const struct reader_shape *shape = &a->reader_shape;
    long part = shape->queries * shape->dim, frames = (long)a->B * a->F, first = sequence_own_first(seq, frames);
    int slice = d->head_slice + tap;
    resid *dframes = dtap && sequence_divides(seq) ? a->dframes : dtap;
    const elem *w = params_acquire(params, slice);
    real *g = grads_acquire(params, slice);
    if (shape->groups) {
        if (dframes) mem_zero(dframes, sizeof(resid) * (size_t)(shape->groups * shape->keys * shape->dim));
        gather(a->dtok, a->dfeatures + (first * TAPS + tap) * part, TAPS * part, part, shape->groups);
        q_former_backward(shape, &d->heads->reader[tap], w, g, &a->reader[tap], &a->scratch, a->dtok, dframes,
                          reader_input(d, a, tap));
    }
    params_release(params, slice);
    grads_done(params, slice);
    if (dframes == dtap) return OK;
    return sequence_from_frames(seq, &a->exchange, dtap, dframes, frames, shape->keys,
                                sizeof(resid) * (size_t)shape->dim);
}

int discriminator_backward(const struct discriminator *d, const struct params *params, struct discriminator_acts *a,
                           const struct dit_input *in, const real *dlocal, const real *dglobal, real *dlatents,
                           long dlatents_stride, int heads_only) {
    TRY(check_input(d, a, in));
    if (d->config.scope == SCOPE_FRAME && dlatents && dlatents_stride != in->latent_stride)
        return error_set(ERR_USAGE, "discriminator: in scope frame gradients must have the strides of the latents");
    if (in->batch != a->B) return error_set(ERR_USAGE, "discriminator: no forward of %d samples", in->batch);
    int slice = d->head_slice + TAPS, counts = !d->trunk.sequence || d->trunk.sequence->rank == 0;
    const elem *w = params_acquire(params, slice);
    real *g = grads_acquire(params, slice);
    branches_backward(d, w, counts ? g : NULL, a, dlocal,
                      dglobal); /* all ranks of a group compute this alike; one counts */
    params_release(params, slice);
    grads_done(params, slice);

    struct dit_gradients gradients = {.taps = TAPS, .dlatents = dlatents, .dlatents_stride = dlatents_stride};
    for (int i = TAPS - 1; i >= 0; i--) {
        gradients.tap_block[i] = d->config.taps[i];
        gradients.tap_grad[i] = heads_only ? NULL : a->dtap[i];
        TRY(read_tap_backward(d, params, a, i, heads_only ? NULL : a->dtap[i]));
    }
    if (heads_only) return OK;
    struct dit_input trunk = trunk_input(d, a, in);
    gradients.dlatents_stride = d->config.scope == SCOPE_FRAME ? dlatents_stride / a->F : dlatents_stride;
    return dit_backward(&d->trunk, params, a->trunk, &trunk, &gradients);
}
