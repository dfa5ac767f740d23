/* test_light_codec.c: a light decoder from a file in a codec's place: the same frames in any pieces, those of the network
   itself held within [-1, 1]; encoding stays; what does not fit the codec is refused and changes nothing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/error.h"
#include "checkpoints/light_decoder_file.h"
#include "kernels/device.h"
#include "model/params/transfer.h"
#include "tests/byte_frames.h"
#include "tests/golden_weights.h"

enum { CHANNELS = 5, H = 2, W = 3, PATCH = 4, SIZE = 12 * PATCH * PATCH, FRAMES = 11, LATENT = CHANNELS * H * W };
enum { FRAME = 3 * H * PATCH * W * PATCH, VIDEO = 1 + 4 * (FRAMES - 1) };

static char path[64];
static const struct light_decoder_config fitting = {CHANNELS, 8, {6, 5, 4}, 1, {1, 2, 2}, {2, 1, 1}, 2, 2.5};

static void open_codec(struct codec *codec) {
    static float basis[CHANNELS * SIZE], mean[SIZE], scale[CHANNELS];
    golden_values(basis, "basis", CHANNELS * SIZE, 0.1, 0);
    golden_values(mean, "mean", SIZE, 0.3, 0);
    for (int i = 0; i < CHANNELS; i++) scale[i] = 1;
    const struct codec_tensor tensors[] = {
        {"pca.basis", 2, {CHANNELS, SIZE}, basis}, {"pca.mean", 1, {SIZE}, mean}, {"pca.scale", 1, {CHANNELS}, scale}};
    assert_int_equal(codec_open(codec, "pca", H * PATCH, W * PATCH, tensors, 3), OK);
}

/* Rough weights, so that pixels leave [0, 1] at both ends. */
static void write_decoder(const struct light_decoder_config *config, struct light_decoder *net, float **values) {
    assert_int_equal(light_decoder_create(net, config), OK);
    *values = calloc(net->table.total, sizeof **values);
    assert_non_null(*values);
    for (int i = 0; i < net->table.count; i++) {
        const struct param *p = &net->table.list[i];
        golden_values(*values + param_position(&net->table, p), p->name, (long)p->count, 0.3, 0.02);
    }
    assert_int_equal(light_file_save(path, net, *values), OK);
}

/* What the network itself makes of the clip, whole. */
static void network_frames(const struct light_decoder *net, const float *values, const float *latents, float *pixels) {
    struct params params = {.table = &net->table, .weights = device_alloc(net->table.total * sizeof(elem))};
    struct arena arena;
    struct light_acts *acts;
    real *in = device_alloc(FRAMES * LATENT * sizeof(real)), *out = device_alloc(VIDEO * FRAME * sizeof(real));
    assert_true(params.weights && in && out);
    transfer_to_elem(params.weights, values, (long)net->table.total);
    transfer_to_real(in, latents, FRAMES * LATENT);
    arena_begin(&arena, "decoder");
    assert_int_equal(light_acts_layout(&acts, net, LIGHT_STREAM, 1, FRAMES, H, W, &arena), OK);
    light_acts_free(acts);
    assert_int_equal(arena_commit(&arena), OK);
    assert_int_equal(light_acts_layout(&acts, net, LIGHT_STREAM, 1, FRAMES, H, W, &arena), OK);
    light_stream_reset(acts);
    assert_int_equal(light_stream_decode(net, &params, acts, in, FRAMES, out), VIDEO);
    transfer_from_real(pixels, out, VIDEO * FRAME);
    assert_int_equal(device_sync(), OK);
    light_acts_free(acts);
    arena_free(&arena);
    device_free(in), device_free(out), device_free(params.weights);
}

static void decode_in_pieces(struct codec *codec, int piece, const float *latents, float *pixels) {
    int frames = 0;
    codec_decode_reset(codec);
    for (int i = 0; i < FRAMES; i += piece) {
        int now = FRAMES - i < piece ? FRAMES - i : piece;
        frames += codec_decode_host(codec, latents + i * LATENT, now, pixels + frames * FRAME);
        assert_int_equal(frames, video_frames(i + now));
    }
}

static float latents[FRAMES * LATENT], own[VIDEO * FRAME], wanted[VIDEO * FRAME], made[VIDEO * FRAME];

/* How far two orders of summing may lie apart: some 20 stores, each rounded to 2^-24 of numbers that are as large as
   the largest pixel before it is held (4600 with these weights), walk sqrt(20) roundings apart; bf16 keeps to 0.1 as
   pixels inside
   [-1, 1] come from numbers of their own size mostly. */
static float apart(const float *pixels) {
    float largest = 0;
    for (int i = 0; i < VIDEO * FRAME; i++) largest = fmaxf(largest, fabsf(2 * pixels[i] - 1));
    return sizeof(elem) == 2 ? 0.1f : sqrtf(20) * 0x1p-24f * largest;
}

static void decodes_as_the_network(void **state) {
    (void)state;
    struct codec codec;
    struct light_decoder net;
    float *values, again[2 * LATENT], encoded[2 * LATENT];
    open_codec(&codec);
    golden_values(latents, "latents", FRAMES * LATENT, 1, 0);
    decode_in_pieces(&codec, FRAMES, latents, own);
    codec_encode_reset(&codec);
    assert_int_equal(codec_encode(&codec, own, 5, encoded), 2);
    write_decoder(&fitting, &net, &values);
    network_frames(&net, values, latents, wanted);
    assert_int_equal(light_file_use(&codec, path), OK);
    int held = 0;
    float allowed = apart(wanted);
    for (int piece = 1; piece <= FRAMES; piece += 5) {
        decode_in_pieces(&codec, piece, latents, made);
        for (int i = 0; i < VIDEO * FRAME; i++) {
            float v = 2 * wanted[i] - 1, within = v < -1 ? -1 : v > 1 ? 1 : v;
            held += v != within;
            assert_true(fabsf(made[i] - within) <= allowed);
        }
    }
    assert_true(held > 0 && held < 3 * VIDEO * FRAME);
    expect_bytes(&codec, latents, FRAMES, made); /* of the last division, whole */
    assert_true(memcmp(made, own, sizeof own));
    codec_encode_reset(&codec);
    assert_int_equal(codec_encode(&codec, own, 5, again), 2);
    assert_memory_equal(again, encoded, sizeof again);
    /* a second stream of the same decoder: the two do not know of each other */
    struct codec second;
    codec_decode_reset(&codec);
    assert_int_equal(codec_decode(&codec, latents, 1, made), 1);
    assert_int_equal(codec_decode(&codec, latents + LATENT, FRAMES - 1, made + FRAME), VIDEO - 1);
    assert_int_equal(codec_share(&second, &codec), OK);
    codec_decode_reset(&codec);
    codec_decode_reset(&second);
    assert_int_equal(codec_decode(&second, latents, 1, wanted), 1);
    assert_int_equal(codec_decode(&codec, latents + LATENT, 2, own), 5);
    assert_int_equal(codec_decode(&second, latents + LATENT, FRAMES - 1, wanted + FRAME), VIDEO - 1);
    assert_memory_equal(wanted, made, sizeof made);
    codec_close(&second);
    codec_close(&codec);
    free(values);
    light_decoder_destroy(&net);
}

static void refuses_what_does_not_fit(void **state) {
    (void)state;
    struct light_decoder_config wrong[2] = {fitting, fitting};
    wrong[0].channels++;
    wrong[1].patch++;
    struct codec codec;
    open_codec(&codec);
    decode_in_pieces(&codec, 3, latents, own);
    for (int i = 0; i < 2; i++) {
        struct light_decoder net;
        float *values;
        write_decoder(&wrong[i], &net, &values);
        assert_int_equal(light_file_use(&codec, path), ERR_INPUT);
        assert_non_null(strstr(error_text(), path));
        assert_non_null(strstr(error_text(), "5 channels of 2 x 3 for 8 x 12 pixels"));
        free(values);
        light_decoder_destroy(&net);
    }
    unlink(path);
    assert_int_equal(light_file_use(&codec, path), ERR_INPUT);
    decode_in_pieces(&codec, 3, latents, made);
    assert_memory_equal(made, own, sizeof own);
    codec_close(&codec);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(decodes_as_the_network),
                                       cmocka_unit_test(refuses_what_does_not_fit)};
    snprintf(path, sizeof path, "/tmp/light_codec_%ld.safetensors", (long)getpid());
    if (device_init(2)) return 1;
    device_poison(1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
