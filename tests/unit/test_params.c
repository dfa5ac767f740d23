/* test_params.c: the parameter table: Wan's counts and names, layout of slices, initialisation; and the plan and cost
   of the full-size network, which need no memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "kernels/device.h"
#include "model/dit/dit.h"

/* Wan2.2-TI2V-5B at 704 x 1280; no audio. */
static struct dit_config ti2v_5b(void) {
    return (struct dit_config){.dim = 3072,
                               .ffn_dim = 14336,
                               .heads = 24,
                               .layers = 30,
                               .in_channels = 48,
                               .out_channels = 48,
                               .height = 44,
                               .width = 80,
                               .freq_dim = 256,
                               .text_len = 512,
                               .text_dim = 4096,
                               .rope_theta_t = 10000,
                               .rope_theta_hw = 10000,
                               .eps = 1e-6};
}

static void add_audio(struct dit_config *c) {
    c->audio_dim = 768;
    c->audio_tokens = 16;
    c->audio_width = 768;
    c->audio_hidden = 512;
    c->audio_every = 2;
}

/* The published sizes of the released checkpoints. */
static void counts_of_released_models(void **state) {
    (void)state;
    struct dit net;
    struct dit_config config = ti2v_5b();
    assert_int_equal(dit_create(&net, &config, 0), OK);
    assert_int_equal(net.table.values, 4999787712);
    assert_int_equal(net.table.count, 825);
    assert_int_equal(net.axes.pairs_t, 22);
    assert_int_equal(net.axes.pairs_h, 21);
    assert_int_equal(net.axes.pairs_w, 21);
    dit_destroy(&net);
    config.dim = 1536, config.ffn_dim = 8960, config.heads = 12, config.in_channels = config.out_channels = 16;
    assert_int_equal(dit_create(&net, &config, 0), OK);
    assert_int_equal(net.table.values, 1418996800);
    dit_destroy(&net);
}

static void audio_adds_its_modules(void **state) {
    (void)state;
    struct dit net;
    struct dit_config config = ti2v_5b();
    add_audio(&config);
    assert_int_equal(dit_create(&net, &config, 0), OK);
    long d = 3072, blocks = 15;
    long attention = 2 * (d * d + d) + 2 * (768 * d + d) + 2 * d + 2 * d; /* q, o; k, v; q and k gains; norm */
    long projection = 5 * 768 * 512 + 512 + 8 * 768 * 512 + 512 + 512 * 512 + 512 + 512 * 16 * 768 + 16 * 768 + 2 * 768;
    assert_int_equal((long)net.table.values - 4999787712, blocks * 2 * attention + projection);
    assert_non_null(param_find(&net.table, "blocks.28.listen_attn.norm_k.weight"));
    assert_null(param_find(&net.table, "blocks.29.listen_attn.norm_k.weight"));
    assert_int_equal(net.blocks[29].has_audio, 0);
    dit_destroy(&net);
}

static int follows_closely(const char *name) {
    return strstr(name, "attn.k.") || strstr(name, "attn.v.weight") || strstr(name, "attn.v.bias");
}

/* No overlap, every start a multiple of 32 elements but of what follows closely, slices one after the other, names
   unlike. */
static void layout(void **state) {
    (void)state;
    struct dit net;
    struct dit_config config = ti2v_5b();
    config.dim = 36, config.heads = 3, config.ffn_dim = 50, config.layers = 3;
    add_audio(&config);
    assert_int_equal(dit_create(&net, &config, 0), OK);
    const struct param_table *table = &net.table;
    assert_int_equal(table->slices, 5);
    size_t end = 0, values = 0;
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        size_t at = param_position(table, p), count = 1;
        for (int k = 0; k < p->ndim; k++) count *= (size_t)p->shape[k];
        assert_int_equal(count, p->count);
        assert_true(follows_closely(p->name) ? at == end : at % 32 == 0);
        assert_true(at >= end);
        assert_true(at - end < 32);
        end = at + count;
        assert_true(end <= table->slice_offset[p->slice + 1]);
        assert_ptr_equal(param_find(table, p->name), p);
        assert_int_equal(p->decay, p->ndim > 1 && !strstr(p->name, "modulation"));
        values += count;
    }
    assert_int_equal(values, table->values);
    assert_true(table->total >= end && table->total - end < 32);
    struct params params = {.table = table, .weights = NULL, .grads = NULL};
    assert_null(grads_acquire(&params, 2));
    dit_destroy(&net);
}

/* Random numbers and sums of a checkpoint made before the three weights lay side by side. */
static void numbers_are_in_the_order_of_the_names(void **state) {
    (void)state;
    static const char *const order[] = {"q.weight", "q.bias", "k.weight", "k.bias", "v.weight", "v.bias"};
    struct dit net;
    struct dit_config config = ti2v_5b();
    assert_int_equal(dit_create(&net, &config, 0), OK);
    const struct param *first = param_find(&net.table, "blocks.7.self_attn.q.weight");
    for (int i = 0; i < 6; i++) {
        char name[96];
        snprintf(name, sizeof name, "blocks.7.self_attn.%s", order[i]);
        assert_int_equal(param_find(&net.table, name)->number, (int)(first - net.table.list) + i);
    }
    const struct param *next = param_find(&net.table, "blocks.7.self_attn.o.weight");
    assert_int_equal(next->number, (int)(next - net.table.list));
    dit_destroy(&net);
}

static double deviation_of(const real *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)values[i] * (double)values[i];
    return sqrt(sum / (double)count);
}

static void initialisation(void **state) {
    (void)state;
    struct dit net;
    struct dit_config config = ti2v_5b();
    config.dim = 96, config.heads = 3, config.ffn_dim = 200, config.layers = 2, config.text_dim = 64;
    add_audio(&config);
    config.audio_dim = 26, config.audio_width = 32, config.audio_hidden = 64;
    assert_int_equal(dit_create(&net, &config, 0), OK);
    const struct param_table *table = &net.table;
    size_t bytes = table->total * sizeof(real);
    real *device = device_alloc(bytes), *a = malloc(bytes), *b = malloc(bytes);
    assert_true(device && a && b);
    params_initialise(device, table, 5);
    mem_download(a, device, bytes);
    params_initialise(device, table, 6);
    mem_download(b, device, bytes);
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        const real *values = a + param_position(table, p);
        double deviation = deviation_of(values, p->count);
        if (p->init == INIT_ZERO) assert_true(deviation == 0);
        if (p->init == INIT_ONE) assert_true(deviation == 1 && values[p->count - 1] == 1);
        /* five deviations of the estimate */
        if (p->init == INIT_NORMAL) assert_true(fabs(deviation / p->deviation - 1) < 5 / sqrt(2.0 * (double)p->count));
        if (p->init == INIT_NORMAL) assert_true(values[0] != b[param_position(table, p)]);
        for (size_t k = p->count; k % 32; k++) assert_true(values[k] == 0); /* padding */
    }
    static const char *const zero[] = {"head.head.weight", "blocks.0.talk_attn.o.weight",
                                       "blocks.0.listen_attn.o.weight", "blocks.1.ffn.0.bias"};
    for (size_t i = 0; i < sizeof zero / sizeof *zero; i++) {
        const struct param *p = param_find(table, zero[i]);
        assert_non_null(p);
        assert_int_equal(p->init, INIT_ZERO);
    }
    free(a);
    free(b);
    device_free(device);
    dit_destroy(&net);
}

/* 121 frames at 704 x 1280 in one forward: 517 TFLOP. Of 5B, whose activations no laptop holds, the plan is made all
   the same, and asks for less with every kind of saving. */
static void plan_and_cost(void **state) {
    (void)state;
    struct dit net;
    struct dit_config config = ti2v_5b();
    assert_true(fabs(dit_flops(&config, 1, 31, 0) / 517e12 - 1) < 0.005);
    assert_int_equal(dit_create(&net, &config, 0), OK);
    size_t bytes[3];
    for (int memory = DIT_FORWARD_ONLY; memory <= DIT_SAVE_ALL; memory++) {
        struct arena arena;
        struct dit_acts *acts;
        arena_begin(&arena, "5B activations");
        assert_int_equal(dit_acts_layout(&acts, &net, 1, 31, (enum dit_memory)memory, &arena), OK);
        bytes[memory] = arena.used;
        dit_acts_free(acts);
        arena_free(&arena);
    }
    assert_true(bytes[DIT_FORWARD_ONLY] < bytes[DIT_SAVE_BLOCKS] && 4 * bytes[DIT_SAVE_BLOCKS] < bytes[DIT_SAVE_ALL]);
    /* Saving block inputs costs 31 residual streams at least, and little more than those and two blocks' buffers. */
    size_t stream = (size_t)31 * 880 * 3072 * sizeof(resid);
    assert_true(bytes[DIT_SAVE_BLOCKS] > 31 * stream && bytes[DIT_SAVE_BLOCKS] < 90 * stream);
    dit_destroy(&net);
}

static int start(void **state) {
    (void)state;
    device_poison(1);
    return device_init(2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_of_released_models),
        cmocka_unit_test(audio_adds_its_modules),
        cmocka_unit_test(numbers_are_in_the_order_of_the_names),
        cmocka_unit_test(layout),
        cmocka_unit_test(initialisation),
        cmocka_unit_test(plan_and_cost),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
