/* test_decoder_codec.c: a network from a file in a codec's place, of either kind: the same frames in any pieces, those
   of the network itself held within [-1, 1]; a picture that is given is seen by the kind that looks at one; encoding
   stays; what does not fit the codec is refused and changes nothing. */
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
#include "checkpoints/decoder_file.h"
#include "checkpoints/decoder_sizes.h"
#include "kernels/device.h"
#include "model/params/transfer.h"
#include "tests/byte_frames.h"
#include "tests/folder.h"
#include "tests/golden_weights.h"

enum { CHANNELS = 5, H = 2, W = 3, PATCH = 4, SIZE = 12 * PATCH * PATCH, FRAMES = 11, LATENT = CHANNELS * H * W };
enum { FRAME = 3 * H * PATCH * W * PATCH, VIDEO = 1 + 4 * (FRAMES - 1) };

static char folder[FOLDER_MAX], path[FILE_PATH_MAX];
static const struct decoder_config fitting[] = {
    {.kind = DECODER_LIGHT, .light = {CHANNELS, 8, {6, 5, 4}, 1, {1, 2, 2}, {2, 1, 1}, 2, 2.5}},
    {.kind = DECODER_RESIDUAL, .residual = {CHANNELS, {8, 6, 5}, {2, 0, 1}, 1}},
};

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
static void write_decoder(const struct decoder_config *config, struct decoder_net *net, float **values) {
    assert_int_equal(decoder_net_create(net, config), OK);
    *values = calloc(net->table->total, sizeof **values);
    assert_non_null(*values);
    for (int i = 0; i < net->table->count; i++) {
        const struct param *p = &net->table->list[i];
        golden_values(*values + param_position(net->table, p), p->name, (long)p->count, 0.3, 0.02);
    }
    assert_int_equal(decoder_file_save(path, net, *values), OK);
}

/* What the network itself makes of the clip, whole. picture: host, in [-1, 1], or NULL. */
static void network_frames(const struct decoder_net *net, const float *values, const float *latents,
                           const float *picture, float *pixels) {
    struct params params = {.table = net->table, .weights = device_alloc(net->table->total * sizeof(elem))};
    struct arena arena;
    struct decoder_acts acts = {NULL, NULL};
    float half[FRAME];
    real *in = device_alloc(FRAMES * LATENT * sizeof(real)), *out = device_alloc(VIDEO * FRAME * sizeof(real));
    real *shown = device_alloc(FRAME * sizeof(real));
    assert_true(params.weights && in && out && shown);
    transfer_to_elem(params.weights, values, (long)net->table->total);
    transfer_to_real(in, latents, FRAMES * LATENT);
    for (int i = 0; i < FRAME && picture; i++) half[i] = (picture[i] + 1) / 2;
    if (picture) transfer_to_real(shown, half, FRAME);
    arena_begin(&arena, "decoder");
    assert_int_equal(decoder_acts_layout(&acts, net, DECODER_STREAM, 1, FRAMES, H, W, &arena), OK);
    assert_int_equal(arena_commit(&arena), OK);
    assert_int_equal(decoder_acts_layout(&acts, net, DECODER_STREAM, 1, FRAMES, H, W, &arena), OK);
    decoder_stream_begin(net, &acts, picture ? shown : NULL);
    assert_int_equal(decoder_stream_decode(net, &params, &acts, in, FRAMES, out), VIDEO);
    transfer_from_real(pixels, out, VIDEO * FRAME);
    assert_int_equal(device_sync(), OK);
    decoder_acts_free(&acts);
    arena_free(&arena);
    device_free(in), device_free(out), device_free(shown), device_free(params.weights);
}

static void decode_in_pieces(struct codec *codec, int piece, const float *latents, const float *picture,
                             float *pixels) {
    int frames = 0;
    codec_decode_begin(codec, picture);
    for (int i = 0; i < FRAMES; i += piece) {
        int now = FRAMES - i < piece ? FRAMES - i : piece;
        frames += codec_decode_host(codec, latents + i * LATENT, now, pixels + frames * FRAME);
        assert_int_equal(frames, video_frames(i + now));
    }
}

static float latents[FRAMES * LATENT], picture[FRAME], own[VIDEO * FRAME], unseen[VIDEO * FRAME], wanted[VIDEO * FRAME],
    made[VIDEO * FRAME];

/* How far two orders of summing may lie apart: some 20 stores, each rounded to 2^-24 of numbers that are as large as
   the largest pixel before it is held (thousands with these weights), walk sqrt(20) roundings apart; bf16 keeps to 0.1
   as pixels inside [-1, 1] come from numbers of their own size mostly. */
static float apart(const float *pixels) {
    float largest = 0;
    for (int i = 0; i < VIDEO * FRAME; i++) largest = fmaxf(largest, fabsf(2 * pixels[i] - 1));
    return sizeof(elem) == 2 ? 0.1f : sqrtf(20) * 0x1p-24f * largest;
}

/* The network's frames held, in pieces of several lengths, with that picture. */
static void decodes_in_pieces(struct codec *codec, const struct decoder_net *net, const float *values,
                              const float *shown) {
    int held = 0;
    network_frames(net, values, latents, shown, wanted);
    float allowed = apart(wanted);
    for (int piece = 1; piece <= FRAMES; piece += 5) {
        decode_in_pieces(codec, piece, latents, shown, made);
        for (int i = 0; i < VIDEO * FRAME; i++) {
            float v = 2 * wanted[i] - 1, within = v < -1 ? -1 : v > 1 ? 1 : v;
            held += v != within;
            assert_true(fabsf(made[i] - within) <= allowed);
        }
    }
    assert_true(held > 0 && held < 3 * VIDEO * FRAME);
    assert_true(memcmp(made, own, sizeof own));
}

static void decodes_as_the_network(void **state) {
    const struct decoder_config *config = *state;
    struct codec codec;
    struct decoder_net net;
    float *values, again[2 * LATENT], encoded[2 * LATENT];
    open_codec(&codec);
    golden_values(latents, "latents", FRAMES * LATENT, 1, 0);
    golden_values(picture, "picture", FRAME, 0.5, 0);
    decode_in_pieces(&codec, FRAMES, latents, NULL, own);
    codec_encode_reset(&codec);
    assert_int_equal(codec_encode(&codec, own, 5, encoded), 2);
    write_decoder(config, &net, &values);
    assert_int_equal(decoder_file_use(&codec, path), OK);
    decodes_in_pieces(&codec, &net, values, NULL);
    memcpy(unseen, made, sizeof unseen);
    expect_bytes(&codec, latents, FRAMES, unseen);
    decodes_in_pieces(&codec, &net, values, picture);
    assert_int_equal(memcmp(unseen, made, sizeof made) != 0, config->kind == DECODER_RESIDUAL);
    codec_encode_reset(&codec);
    assert_int_equal(codec_encode(&codec, own, 5, again), 2);
    assert_memory_equal(again, encoded, sizeof again);
    codec_close(&codec);
    free(values);
    decoder_net_destroy(&net);
}

/* A second stream of the same decoder: the two do not know of each other, nor of each other's picture. */
static void shares_its_weights(void **state) {
    struct codec codec, second;
    struct decoder_net net;
    float *values;
    open_codec(&codec);
    write_decoder(*state, &net, &values);
    assert_int_equal(decoder_file_use(&codec, path), OK);
    codec_decode_begin(&codec, picture);
    assert_int_equal(codec_decode_host(&codec, latents, 1, made), 1);
    assert_int_equal(codec_decode_host(&codec, latents + LATENT, FRAMES - 1, made + FRAME), VIDEO - 1);
    assert_int_equal(codec_share(&second, &codec), OK);
    codec_decode_begin(&second, picture);
    codec_decode_begin(&codec, NULL);
    assert_int_equal(codec_decode_host(&second, latents, 1, wanted), 1);
    assert_int_equal(codec_decode_host(&codec, latents + LATENT, 2, own), 5);
    assert_int_equal(codec_decode_host(&second, latents + LATENT, FRAMES - 1, wanted + FRAME), VIDEO - 1);
    assert_memory_equal(wanted, made, sizeof made);
    codec_close(&second);
    codec_close(&codec);
    free(values);
    decoder_net_destroy(&net);
}

static void refuses_what_does_not_fit(void **state) {
    (void)state;
    struct decoder_config wrong[4] = {fitting[0], fitting[0], fitting[1], fitting[1]};
    wrong[0].light.channels++;
    wrong[1].light.patch++;
    wrong[2].residual.channels++;
    wrong[3].residual.patch++;
    struct codec codec;
    open_codec(&codec);
    decode_in_pieces(&codec, 3, latents, NULL, own);
    for (int i = 0; i < 4; i++) {
        struct decoder_net net;
        float *values;
        write_decoder(&wrong[i], &net, &values);
        assert_int_equal(decoder_file_use(&codec, path), ERR_INPUT);
        assert_non_null(strstr(error_text(), path));
        assert_non_null(strstr(error_text(), "5 channels of 2 x 3 for 8 x 12 pixels"));
        free(values);
        decoder_net_destroy(&net);
    }
    unlink(path);
    assert_int_equal(decoder_file_use(&codec, path), ERR_INPUT);
    decode_in_pieces(&codec, 3, latents, NULL, made);
    assert_memory_equal(made, own, sizeof own);
    codec_close(&codec);
}

/* Sizes and weights of either kind come back from a file as they were. */
static void comes_back_from_its_file(void **state) {
    const struct decoder_config *config = *state;
    struct decoder_config found;
    struct decoder_net net, again;
    struct safetensors file;
    float *values;
    write_decoder(config, &net, &values);
    assert_int_equal(safetensors_open(&file, path), OK);
    assert_int_equal(decoder_sizes_read(&found, &file), OK);
    assert_int_equal(found.kind, config->kind);
    if (config->kind == DECODER_RESIDUAL)
        assert_memory_equal(&found.residual, &config->residual, sizeof found.residual);
    assert_int_equal(decoder_file_create(&again, &file), OK);
    float *back = malloc(again.table->total * sizeof *back);
    assert_non_null(back);
    assert_int_equal(again.table->total, net.table->total);
    assert_int_equal(decoder_file_read(back, &again, &file), OK);
    assert_memory_equal(back, values, net.table->total * sizeof *back);
    safetensors_close(&file);
    free(values), free(back);
    decoder_net_destroy(&net), decoder_net_destroy(&again);
}

/* A file of one residual tensor changed by `spoil`, which the error names. */
static void refused_by_name(void (*spoil)(struct safetensors_entry *e, const char *name), const char *name,
                            const char *said) {
    struct decoder_net net, none;
    struct safetensors file;
    float *values;
    char other[FILE_PATH_MAX + 8];
    write_decoder(&fitting[1], &net, &values);
    assert_int_equal(safetensors_open(&file, path), OK);
    for (int i = 0; i < file.count; i++) spoil(&file.entries[i], name);
    snprintf(other, sizeof other, "%s.spoilt", path);
    assert_int_equal(safetensors_write(other, file.entries, file.count, NULL), OK);
    safetensors_close(&file);
    assert_int_equal(safetensors_open(&file, other), OK);
    assert_int_equal(decoder_file_create(&none, &file), ERR_INPUT);
    if (!strstr(error_text(), said)) fail_msg("\"%s\" is not in: %s", said, error_text());
    safetensors_close(&file);
    unlink(other);
    free(values);
    decoder_net_destroy(&net);
}

static void rename_it(struct safetensors_entry *e, const char *name) {
    if (!strcmp(e->name, name)) e->name[0] = 'R';
}
static void move_to_light(struct safetensors_entry *e, const char *name) {
    if (!strcmp(e->name, name)) memcpy(e->name, "decoder.", 8);
}
static void halve_it(struct safetensors_entry *e, const char *name) {
    if (strcmp(e->name, name)) return;
    e->count = e->count / (size_t)e->shape[0] * (size_t)(e->shape[0] / 2);
    e->shape[0] /= 2, e->bytes = e->count * sizeof(float);
}

static void refuses_damaged_files(void **state) {
    (void)state;
    refused_by_name(rename_it, "residual.linear.weight", "residual.linear.weight");
    refused_by_name(rename_it, "residual.level.1.grow.weight", "residual.level.1.grow.weight");
    refused_by_name(rename_it, "residual.enter.bias", "missing residual.enter.bias");
    /* without its second block the first stage has one, and the rest of the second is too much */
    refused_by_name(rename_it, "residual.level.0.block.1.conv.1.weight",
                    "surplus residual.level.0.block.1.conv.0.weight");
    refused_by_name(halve_it, "residual.first.weight", "residual.first.bias is [8], expected [4]");
    refused_by_name(halve_it, "residual.last.weight", "12 times a square");
    refused_by_name(halve_it, "residual.enter.bias", "residual.enter.bias is [2], expected [5]");
    refused_by_name(move_to_light, "residual.last.weight", "both kinds");
}

int main(void) {
    struct CMUnitTest tests[8];
    int count = 0;
    for (int kind = 0; kind < 2; kind++) {
        void *config = (void *)(uintptr_t)&fitting[kind];
        tests[count++] = (struct CMUnitTest)cmocka_unit_test_prestate(decodes_as_the_network, config);
        tests[count++] = (struct CMUnitTest)cmocka_unit_test_prestate(shares_its_weights, config);
        tests[count++] = (struct CMUnitTest)cmocka_unit_test_prestate(comes_back_from_its_file, config);
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(refuses_what_does_not_fit);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(refuses_damaged_files);
    if (device_init(2) || folder_make(folder, "decoder_codec") ||
        file_join(path, sizeof path, folder, "decoder.safetensors"))
        return 1;
    device_poison(1);
    int failed = _cmocka_run_group_tests("decoder codec", tests, (size_t)count, NULL, NULL);
    folder_remove(folder);
    return failed;
}
