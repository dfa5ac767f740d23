/* test_features.c: the gradients of a network of features: each of its three tasks and all together, against central
   differences along a random direction of every weight tensor. Kinks of ReLU within h = 1e-6 of the point are the one
   error beside rounding; with some thousand values of order 1 there are hardly any. */
#include "tests/small_net.h"

#include "kernels/arena.h"
#include "kernels/kernels.h"
#include "model/params/transfer.h"
#include "train/method/feature_step.h"

enum { N = 3, SIDE = 8, PLACES = N * 2 * 2, WINDOW = 10, PICTURES = 3 * N * 3 * SIDE * SIDE, SEED = 5 };
#define STEP 1e-6

static const struct feature_config shape = {SIDE, SIDE, 1, {5, 4, 6}, 7, WINDOW, 9};

static struct feature_net net;
static struct feature_step step;
static struct arena state, activations;
static real *pictures, *windows, *labels, *weights;

static void layout(void) {
    static const struct optimiser_config plain = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8};
    CHECK(feature_step_layout(&step, &net, &plain, 10, N, &state, &activations));
    pictures = ARENA_TAKE(&activations, "pictures", real, PICTURES);
    windows = ARENA_TAKE(&activations, "windows", real, N * WINDOW);
    labels = ARENA_TAKE(&activations, "labels", real, PLACES);
    weights = ARENA_TAKE(&activations, "weights", real, PLACES);
}

/* Rough weights of about the size that keeps the mean square, in layers that start at zero too. */
static void fill(void) {
    real label[PLACES];
    for (int i = 0; i < net.table.count; i++) {
        const struct param *p = &net.table.list[i];
        double fan_in = p->ndim > 1 ? (double)p->count / (double)p->shape[0] : 4;
        random_init(step.optimiser.master + param_position(&net.table, p), SEED, i, sqrt(2 / fan_in), (long)p->count);
    }
    random_init(pictures, SEED, 1000, 0.7, PICTURES);
    random_init(windows, SEED, 1001, 1, N * WINDOW);
    real_fill(weights, (real)1 / PLACES, PLACES);
    for (int i = 0; i < PLACES; i++) label[i] = i % 3 == 0;
    mem_upload(labels, label, sizeof label);
    optimiser_start(&step.optimiser);
}

static int set_up(void **unused) {
    (void)unused;
    CHECK(device_init(1));
    CHECK(feature_net_create(&net, &shape));
    arena_begin(&state, "state");
    arena_begin(&activations, "activations");
    layout();
    CHECK(arena_commit(&state));
    CHECK(arena_commit(&activations));
    layout();
    CHECK(feature_step_fresh(&step, SEED));
    mem_zero(step.optimiser.master, net.table.total * sizeof(real));
    fill();
    return 0;
}

static int tear_down(void **unused) {
    (void)unused;
    feature_step_free(&step);
    arena_free(&state);
    arena_free(&activations);
    feature_net_destroy(&net);
    return 0;
}

static const struct feature_batch *batch(void) {
    static struct feature_batch b;
    b = (struct feature_batch){pictures, windows, labels, weights};
    return &b;
}

static double loss_at(const struct params *params) {
    struct params frozen = *params;
    struct feature_figures f;
    frozen.grads = NULL;
    feature_step_gradient(&step, &frozen, batch());
    mem_download(&f, step.figures, sizeof f);
    CHECK(device_sync());
    return (double)f.person + (double)f.sound + (double)f.spoiled;
}

/* Moves one parameter tensor by h along a direction. */
static void move(const struct params *params, size_t at, const real *direction, long n, double h) {
    real_axpby(params->weights + at, (real)h, direction, 1, n);
}

static void every_tensor_has_its_gradient(void **unused) {
    (void)unused;
    struct params params = optimiser_params(&step.optimiser);
    params.source = NULL;
    mem_zero(params.grads, net.table.total * sizeof(real));
    feature_step_gradient(&step, &params, batch());
    for (int i = 0; i < net.table.count; i++) {
        const struct param *p = &net.table.list[i];
        size_t at = param_position(&net.table, p);
        long n = (long)p->count;
        real *direction = device_alloc((size_t)n * sizeof *direction);
        real *d = malloc((size_t)n * sizeof *d), *g = malloc((size_t)n * sizeof *g);
        random_init(direction, SEED, 2000 + i, 1, n);
        mem_download(d, direction, (size_t)n * sizeof *d);
        mem_download(g, params.grads + at, (size_t)n * sizeof *g);
        double along = 0, length = 0;
        for (long k = 0; k < n; k++) along += (double)d[k] * (double)g[k], length += (double)g[k] * (double)g[k];
        move(&params, at, direction, n, STEP);
        double above = loss_at(&params);
        move(&params, at, direction, n, -2 * STEP);
        double below = loss_at(&params);
        move(&params, at, direction, n, STEP);
        double difference = (above - below) / (2 * STEP), error = fabs(difference - along);
        if (!(length > 0) || error > 1e-6 * sqrt(length * (double)n) + 1e-9)
            fail_msg("%s: gradient %.9g, difference %.9g", p->name, along, difference);
        device_free(direction);
        free(d);
        free(g);
    }
}

/* Rows that are right have no loss; rows that are all alike have that of half the pairs. */
static void the_loss_is_that_of_the_header(void **unused) {
    (void)unused;
    struct params params = optimiser_params(&step.optimiser);
    struct feature_figures f;
    real S[N * N];
    params.source = NULL;
    loss_at(&params);
    mem_download(&f, step.figures, sizeof f);
    for (int k = 0; k < 2; k++) {
        double loss = 0;
        mem_download(S, step.cosine[k], sizeof S);
        for (int i = 0; i < N * N; i++) {
            double cosine = (double)S[i] / shape.embedding, right = i % (N + 1) == 0;
            assert_true(fabs(cosine) < 1 + 1e-6);
            loss += 0.5 * (cosine - right) * (cosine - right) / (right > 0 ? N : N * (N - 1));
        }
        assert_true(fabs(loss - (double)(k ? f.sound : f.person)) < 1e-7 * loss); /* the weights were floats */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_tensor_has_its_gradient),
                                       cmocka_unit_test(the_loss_is_that_of_the_header)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
