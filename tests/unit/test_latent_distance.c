/* test_latent_distance.c: the measure that chooses a student's state: 0 for the same clips, 1 for clips that never
   move, (1 - a)^2 for motion times a, more the more is wrong; and the drift from references. */
#include <math.h>
#include <stdlib.h>

#include "base/normal.h"
#include "tests/check.h"
#include "train/method/latent_distance.h"

enum { CLIPS = 40, FRAMES = 9, SIZE = 12, COUNT = CLIPS * FRAMES * SIZE };

static float normal(int stream, int i) {
    const struct random_address at = {.seed = 11, .purpose = RANDOM_TEST, .sample = (uint32_t)stream};
    return random_normals(&at, (uint32_t)(i / 4)).v[i % 4];
}

/* Clips whose frames are a reference and its motion: a walk with a mean, times `share`, plus `noise`. */
static void make(real *clips, int stream, double share, double noise, double away) {
    for (int b = 0; b < CLIPS; b++)
        for (int i = 0; i < SIZE; i++) {
            double at = 0;
            for (int f = 0; f < FRAMES; f++) {
                int k = (b * FRAMES + f) * SIZE + i;
                double reference = (double)normal(90, b * SIZE + i);
                if (f) at = 0.7 * at + (double)normal(stream, k) + 0.2 * i / SIZE;
                clips[k] = (real)(reference + (f ? share * at + noise * (double)normal(91, k) + away : 0));
            }
        }
}

static double distance_of(double share, double noise, double away, double *drift) {
    static real clips[COUNT];
    struct latent_distance d;
    CHECK(latent_distance_open(&d, FRAMES, SIZE));
    make(clips, 1, 1, 0, 0);
    latent_distance_add(&d, LATENTS_REAL, clips, CLIPS / 2); /* in two batches */
    latent_distance_add(&d, LATENTS_REAL, clips + COUNT / 2, CLIPS / 2);
    make(clips, 1, share, noise, away);
    latent_distance_add(&d, LATENTS_MADE, clips, CLIPS);
    double value = latent_distance(&d);
    if (drift) *drift = latent_drift(&d);
    latent_distance_close(&d);
    return value;
}

static void assert_near(double value, double expected) {
    if (!(fabs(value - expected) < 1e-5)) fail_msg("%.9g, expected %.9g", value, expected);
}

static void known_distances(void **state) {
    (void)state;
    double drift;
    assert_near(distance_of(1, 0, 0, &drift), 0);
    assert_near(drift, 1);
    assert_near(distance_of(0, 0, 0, &drift), 1);
    assert_near(drift, 0);
    for (double share = 0.2; share < 2; share += 0.3) {
        assert_near(distance_of(share, 0, 0, &drift), (1 - share) * (1 - share));
        assert_near(drift, share * share);
    }
}

/* The measure rises with what is wrong: too little motion, noise, another person. */
static void it_rises_with_faults(void **state) {
    (void)state;
    double drift, before = 0, far = 1;
    for (double noise = 0.5; noise < 4; noise *= 2, before = distance_of(1, noise / 2, 0, NULL))
        assert_true(distance_of(1, noise, 0, NULL) > before + 0.01);
    before = 0;
    for (double away = 0.5; away < 5; away *= 2) {
        double value = distance_of(1, 0, away, &drift);
        assert_true(value > before + 0.01 && drift > far);
        before = value;
        far = drift;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_distances), cmocka_unit_test(it_rises_with_faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
