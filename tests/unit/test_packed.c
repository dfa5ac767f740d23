/* test_packed.c: copies of weights for products (packed_open in kernels.h): products with a copy give what products
   without give, and whatever call writes the weights, the next product reads the new ones. */
#include "tests/check.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/arena.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

enum { ROWS = 48, IN = 64, OUT = 128, N = OUT * IN, PAD = 32 };

struct world {
    struct arena arena;
    elem *weights, *room, *x, *y, *dy, *dx, *other;
    real *master, *m, *v, *grad;
    struct optim_state *state;
};

static void layout(struct world *w) {
    w->weights = ARENA_TAKE(&w->arena, "weights", elem, N + PAD);
    w->room = ARENA_TAKE(&w->arena, "room", elem, packed_room(N + PAD));
    w->x = ARENA_TAKE(&w->arena, "x", elem, ROWS * IN);
    w->dx = ARENA_TAKE(&w->arena, "dx", elem, ROWS * IN);
    w->y = ARENA_TAKE(&w->arena, "y", elem, ROWS * OUT);
    w->dy = ARENA_TAKE(&w->arena, "dy", elem, ROWS * OUT);
    w->other = ARENA_TAKE(&w->arena, "other", elem, N);
    w->master = ARENA_TAKE(&w->arena, "master", real, N);
    w->m = ARENA_TAKE(&w->arena, "m", real, N);
    w->v = ARENA_TAKE(&w->arena, "v", real, N);
    w->grad = ARENA_TAKE(&w->arena, "grad", real, N);
    w->state = ARENA_TAKE(&w->arena, "state", struct optim_state, 1);
}

static void randomise(struct world *w, elem *to, long n, int which) {
    real *values = device_alloc((size_t)n * sizeof *values);
    assert_non_null(values);
    random_init(values, 1, which, 1, n);
    elem_from_real(to, values, n);
    device_free(values);
    (void)w;
}

static void open_world(struct world *w) {
    memset(w, 0, sizeof *w);
    arena_begin(&w->arena, "test");
    layout(w);
    CHECK(arena_commit(&w->arena));
    layout(w);
    randomise(w, w->weights, N + PAD, 0);
    randomise(w, w->x, ROWS * IN, 1);
    randomise(w, w->dy, ROWS * OUT, 2);
    random_init(w->master, 1, 3, 1, N);
    random_init(w->grad, 1, 4, 1, N);
    mem_zero(w->m, N * sizeof(real));
    mem_zero(w->v, N * sizeof(real));
    mem_zero(w->state, sizeof *w->state);
    grad_norm_end(w->state, NULL, 1);
}

/* Both products, on the host. */
struct results {
    elem y[ROWS * OUT], dx[ROWS * IN];
};
static void products(struct world *w, struct results *r) {
    linear_forward(w->y, w->x, w->weights, NULL, ROWS, IN, OUT, 0);
    linear_backward_input(w->dx, w->dy, w->weights, ROWS, IN, OUT, 0);
    mem_download(r->y, w->y, sizeof r->y);
    mem_download(r->dx, w->dx, sizeof r->dx);
}

static void open_copies(struct world *w, long rows_least) {
    if (w->room) packed_open(w->room, w->weights, N + PAD, rows_least);
}

/* To the bit: a network in an arena, merged in a buffer or gathered from ranks computes the same. */
static void copies_change_no_product(void **state) {
    (void)state;
    static struct results plain, copied;
    struct world w;
    open_world(&w);
    products(&w, &plain);
    open_copies(&w, 0);
    products(&w, &copied);
    products(&w, &copied); /* uses the copies made before */
    assert_memory_equal(copied.y, plain.y, sizeof plain.y);
    assert_memory_equal(copied.dx, plain.dx, sizeof plain.dx);
    arena_free(&w.arena);
}

/* The room is written when a product wants a copy; in bf16, which has another way, not for fewer rows than it was
   opened for. */
static void copies_are_made(void **state) {
    (void)state;
    static struct results r;
    struct world w;
    open_world(&w);
    size_t bytes = (size_t)packed_room(N + PAD) * sizeof(elem);
    if (!bytes) {
        arena_free(&w.arena);
        skip();
    }
    unsigned char *before = malloc(bytes), *after = malloc(bytes);
    assert_true(before && after);
    mem_zero(w.room, bytes);
    mem_download(before, w.room, bytes);
    open_copies(&w, ROWS + 1);
    products(&w, &r);
    mem_download(after, w.room, bytes);
    if (sizeof(elem) == 2) assert_memory_equal(before, after, bytes);
    open_copies(&w, ROWS);
    products(&w, &r);
    mem_download(after, w.room, bytes);
    assert_memory_not_equal(before, after, bytes);
    free(before);
    free(after);
    arena_free(&w.arena);
}

/* ---- every way that weights are written ---- */

static void by_upload(struct world *w) {
    elem *host = malloc(N * sizeof *host);
    assert_non_null(host);
    mem_download(host, w->other, N * sizeof *host);
    mem_upload(w->weights, host, N * sizeof *host);
    free(host);
}
static void by_copy(struct world *w) { mem_copy(w->weights, w->other, N * sizeof(elem)); }
static void by_copy_of_one(struct world *w) { mem_copy(w->weights + N - 1, w->other, sizeof(elem)); }
static void by_rows(struct world *w) {
    mem_copy_rows(w->weights, IN * sizeof(elem), w->other, IN * sizeof(elem), sizeof(elem), OUT);
}
static void by_zero(struct world *w) { mem_zero(w->weights, IN * sizeof(elem)); }
static void by_conversion(struct world *w) { elem_from_real(w->weights, w->master, N); }
static void by_update(struct world *w) {
    const struct adamw how = {.lr = (real)0.1, .beta1 = (real)0.9, .beta2 = (real)0.99, .eps = (real)1e-8};
    adamw_update(w->master, w->m, w->v, NULL, w->weights, w->grad, N, &how, w->state);
}
/* By a kernel that is no writer of weights, as it were by another process: the writer says so. */
static void by_telling(struct world *w) {
    gelu_forward(w->weights, w->other, N);
    packed_renew(w->weights, N * (long)sizeof *w->weights);
}

static void no_stale_copies(void **state) {
    (void)state;
    static void (*const ways[])(struct world *) = {by_upload, by_copy,       by_copy_of_one, by_rows,
                                                   by_zero,   by_conversion, by_update,      by_telling};
    static struct results before, after, fresh;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct world w;
        open_world(&w);
        randomise(&w, w.other, N, 5);
        open_copies(&w, 0);
        products(&w, &before);
        ways[i](&w);
        products(&w, &after);
        open_copies(&w, 0); /* nothing is known of the weights */
        products(&w, &fresh);
        assert_memory_not_equal(before.y, after.y, sizeof before.y);
        assert_memory_equal(after.y, fresh.y, sizeof fresh.y);
        assert_memory_equal(after.dx, fresh.dx, sizeof fresh.dx);
        arena_free(&w.arena);
    }
}

/* Memory of an arena that is gone may be anyone's: host threads write it without a word. */
static void none_after_the_arena(void **state) {
    (void)state;
    static struct results first, second, plain;
    struct world w;
    open_world(&w);
    open_copies(&w, 0);
    products(&w, &first);
    elem *was = w.weights;
    arena_free(&w.arena);
    open_world(&w);
    products(&w, &first);
    gelu_forward(w.weights, w.weights, N); /* says nothing to copies */
    products(&w, &second);
    packed_close(w.weights, N * (long)sizeof *w.weights);
    products(&w, &plain);
    assert_memory_equal(second.y, plain.y, sizeof plain.y);
    assert_memory_equal(second.dx, plain.dx, sizeof plain.dx);
    if (was != w.weights) print_message("the arena came to lie elsewhere: nothing was tried\n");
    arena_free(&w.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(copies_change_no_product), cmocka_unit_test(copies_are_made),
                                       cmocka_unit_test(no_stale_copies), cmocka_unit_test(none_after_the_arena)};
    if (device_init(2)) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
