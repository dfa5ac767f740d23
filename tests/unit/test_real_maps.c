/* test_real_maps.c: maps of real clips on pictures made up: a bright square swings in the mouth's box over a pattern
   that never moves. The copy is at no distance from itself; what is spoiled in the mouth's box is found there; what is
   spoiled elsewhere is not. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoints/feature_file.h"
#include "kernels/device.h"
#include "model/params/transfer.h"
#include "tests/check.h"
#include "tests/folder.h"
#include "tools/evaluate/real_maps.h"

enum { SIDE = 32, FRAME = 3 * SIDE * SIDE, FRAMES = 61, GROUPS = 40, SEED = 3 };
enum how { COPY, STILL, SMALLER, ELSEWHERE, HOWS };

static struct codec codec;
static struct real_mapper mapper;
static const struct box mouth = {8, 16, 24, 32};

/* The picture of a moment: a square of 6 x 6, `reach` pixels of swing; flash: how bright the upper corner becomes. */
static void draw(float *picture, double moment, double reach, double flash) {
    double x = 16 + reach * sin(moment), y = 23 + reach * cos(1.7 * moment);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < SIDE * SIDE; i++) {
            double away = fmax(fabs(i % SIDE - x), fabs((double)(i / SIDE) - y)) - 3;
            double inside = fmin(1, fmax(0, 0.5 - away)), corner = i % SIDE < 8 && i / SIDE < 8;
            picture[c * SIDE * SIDE + i] = (float)(-0.5 + 0.3 * ((i / 4 + i / SIDE / 4) % 2) + inside + corner * flash);
        }
}

static float *clip_of(enum how how) {
    float *frames = malloc((size_t)(FRAMES * FRAME) * sizeof *frames);
    for (int f = 0; f < FRAMES; f++)
        draw(frames + (long)f * FRAME, how == STILL ? 0 : 0.4 * f, how == SMALLER ? 2 : 4,
             how == ELSEWHERE ? 0.5 * sin(0.9 * f) : 0);
    return frames;
}

static int next_group(void *user, float *group) {
    int *made = user;
    if (++*made > GROUPS) return 0;
    for (int f = 0; f < FRAMES_PER_LATENT; f++)
        draw(group + (long)f * FRAME, 0.4 * (4 * *made + f), 3 + *made % 3, 0.3 * sin(*made));
    return 1;
}

static void write_features(const char *path) {
    static const struct feature_config config = {SIDE, SIDE, 1, {6, 8, 12}, 8, 8, 4};
    struct feature_net net;
    CHECK(feature_net_create(&net, &config));
    real *master = device_alloc(net.table.total * sizeof *master);
    float *values = malloc(net.table.total * sizeof *values);
    params_initialise(master, &net.table, SEED);
    transfer_from_real(values, master, (long)net.table.total);
    const char *notes[] = {"deviation", "0.25", NULL};
    CHECK(feature_file_save(path, &net, values, notes));
    device_free(master);
    free(values);
    feature_net_destroy(&net);
}

static int set_up(void **state) {
    (void)state;
    static const struct codec_fit fit = {SIDE, SIDE, 8, 16, 0.5, 4};
    char folder[FOLDER_MAX], path[FILE_PATH_MAX];
    int made = 0;
    CHECK(device_init(1));
    CHECK(codec_fit(&codec, "pca", &fit, next_group, &made));
    assert_int_equal(folder_make(folder, "real_maps"), 0);
    CHECK(file_join(path, sizeof path, folder, "net"));
    write_features(path);
    CHECK(real_mapper_open(&mapper, &codec, path, &mouth));
    folder_remove(folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    real_mapper_close(&mapper);
    codec_close(&codec);
    return 0;
}

static void measure(enum how how, struct real_map_sums *sums) {
    struct real_maps made = {0}, copy = {0};
    float *frames = clip_of(how), *truth = clip_of(COPY);
    const struct clip clip = {frames, FRAMES, SIDE, SIDE}, known = {truth, FRAMES, SIDE, SIDE};
    *sums = (struct real_map_sums){0};
    CHECK(real_maps_take(&mapper, &made, &clip, sums));
    CHECK(real_maps_take(&mapper, &copy, &known, NULL));
    CHECK(real_maps_compare(&mapper, sums, &made, &copy));
    latent_spread_add(sums->spread, &mapper.latent_grid, &made.latents, &copy.latents);
    real_maps_close(&made);
    real_maps_close(&copy);
    free(frames);
    free(truth);
}

static void each_is_found_where_it_is(void **state) {
    (void)state;
    struct real_map_sums of[HOWS];
    for (int how = 0; how < HOWS; how++) measure((enum how)how, &of[how]);
    for (int kind = 0; kind < LATENT_KINDS; kind++)
        for (int space = 0; space < 2; space++) {
            double distance[HOWS][REGIONS];
            for (int how = 0; how < HOWS; how++)
                for (int r = 0; r < REGIONS; r++)
                    distance[how][r] = (space ? of[how].features : of[how].latents).frechet[kind][r];
            assert_true(distance[COPY][REGION_WHOLE] < 1e-6);
            assert_true(distance[SMALLER][REGION_MOUTH] > 1e-3);
            assert_true(distance[STILL][REGION_MOUTH] > distance[SMALLER][REGION_MOUTH]);
            assert_true(distance[STILL][REGION_MOUTH] > 2 * distance[STILL][REGION_WHOLE]);
            assert_true(distance[ELSEWHERE][REGION_MOUTH] < 0.01 * distance[STILL][REGION_MOUTH]);
            assert_true(distance[ELSEWHERE][REGION_WHOLE] > 10 * distance[ELSEWHERE][REGION_MOUTH]);
        }
    assert_true(of[COPY].spread[REGION_MOUTH] < 1e-9 && of[STILL].spread[REGION_MOUTH] > 0.01);
    assert_true(of[ELSEWHERE].spread[REGION_MOUTH] < 1e-6 && of[ELSEWHERE].spread[REGION_WHOLE] > 1e-3);
}

static void likeness_is_kept_where_nothing_changes(void **state) {
    (void)state;
    struct real_map_sums still, copy;
    measure(STILL, &still);
    measure(COPY, &copy);
    assert_true(still.frames[0] > 10 && fabs(still.likeness[0] / still.frames[0] - 1) < 1e-5);
    assert_true(copy.likeness[0] / copy.frames[0] < 0.9999);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_is_found_where_it_is),
                                       cmocka_unit_test(likeness_is_kept_where_nothing_changes)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
