/* test_codec.c: the pca codec: the fit finds the components, a stream equals a whole clip, the first frame's rule, what
   bad tensors do. The pictures are smooth moving patterns with little noise. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/error.h"
#include "base/philox.h"
#include "model/codec/codec.h"
#include "tests/byte_frames.h"

enum { HEIGHT = 32, WIDTH = 48, PATCH = 8, CHANNELS = 24, FRAMES = 25, FRAME = 3 * HEIGHT * WIDTH };

/* Frame `f` of clip `clip`. */
static void draw(float *frame, int clip, int f) {
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++)
                frame[(c * HEIGHT + y) * WIDTH + x] =
                    0.5f * sinf(0.11f * (float)x + 0.3f * (float)clip + 0.05f * (float)f + (float)c) *
                        cosf(0.13f * (float)y - 0.07f * (float)f * (float)(clip % 3)) +
                    0.2f * (float)((clip + c) % 5 - 2) * 0.5f;
}

struct source {
    int clip, group;
};

static int next_group(void *user, float *group) {
    struct source *s = user;
    if (s->clip == 12) return 0;
    for (int f = 0; f < 4; f++) draw(group + f * FRAME, s->clip, s->group ? 4 * s->group - 3 + f : 0);
    if (++s->group == 7) {
        s->group = 0;
        s->clip++;
    }
    return 1;
}

static const struct codec_fit fit = {HEIGHT, WIDTH, PATCH, CHANNELS, 0.5, 1};

static int setup_weighted(void **state, double motion_weight) {
    static struct codec codec;
    struct source source = {0, 0};
    struct codec_fit weighted = fit;
    weighted.motion_weight = motion_weight;
    if (codec_fit(&codec, "pca", &weighted, next_group, &source)) return -1;
    *state = &codec;
    return 0;
}
static int setup(void **state) { return setup_weighted(state, 1); }
static int setup_for_motion(void **state) { return setup_weighted(state, 4); }

static int teardown(void **state) {
    codec_close(*state);
    return 0;
}

static double psnr(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return 10 * log10(4 / (sum / (double)n + 1e-20));
}

static void shape_and_scale(void **state) {
    struct codec *codec = *state;
    assert_string_equal(codec->name, "pca");
    assert_int_equal(codec->h, HEIGHT / PATCH);
    assert_int_equal(codec->w, WIDTH / PATCH);
    assert_int_equal(codec->channels, CHANNELS);
    /* over the frames of the fit the mean square of the latents is 1 and the basis orthonormal */
    struct source source = {0, 0};
    static float group[4 * FRAME], latent[CHANNELS * (HEIGHT / PATCH) * (WIDTH / PATCH)], five[5 * FRAME];
    static float two[2 * sizeof latent / sizeof *latent];
    double square = 0;
    long count = 0;
    while (next_group(&source, group)) {
        memcpy(five + FRAME, group, sizeof group);
        codec_encode_reset(codec);
        assert_int_equal(codec_encode(codec, five, 5, two), 2);
        for (size_t i = 0; i < sizeof latent / sizeof *latent; i++) {
            float z = two[sizeof latent / sizeof *latent + i];
            square += (double)z * z;
            count++;
        }
    }
    assert_float_equal(square / (double)count, 1, 2e-3);
    struct codec_tensor t[4];
    assert_int_equal(codec_tensors(codec, t, 4), 4);
    assert_string_equal(t[0].name, "pca.basis");
    long size = t[0].shape[1];
    assert_int_equal(size, 12 * PATCH * PATCH);
    for (int a = 0; a < CHANNELS; a++)
        for (int b = 0; b <= a; b++) {
            double dot = 0;
            for (long k = 0; k < size; k++) dot += (double)t[0].data[a * size + k] * t[0].data[b * size + k];
            assert_float_equal(dot, a == b, 1e-5);
        }
}

/* Latents of a fitted set are uncorrelated with variances that fall: they are principal components. */
static void components_are_principal(void **state) {
    struct codec *codec = *state;
    enum { PATCHES = (HEIGHT / PATCH) * (WIDTH / PATCH) };
    static float group[5 * FRAME], z[2 * CHANNELS * PATCHES];
    static double sum[CHANNELS], product[CHANNELS][CHANNELS];
    double n = 0;
    memset(sum, 0, sizeof sum);
    memset(product, 0, sizeof product);
    struct codec_tensor t[4];
    codec_tensors(codec, t, 4);
    struct source source = {0, 0};
    while (next_group(&source, group + FRAME)) {
        codec_encode_reset(codec);
        codec_encode(codec, group, 5, z);
        for (int p = 0; p < PATCHES; p++, n++)
            for (int a = 0; a < CHANNELS; a++) {
                double va = z[(CHANNELS + a) * PATCHES + p] / t[2].data[a];
                sum[a] += va;
                for (int b = 0; b <= a; b++) product[a][b] += va * z[(CHANNELS + b) * PATCHES + p] / t[2].data[b];
            }
    }
    double first = product[0][0] / n,
           rounding = 1e-9 * (double)(t[3].data[0] * t[3].data[0]); /* the weight scales it */
    for (int a = 0; a < CHANNELS; a++) {
        assert_true(fabs(sum[a] / n) < 1e-4 * sqrt(first));
        if (a) assert_true(product[a][a] <= product[a - 1][a - 1] * (1 + 1e-3) + rounding * n);
        for (int b = 0; b < a; b++) assert_true(fabs(product[a][b] / n) < 1e-5 * first);
    }
}

static void round_trip(void **state) {
    struct codec *codec = *state;
    size_t latent = (size_t)codec->channels * codec->h * codec->w;
    float *clip = malloc(sizeof(float) * FRAMES * FRAME), *back = malloc(sizeof(float) * FRAMES * FRAME);
    float *latents = malloc(sizeof(float) * 7 * latent);
    for (int f = 0; f < FRAMES; f++) draw(clip + f * FRAME, 40, f); /* not in the fit */
    codec_encode_reset(codec);
    assert_int_equal(codec_encode(codec, clip, FRAMES, latents), 7);
    codec_decode_begin(codec, NULL);
    assert_int_equal(codec_decode_host(codec, latents, 7, back), FRAMES);
    assert_true(psnr(clip, back, FRAME) > 35); /* the first frame */
    assert_true(psnr(clip, back, (size_t)FRAMES * FRAME) > 35);
    expect_bytes(codec, latents, 7, back);
    expect_fault(codec);
    free(clip);
    free(back);
    free(latents);
}

/* Mean square error of what differs from a group's mean picture, on a clip that is not in the fit. */
static double motion_error(struct codec *codec) {
    static float clip[5 * FRAME], back[5 * FRAME], latents[2 * CHANNELS * (HEIGHT / PATCH) * (WIDTH / PATCH)];
    double sum = 0;
    for (int f = 0; f < 5; f++) draw(clip + f * FRAME, 41, f);
    codec_encode_reset(codec);
    codec_encode(codec, clip, 5, latents);
    codec_decode_begin(codec, NULL);
    codec_decode_host(codec, latents, 2, back);
    for (int i = 0; i < FRAME; i++) {
        double off[4], mean = 0;
        for (int f = 0; f < 4; f++)
            mean += 0.25 * (off[f] = (double)back[(f + 1) * FRAME + i] - clip[(f + 1) * FRAME + i]);
        for (int f = 0; f < 4; f++) sum += (off[f] - mean) * (off[f] - mean) / (4.0 * FRAME);
    }
    return sum;
}

static void a_motion_weight_keeps_motion(void **state) {
    (void)state;
    double error[2];
    for (int i = 0; i < 2; i++) {
        struct codec codec;
        struct source source = {0, 0};
        struct codec_fit few = fit;
        few.channels = 6;
        few.motion_weight = i ? 6 : 1;
        assert_int_equal(codec_fit(&codec, "pca", &few, next_group, &source), OK);
        error[i] = motion_error(&codec);
        codec_close(&codec);
    }
    assert_true(error[1] < 0.7 * error[0]);
}

static void stream_equals_whole(void **state) {
    struct codec *codec = *state;
    size_t latent = (size_t)codec->channels * codec->h * codec->w;
    float *clip = malloc(sizeof(float) * FRAMES * FRAME), *back = malloc(sizeof(float) * FRAMES * FRAME);
    float *pieces = malloc(sizeof(float) * FRAMES * FRAME);
    float *whole = malloc(sizeof(float) * 7 * latent), *part = malloc(sizeof(float) * 7 * latent);
    for (int f = 0; f < FRAMES; f++) draw(clip + f * FRAME, 3, f);
    codec_encode_reset(codec);
    codec_encode(codec, clip, FRAMES, whole);
    static const int pushes[][8] = {{1, 4, 4, 4, 4, 4, 4}, {2, 1, 3, 7, 5, 6, 1}, {25}, {1, 24}, {9, 0, 16}};
    for (size_t i = 0; i < sizeof pushes / sizeof *pushes; i++) {
        codec_encode_reset(codec);
        int frames = 0, out = 0;
        for (int j = 0; j < 8 && frames < FRAMES; j++) {
            out += codec_encode(codec, clip + frames * FRAME, pushes[i][j], part + out * latent);
            frames += pushes[i][j];
            assert_int_equal(out, frames ? 1 + (frames - 1) / 4 : 0);
        }
        assert_int_equal(out, 7);
        assert_memory_equal(whole, part, sizeof(float) * 7 * latent);
    }
    codec_decode_begin(codec, NULL);
    codec_decode_host(codec, whole, 7, back);
    codec_decode_begin(codec, NULL);
    int frames = 0;
    for (int i = 0; i < 7; i += 1 + (i > 2)) {
        int want = i > 2 && i < 6 ? 2 : 1;
        frames += codec_decode_host(codec, whole + i * latent, want, pieces + frames * FRAME);
    }
    assert_int_equal(frames, FRAMES);
    assert_memory_equal(back, pieces, sizeof(float) * FRAMES * FRAME);
    free(clip);
    free(back);
    free(pieces);
    free(whole);
    free(part);
}

/* Latent 0 of a frame is the latent of four frames like it; its decoding is their mean. */
static void first_frame_rule(void **state) {
    struct codec *codec = *state;
    size_t latent = (size_t)codec->channels * codec->h * codec->w;
    float *clip = malloc(sizeof(float) * 5 * FRAME), *z = malloc(sizeof(float) * 2 * latent);
    float *back = malloc(sizeof(float) * 5 * FRAME);
    for (int f = 0; f < 5; f++) draw(clip + f * FRAME, 5, 0);
    codec_encode_reset(codec);
    assert_int_equal(codec_encode(codec, clip, 5, z), 2);
    assert_memory_equal(z, z + latent, sizeof(float) * latent);
    codec_decode_begin(codec, NULL);
    assert_int_equal(codec_decode_host(codec, z, 2, back), 5);
    for (int i = 0; i < FRAME; i++) {
        float mean = 0;
        for (int f = 1; f < 5; f++) mean += back[f * FRAME + i] / 4;
        assert_float_equal(back[i], mean, 1e-5);
    }
    free(clip);
    free(z);
    free(back);
}

static void reopened_is_the_same(void **state) {
    struct codec *codec = *state, other;
    struct codec_tensor t[4];
    int count = codec_tensors(codec, t, 4);
    assert_int_equal(codec_open(&other, "pca", HEIGHT, WIDTH, t, count), OK);
    size_t latent = (size_t)codec->channels * codec->h * codec->w;
    float *frame = malloc(sizeof(float) * FRAME), *a = malloc(sizeof(float) * latent),
          *b = malloc(sizeof(float) * latent);
    draw(frame, 7, 3);
    codec_encode_reset(codec);
    codec_encode_reset(&other);
    codec_encode(codec, frame, 1, a);
    codec_encode(&other, frame, 1, b);
    assert_memory_equal(a, b, sizeof(float) * latent);
    codec_close(&other);
    assert_int_equal(codec_open(&other, "pca", 2 * HEIGHT, WIDTH, t, count), OK); /* any size that the patch divides */
    assert_int_equal(other.h, 2 * HEIGHT / PATCH);
    codec_close(&other);
    free(frame);
    free(a);
    free(b);
}

static void bad_tensors(void **state) {
    struct codec *codec = *state, other;
    struct codec_tensor t[4], bad[4];
    codec_tensors(codec, t, 4);
    assert_int_equal(codec_open(&other, "pca", HEIGHT, WIDTH, t, 2), ERR_INPUT);
    assert_non_null(strstr(error_text(), "pca.scale"));
    assert_int_equal(codec_open(&other, "vae9", HEIGHT, WIDTH, t, 3), ERR_INPUT);
    assert_non_null(strstr(error_text(), "vae9"));
    assert_int_equal(codec_open(&other, "pca", HEIGHT + 1, WIDTH, t, 3), ERR_INPUT);
    memcpy(bad, t, sizeof t);
    bad[0].shape[1]--;
    assert_int_equal(codec_open(&other, "pca", HEIGHT, WIDTH, bad, 3), ERR_INPUT);
    memcpy(bad, t, sizeof t);
    bad[0].shape[0] = 1L << 40;
    assert_int_equal(codec_open(&other, "pca", HEIGHT, WIDTH, bad, 3), ERR_INPUT);
    memcpy(bad, t, sizeof t);
    bad[1].shape[0]--;
    assert_int_equal(codec_open(&other, "pca", HEIGHT, WIDTH, bad, 3), ERR_INPUT);
    assert_non_null(strstr(error_text(), "pca.mean"));
    float scale[CHANNELS];
    memcpy(scale, t[2].data, sizeof scale);
    scale[3] = NAN;
    memcpy(bad, t, sizeof t);
    bad[2].data = scale;
    assert_int_equal(codec_open(&other, "pca", HEIGHT, WIDTH, bad, 3), ERR_INPUT);
    scale[3] = 0;
    assert_int_equal(codec_open(&other, "pca", HEIGHT, WIDTH, bad, 3), ERR_INPUT);
}

static int one_grey_group(void *user, float *group) {
    int *left = user;
    for (int i = 0; i < 4 * FRAME; i++) group[i] = 0.25f;
    return (*left)-- > 0;
}
static int failing_source(void *user, float *group) {
    (void)user, (void)group;
    return -error_set(ERR_INPUT, "no more");
}

static void bad_fits(void **state) {
    (void)state;
    struct codec codec;
    int left = 0;
    assert_int_equal(codec_fit(&codec, "pca", &fit, one_grey_group, &left), ERR_INPUT);
    left = 3;
    assert_int_equal(codec_fit(&codec, "pca", &fit, one_grey_group, &left), ERR_INPUT);
    assert_non_null(strstr(error_text(), "vary"));
    assert_int_equal(codec_fit(&codec, "pca", &fit, failing_source, NULL), ERR_INPUT);
    assert_string_equal(error_text(), "no more");
    assert_int_equal(codec_fit(&codec, "wan22", &fit, one_grey_group, &left), ERR_USAGE); /* none that is fitted */
    assert_int_equal(codec_fit(&codec, "pcb", &fit, one_grey_group, &left), ERR_USAGE);
    struct codec_fit bad = fit;
    bad.patch = 7;
    assert_int_equal(codec_fit(&codec, "pca", &bad, one_grey_group, &left), ERR_USAGE);
    bad = fit;
    bad.motion_weight = 0;
    assert_int_equal(codec_fit(&codec, "pca", &bad, one_grey_group, &left), ERR_USAGE);
    bad = fit;
    bad.channels = 12 * PATCH * PATCH + 1;
    assert_int_equal(codec_fit(&codec, "pca", &bad, one_grey_group, &left), ERR_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shape_and_scale),  cmocka_unit_test(components_are_principal),
        cmocka_unit_test(round_trip),       cmocka_unit_test(stream_equals_whole),
        cmocka_unit_test(first_frame_rule), cmocka_unit_test(reopened_is_the_same),
        cmocka_unit_test(bad_tensors),
    };
    const struct CMUnitTest others[] = {
        cmocka_unit_test(a_motion_weight_keeps_motion),
        cmocka_unit_test(bad_fits),
    };
    int failed = cmocka_run_group_tests_name("codec", tests, setup, teardown);
    failed += cmocka_run_group_tests_name("codec fitted for motion", tests, setup_for_motion, teardown);
    return failed + cmocka_run_group_tests_name("fits", others, NULL, NULL);
}
