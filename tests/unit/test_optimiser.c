/* test_optimiser.c: the optimiser of a network against AdamW worked by hand in double (Loshchilov and Hutter 2019),
   with clipping, decay on some parameters only, the average's warm-up; a non-finite gradient changes nothing and is
   counted; slices left out stay as they are; the host learns of a step late; the learning rate's rise and fall;
   levels. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "kernels/device.h"
#include "train/method/levels.h"
#include "train/optimiser/optimiser.h"

/* Three parameters in two slices: decayed 40, not decayed 7, decayed 33 (slice 1). */
enum { A = 40, B = 7, C = 33, COUNT = A + B + C };

struct world {
    struct param_table table;
    struct arena arena;
    struct optimiser o;
};

static const struct optimiser_config plain = {
    .lr = 0.01, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .decay = 0.1, .clip = 2, .ema = 0.9, .ema_warmup = 4};

static void lay_out(struct world *w, struct sharding *shards) {
    arena_begin(&w->arena, "test");
    assert_int_equal(optimiser_layout(&w->o, "test", &w->table, &plain, 100, shards, &w->arena), OK);
    assert_int_equal(arena_commit(&w->arena), OK);
    assert_int_equal(optimiser_layout(&w->o, "test", &w->table, &plain, 100, shards, &w->arena), OK);
}

static void open_world(struct world *w) {
    memset(w, 0, sizeof *w);
    assert_int_equal(device_init(2), OK);
    param_table_open(&w->table);
    param_add(&w->table, 0, "a", INIT_NORMAL, 1, 1, (const long[]){A, 0});
    param_add(&w->table, 0, "b", INIT_NORMAL, 1, 0, (const long[]){B, 0});
    param_add(&w->table, 1, "c", INIT_NORMAL, 1, 1, (const long[]){C, 0});
    assert_int_equal(param_table_close(&w->table), OK);
    lay_out(w, NULL);
    params_initialise(w->o.master, &w->table, 5);
    optimiser_start(&w->o);
    assert_int_equal(device_sync(), OK);
}

static void close_world(struct world *w) {
    optimiser_free(&w->o);
    arena_free(&w->arena);
    param_table_free(&w->table);
}

/* The values of the three parameters, padding left out. */
static void gather(const struct world *w, const real *device, double out[COUNT]) {
    real *host = malloc(w->table.total * sizeof *host);
    assert_non_null(host);
    mem_download(host, device, w->table.total * sizeof *host);
    int n = 0;
    for (int p = 0; p < w->table.count; p++)
        for (size_t i = 0; i < w->table.list[p].count; i++)
            out[n++] = (double)host[param_position(&w->table, &w->table.list[p]) + i];
    free(host);
}

static void scatter(const struct world *w, real *device, const double in[COUNT]) {
    real *host = calloc(w->table.total, sizeof *host);
    assert_non_null(host);
    int n = 0;
    for (int p = 0; p < w->table.count; p++)
        for (size_t i = 0; i < w->table.list[p].count; i++)
            host[param_position(&w->table, &w->table.list[p]) + i] = (real)in[n++];
    mem_upload(device, host, w->table.total * sizeof *host);
    free(host);
}

static double gradient_at(int step, int i) { return sin(1.7 * i + 3.1 * step) * (step == 1 ? 0.1 : 1); }

static int decays(int i) { return i < A || i >= A + B; }

static void adamw_by_hand(void **state) {
    (void)state;
    struct world w;
    double x[COUNT], m[COUNT] = {0}, v[COUNT] = {0}, ema[COUNT], g[COUNT], got[COUNT];
    open_world(&w);
    gather(&w, w.o.master, x);
    memcpy(ema, x, sizeof x);
    for (int step = 0; step < 4; step++) {
        double norm = 0;
        for (int i = 0; i < COUNT; i++) {
            g[i] = gradient_at(step, i);
            norm += g[i] * g[i];
        }
        norm = sqrt(norm);
        double clip = norm > 2 ? 2 / norm : 1, t = step + 1, average = fmin(0.9, (1 + t) / (4 + t));
        assert_true(step == 1 ? clip == 1 : clip < 1); /* both sides of the clip are met */
        for (int i = 0; i < COUNT; i++) {
            m[i] = 0.9 * m[i] + 0.1 * clip * g[i];
            v[i] = 0.99 * v[i] + 0.01 * clip * clip * g[i] * g[i];
            double move = m[i] / (1 - pow(0.9, t)) / (sqrt(v[i] / (1 - pow(0.99, t))) + 1e-8);
            x[i] -= 0.01 * (move + (decays(i) ? 0.1 * x[i] : 0));
            ema[i] = average * ema[i] + (1 - average) * x[i];
        }
        optimiser_begin(&w.o);
        scatter(&w, w.o.shard.grads, g);
        optimiser_step(&w.o, step, 0);
        assert_int_equal(device_sync(), OK);
        struct optimiser_report report;
        optimiser_report(&w.o, step, &report);
        assert_int_equal(report.step, step);
        assert_int_equal(report.updates, step + 1);
        assert_true(fabs(report.norm - norm) < 1e-5 * norm);
    }
    /* float: four updates of about 0.01, each rounded to 2^-24 of values below 4 */
    gather(&w, w.o.master, got);
    for (int i = 0; i < COUNT; i++) assert_true(fabs(got[i] - x[i]) < 4e-6);
    gather(&w, w.o.ema, got);
    for (int i = 0; i < COUNT; i++) assert_true(fabs(got[i] - ema[i]) < 4e-6);
    close_world(&w);
}

static void nonfinite_step_changes_nothing(void **state) {
    (void)state;
    struct world w;
    double before[COUNT], after[COUNT], g[COUNT];
    struct optimiser_report report;
    open_world(&w);
    gather(&w, w.o.master, before);
    for (int i = 0; i < COUNT; i++) g[i] = gradient_at(0, i);
    g[A + 3] = NAN;
    for (int step = 0; step < 3; step++) {
        optimiser_begin(&w.o);
        scatter(&w, w.o.shard.grads, g);
        optimiser_step(&w.o, step, 0);
    }
    gather(&w, w.o.master, after);
    assert_memory_equal(before, after, sizeof before);
    optimiser_report(&w.o, 2, &report);
    assert_int_equal(report.skipped, 1);
    assert_int_equal(report.skipped_in_row, 3);
    assert_int_equal(report.updates, 0);
    g[A + 3] = 0;
    optimiser_begin(&w.o);
    scatter(&w, w.o.shard.grads, g);
    real bad = INFINITY;
    mem_upload(w.o.loss, &bad, sizeof bad); /* a loss alone counts as well */
    optimiser_step(&w.o, 3, 0);
    optimiser_begin(&w.o);
    scatter(&w, w.o.shard.grads, g);
    optimiser_step(&w.o, 4, 0);
    optimiser_report(&w.o, 3, &report);
    assert_int_equal(report.skipped_in_row, 4);
    optimiser_report(&w.o, 4, &report);
    assert_int_equal(report.skipped_in_row, 0);
    assert_int_equal(report.updates, 1);
    optimiser_report(&w.o, 2, &report); /* two newer ones are there */
    assert_int_equal(report.step, -1);
    close_world(&w);
}

static void slices_before_the_first_stay(void **state) {
    (void)state;
    struct world w;
    double before[COUNT], after[COUNT], g[COUNT];
    open_world(&w);
    gather(&w, w.o.master, before);
    for (int i = 0; i < COUNT; i++) g[i] = i < A + B ? 1e6 : 0.01; /* not in the norm either: no clipping */
    optimiser_begin(&w.o);
    scatter(&w, w.o.shard.grads, g);
    optimiser_step(&w.o, 0, 1);
    gather(&w, w.o.master, after);
    assert_memory_equal(before, after, (A + B) * sizeof *before);
    for (int i = A + B; i < COUNT; i++) assert_true(after[i] != before[i]);
    struct optimiser_report report;
    optimiser_report(&w.o, 0, &report);
    assert_true(fabs(report.norm - 0.01 * sqrt(C)) < 1e-6);
    close_world(&w);
}

static void rate_rises_and_falls(void **state) {
    (void)state;
    struct optimiser_config c = {.lr = 2, .warmup = 4, .cooldown = 5};
    assert_true(optimiser_rate(&c, 0, 20) == 0.5);
    assert_true(optimiser_rate(&c, 3, 20) == 2);
    assert_true(optimiser_rate(&c, 14, 20) == 2);
    assert_true(optimiser_rate(&c, 15, 20) == 2);
    assert_true(fabs(optimiser_rate(&c, 16, 20) - 1.6) < 1e-12);
    assert_true(fabs(optimiser_rate(&c, 19, 20) - 0.4) < 1e-12);
    c.warmup = c.cooldown = 0;
    assert_true(optimiser_rate(&c, 0, 20) == 2);
    assert_true(optimiser_rate(&c, 19, 20) == 2);
}

/* A step that is held changes nothing and says so; the rate rises after the idle steps, so that the first update is as
   small as the warm-up has it, and falls at the run's end all the same. */
static void held_steps_and_idle_ones(void **state) {
    (void)state;
    struct world w;
    double before[COUNT], held[COUNT], first[COUNT], g[COUNT];
    struct optimiser_report report;
    open_world(&w);
    w.o.config.warmup = 10;
    w.o.config.cooldown = 20;
    for (int i = 0; i < COUNT; i++) g[i] = gradient_at(0, i);
    gather(&w, w.o.master, before);
    for (int step = 0; step < 3; step++) {
        real loss = 7;
        optimiser_begin(&w.o);
        scatter(&w, w.o.shard.grads, g);
        mem_upload(w.o.loss, &loss, sizeof loss);
        assert_int_equal(optimiser_hold(&w.o, step), OK);
        optimiser_report(&w.o, step, &report);
        assert_true(report.step == step && report.loss == 7 && report.norm == 0 && report.rate == 0);
        assert_true(report.updates == 0 && !report.skipped);
    }
    gather(&w, w.o.master, held);
    assert_memory_equal(before, held, sizeof before);
    w.o.idle = 3;
    optimiser_begin(&w.o);
    scatter(&w, w.o.shard.grads, g);
    assert_int_equal(optimiser_step(&w.o, 3, 0), OK);
    optimiser_report(&w.o, 3, &report);
    assert_true(report.updates == 1 && report.norm > 0 && fabs(report.rate - 0.1 * plain.lr) < 1e-12);
    gather(&w, w.o.master, first);
    /* AdamW's first update is lr sign(g) where nothing decays */
    for (int i = A; i < A + B; i++) assert_true(fabs(fabs(first[i] - held[i]) - 0.1 * plain.lr) < 1e-5);
    assert_int_equal(optimiser_step(&w.o, 99, 0), OK);
    optimiser_report(&w.o, 99, &report);
    assert_true(fabs(report.rate - plain.lr / 20) < 1e-12);
    close_world(&w);
}

/* Levels are functions of their address; means over many draws against the distributions' own. */
static void levels_follow_their_distribution(void **state) {
    (void)state;
    struct level_config uniform = {LEVEL_SHIFTED_UNIFORM, 3, 0, 0, 0.02, 0.98};
    struct level_config normal = {LEVEL_LOGIT_NORMAL, 1, 0.3, 1.2, 0, 1};
    double sum = 0, logit = 0, square = 0;
    enum { DRAWS = 20000 };
    for (int i = 0; i < DRAWS; i++) {
        struct random_address a = {.seed = 3, .step = (uint64_t)i, .purpose = RANDOM_TIMESTEP};
        double u = level_draw(&uniform, &a), n = level_draw(&normal, &a);
        assert_true(u >= 0.02 && u <= 0.98 && n > 0 && n < 1);
        assert_true(level_draw(&normal, &a) == n);
        sum += u;
        logit += log(n / (1 - n));
        square += pow(log(n / (1 - n)), 2);
    }
    /* mean of 3u/(1+2u) over [0, 1] is 1.5 - 0.75 ln 3 = 0.6760; clamping moves it by less than 0.001; the deviation of
       the mean is 0.27/sqrt(20000) = 0.002 */
    assert_true(fabs(sum / DRAWS - 0.6760) < 0.008);
    assert_true(fabs(logit / DRAWS - 0.3) < 4 * 1.2 / sqrt(DRAWS));
    double deviation = sqrt(square / DRAWS - pow(logit / DRAWS, 2));
    assert_true(fabs(deviation - 1.2) < 4 * 1.2 / sqrt(2.0 * DRAWS));
}

/* The same world again, as rank `rank` of two; nothing is exchanged here. */
static void divide(struct world *w, struct sharding *shards, int zero, int rank) {
    optimiser_free(&w->o);
    arena_free(&w->arena);
    assert_int_equal(sharding_open(shards, NULL, 2, zero), OK);
    shards->rank = rank;
    assert_int_equal(sharding_divide(shards, &w->table), OK);
    lay_out(w, shards);
}

/* Values that come in pieces of any size land where the whole slice would put them, in whichever half of the slice a
   rank of two holds, and nowhere else. */
static void takes_values_in_pieces(void **state) {
    (void)state;
    enum { SLICE_MAX = 256 };
    float values[SLICE_MAX];
    for (int i = 0; i < SLICE_MAX; i++) values[i] = (float)(i + 1);
    for (int rank = 0; rank < 2; rank++) {
        struct world w = {.table = {.list = NULL}};
        struct sharding shards;
        open_world(&w);
        divide(&w, &shards, 1, rank);
        size_t pieces = shard_pieces(&w.o.shard), bytes = pieces * sizeof(real);
        real *whole = malloc(bytes), *parts = malloc(bytes);
        assert_true(whole && parts && pieces < w.table.total);
        for (int slice = 0; slice < w.table.slices; slice++) {
            size_t size = w.table.slice_offset[slice + 1] - w.table.slice_offset[slice];
            assert_true(size <= SLICE_MAX);
            mem_zero(w.o.master, bytes);
            optimiser_write(&w.o, OPTIMISER_MASTER, slice, values);
            mem_download(whole, w.o.master, bytes);
            for (size_t step = 1; step < 50; step += 7) {
                mem_zero(w.o.master, bytes);
                for (size_t at = 0; at < size; at += step)
                    optimiser_write_part(&w.o, OPTIMISER_MASTER, slice, at, size - at < step ? size - at : step,
                                         values + at);
                mem_download(parts, w.o.master, bytes);
                assert_memory_equal(parts, whole, bytes);
            }
            struct shard_piece p = shard_piece(&w.o.shard, slice);
            assert_true(whole[p.at] == values[p.from] && p.from == (size_t)rank * size / 2);
        }
        free(whole);
        free(parts);
        close_world(&w);
        sharding_close(&shards);
    }
}

static void expect_zero_gradients(struct world *w) {
    double got[COUNT];
    optimiser_begin(&w->o);
    gather(w, w->o.shard.grads, got);
    for (int i = 0; i < COUNT; i++) assert_true(got[i] == 0);
}

/* Whatever was before: an update, of all or of some slices, one that was skipped, values made in the gradients'
   place. */
static void gradients_begin_at_zero(void **state) {
    (void)state;
    struct world w;
    double g[COUNT];
    for (int i = 0; i < COUNT; i++) g[i] = 1 + i;
    open_world(&w);
    for (int before = 0; before < 4; before++) {
        if (before == 2) g[0] = NAN;
        optimiser_begin(&w.o);
        scatter(&w, w.o.shard.grads, g);
        optimiser_step(&w.o, before, before == 1);
        if (before == 3) optimiser_initialise(&w.o, 1);
        expect_zero_gradients(&w);
    }
    close_world(&w);
}

/* A rank of two that holds all gradients, but updates, and sets to zero, its pieces alone. */
static void gradients_beyond_the_pieces_begin_at_zero(void **state) {
    (void)state;
    struct world w;
    struct sharding shards;
    double g[COUNT];
    for (int i = 0; i < COUNT; i++) g[i] = 1 + i;
    open_world(&w);
    divide(&w, &shards, 1, 1);
    scatter(&w, w.o.shard.grads, g);
    shard_cleared(&w.o.shard);
    expect_zero_gradients(&w);
    close_world(&w);
    sharding_close(&shards);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(takes_values_in_pieces),
                                       cmocka_unit_test(adamw_by_hand),
                                       cmocka_unit_test(nonfinite_step_changes_nothing),
                                       cmocka_unit_test(slices_before_the_first_stay),
                                       cmocka_unit_test(rate_rises_and_falls),
                                       cmocka_unit_test(held_steps_and_idle_ones),
                                       cmocka_unit_test(levels_follow_their_distribution),
                                       cmocka_unit_test(gradients_begin_at_zero),
                                       cmocka_unit_test(gradients_beyond_the_pieces_begin_at_zero)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
