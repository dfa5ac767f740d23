/* test_light_decoder.c: the gradients of a decoder's training: every loss, alone and all together, with weights of what
   moves and noise on the latents, for both networks, against central differences along a random direction of every
   weight tensor; what does not count behind a gap; that the reference stays clean; and the re-encoding of the
   consistency loss against the codec's own encoder. Kinks of ReLU and of absolute values that lie within h = 3e-7 of
   the point are the one error beside rounding; with some thousand values of order 1 there are hardly any. */
#include "tests/small_net.h"

#include "kernels/arena.h"
#include "kernels/kernels.h"
#include "model/params/transfer.h"
#include "train/method/light_decoder_step.h"
#include "train/optimiser/batch_split.h"

enum { BATCH = 3, PARTS = 2, FRAMES = 3, H = 2, W = 3, CHANNELS = 7, PATCH = 4, SIZE = 12 * PATCH * PATCH };
enum {
    LATENTS = BATCH * FRAMES * CHANNELS * H * W,
    VIDEO = 1 + 4 * (FRAMES - 1),
    PIXELS = VIDEO * 3 * H * W * PATCH * PATCH
};
#define STEP 3e-7
enum { SEED = 4, NOISE_SEED = 2 }; /* seeds for which no ReLU lies within the step of its corner */

/* Shapes of the stride 4. Light: growth and scale in different stages, with and without patches at the end. */
static const struct decoder_config shapes[] = {
    {.kind = DECODER_LIGHT, .light = {CHANNELS, 6, {5, 4, 3}, 2, {2, 1, 2}, {2, 1, 2}, 1, 3}},
    {.kind = DECODER_LIGHT, .light = {CHANNELS, 4, {3, 6, 5}, 1, {1, 2, 2}, {1, 2, 1}, 2, 0}},
    {.kind = DECODER_RESIDUAL, .residual = {CHANNELS, {5, 4, 6}, {2, 1, 1}, 1}},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

struct world {
    struct decoder_net net;
    struct light_step step;
    struct arena state, activations;
    struct params params;
    struct codec codec;
    real *latents, *target, *joined;
};

/* A pca codec of random numbers; its basis need not be orthogonal to be encoded with. */
static void open_codec(struct codec *codec) {
    static float basis[CHANNELS * SIZE], mean[SIZE], scale[CHANNELS], motion_weight = 4;
    uint32_t state = 12345;
    for (int i = 0; i < CHANNELS * SIZE; i++)
        basis[i] = (float)((state = state * 1664525u + 1013904223u) >> 8) / (1 << 27) - 0.06f;
    for (int i = 0; i < SIZE; i++) mean[i] = (float)((state = state * 1664525u + 1013904223u) >> 8) / (1 << 24) - 0.5f;
    for (int i = 0; i < CHANNELS; i++) scale[i] = 0.5f + 0.2f * (float)i;
    const struct codec_tensor tensors[] = {{"pca.basis", 2, {CHANNELS, SIZE}, basis},
                                           {"pca.mean", 1, {SIZE}, mean},
                                           {"pca.scale", 1, {CHANNELS}, scale},
                                           {"pca.motion_weight", 1, {1}, &motion_weight}};
    CHECK(codec_open(codec, "pca", H * PATCH, W * PATCH, tensors, 4));
}

static void layout(struct world *w, const struct light_config *config) {
    CHECK(light_step_layout(&w->step, &w->net, config, FRAMES, H, W, NOISE_SEED, NULL, &w->state, &w->activations));
    w->latents = ARENA_TAKE(&w->activations, "latents", real, LATENTS);
    w->target = ARENA_TAKE(&w->activations, "target", real, BATCH * PIXELS);
    w->joined = ARENA_TAKE(&w->activations, "joined", real, BATCH);
}

/* Rough weights of about the size that keeps the mean square; targets around 1/2. */
static void fill(struct world *w) {
    for (int i = 0; i < w->net.table->count; i++) {
        const struct param *p = &w->net.table->list[i];
        double fan_in = p->ndim > 1 ? (double)p->count / (double)p->shape[0] : 4;
        random_init(w->step.optimiser.master + param_position(w->net.table, p), SEED, i, sqrt(2 / fan_in),
                    (long)p->count);
    }
    random_init(w->latents, SEED, 1000, 1.5, LATENTS);
    random_init(w->target, SEED, 1001, 0.5, BATCH * PIXELS);
    mem_upload(w->joined, (const real[]){1, 0, 1}, BATCH * sizeof(real)); /* sample 1 has a gap */
    optimiser_start(&w->step.optimiser);
}

static void open_world(struct world *w, const struct decoder_config *shape, const struct light_config *losses) {
    struct light_config config = *losses;
    memset(w, 0, sizeof *w);
    CHECK(device_init(1));
    config.stage.batch = BATCH;
    config.stage.accumulate = PARTS;
    config.stage.steps = 10;
    config.stage.optimiser = (struct optimiser_config){.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8};
    CHECK(decoder_net_create(&w->net, shape));
    arena_begin(&w->state, "state");
    arena_begin(&w->activations, "activations");
    layout(w, &config);
    CHECK(arena_commit(&w->state));
    CHECK(arena_commit(&w->activations));
    layout(w, &config);
    open_codec(&w->codec);
    CHECK(light_step_prepare(&w->step, &w->codec));
    mem_zero(w->step.optimiser.master, w->net.table->total * sizeof(real));
    fill(w);
    w->params = optimiser_params(&w->step.optimiser);
    w->params.source = NULL; /* everything is here */
}

static void close_world(struct world *w) {
    light_step_free(&w->step);
    arena_free(&w->state);
    arena_free(&w->activations);
    codec_close(&w->codec);
    decoder_net_destroy(&w->net);
    CHECK(device_sync());
}

/* In two parts, whose shares of the loss add up. */
static void gradient(struct world *w, const struct params *params) {
    mem_zero(w->step.figures, sizeof *w->step.figures);
    for (int i = 0; i < PARTS; i++) {
        struct part part = batch_split_part(&w->step.split, i);
        const struct light_batch batch = {w->latents + part.first * w->step.latents,
                                          w->target + (long)part.first * PIXELS, w->joined + part.first};
        CHECK(light_step_gradient(&w->step, params, &part, &batch));
    }
    CHECK(device_sync());
}

/* The loss alone. */
static double loss_at(struct world *w) {
    struct params still = w->params;
    real loss[3];
    still.grads = NULL;
    gradient(w, &still);
    mem_download(loss, w->step.figures, sizeof loss);
    return loss[0] + loss[1] + loss[2];
}

/* Relative error of tensor p's gradient along a random direction. */
static double tensor_error(struct world *w, const struct param *p, const real *grads, int seed) {
    size_t at = param_position(w->net.table, p), bytes = p->count * sizeof(real);
    real *x = malloc(bytes), *u = malloc(bytes), *moved = malloc(bytes);
    double dot = 0, size = 0, value[2];
    assert_true(x && u && moved);
    random_init(w->step.optimiser.m + at, 7, seed, 1, (long)p->count); /* the moments are not in use here */
    mem_download(u, w->step.optimiser.m + at, bytes);
    mem_download(x, w->params.weights + at, bytes);
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < p->count; i++) moved[i] = x[i] + (side ? STEP : -STEP) * u[i];
        mem_upload(w->params.weights + at, moved, bytes);
        value[side] = loss_at(w);
    }
    mem_upload(w->params.weights + at, x, bytes);
    for (size_t i = 0; i < p->count; i++) {
        dot += grads[at + i] * u[i];
        size += fabs(grads[at + i] * u[i]);
    }
    double difference = (value[1] - value[0]) / (2 * STEP);
    free(x), free(u), free(moved);
    /* relative to the result, unless its terms cancel or there are none (a shift of all pixels has no gradients) */
    return fabs(difference - dot) / fmax(fmax(fabs(dot), fabs(difference)), 1e-2 * fmax(size, value[0]));
}

static double worst_error(struct world *w, double spoil) {
    size_t total = w->net.table->total;
    real *grads = malloc(total * sizeof *grads);
    double worst = 0;
    assert_non_null(grads);
    optimiser_begin(&w->step.optimiser);
    gradient(w, &w->params);
    mem_download(grads, w->params.grads, total * sizeof *grads);
    for (int i = 0; i < w->net.table->count; i++) {
        const struct param *p = &w->net.table->list[i];
        for (size_t k = 0; k < p->count; k++) grads[param_position(w->net.table, p) + k] *= 1 + spoil * (double)(k % 2);
        double error = tensor_error(w, p, grads, i);
        if (!(error < 1e-6) && spoil == 0) print_message("%s: relative error %g\n", p->name, error);
        worst = error > worst || error != error ? error : worst;
    }
    free(grads);
    return worst;
}

struct losses {
    const char *name;
    struct light_config config;
};
static const struct losses cases[] = {
    {"l1", {.pixel = LIGHT_L1, .pixel_weight = 0.7}},
    {"mse", {.pixel = LIGHT_MSE, .pixel_weight = 0.7}},
    {"gradient difference", {.pixel = LIGHT_L1, .gradient_weight = 1.3}},
    {"latent consistency", {.pixel = LIGHT_L1, .consistency_weight = 0.4}},
    {"all", {.pixel = LIGHT_MSE, .pixel_weight = 0.7, .gradient_weight = 1.3, .consistency_weight = 0.4}},
    {"true pictures",
     {.target = LIGHT_PICTURES,
      .pixel = LIGHT_L1,
      .pixel_weight = 0.7,
      .gradient_weight = 1.3,
      .consistency_weight = 0.4,
      .motion_pixels = 3,
      .noise_clip = 0.05,
      .noise_frame = 0.045,
      .noise_motion = 0.3}},
};
#define PICTURES (&cases[CASES - 1].config)
enum { CASES = sizeof cases / sizeof *cases };

static void gradient_is_exact(void **state) {
    const struct losses *losses = *state;
    for (int k = 0; k < SHAPES; k++) {
        struct world w;
        open_world(&w, &shapes[k], &losses->config);
        double worst = worst_error(&w, 0);
        print_message("%s, shape %d: worst relative error %.2g\n", losses->name, k, worst);
        assert_true(worst < 1e-6);
        close_world(&w);
    }
}

/* The loss does not see the four pictures behind a gap, and does see them where there is none. */
static void nothing_counts_behind_a_gap(void **state) {
    (void)state;
    enum { PICTURE = PIXELS / VIDEO };
    struct world w;
    open_world(&w, &shapes[2], PICTURES);
    real *target = malloc(BATCH * PIXELS * sizeof *target);
    assert_non_null(target);
    mem_download(target, w.target, BATCH * PIXELS * sizeof *target);
    double before = loss_at(&w);
    for (int b = 0; b < 2; b++) {
        for (int i = 0; i < 4 * PICTURE; i++) target[(1 - b) * PIXELS + PICTURE + i] += 0.1 * (i % 7);
        mem_upload(w.target, target, BATCH * PIXELS * sizeof *target);
        double after = loss_at(&w);
        assert_true(b ? after != before : after == before);
    }
    free(target);
    close_world(&w);
}

/* Noise is on all latent frames but a sample's first, another one at another step and for another sample, and the same
   however the batch is cut: the last part's sample is the third of the batch. */
static void the_reference_stays_clean(void **state) {
    (void)state;
    enum { FRAME = CHANNELS * H * W, CLIP = FRAMES * FRAME };
    struct world w;
    real clean[LATENTS], given[2][CLIP];
    open_world(&w, &shapes[2], PICTURES);
    mem_download(clean, w.latents, sizeof clean);
    for (int step = 0; step < 2; step++) {
        w.step.step = (uint64_t)step;
        loss_at(&w);
        mem_download(given[step], w.step.disturbed, sizeof given[step]);
    }
    const real *last = clean + (BATCH - 1) * CLIP;
    for (int i = 0; i < CLIP; i++) {
        assert_true((given[0][i] == last[i]) == (i < FRAME));
        assert_true((given[0][i] == given[1][i]) == (i < FRAME));
        assert_true(fabs(given[0][i] - last[i]) < 6 * (2 * 0.095 + 2 * 0.3)); /* 6 deviations */
    }
    close_world(&w);
}

static void notices_a_wrong_gradient(void **state) {
    (void)state;
    struct world w;
    open_world(&w, &shapes[0], &cases[CASES - 1].config);
    assert_true(worst_error(&w, 1e-4) > 1e-6);
    close_world(&w);
}

/* The loss is that of what the codec's own encoder makes of the same pixels, in float there. */
static void encodes_as_the_codec(void **state) {
    (void)state;
    enum { CLIPS = 2 }; /* clips of the largest part */
    struct world w;
    static float latents[LATENTS], wanted[LATENTS], video[BATCH * PIXELS];
    static const struct light_config config = {.pixel = LIGHT_L1, .consistency_weight = 1};
    double sum = 0;
    real loss = 0;
    open_world(&w, &shapes[0], &config);
    transfer_from_real(wanted, w.latents, LATENTS);
    transfer_from_real(video, w.target, BATCH * PIXELS);
    mem_upload(w.step.optimiser.loss, &loss, sizeof loss);
    latent_consistency_gradient(&w.step.consistency, CLIPS, 1, w.step.optimiser.loss, NULL, w.target, w.latents);
    CHECK(device_sync());
    mem_download(&loss, w.step.optimiser.loss, sizeof loss);
    for (int i = 0; i < BATCH * PIXELS; i++) video[i] = 2 * video[i] - 1;
    for (int b = 0; b < CLIPS; b++) {
        codec_encode_reset(&w.codec);
        assert_int_equal(codec_encode(&w.codec, video + b * PIXELS, VIDEO, latents + b * (LATENTS / BATCH)), FRAMES);
    }
    for (int i = 0; i < CLIPS * (LATENTS / BATCH); i++)
        sum += ((double)latents[i] - wanted[i]) * ((double)latents[i] - wanted[i]);
    assert_true(fabs(sum / (CLIPS * (LATENTS / BATCH)) - loss) < 1e-5 * loss);
    close_world(&w);
}

/* A codec that gives no map is refused where the loss asks for it, by name. */
static void refuses_other_codecs(void **state) {
    (void)state;
    struct world w;
    open_world(&w, &shapes[0], &cases[CASES - 1].config);
    struct codec other = w.codec;
    snprintf(other.name, sizeof other.name, "wan22");
    assert_int_equal(light_step_prepare(&w.step, &other), ERR_USAGE);
    assert_non_null(strstr(error_text(), "light_decoder.consistency_weight"));
    assert_non_null(strstr(error_text(), "wan22"));
    close_world(&w);
}

int main(void) {
    struct CMUnitTest tests[CASES + 5];
    for (int i = 0; i < CASES; i++)
        tests[i] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = gradient_is_exact, .initial_state = (void *)(uintptr_t)&cases[i]};
    tests[CASES] = (struct CMUnitTest)cmocka_unit_test(notices_a_wrong_gradient);
    tests[CASES + 1] = (struct CMUnitTest)cmocka_unit_test(encodes_as_the_codec);
    tests[CASES + 2] = (struct CMUnitTest)cmocka_unit_test(refuses_other_codecs);
    tests[CASES + 3] = (struct CMUnitTest)cmocka_unit_test(nothing_counts_behind_a_gap);
    tests[CASES + 4] = (struct CMUnitTest)cmocka_unit_test(the_reference_stays_clean);
    return _cmocka_run_group_tests("light decoder", tests, CASES + 5, NULL, NULL);
}
