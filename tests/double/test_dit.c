/* test_dit.c: what must be equal to the last bit in the DiT: recompute, input-only backward, reused condition, forward
   without saving, silent audio modules; which frame hears which sound; what is refused. */
#include "tests/double/dit_world.h"

/* Another net with the weights and inputs of `w`, other activations. */
struct twin {
    struct arena arena;
    struct dit_acts *acts;
    struct params params;
    real *velocity, *dlatents;
};

static void twin_open(struct twin *t, const struct world *w, enum dit_memory memory, int grads) {
    memset(t, 0, sizeof *t);
    acts_open(&t->acts, &t->arena, &w->net, memory);
    t->params = w->params;
    t->params.grads = grads ? zeros((long)w->net.table.total) : NULL;
    t->velocity = zeros(w->outputs);
    t->dlatents = zeros(w->latents);
}

static void twin_run(struct twin *t, const struct world *w, int back) {
    assert_int_equal(dit_forward(&w->net, &t->params, t->acts, &w->in, t->velocity, w->outputs / BATCH), OK);
    struct dit_gradients gradients = w->gradients;
    gradients.dlatents = t->dlatents;
    if (back) assert_int_equal(dit_backward(&w->net, &t->params, t->acts, &w->in, &gradients), OK);
    assert_int_equal(device_sync(), OK);
}

static void twin_close(struct twin *t) {
    device_free(t->params.grads);
    device_free(t->velocity);
    device_free(t->dlatents);
    dit_acts_free(t->acts);
    arena_free(&t->arena);
}

static void equal_bits(const struct dit_config *config, int frames, int first_frame, int history) {
    struct world w;
    world_open(&w, config, DIT_SAVE_ALL, frames, first_frame);
    if (history) world_add_history(&w);
    forward(&w);
    backward(&w);
    struct sequence alone = {.ranks = 1}; /* a group of one: must change nothing */
    assert_int_equal(dit_divide(&w.net, &alone), OK);
    struct twin blocks, input_only, forward_only;
    twin_open(&blocks, &w, DIT_SAVE_BLOCKS, 1);
    twin_run(&blocks, &w, 1);
    assert_same_bits(blocks.velocity, w.velocity, w.outputs, "velocity, saving block inputs");
    assert_same_bits(blocks.dlatents, w.dlatents, w.latents, "latents' gradient, recomputing blocks");
    assert_same_bits(blocks.params.grads, w.params.grads, (long)w.net.table.total, "weight gradients, recomputing");
    for (int memory = DIT_SAVE_BLOCKS; memory <= DIT_SAVE_ALL; memory++) {
        twin_open(&input_only, &w, (enum dit_memory)memory, 0);
        twin_run(&input_only, &w, 1);
        assert_same_bits(input_only.dlatents, w.dlatents, w.latents, "latents' gradient, input only");
        twin_close(&input_only);
    }
    twin_open(&forward_only, &w, DIT_FORWARD_ONLY, 0);
    twin_run(&forward_only, &w, 0);
    assert_same_bits(forward_only.velocity, w.velocity, w.outputs, "velocity, saving nothing");
    /* Again, with the text and audio keys and values of the first time. */
    mem_zero(forward_only.velocity, sizeof(real) * (size_t)w.outputs);
    twin_run(&forward_only, &w, 0);
    assert_same_bits(forward_only.velocity, w.velocity, w.outputs, "velocity, condition reused");
    /* Backward after a forward that reused them. */
    mem_zero(blocks.params.grads, sizeof(real) * w.net.table.total);
    mem_zero(blocks.dlatents, sizeof(real) * (size_t)w.latents);
    twin_run(&blocks, &w, 1);
    assert_same_bits(blocks.params.grads, w.params.grads, (long)w.net.table.total,
                     "weight gradients, condition reused");
    twin_close(&blocks);
    twin_close(&forward_only);
    world_close(&w);
}

static void equal_bits_bidirectional(void **state) {
    (void)state;
    equal_bits(&small, FRAMES, 0, 0);
}

static void equal_bits_chunk(void **state) {
    (void)state;
    equal_bits(&small, 2, 4, 1);
}

static void equal_bits_gated(void **state) {
    (void)state;
    const struct dit_config gated = gated_config();
    equal_bits(&gated, FRAMES, 0, 0);
}

/* The condition is what it was until the reset, then new. */
static void condition_reset(void **state) {
    (void)state;
    struct world w;
    world_open(&w, &small, DIT_FORWARD_ONLY, FRAMES, 0);
    real *first = zeros(w.outputs), *second = zeros(w.outputs);
    forward(&w);
    mem_copy(first, w.velocity, sizeof(real) * (size_t)w.outputs);
    random_init(w.text, 77, 1, 1, BATCH * small.text_len * small.text_dim);
    random_init(w.audio[AUDIO_LISTEN], 78, 1, 1, BATCH * w.in.audio_stride);
    for (int reset = 0; reset < 4; reset++) {
        dit_condition_reset(w.acts, reset & 1, reset >> 1);
        assert_int_equal(dit_forward(&w.net, &w.params, w.acts, &w.in, w.velocity, w.outputs / BATCH), OK);
        if (reset == 0) assert_same_bits(w.velocity, first, w.outputs, "velocity before the reset");
        if (reset == 1) mem_copy(second, w.velocity, sizeof(real) * (size_t)w.outputs);
        if (reset == 1) assert_true(dot(second, second, w.outputs) != dot(first, first, w.outputs));
        if (reset == 2) assert_true(dot(second, second, w.outputs) != dot(w.velocity, w.velocity, w.outputs));
    }
    mem_copy(second, w.velocity, sizeof(real) * (size_t)w.outputs);
    forward(&w);
    assert_same_bits(w.velocity, second, w.outputs, "velocity after both resets");
    device_free(first);
    device_free(second);
    world_close(&w);
}

/* Activations that lent their memory to others (arena_fork) give the same bits again after the reset. */
static void memory_lent(void **state) {
    (void)state;
    struct world w;
    world_open(&w, &small, DIT_SAVE_ALL, FRAMES, 0);
    real *first = zeros(w.outputs);
    forward(&w);
    mem_copy(first, w.velocity, sizeof(real) * (size_t)w.outputs);
    real_fill((real *)w.arena.base, NAN, (long)(w.arena.size / sizeof(real)));
    forward(&w);
    assert_same_bits(w.velocity, first, w.outputs, "velocity after the memory was lent");
    device_free(first);
    world_close(&w);
}

/* ---- audio modules ---- */

/* With zero output projections the network is the bare Wan, to the last bit. */
static void silent_audio(void **state) {
    (void)state;
    struct dit_config bare_config = small;
    bare_config.audio_dim = 0;
    struct world full, bare;
    world_open(&full, &small, DIT_SAVE_ALL, FRAMES, 0);
    world_open(&bare, &bare_config, DIT_SAVE_ALL, FRAMES, 0);
    for (int i = 0; i < full.net.table.count; i++) {
        const struct param *p = &full.net.table.list[i];
        real *values = full.params.weights + param_position(&full.net.table, p);
        const struct param *twin = param_find(&bare.net.table, p->name);
        if (strstr(p->name, "_attn.o.") && (strstr(p->name, "talk") || strstr(p->name, "listen"))) {
            assert_int_equal(p->init, INIT_ZERO);
            mem_zero(values, sizeof(real) * p->count);
        }
        if (twin)
            mem_copy(bare.params.weights + param_position(&bare.net.table, twin), values, sizeof(real) * p->count);
    }
    forward(&full);
    forward(&bare);
    assert_same_bits(full.velocity, bare.velocity, bare.outputs, "velocity with silent audio modules");
    backward(&full);
    backward(&bare);
    assert_same_bits(full.dlatents, bare.dlatents, bare.latents, "latents' gradient with silent audio modules");
    world_close(&full);
    world_close(&bare);
}

/* A latent frame hears its own windows only, apart from what self-attention carries: with one frame a sample, sample
   0's audio moves sample 0 alone; and talk and listen are not the same thing. */
static void audio_stays_in_its_frame(void **state) {
    (void)state;
    struct dit_config one = small;
    one.layers = 1; /* frames meet in self-attention only, which comes before the block's audio */
    struct world w;
    world_open(&w, &one, DIT_FORWARD_ONLY, FRAMES, 0);
    forward(&w);
    double *before = downloaded(w.velocity, w.outputs);
    long window = AUDIO_WINDOW * small.audio_dim;
    random_init(w.audio[AUDIO_TALK] + w.in.audio_stride + window, 99, 1, 1, window); /* sample 1, frame 1 */
    forward(&w);
    double *after = downloaded(w.velocity, w.outputs);
    long frame = (long)small.out_channels * small.height * small.width, stride = w.outputs / BATCH;
    for (int b = 0; b < BATCH; b++)
        for (int f = 0; f < FRAMES; f++) {
            size_t bytes = sizeof(double) * (size_t)frame;
            int same = memcmp(before + b * stride + f * frame, after + b * stride + f * frame, bytes) == 0;
            assert_int_equal(same, !(b == 1 && f == 1));
        }
    free(before);
    free(after);
    world_close(&w);
}

/* ---- refusals ---- */

static void refusals(void **state) {
    (void)state;
    struct dit net;
    struct dit_config bad = small;
    bad.heads = 3;
    assert_int_equal(dit_create(&net, &bad, 0), ERR_USAGE);
    bad = small;
    bad.height = 5;
    assert_int_equal(dit_create(&net, &bad, 0), ERR_USAGE);
    struct world w;
    world_open(&w, &small, DIT_FORWARD_ONLY, FRAMES, 0);
    assert_int_equal(dit_backward(&w.net, &w.params, w.acts, &w.in, &w.gradients), ERR_USAGE);
    w.in.frames = FRAMES + 1;
    assert_int_equal(dit_forward(&w.net, &w.params, w.acts, &w.in, w.velocity, w.outputs / BATCH), ERR_USAGE);
    w.in.frames = FRAMES;
    w.in.audio[AUDIO_TALK] = NULL;
    assert_int_equal(dit_forward(&w.net, &w.params, w.acts, &w.in, w.velocity, w.outputs / BATCH), ERR_USAGE);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_bits_bidirectional),
        cmocka_unit_test(equal_bits_gated),
        cmocka_unit_test(equal_bits_chunk),
        cmocka_unit_test(condition_reset),
        cmocka_unit_test(memory_lent),
        cmocka_unit_test(silent_audio),
        cmocka_unit_test(audio_stays_in_its_frame),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
