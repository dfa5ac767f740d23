/* test_feature_bank.c: batches that a network of features learns from, of a data set whose every number tells where it
   came from: picture and sound of a sample belong together, its second picture is of the same clip, places count as
   tampered with where something changed; and what a network has learned is counted rightly. */
#include <math.h>

#include "sample_dataset.h"
#include "tests/check.h"
#include "tools/features/feature_bank.h"
#include "tools/features/feature_score.h"

enum {
    N = 4,
    PLACES = SAMPLE_H * SAMPLE_W,
    ROWS = 7, /* more would go beyond a byte */
    WINDOW = AUDIO_WINDOW * SAMPLE_D,
    TIMES = 40 /* batches that are looked at */
};
static const struct feature_sample_shape shape = {N, SAMPLE_H, SAMPLE_W};

static struct dataset *set;
static struct feature_bank bank;
static float pictures[3 * N * SAMPLE_PICTURE], windows[N * WINDOW], labels[N * PLACES], weights[N * PLACES];

static int set_up(void **state) {
    (void)state;
    const char *path = sample_path("set.h5");
    CHECK(sample_dataset(path, ROWS));
    CHECK(dataset_open(&set, path));
    CHECK(feature_bank_open(&bank, set, SPLIT_TRAIN, 1, 1 << 20));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    feature_bank_close(&bank);
    dataset_close(set);
    return 0;
}

static void draw(uint64_t seed, uint64_t step) {
    CHECK(feature_bank_batch(&bank, &shape, seed, step, pictures, windows, labels, weights));
}

/* The smallest byte of a picture of the batch, which says its row and moment; all others are within 4 of it. */
static int least_byte(const float *picture) {
    float least = 2, most = -2;
    for (int i = 0; i < SAMPLE_PICTURE; i++) least = fminf(least, picture[i]), most = fmaxf(most, picture[i]);
    assert_true((most - least) * 127.5f < 4.01f);
    return (int)lrintf((least + 1) * 127.5f);
}

/* 1: a byte may be the least of row `row` at moment t, bytes of blends being up to 2 above. */
static int is_of(int byte, int row, int t) {
    int above = (byte - (31 * row + 7 * t)) & 255;
    return above <= 2;
}

static void every_number_is_in_its_place(void **state) {
    (void)state;
    int moved = 0;
    assert_int_equal(bank.rows, dataset_rows(set, SPLIT_TRAIN));
    for (uint64_t step = 0; step < TIMES; step++) {
        draw(3, step);
        for (int i = 0; i < N; i++) {
            const float *a = pictures + i * SAMPLE_PICTURE, *b = a + N * SAMPLE_PICTURE;
            int row = (int)-windows[i * WINDOW], byte = least_byte(a), t = is_of(byte, row, 4) ? 4 : 8, same = 0;
            assert_true(row % 5 != 4 && is_of(byte, row, t));
            int first = t - 5 < 0 ? 0 : t - 5; /* the window begins there, and the clip's first frame goes on before */
            assert_true(fabsf(windows[i * WINDOW] - sample_audio(row, first * SAMPLE_D)) < 1e-6f);
            for (int other = row / 2 * 2; other < row / 2 * 2 + 2; other++)
                for (int moment = 4; moment <= 8; moment += 4)
                    same |= other % 5 != 4 && is_of(least_byte(b), other, moment);
            assert_true(same);
            moved += least_byte(b) != byte;
        }
    }
    assert_true(moved > TIMES); /* most second pictures are of another moment */
}

static void labels_say_what_was_tampered_with(void **state) {
    (void)state;
    int ones = 0;
    for (uint64_t step = 0; step < TIMES; step++) {
        double sum = 0, right = 0;
        draw(3, step);
        for (int i = 0; i < N * PLACES; i++) {
            assert_true(labels[i] == 0 || labels[i] == 1);
            sum += (double)weights[i];
            right += labels[i] > 0 ? (double)weights[i] : 0;
            ones += labels[i] > 0;
        }
        assert_true(fabs(sum - 1) < 1e-5 || fabs(sum - 0.5) < 1e-5); /* half where one kind is missing */
        assert_true(right == 0 || fabs(right - 0.5) < 1e-5);
        for (int i = 0; i < N; i++) { /* places that do not count have one colour level, that of the first of them */
            const float *c = pictures + (2 * N + i) * SAMPLE_PICTURE;
            float base = NAN;
            for (int p = 0; p < PLACES; p++) {
                int x = p % SAMPLE_W * SAMPLE_P, y = p / SAMPLE_W * SAMPLE_P;
                float mean = 0;
                for (int k = 0; k < SAMPLE_P * SAMPLE_P; k++)
                    mean += c[(y + k / SAMPLE_P) * SAMPLE_W * SAMPLE_P + x + k % SAMPLE_P] / (SAMPLE_P * SAMPLE_P);
                if (labels[i * PLACES + p] > 0) continue;
                if (isnan(base)) base = mean;
                assert_true(fabsf(mean - base) * 127.5f < 4.01f);
            }
        }
    }
    assert_true(ones > TIMES && ones < TIMES * N * PLACES / 2);
}

static void a_batch_is_its_address(void **state) {
    (void)state;
    static float first[3 * N * SAMPLE_PICTURE];
    draw(3, 5);
    memcpy(first, pictures, sizeof first);
    draw(3, 6);
    assert_true(memcmp(first, pictures, sizeof first));
    draw(4, 5);
    assert_true(memcmp(first, pictures, sizeof first));
    draw(3, 5);
    assert_memory_equal(first, pictures, sizeof first);
}

static void few_windows_fit(void **state) {
    (void)state;
    struct feature_bank few;
    CHECK(feature_bank_open(&few, set, SPLIT_TRAIN, 1, (size_t)(3 * BANK_MOMENTS * SAMPLE_PICTURE)));
    assert_int_equal(few.rows, 3);
    CHECK(feature_bank_batch(&few, &shape, 3, 0, pictures, windows, labels, weights));
    feature_bank_close(&few);
}

static void pairs_are_counted(void **state) {
    (void)state;
    const float high[] = {1, 3, 5}, low[] = {0, 3, 4, 9};
    struct pair_score score = {0};
    assert_true(feature_score_share(&score) == 0);
    CHECK(pair_score_add(&score, high, 3, low, 4));
    assert_true(fabs(score.right - (1 + 1.5 + 3)) < 1e-12 && score.pairs == 12);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_number_is_in_its_place),
                                       cmocka_unit_test(labels_say_what_was_tampered_with),
                                       cmocka_unit_test(a_batch_is_its_address), cmocka_unit_test(few_windows_fit),
                                       cmocka_unit_test(pairs_are_counted)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
