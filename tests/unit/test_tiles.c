/* test_tiles.c: pictures in overlapping tiles: how an axis is cut, that weights add up to one, and what an autoencoder
   in tiles makes of a clip, beside the whole picture's: the more the tiles overlap, the less their seams show. */
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
#include "model/codec/vae_codec.h"
#include "model/params/transfer.h"
#include "tests/vae_files.h"

enum { SIDE = 128, TILE = 64, FRAMES = 5, LATENTS = 2, Z = 4 };

static void cuts(void **state) {
    (void)state;
    for (int length = 1; length < 60; length++)
        for (int side = 1; side < 20; side++)
            for (int overlap = 0; overlap < side; overlap++) {
                struct tile_axis a;
                const struct codec_tiles tiles = {side * 8, overlap * 8};
                assert_int_equal(tile_axis_cut(&a, &tiles, length, 8), OK);
                assert_int_equal(a.first[0], 0);
                assert_int_equal(a.first[a.count - 1] + a.side, length);
                for (int i = 1; i < a.count; i++) {
                    assert_true(a.first[i] > a.first[i - 1]);
                    assert_true(a.first[i - 1] + a.side - a.first[i] >= overlap);
                }
                double sum[120] = {0};
                for (int i = 0; i < a.count; i++) {
                    float weight[40];
                    tile_axis_weights(&a, i, 2, weight);
                    for (int k = 0; k < 2 * a.side; k++) {
                        assert_true(weight[k] > 0 && weight[k] <= 1);
                        sum[2 * a.first[i] + k] += weight[k];
                    }
                }
                for (int k = 0; k < 2 * length; k++) assert_true(fabs(sum[k] - 1) < 1e-6);
            }
    struct tile_axis a;
    assert_int_equal(tile_axis_cut(&a, &(struct codec_tiles){64, 64}, 100, 8), ERR_USAGE);
    assert_int_equal(tile_axis_cut(&a, &(struct codec_tiles){8, 0}, 100, 8), ERR_USAGE);
}

/* ---- an autoencoder ---- */

static struct codec open_codec(int residual, int side, int overlap) {
    struct vae_config config;
    struct vae_weights w;
    struct codec codec;
    small_vae_config(&config, residual, Z);
    assert_int_equal(vae_weights_open(&w, &config, VAE_BOTH), OK);
    for (int i = 0; i < w.net.table.count; i++) {
        const struct param *p = &w.net.table.list[i];
        float *values = malloc(p->count * sizeof *values), *arranged = malloc(p->count * sizeof *values);
        assert_true(values && arranged);
        small_vae_values(values, &config, p);
        vae_arrange(arranged, values, p);
        transfer_to_elem(w.weights + param_position(&w.net.table, p), arranged, (long)p->count);
        free(values), free(arranged);
    }
    const struct codec_tiles tiles = {side, overlap};
    int code = codec_vae_open(&codec, &w, &tiles, SIDE, SIDE);
    if (code) fail_msg("%s", error_text());
    return codec;
}

/* A clip of smooth waves that move; for latents: z waves a frame. */
static float *waves(int frames, int channels, int side) {
    float *clip = malloc((size_t)frames * (size_t)channels * (size_t)(side * side) * sizeof *clip);
    assert_non_null(clip);
    for (int f = 0; f < frames; f++)
        for (int c = 0; c < channels; c++)
            for (int y = 0; y < side; y++)
                for (int x = 0; x < side; x++)
                    clip[((f * channels + c) * side + y) * side + x] =
                        0.8f * sinf(7.0f * (float)x / (float)side + (float)c + 0.3f * (float)f) *
                        cosf(5.0f * (float)y / (float)side - (float)c);
    return clip;
}

static float *decode(struct codec *c, const float *latents, int first_push) {
    size_t frame = 3 * SIDE * SIDE;
    float *pixels = malloc(FRAMES * frame * sizeof *pixels);
    assert_non_null(pixels);
    codec_decode_begin(c, NULL);
    int made = codec_decode_host(c, latents, first_push, pixels);
    assert_true(made > 0);
    if (first_push < LATENTS)
        made += codec_decode_host(c, latents + first_push * c->channels * c->h * c->w, LATENTS - first_push,
                                  pixels + (size_t)made * frame);
    assert_int_equal(made, FRAMES);
    return pixels;
}

/* Largest step between neighbouring columns that the tiles have and the whole has not: what the eye sees as a seam. */
static double seam(const float *tiled, const float *whole) {
    double most = 0;
    for (int row = 0; row < FRAMES * 3 * SIDE; row++)
        for (int x = 1; x < SIDE; x++) {
            long at = (long)row * SIDE + x;
            most = fmax(most, fabs((double)(tiled[at] - whole[at]) - (double)(tiled[at - 1] - whole[at - 1])));
        }
    return most;
}

static double mean_square(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)(a[i] - b[i]) * (a[i] - b[i]);
    return sum / (double)n;
}

/* Seams fall with the overlap, though not to nothing: the attention in the autoencoder's middle sees a tile alone. The
   control is no overlap. */
static void seams(void **state) {
    const int residual = *(const int *)*state;
    struct codec whole = open_codec(residual, 0, -1);
    float *latents = waves(LATENTS, Z, whole.h), *expected = decode(&whole, latents, LATENTS);
    const int overlaps[] = {0, 32};
    double step[2], error[2];
    for (int i = 0; i < 2; i++) {
        struct codec c = open_codec(residual, TILE, overlaps[i]);
        float *pixels = decode(&c, latents, LATENTS);
        step[i] = seam(pixels, expected);
        error[i] = mean_square(pixels, expected, FRAMES * 3 * SIDE * SIDE);
        print_message("%s, tiles of %d, overlap %d: largest seam %.4f of 2, %.1f dB to the whole\n", whole.name, TILE,
                      overlaps[i], step[i], 10 * log10(4 / error[i]));
        free(pixels);
        codec_close(&c);
    }
    assert_true(step[0] > 0 && error[0] > 0);
    assert_true(step[1] < step[0]);
    assert_true(error[1] < error[0]);
    free(latents), free(expected);
    codec_close(&whole);
}

/* One tile as large as the picture gives the whole's bits. In tiles, pushes of any size give the same bits, after a
   reset too, and a second stream of the same weights does not disturb the first. */
static void streams(void **state) {
    const int residual = *(const int *)*state;
    size_t frame = 3 * SIDE * SIDE;
    struct codec whole = open_codec(residual, 0, -1), one = open_codec(residual, SIDE, -1),
                 tiled = open_codec(residual, TILE, -1), second;
    float *latents = waves(LATENTS, Z, whole.h), *a = decode(&whole, latents, LATENTS), *b = decode(&one, latents, 1);
    assert_memory_equal(a, b, FRAMES * frame * sizeof *a);
    float *c = decode(&tiled, latents, LATENTS), *d = decode(&tiled, latents, 1);
    assert_memory_equal(c, d, FRAMES * frame * sizeof *c);
    assert_int_equal(codec_share(&second, &tiled), OK);
    codec_decode_begin(&tiled, NULL);
    assert_int_equal(codec_decode_host(&tiled, latents, 1, a), 1);
    float *e = decode(&second, latents, 1);
    assert_memory_equal(c, e, FRAMES * frame * sizeof *c);
    assert_int_equal(codec_decode_host(&tiled, latents + Z * tiled.h * tiled.w, 1, a + frame), FRAMES - 1);
    assert_memory_equal(a, c, FRAMES * frame * sizeof *c);
    free(latents), free(a), free(b), free(c), free(d), free(e);
    codec_close(&second), codec_close(&whole), codec_close(&one), codec_close(&tiled);
}

/* Encoding: the same of latents, and nearer to the whole's with overlap than without. */
static void encodes(void **state) {
    const int residual = *(const int *)*state;
    struct codec whole = open_codec(residual, 0, -1), hard = open_codec(residual, TILE, 0),
                 soft = open_codec(residual, TILE, 32);
    size_t frame = 3 * SIDE * SIDE, n = (size_t)(LATENTS * Z * whole.h * whole.w);
    float *clip = waves(FRAMES, 3, SIDE), *out[4];
    struct codec *codecs[3] = {&whole, &hard, &soft};
    for (int i = 0; i < 4; i++) assert_non_null(out[i] = malloc(n * sizeof *out[i]));
    for (int i = 0; i < 3; i++) assert_int_equal(codec_encode(codecs[i], clip, FRAMES, out[i]), LATENTS);
    codec_encode_reset(&soft);
    assert_int_equal(codec_encode(&soft, clip, 3, out[3]), 1);
    assert_int_equal(codec_encode(&soft, clip + 3 * frame, 2, out[3] + n / 2), 1);
    assert_memory_equal(out[3], out[2], n * sizeof *out[3]);
    double without = mean_square(out[1], out[0], n), with = mean_square(out[2], out[0], n);
    print_message("%s encoded: mean square off the whole %.3g without overlap, %.3g with\n", whole.name, without, with);
    assert_true(with < without);
    for (int i = 0; i < 4; i++) free(out[i]);
    free(clip);
    for (int i = 0; i < 3; i++) codec_close(codecs[i]);
}

/* The plan of the device's memory falls with the tile; what the layers keep appears in host memory. */
static void plans(void **state) {
    (void)state;
    struct vae_config config;
    vae_config_wan22(&config);
    size_t device[3], host[3];
    FILE *out = fopen("/dev/null", "w");
    assert_non_null(out);
    for (int i = 0; i < 3; i++) {
        const struct codec_tiles tiles = {i == 0 ? 0 : i == 1 ? 512 : 256, -1};
        struct memory_plan plan = {.out = out};
        assert_int_equal(codec_vae_plan(&config, VAE_BOTH, &tiles, 704, 1280, NULL, &plan), OK);
        device[i] = plan.device, host[i] = plan.host;
        print_message("wan22 decodes 704 x 1280 in tiles of %d: %.0f MiB on the device, %.0f in host memory\n",
                      tiles.side, (double)device[i] / 0x1p20, (double)host[i] / 0x1p20);
    }
    fclose(out);
    assert_true(!host[0] && host[1] && host[2]);
    assert_true(device[1] < device[0] / 2);
    assert_true(device[2] < device[1] / 2);
}

static int start(void **state) {
    (void)state;
    device_poison(1);
    return device_init(2);
}

int main(void) {
    static int kinds[] = {0, 1};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts),
        {"wan21_seams", seams, NULL, NULL, &kinds[0]},
        {"wan22_seams", seams, NULL, NULL, &kinds[1]},
        {"wan21_streams", streams, NULL, NULL, &kinds[0]},
        {"wan22_streams", streams, NULL, NULL, &kinds[1]},
        {"wan21_encodes", encodes, NULL, NULL, &kinds[0]},
        {"wan22_encodes", encodes, NULL, NULL, &kinds[1]},
        cmocka_unit_test(plans),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
