/* test_discriminator.c: the Consistency-Aware Discriminator in double: its gradients against five-point central
   differences of step 1e-4 (error h^4 of the fifth derivative and 1e-16/h of the value: far below the relative 1e-6
   asked for), what the two branches look at, and what the warm-up of the heads leaves alone. */
#include "tests/small_net.h"

#include "model/dit/discriminator.h"

enum { B = 2, F = 4, LAYERS = 4 };
#define STEP      1e-4
#define TOLERANCE 1e-6

struct world {
    struct discriminator d;
    struct small_net small;
    struct discriminator_acts *acts;
    struct arena arena;
    struct dit_input in;
    long clip; /* elements of a sample */
    real *latents, *local, *global, *dlocal, *dglobal, *dlatents;
};

static void open_scope(struct world *w, enum discriminator_scope scope, int queries, double rough,
                       enum dit_memory memory) {
    static const int positions[F] = {0, 1, 2, 3};
    memset(w, 0, sizeof *w);
    struct dit_config dit = small_config(LAYERS);
    struct discriminator_config config = {
        .scope = scope, .taps = {0, 1, 2}, .queries = queries, .heads = 3, .ffn_dim = 14};
    CHECK(discriminator_create(&w->d, &dit, &config));
    small_open(&w->small, &w->d.trunk.table, rough);
    small_without_kinks(&w->small);
    arena_begin(&w->arena, "test");
    CHECK(discriminator_acts_layout(&w->acts, &w->d, B, F, memory, &w->arena));
    discriminator_acts_free(w->acts);
    CHECK(arena_commit(&w->arena));
    CHECK(discriminator_acts_layout(&w->acts, &w->d, B, F, memory, &w->arena));

    struct small_net *s = &w->small;
    w->clip = (long)F * dit.in_channels * dit.height * dit.width;
    w->latents = small_reals(s, B * w->clip, 1);
    w->local = small_reals(s, B * (F - 1), 0);
    w->global = small_reals(s, B, 0);
    w->dlocal = small_reals(s, B * (F - 1), 1);
    w->dglobal = small_reals(s, B, 1);
    w->dlatents = small_reals(s, B * w->clip, 0);
    real *t = small_reals(s, B * F, 0);
    for (int b = 0; b < B; b++) real_fill(t + b * F + 1, 300 + 250 * b, F - 1);
    long window = AUDIO_WINDOW * dit.audio_dim;
    w->in = (struct dit_input){.batch = B,
                               .frames = F,
                               .positions = positions,
                               .latents = w->latents,
                               .latent_stride = w->clip,
                               .t = t,
                               .text = small_elems(s, B * dit.text_len * dit.text_dim, 1),
                               .audio = {small_elems(s, B * F * window, 1), small_elems(s, B * F * window, 1)},
                               .audio_stride = F * window};
}

static void open_world(struct world *w, int queries, double rough, enum dit_memory memory) {
    open_scope(w, SCOPE_CLIP, queries, rough, memory);
}

static void close_world(struct world *w) {
    discriminator_acts_free(w->acts);
    arena_free(&w->arena);
    small_close(&w->small);
    discriminator_destroy(&w->d);
    CHECK(device_sync());
}

static void forward(struct world *w) {
    discriminator_condition_reset(w->acts); /* the weights may have changed */
    CHECK(discriminator_forward(&w->d, &w->small.params, w->acts, &w->in, w->local, w->global));
}

static void backward(struct world *w, const struct params *params, real *dlatents, int heads_only) {
    CHECK(discriminator_backward(&w->d, params, w->acts, &w->in, w->dlocal, w->dglobal, dlatents, w->clip, heads_only));
}

/* Both branches, every logit with a weight of its own. */
static double loss(struct world *w) {
    forward(w);
    return small_dot(w->dlocal, w->local, B * (F - 1)) + small_dot(w->dglobal, w->global, B);
}

/* Derivative of the loss along `direction` in n of the reals at `where`. */
static double difference(struct world *w, real *where, const real *direction, long n) {
    static const double point[4] = {-2, -1, 1, 2};
    real *kept = small_alloc(&w->small, sizeof(real) * (size_t)n);
    mem_copy(kept, where, sizeof(real) * (size_t)n);
    double value[4];
    for (int i = 0; i < 4; i++) {
        real_axpby(where, point[i] * STEP, direction, 1, n);
        value[i] = loss(w);
        mem_copy(where, kept, sizeof(real) * (size_t)n);
    }
    scratch_pop(&w->small.memory, kept);
    return (8 * (value[2] - value[1]) - (value[3] - value[0])) / (12 * STEP);
}

/* Gradients of the weights at `position` .. + n against differences. */
static void check_weights(struct world *w, const char *name, size_t position, long n) {
    real *direction = small_reals(&w->small, n, 1);
    double expected = difference(w, w->small.params.weights + position, direction, n);
    double computed = small_dot(w->small.params.grads + position, direction, n);
    scratch_pop(&w->small.memory, direction);
    assert_true(fabs(expected) > 1e-6); /* else there would be nothing to compare */
    if (!(fabs(expected - computed) <= TOLERANCE * fabs(expected)))
        fail_msg("%s: gradient %.12g, differences %.12g", name, computed, expected);
}

/* The heads' tensors, a handful at a time; of the trunk, which has a test of its own, whole slices. */
static void gradients_match(enum discriminator_scope scope, int queries, enum dit_memory memory) {
    struct world w;
    open_scope(&w, scope, queries, 0.15, memory);
    forward(&w);
    backward(&w, &w.small.params, w.dlatents, 0);
    const struct param_table *table = &w.d.trunk.table;
    int first = 0;
    while (table->list[first].slice < w.d.head_slice) first++;
    for (int i = first, last; i < table->count; i = last + 1) {
        last = i + SMALL_HANDFUL < table->count ? i + SMALL_HANDFUL - 1 : table->count - 1;
        size_t from = param_position(table, &table->list[i]);
        size_t to = param_position(table, &table->list[last]) + table->list[last].count;
        check_weights(&w, table->list[i].name, from, (long)(to - from));
    }
    for (int s = 0; s < w.d.head_slice; s++) {
        size_t from = table->slice_offset[s];
        long n = (long)(table->slice_offset[s + 1] - from);
        if (s <= 3)
            check_weights(&w, "trunk", from, n);
        else /* behind the last tap: block 3 and the velocity's head */
            assert_true(small_dot(w.small.params.grads + from, w.small.params.grads + from, n) == 0);
    }
    real *direction = small_reals(&w.small, B * w.clip, 1);
    double expected = difference(&w, w.latents, direction, B * w.clip);
    double computed = small_dot(w.dlatents, direction, B * w.clip);
    assert_true(fabs(expected) > 1e-3 && fabs(expected - computed) <= TOLERANCE * fabs(expected));
    close_world(&w);
}
static void gradients_with_one_query(void **state) {
    (void)state;
    gradients_match(SCOPE_CLIP, 1, DIT_SAVE_ALL);
}
static void gradients_with_two_queries(void **state) {
    (void)state;
    gradients_match(SCOPE_CLIP, 2, DIT_SAVE_BLOCKS);
}
static void gradients_of_single_frames(void **state) {
    (void)state;
    gradients_match(SCOPE_FRAME, 1, DIT_SAVE_ALL);
    gradients_match(SCOPE_FRAME, 2, DIT_SAVE_BLOCKS);
}

/* With no gradient arena the latents' gradient alone comes out, the same to the bit; it is added to what is there. */
static void input_gradient_alone(void **state) {
    (void)state;
    struct world w;
    open_world(&w, 1, 0.15, DIT_SAVE_ALL);
    forward(&w);
    backward(&w, &w.small.params, w.dlatents, 0);
    struct params frozen = w.small.params;
    frozen.grads = NULL;
    real *alone = small_reals(&w.small, B * w.clip, 0);
    forward(&w);
    backward(&w, &frozen, alone, 0);
    assert_same_bits(alone, w.dlatents, sizeof(real) * (size_t)(B * w.clip));
    real_fill(alone, 7, B * w.clip);
    backward(&w, &frozen, alone, 0);
    real_axpby(w.dlatents, 1, alone, -1, B * w.clip);
    real *sevens = small_reals(&w.small, B * w.clip, 0);
    real_fill(sevens, 7, B * w.clip);
    assert_true(small_distance(w.dlatents, sevens, B * w.clip) < 1e-14);
    close_world(&w);
}

/* Warm-up: the heads get the gradients that they get in full training, the trunk and the latents none. */
static void heads_only_leaves_the_trunk(void **state) {
    (void)state;
    struct world w;
    open_world(&w, 1, 0.15, DIT_SAVE_ALL);
    const struct param_table *table = &w.d.trunk.table;
    long trunk = (long)table->slice_offset[w.d.head_slice], n = (long)table->total;
    forward(&w);
    backward(&w, &w.small.params, w.dlatents, 0);
    real *full = small_reals(&w.small, n, 0);
    real *g = w.small.params.grads;
    mem_copy(full, g, sizeof(real) * (size_t)n);
    mem_zero(g, sizeof(real) * (size_t)n);
    mem_zero(w.dlatents, sizeof(real) * (size_t)(B * w.clip));
    forward(&w);
    backward(&w, &w.small.params, w.dlatents, 1);
    assert_true(small_dot(full, full, trunk) > 0 && small_dot(g, g, trunk) == 0);
    assert_true(small_dot(w.dlatents, w.dlatents, B * w.clip) == 0);
    assert_same_bits(g + trunk, full + trunk, sizeof(real) * (size_t)(n - trunk));
    close_world(&w);
}

/* As initialised: logits near nothing, and yet a gradient for the trunk, the latents and every tensor of the heads. */
static void starts_near_zero_with_gradients(void **state) {
    (void)state;
    struct world w;
    open_world(&w, 1, 0, DIT_SAVE_ALL);
    forward(&w);
    assert_true(small_dot(w.local, w.local, B * (F - 1)) < 0.25 * B * (F - 1));
    assert_true(small_dot(w.global, w.global, B) < 0.25 * B);
    backward(&w, &w.small.params, w.dlatents, 0);
    const struct param_table *table = &w.d.trunk.table;
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        const real *g = w.small.params.grads + param_position(table, p);
        if (p->slice >= w.d.head_slice || p->slice == 1) {
            int closed =
                strstr(p->name, "talk") || strstr(p->name, "listen"); /* their zero outputs block it at first */
            if (!closed && !(small_dot(g, g, (long)p->count) > 0)) fail_msg("%s has no gradient", p->name);
        }
    }
    assert_true(small_dot(w.dlatents, w.dlatents, B * w.clip) > 0);
    close_world(&w);
}

/* The heads alone, on features that the trunk has made: what each branch reads of them shows in the gradient of single
   logits with respect to the latents; samples never meet. */
static void logits_belong_to_their_sample(void **state) {
    (void)state;
    struct world w;
    open_world(&w, 1, 0.15, DIT_SAVE_ALL);
    struct params frozen = w.small.params;
    frozen.grads = NULL;
    forward(&w);
    double first = 0, second = 0;
    for (int branch = 0; branch < 2; branch++) {
        mem_zero(w.dlocal, sizeof(real) * B * (F - 1));
        mem_zero(w.dglobal, sizeof(real) * B);
        mem_zero(w.dlatents, sizeof(real) * (size_t)(B * w.clip));
        if (branch)
            real_fill(w.dglobal + 1, 1, 1); /* sample 1 */
        else
            real_fill(w.dlocal + (F - 1), 1, F - 1);
        backward(&w, &frozen, w.dlatents, 0);
        first = small_dot(w.dlatents, w.dlatents, w.clip);
        second = small_dot(w.dlatents + w.clip, w.dlatents + w.clip, w.clip);
        assert_true(first == 0 && second > 0);
    }
    close_world(&w);
}

/* Local logits know frames; the global one compares: with a trunk that mixes no frames (no self-attention output), a
   change of frame f moves the local logit of f alone and the global logit, a change of the reference the global
   alone. */
static void branches_read_what_they_should(void **state) {
    (void)state;
    struct world w;
    open_world(&w, 1, 0.15, DIT_SAVE_ALL);
    const struct param_table *table = &w.d.trunk.table;
    for (int l = 0; l < LAYERS; l++) {
        static const char *const parts[2] = {"weight", "bias"};
        for (int i = 0; i < 2; i++) {
            char name[64];
            snprintf(name, sizeof name, "blocks.%d.self_attn.o.%s", l, parts[i]);
            const struct param *p = param_find(table, name);
            assert_non_null(p);
            mem_zero(w.small.params.weights + param_position(table, p), sizeof(elem) * p->count);
        }
    }
    forward(&w);
    double *local = small_host(w.local, B * (F - 1)), *global = small_host(w.global, B);
    long frame = w.clip / F;
    real *kept = small_reals(&w.small, frame, 0), *move = small_reals(&w.small, frame, 0.5);
    for (int f = 0; f < F; f++) { /* frames of sample 1 */
        real *at = w.latents + w.clip + f * frame;
        mem_copy(kept, at, sizeof(real) * (size_t)frame);
        real_axpby(at, 1, move, 1, frame);
        forward(&w);
        mem_copy(at, kept, sizeof(real) * (size_t)frame);
        double *moved_local = small_host(w.local, B * (F - 1)), *moved_global = small_host(w.global, B);
        for (int i = 0; i < B * (F - 1); i++)
            assert_int_equal(fabs(moved_local[i] - local[i]) > 1e-9, i == F - 1 + f - 1 && f > 0);
        assert_true(moved_global[0] == global[0] && fabs(moved_global[1] - global[1]) > 1e-9);
        free(moved_local);
        free(moved_global);
    }
    free(local);
    free(global);
    close_world(&w);
}

/* Of sample 1: how many of its local logits a change of frame f moves, and in *own whether its own one is among
   them. */
static int moved_by(struct world *w, int f, int *own) {
    long frame = w->clip / F;
    real *at = w->latents + w->clip + f * frame, *move = small_reals(&w->small, frame, 0.5);
    forward(w);
    double *before = small_host(w->local, B * (F - 1));
    real_axpby(at, 1, move, 1, frame);
    forward(w);
    double *after = small_host(w->local, B * (F - 1));
    real_axpby(at, -1, move, 1, frame);
    int count = 0;
    for (int i = 0; i < B * (F - 1); i++) {
        int moved = fabs(after[i] - before[i]) > 1e-9;
        assert_true(i >= F - 1 || !moved); /* sample 0 */
        count += moved;
    }
    *own = f > 0 && fabs(after[F - 1 + f - 1] - before[F - 1 + f - 1]) > 1e-9;
    free(before);
    free(after);
    return count;
}

/* A trunk that attends over the clip tells every frame's logit of every frame and of the reference; one that sees
   single frames tells each of its own frame alone. */
static void single_frames_know_no_others(void **state) {
    (void)state;
    struct world w;
    int own;
    for (int f = 0; f < F; f++) {
        open_scope(&w, SCOPE_CLIP, 1, 0.15, DIT_SAVE_ALL);
        assert_int_equal(moved_by(&w, f, &own), F - 1);
        close_world(&w);
        open_scope(&w, SCOPE_FRAME, 1, 0.15, DIT_SAVE_ALL);
        assert_int_equal(moved_by(&w, f, &own), f > 0);
        assert_int_equal(own, f > 0);
        close_world(&w);
    }
}

static void expect_refused(struct dit_config dit, struct discriminator_config config) {
    struct discriminator d;
    assert_int_equal(discriminator_create(&d, &dit, &config), ERR_USAGE);
}

static void taps_by_depth_and_bad_configs(void **state) {
    (void)state;
    static const int depth[3] = {30, 6, 3}, expected[3][3] = {{13, 21, 29}, {2, 3, 5}, {0, 1, 2}};
    for (int i = 0; i < 3; i++) {
        struct dit_config dit = small_config(depth[i]);
        struct discriminator_config config = {.taps = {-1, -1, -1}, .queries = 1};
        struct discriminator d;
        CHECK(discriminator_create(&d, &dit, &config));
        for (int k = 0; k < 3; k++) assert_int_equal(d.config.taps[k], expected[i][k]);
        assert_int_equal(d.config.heads, dit.heads);
        assert_int_equal(d.trunk.table.slices, d.head_slice + 4);
        discriminator_destroy(&d);
    }
    struct discriminator_config good = {.taps = {0, 1, 2}, .queries = 1}, bad = good;
    bad.taps[2] = 1;
    expect_refused(small_config(4), bad);
    bad.taps[2] = 4;
    expect_refused(small_config(4), bad);
    bad = good;
    bad.heads = 5;
    expect_refused(small_config(4), bad);
    bad = good;
    bad.queries = 0;
    expect_refused(small_config(4), bad);
    bad = good;
    bad.taps[0] = bad.taps[1] = bad.taps[2] = -1;
    expect_refused(small_config(2), bad); /* too shallow for three taps */
}

static int setup(void **state) {
    (void)state;
    return device_init(1); /* arrays too small to share */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_with_one_query),
        cmocka_unit_test(gradients_with_two_queries),
        cmocka_unit_test(gradients_of_single_frames),
        cmocka_unit_test(single_frames_know_no_others),
        cmocka_unit_test(input_gradient_alone),
        cmocka_unit_test(heads_only_leaves_the_trunk),
        cmocka_unit_test(starts_near_zero_with_gradients),
        cmocka_unit_test(logits_belong_to_their_sample),
        cmocka_unit_test(branches_read_what_they_should),
        cmocka_unit_test(taps_by_depth_and_bad_configs),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
