/* test_residual_decoder.c: the residual decoder (model/codec/residual_decoder.h) in double, through the interface that
   all decoders have: gradients against central differences along a random direction of every weight tensor, with the
   reference's picture and without; streams in any pieces against the training forward, bit for bit; what a picture sees
   and what it does not; and that fresh weights decode as the codec does. Kinks of ReLU that lie within h = 1e-6 of the
   point are the one error of the differences beside rounding; with some thousand values of order 1 there are hardly
   any. */
#include "tests/small_net.h"

#include "kernels/arena.h"
#include "kernels/kernels.h"
#include "model/codec/decoder_net.h"
#include "model/params/transfer.h"

enum { BATCH = 2, FRAMES = 4, H = 2, W = 3, CHANNELS = 5, VIDEO = 4 * FRAMES - 3 };
#define STEP 1e-6

static const struct residual_config shapes[] = {
    {CHANNELS, {4, 3, 5}, {2, 1, 1}, 1},
    {CHANNELS, {3, 6, 4}, {0, 1, 2}, 2},
};

struct world {
    struct decoder_net net;
    struct small_net small;
    struct arena arena;
    struct decoder_acts acts;
    real *latents, *pictures, *target, *pixels, *dpixels;
    long latent, picture, all; /* numbers of a latent frame, of a picture, of the batch's pixels */
    int given;                 /* whether the pictures are */
};

static struct decoder_config sizes_of(const struct residual_config *shape) {
    return (struct decoder_config){.kind = DECODER_RESIDUAL, .residual = *shape};
}

static void lay_out(struct world *w, enum decoder_memory memory, int batch, int frames) {
    arena_begin(&w->arena, "decoder");
    CHECK(decoder_acts_layout(&w->acts, &w->net, memory, batch, frames, H, W, &w->arena));
    CHECK(arena_commit(&w->arena));
    CHECK(decoder_acts_layout(&w->acts, &w->net, memory, batch, frames, H, W, &w->arena));
}

/* Rough weights, so that no layer is at its zero. memory, batch and frames of the layout. */
static void open_world(struct world *w, const struct residual_config *shape, enum decoder_memory memory, int batch,
                       int frames) {
    const struct decoder_config sizes = sizes_of(shape);
    memset(w, 0, sizeof *w);
    CHECK(device_init(1));
    CHECK(decoder_net_create(&w->net, &sizes));
    small_open(&w->small, w->net.table, 0.15);
    int stride = decoder_net_stride(&w->net);
    w->latent = CHANNELS * H * W;
    w->picture = 3L * H * stride * W * stride;
    w->all = BATCH * VIDEO * w->picture;
    w->latents = small_reals(&w->small, BATCH * FRAMES * w->latent, 1);
    w->pictures = small_reals(&w->small, BATCH * w->picture, 0.5);
    w->target = small_reals(&w->small, w->all, 0.5);
    w->pixels = small_alloc(&w->small, sizeof(real) * (size_t)w->all);
    w->dpixels = small_alloc(&w->small, sizeof(real) * (size_t)w->all);
    w->given = 1;
    lay_out(w, memory, batch, frames);
}

static void close_world(struct world *w) {
    decoder_acts_free(&w->acts);
    arena_free(&w->arena);
    small_close(&w->small);
    decoder_net_destroy(&w->net);
    CHECK(device_sync());
}

static void forward(struct world *w) {
    decoder_net_forward(&w->net, &w->small.params, &w->acts, BATCH, w->latents, w->given ? w->pictures : NULL,
                        w->pixels);
}

/* Half the squared distance from the target, whose gradient is pixels - target. The sum of some ten thousand terms is
   longer than double: its rounding over the step would be the largest error. */
static double loss_at(struct world *w) {
    long double sum = 0;
    forward(w);
    real_axpby(w->dpixels, 1, w->pixels, 0, w->all);
    real_axpby(w->dpixels, -1, w->target, 1, w->all);
    real *off = small_host(w->dpixels, w->all);
    for (long i = 0; i < w->all; i++) sum += (long double)off[i] * off[i] / 2;
    free(off);
    return (double)sum;
}

/* Relative error of tensor p's gradient along a random direction. */
static double tensor_error(struct world *w, const struct param *p, const real *grads, const real *direction) {
    size_t at = param_position(w->net.table, p), bytes = p->count * sizeof(real);
    real *x = small_download(w->small.params.weights + at, bytes), *moved = malloc(bytes);
    double dot = 0, size = 0, value[2];
    assert_non_null(moved);
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < p->count; i++) moved[i] = x[i] + (side ? STEP : -STEP) * direction[at + i];
        mem_upload(w->small.params.weights + at, moved, bytes);
        value[side] = loss_at(w);
    }
    mem_upload(w->small.params.weights + at, x, bytes);
    for (size_t i = 0; i < p->count; i++) {
        dot += grads[at + i] * direction[at + i];
        size += fabs(grads[at + i] * direction[at + i]);
    }
    double difference = (value[1] - value[0]) / (2 * STEP);
    free(x), free(moved);
    /* relative to the result, unless its terms cancel or the loss's own rounding, 1e-16 of it over the step, is
       larger */
    return fabs(difference - dot) / fmax(fmax(fabs(dot), fabs(difference)), 1e-2 * fmax(size, value[0]));
}

static double worst_error(struct world *w, double spoil) {
    double worst = 0;
    real *direction = small_host(small_reals(&w->small, (long)w->small.total, 1), (long)w->small.total);
    loss_at(w);
    mem_zero(w->small.params.grads, sizeof(real) * w->small.total);
    decoder_net_backward(&w->net, &w->small.params, &w->acts, w->dpixels);
    real *grads = small_host(w->small.params.grads, (long)w->small.total);
    for (int i = 0; i < w->net.table->count; i++) {
        const struct param *p = &w->net.table->list[i];
        size_t at = param_position(w->net.table, p);
        for (size_t k = 0; k < p->count; k += 2) grads[at + k] *= 1 + spoil;
        double error = tensor_error(w, p, grads, direction);
        if (!(error < 1e-6) && spoil == 0) print_message("%s: relative error %g\n", p->name, error);
        worst = error > worst || error != error ? error : worst;
    }
    free(grads), free(direction);
    return worst;
}

static void gradient_is_exact(void **state) {
    (void)state;
    for (int k = 0; k < 4; k++) {
        struct world w;
        open_world(&w, &shapes[k / 2], DECODER_TRAIN, BATCH + 1, FRAMES);
        w.given = k % 2;
        double worst = worst_error(&w, 0);
        print_message("shape %d, %s: worst relative error %.2g\n", k / 2, w.given ? "picture" : "no picture", worst);
        assert_true(worst < 1e-6);
        close_world(&w);
    }
}

static void notices_a_wrong_gradient(void **state) {
    (void)state;
    struct world w;
    open_world(&w, &shapes[0], DECODER_TRAIN, BATCH, FRAMES);
    assert_true(worst_error(&w, 1e-4) > 1e-6);
    close_world(&w);
}

/* A batch of one latent frame a clip: there is a first latent and none after it. */
static void one_frame_has_a_gradient(void **state) {
    (void)state;
    struct world w;
    open_world(&w, &shapes[1], DECODER_TRAIN, BATCH, 1);
    w.all = BATCH * w.picture;
    w.given = 0;
    assert_true(worst_error(&w, 0) < 1e-6);
    close_world(&w);
}

/* A clip of the batch, in pieces, by an open stream. */
static void stream(struct world *w, int clip, int piece, const real *picture, real *pixels) {
    int written = 0;
    decoder_stream_begin(&w->net, &w->acts, picture);
    for (int f = 0; f < FRAMES; f += piece) {
        int now = FRAMES - f < piece ? FRAMES - f : piece;
        written +=
            decoder_stream_decode(&w->net, &w->small.params, &w->acts, w->latents + (clip * FRAMES + f) * w->latent,
                                  now, pixels + written * w->picture);
    }
    assert_int_equal(written, VIDEO);
}

static void stream_equals_training(void **state) {
    (void)state;
    for (int k = 0; k < 4; k++) {
        struct world w;
        open_world(&w, &shapes[k / 2], DECODER_TRAIN, BATCH, FRAMES);
        w.given = k % 2;
        forward(&w);
        for (int at_once = 1; at_once <= FRAMES; at_once += 2)
            for (int piece = 1; piece <= FRAMES; piece++) {
                lay_out(&w, DECODER_STREAM, 1, at_once);
                for (int b = 0; b < BATCH; b++) { /* the second clip finds the state of the first */
                    stream(&w, b, piece, w.given ? w.pictures + b * w.picture : NULL, w.dpixels);
                    assert_same_bits(w.dpixels, w.pixels + b * VIDEO * w.picture,
                                     sizeof(real) * (size_t)(VIDEO * w.picture));
                }
            }
        close_world(&w);
    }
}

/* Largest change of video frame `frame` of the first clip between two outputs. */
static double change(const struct world *w, const real *before, const real *after, int frame) {
    double most = 0;
    for (long i = frame * w->picture; i < (frame + 1) * w->picture; i++) most = fmax(most, fabs(after[i] - before[i]));
    return most;
}

/* Outputs of the first clip before and after number `at` of its latents, or of its picture, is another. */
static void change_one(struct world *w, real *numbers, long at, real **before, real **after) {
    forward(w);
    *before = small_host(w->pixels, w->all);
    real_fill(numbers + at, 3, 1);
    forward(w);
    *after = small_host(w->pixels, w->all);
}

/* Latent 2 changes its own four frames and those of the next one, and nothing before or after. */
static void causal(void **state) {
    (void)state;
    struct world w;
    real *before, *after;
    open_world(&w, &shapes[0], DECODER_TRAIN, BATCH, FRAMES);
    change_one(&w, w.latents, 2 * w.latent + 4, &before, &after);
    for (int f = 0; f < 5; f++) assert_true(change(&w, before, after, f) == 0);
    for (int f = 5; f < VIDEO; f++) assert_true(change(&w, before, after, f) > 0);
    free(before), free(after);
    /* latent 1: the frames of latent 3 see it no more */
    change_one(&w, w.latents, w.latent + 4, &before, &after);
    assert_true(change(&w, before, after, 0) == 0);
    for (int f = 1; f < 9; f++) assert_true(change(&w, before, after, f) > 0);
    for (int f = 9; f < VIDEO; f++) assert_true(change(&w, before, after, f) == 0);
    free(before), free(after);
    close_world(&w);
}

/* The picture, and the first latent, are seen by all frames of the clip, and by no other clip's. */
static void reference_is_seen(void **state) {
    (void)state;
    for (int what = 0; what < 2; what++) {
        struct world w;
        real *before, *after;
        open_world(&w, &shapes[1], DECODER_TRAIN, BATCH, FRAMES);
        change_one(&w, what ? w.pictures : w.latents, 7, &before, &after);
        for (int f = 0; f < VIDEO; f++) assert_true(change(&w, before, after, f) > 0);
        for (int f = VIDEO; f < 2 * VIDEO; f++) assert_true(change(&w, before, after, f) == 0);
        free(before), free(after);
        close_world(&w);
    }
}

/* ---- fresh weights ---- */

enum { PATCH = 8, SIZE = 12 * PATCH * PATCH, PIXELS = 3 * H * PATCH * W * PATCH };

/* A pca codec of random numbers, with a motion weight: what its decoder does is linear whatever they are. */
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

/* With the last layer at zero, fresh weights are the codec's own decode; as they start, they are near it. Both sum some
   ten numbers of order 1, the codec in float: 1e-5 is a hundred roundings. The residual that is left is of deviation
   0.002 times the root of its 9 w2 inputs of order 1, here 36: 0.1 is eight times as much. */
static void starts_as_the_codec(void **state) {
    (void)state;
    struct world w;
    struct codec codec;
    static float latents[FRAMES * CHANNELS * H * W], own[VIDEO * PIXELS], made[VIDEO * PIXELS];
    open_world(&w, &shapes[1], DECODER_TRAIN, BATCH, FRAMES);
    open_codec(&codec);
    assert_int_equal(decoder_net_stride(&w.net), PATCH);
    transfer_from_real(latents, w.latents, FRAMES * w.latent);
    codec_decode_begin(&codec, NULL);
    assert_int_equal(codec_decode_host(&codec, latents, FRAMES, own), VIDEO);
    for (int zero = 0; zero < 2; zero++) {
        params_initialise(w.small.master, w.net.table, 1);
        float *values = malloc(w.small.total * sizeof *values);
        assert_non_null(values);
        transfer_from_real(values, w.small.master, (long)w.small.total);
        for (int i = 0; i < w.net.table->slices; i++)
            decoder_net_begin(&w.net, &codec, i, values + w.net.table->slice_offset[i]);
        const struct param *last = param_find(w.net.table, "residual.last.weight");
        assert_non_null(last);
        for (size_t i = 0; i < last->count && zero; i++) values[param_position(w.net.table, last) + i] = 0;
        transfer_to_elem(w.small.params.weights, values, (long)w.small.total);
        free(values);
        forward(&w);
        transfer_from_real(made, w.pixels, VIDEO * PIXELS);
        double most = 0;
        for (int i = 0; i < VIDEO * PIXELS; i++) most = fmax(most, fabs(2 * (double)made[i] - 1 - (double)own[i]));
        print_message("%s: %.2g from the codec's own decode\n", zero ? "no residual" : "fresh", most);
        assert_true(zero ? most < 1e-5 : most < 0.1 && most > 1e-5);
    }
    codec_close(&codec);
    close_world(&w);
}

/* The sizes that are known to do well have the number of parameters that is known. */
static void counts_parameters(void **state) {
    (void)state;
    const struct residual_config full = {48, {64, 48, 32}, {2, 1, 1}, 2};
    const struct decoder_config sizes = sizes_of(&full);
    struct decoder_net net;
    CHECK(decoder_net_create(&net, &sizes));
    assert_int_equal(net.table->values, 378352);
    decoder_net_destroy(&net);
    struct decoder_config wrong = sizes;
    wrong.residual.patch = 0;
    assert_int_equal(decoder_net_create(&net, &wrong), ERR_USAGE);
    assert_non_null(strstr(error_text(), "residual decoder"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradient_is_exact),
                                       cmocka_unit_test(notices_a_wrong_gradient),
                                       cmocka_unit_test(one_frame_has_a_gradient),
                                       cmocka_unit_test(stream_equals_training),
                                       cmocka_unit_test(causal),
                                       cmocka_unit_test(reference_is_seen),
                                       cmocka_unit_test(starts_as_the_codec),
                                       cmocka_unit_test(counts_parameters)};
    if (device_init(1)) return 1;
    device_poison(1);
    return cmocka_run_group_tests_name("residual decoder", tests, NULL, NULL);
}
