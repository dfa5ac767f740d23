/* test_loader.c: the schedule is a pure function of (seed, step, sample) and visits every row once an epoch; resume at
   any step gives the same batches; dropout rates; batches hold the rows' numbers; closing never hangs. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <time.h>
#include "base/error.h"
#include "base/philox.h"
#include "data/clip_rows.h"
#include "data/loader.h"
#include "sample_dataset.h"

static struct dataset *set;

static int open_set(void **state) {
    (void)state;
    const char *path = sample_path("loader.h5");
    return sample_dataset(path, 23) || dataset_open(&set, path);
}
static int close_set(void **state) {
    dataset_close(set);
    return sample_remove(state);
}

static const struct loader_config plain = {.seed = 11, .batch = 4, .split = SPLIT_TRAIN, .latents = 1};

static void schedule_is_a_permutation(void **state) {
    (void)state;
    static const long sizes[] = {1, 2, 3, 5, 16, 17, 64, 1000};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        long rows = sizes[k], same = 0, fixed = 0;
        for (uint64_t epoch = 0; epoch < 5; epoch++) {
            char *seen = calloc((size_t)rows, 1);
            for (long i = 0; i < rows; i++) {
                long r = loader_row(7, epoch * (uint64_t)rows + (uint64_t)i, rows);
                assert_in_range(r, 0, rows - 1);
                assert_false(seen[r]);
                seen[r] = 1;
                same += r == loader_row(7, (epoch + 1) * (uint64_t)rows + (uint64_t)i, rows);
                fixed += r == i;
            }
            free(seen);
        }
        if (rows ==
            1000) { /* epochs differ, and differ from the order of the file: one chance hit a shuffle expected */
            assert_true(same < 25);
            assert_true(fixed < 25);
            long other = 0;
            for (int i = 0; i < 1000; i++)
                other += loader_row(7, (uint64_t)i, rows) == loader_row(8, (uint64_t)i, rows);
            assert_true(other < 10);
        }
    }
}

static void batches_hold_the_rows(void **state) {
    (void)state;
    struct loader *loader;
    const struct loader_batch *b;
    assert_int_equal(loader_open(&loader, set, &plain, 0), OK);
    int seen[23] = {0};
    for (int step = 0; step < 19; step++) { /* 4 epochs of 19 rows */
        assert_int_equal(loader_next(loader, &b), OK);
        assert_int_equal(b->step, step);
        assert_memory_equal(b->empty, sample_rows[0], sizeof *sample_rows);
        for (int i = 0; i < 4; i++) {
            int r = b->utterance[i];
            seen[r]++;
            assert_int_not_equal(r % 5, 4);
            assert_int_equal(b->clip[i], r / 2);
            assert_int_equal(b->identity[i], r % 3);
            for (int k = 0; k < SAMPLE_LATENTS; k++)
                assert_true(b->latents[i * SAMPLE_LATENTS + k] == sample_latent(r, k));
            for (int k = 0; k < SAMPLE_T * SAMPLE_D; k++) {
                assert_true(b->talk_audio[i * SAMPLE_T * SAMPLE_D + k] == sample_audio(r, k));
                assert_true(b->listen_audio[i * SAMPLE_T * SAMPLE_D + k] == sample_audio(r, SAMPLE_T * SAMPLE_D + k));
            }
            for (int t = 0; t < SAMPLE_T; t++) {
                assert_true(b->talk[i * SAMPLE_T + t] == 1);
                assert_true(b->listen[i * SAMPLE_T + t] == (float)(t % 2));
            }
            assert_memory_equal(b->text + i * SAMPLE_TEXT_LEN * SAMPLE_TEXT_DIM, sample_rows[1 + r % 2],
                                sizeof *sample_rows);
        }
    }
    for (int r = 0; r < 23; r++) assert_int_equal(seen[r], r % 5 == 4 ? 0 : 4);
    loader_close(loader);
}

static void resume_is_exact(void **state) {
    (void)state;
    struct loader *a, *b;
    const struct loader_batch *x, *y;
    struct loader_config config = plain;
    config.drop_text = 0.4;
    config.drop_audio = 0.3;
    assert_int_equal(loader_open(&a, set, &config, 0), OK);
    for (int step = 0; step < 7; step++) assert_int_equal(loader_next(a, &x), OK);
    assert_int_equal(loader_open(&b, set, &config, 7), OK);
    for (int step = 7; step < 30; step++) {
        assert_int_equal(loader_next(a, &x), OK);
        assert_int_equal(loader_next(b, &y), OK);
        assert_int_equal(y->step, step);
        assert_memory_equal(x->latents, y->latents, sizeof(float) * 4 * SAMPLE_LATENTS);
        assert_memory_equal(x->talk, y->talk, sizeof(float) * 4 * SAMPLE_T);
        assert_memory_equal(x->listen, y->listen, sizeof(float) * 4 * SAMPLE_T);
        assert_memory_equal(x->text, y->text, sizeof(float) * 4 * SAMPLE_TEXT_LEN * SAMPLE_TEXT_DIM);
        assert_memory_equal(x->clip, y->clip, sizeof(int) * 4);
    }
    loader_close(a);
    loader_close(b);
}

/* A batch stays as it is while the thread works ahead. */
static void batch_is_held(void **state) {
    (void)state;
    struct loader *loader;
    const struct loader_batch *b;
    float copy[4 * SAMPLE_LATENTS];
    assert_int_equal(loader_open(&loader, set, &plain, 3), OK);
    for (int step = 0; step < 8; step++) {
        assert_int_equal(loader_next(loader, &b), OK);
        memcpy(copy, b->latents, sizeof copy);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        assert_memory_equal(copy, b->latents, sizeof copy);
        assert_int_equal(b->step, 3 + step);
    }
    loader_close(loader);
}

/* One party's sound is dropped whatever becomes of the other's: all four combinations come up as often as they
   should. */
static void parties_are_dropped_apart(void **state) {
    (void)state;
    struct loader *loader;
    const struct loader_batch *b;
    struct loader_config config = plain;
    config.batch = 50;
    config.drop_talk = 0.3;
    config.drop_listen = 0.2;
    assert_int_equal(loader_open(&loader, set, &config, 0), OK);
    int count[2][2] = {{0}}, n = 0;
    for (int step = 0; step < 80; step++) {
        assert_int_equal(loader_next(loader, &b), OK);
        for (int i = 0; i < 50; i++, n++) /* talk is 1 throughout, listen in odd frames */
            count[b->talk[i * SAMPLE_T] == 0][b->listen[i * SAMPLE_T + 1] == 0]++;
    }
    for (int talk = 0; talk < 2; talk++)
        for (int listen = 0; listen < 2; listen++) {
            double p = (talk ? 0.3 : 0.7) * (listen ? 0.2 : 0.8), off = 4 * sqrt(p * (1 - p) / n);
            assert_true(fabs(count[talk][listen] / (double)n - p) < off);
        }
    loader_close(loader);
    config.drop_listen = -0.1;
    assert_int_equal(loader_open(&loader, set, &config, 0), ERR_USAGE);
}

/* Rows of the sample set are clip row / 2, held out when row % 5 is 4; the whole part of a latent is its row. */
static void far_references_are_of_the_same_clip(void **state) {
    (void)state;
    enum { FRAME = SAMPLE_LATENTS / SAMPLE_F };
    struct loader *loader;
    const struct loader_batch *b;
    struct loader_config config = plain;
    config.far = 1;
    config.far_share = 0.4;
    int replaced = 0, n = 0;
    assert_int_equal(loader_open(&loader, set, &config, 0), OK);
    for (int step = 0; step < 100; step++) {
        assert_int_equal(loader_next(loader, &b), OK);
        for (int i = 0; i < 4; i++) {
            const float *clip = b->latents + i * SAMPLE_LATENTS;
            int row = (int)clip[FRAME], far = (int)b->far[i * FRAME], first = (int)clip[0], other = row ^ 1;
            int alone = other % 5 == 4 || other >= 23;
            assert_int_equal(far, alone ? row : other);
            assert_true(first == row || first == far);
            if (alone) continue;
            replaced += first == far;
            n++;
        }
    }
    loader_close(loader);
    assert_true(n > 150 && fabs(replaced / (double)n - 0.4) < 4 * sqrt(0.24 / n));
}

static void dropout_rates(void **state) {
    (void)state;
    struct loader *loader;
    const struct loader_batch *b;
    struct loader_config config = plain;
    config.batch = 50;
    config.drop_text = 0.1;
    config.drop_audio = 0.25;
    assert_int_equal(loader_open(&loader, set, &config, 0), OK);
    int text = 0, audio = 0, both = 0, n = 0;
    for (int step = 0; step < 80; step++) {
        assert_int_equal(loader_next(loader, &b), OK);
        for (int i = 0; i < 50; i++, n++) {
            const float *given = b->text + i * SAMPLE_TEXT_LEN * SAMPLE_TEXT_DIM;
            int no_text = *given == sample_rows[0][0], no_audio = b->talk[i * SAMPLE_T] == 0;
            assert_memory_equal(given, sample_rows[no_text ? 0 : 1 + b->utterance[i] % 2], sizeof *sample_rows);
            for (int t = 0; t < SAMPLE_T; t++) /* talk and listen go together, for the whole clip */
                assert_true(b->talk[i * SAMPLE_T + t] == (float)!no_audio &&
                            b->listen[i * SAMPLE_T + t] == (float)(!no_audio && t % 2));
            text += no_text;
            audio += no_audio;
            both += no_text && no_audio;
        }
    }
    loader_close(loader);
    /* four deviations of a binomial count of 4000 */
    assert_true(fabs(text - 0.1 * n) < 4 * sqrt(n * 0.1 * 0.9));
    assert_true(fabs(audio - 0.25 * n) < 4 * sqrt(n * 0.25 * 0.75));
    assert_true(fabs(both - 0.025 * n) < 4 * sqrt(n * 0.025 * 0.975));
}

static void conditions_only(void **state) {
    (void)state;
    struct loader *loader;
    const struct loader_batch *b;
    struct loader_config config = plain;
    config.latents = 0;
    config.split = SPLIT_HELD_OUT;
    assert_int_equal(loader_open(&loader, set, &config, 0), OK);
    for (int step = 0; step < 5; step++) {
        assert_int_equal(loader_next(loader, &b), OK);
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < SAMPLE_LATENTS; k++)
                assert_true(b->latents[i * SAMPLE_LATENTS + k] ==
                            (k < SAMPLE_LATENTS / SAMPLE_F ? sample_latent(b->utterance[i], k) : 0));
    }
    loader_close(loader);
}

/* Of a clip that was cut, only what is of the same shot: rows 0, 1, 4 and 2, 3, 5; row 6 is alone. */
static void far_references_stay_in_their_shot(void **state) {
    (void)state;
    static const int shot[] = {0, 0, 1, 1, 0, 1, 2};
    enum { ROWS = sizeof shot / sizeof *shot, DRAWS = 200 };
    const char *path = sample_path("shots.h5");
    struct dataset_writer *writer;
    struct dataset *cut;
    struct clip_rows *rows;
    static float values[SAMPLE_LATENTS + SAMPLE_AUDIO];
    static unsigned char pictures[SAMPLE_T * SAMPLE_PICTURE];
    assert_int_equal(sample_create(&writer, path), OK);
    for (int r = 0; r < ROWS; r++) {
        struct dataset_row row = {.latents = values,
                                  .audio = values,
                                  .talk = values,
                                  .listen = values,
                                  .clip = 3,
                                  .shot = shot[r],
                                  .prompt = 1,
                                  .pictures = pictures};
        assert_int_equal(dataset_append(writer, &row), OK);
    }
    assert_int_equal(dataset_finish(writer), OK);
    assert_int_equal(dataset_open(&cut, path), OK);
    assert_int_equal(clip_rows_open(&rows, cut, SPLIT_TRAIN), OK);
    for (int r = 0; r < ROWS; r++) {
        struct dataset_row row = {0};
        int seen[ROWS] = {0};
        dataset_columns(cut, SPLIT_TRAIN, r, &row);
        assert_int_equal(row.shot, shot[r]);
        for (int i = 0; i < DRAWS; i++) {
            const struct random_address address = {.seed = 5, .step = (uint64_t)i, .purpose = RANDOM_TEST};
            seen[clip_rows_other(rows, r, &address, 0)]++;
        }
        for (int k = 0; k < ROWS; k++) /* each of the others, or itself where there is none */
            assert_int_equal(seen[k] > 0, shot[k] == shot[r] && (k != r || shot[r] == 2));
    }
    clip_rows_close(rows);
    dataset_close(cut);
}

/* Which row's picture it is: of clip c, one of rows 2c and 2c + 1. */
static int row_of_picture(const unsigned char *picture, int clip, int t) {
    for (int r = 2 * clip; r < 2 * clip + 2; r++)
        if (picture[0] == sample_picture(r, t, 0) && picture[3] == sample_picture(r, t, 3)) return r;
    return -1;
}

/* A sample with true pictures: latents and pictures are of the same row and frames, the reference is of the clip's own
   or other row, as often as it should be, and whether the sample follows it is said; the same at a resume. */
static void samples_of_pictures(void **state) {
    (void)state;
    enum { FRAMES = 1, LATENT = SAMPLE_LATENTS / SAMPLE_F, STEPS = 400 };
    struct loader_config config = plain;
    config.picture_frames = FRAMES;
    config.other_reference = 0.6;
    struct loader *loader;
    const struct loader_batch *b;
    int others = 0, could = 0, begins[SAMPLE_F] = {0};
    uint64_t sum = 0, again = 0;
    assert_int_equal(loader_open(&loader, set, &config, 0), OK);
    for (int step = 0; step < STEPS; step++) {
        assert_int_equal(loader_next(loader, &b), OK);
        for (int i = 0; i < 4; i++) {
            const float *latents = b->sample_latents + i * (1 + FRAMES) * LATENT;
            const unsigned char *pictures = b->sample_pictures + (size_t)i * (1 + 4 * FRAMES) * SAMPLE_PICTURE;
            int r = b->utterance[i], reference = row_of_picture(pictures, b->clip[i], 0);
            assert_true(reference >= 0 && reference % 5 != 4); /* not of the held-out split */
            assert_true(latents[0] == sample_latent(reference, 0));
            int begin = 1;
            while (begin < SAMPLE_F && latents[LATENT] != sample_latent(r, begin * LATENT)) begin++;
            assert_in_range(begin, 1, SAMPLE_F - 1);
            for (int t = 0; t < 4 * FRAMES; t++)
                for (int k = 0; k < SAMPLE_PICTURE; k++)
                    assert_int_equal(pictures[(1 + t) * SAMPLE_PICTURE + k], sample_picture(r, 4 * begin - 3 + t, k));
            assert_int_equal(b->sample_joined[i], reference == r && begin == 1);
            begins[begin]++;
            if (r / 2 != 4 / 2 && r / 2 != 9 / 2 && r / 2 != 14 / 2 && r / 2 != 19 / 2 && r != 22)
                could++, others += reference != r;
            if (step >= STEPS / 2) sum = sum * 31 + pictures[0] + (uint64_t)begin;
        }
    }
    loader_close(loader);
    assert_true(fabs(others - 0.6 * could) < 5 * sqrt(0.24 * could));
    assert_true(abs(begins[1] - begins[2]) < 5 * sqrt(4 * STEPS));
    assert_int_equal(loader_open(&loader, set, &config, STEPS / 2), OK);
    for (int step = STEPS / 2; step < STEPS; step++) {
        assert_int_equal(loader_next(loader, &b), OK);
        for (int i = 0; i < 4; i++) {
            const float *latents = b->sample_latents + i * (1 + FRAMES) * LATENT;
            int begin = latents[LATENT] == sample_latent(b->utterance[i], LATENT) ? 1 : 2;
            again = again * 31 + b->sample_pictures[(size_t)i * (1 + 4 * FRAMES) * SAMPLE_PICTURE] + (uint64_t)begin;
        }
    }
    loader_close(loader);
    assert_true(sum == again);
    config.picture_frames = SAMPLE_F;
    assert_int_equal(loader_open(&loader, set, &config, 0), ERR_USAGE);
}

static void closes_at_any_time(void **state) {
    (void)state;
    for (int taken = 0; taken < 40; taken++) {
        struct loader *loader;
        const struct loader_batch *b;
        assert_int_equal(loader_open(&loader, set, &plain, 0), OK);
        for (int step = 0; step < taken % 5; step++) assert_int_equal(loader_next(loader, &b), OK);
        loader_close(loader);
    }
    loader_close(NULL);
}

static void wrong_configs(void **state) {
    (void)state;
    struct loader *loader;
    struct loader_config config = plain;
    config.batch = 0;
    assert_int_equal(loader_open(&loader, set, &config, 0), ERR_USAGE);
    config = plain;
    config.drop_audio = 1.5;
    assert_int_equal(loader_open(&loader, set, &config, 0), ERR_USAGE);
    struct dataset *empty;
    const char *path = sample_path("empty.h5");
    assert_int_equal(sample_dataset(path, 0), OK);
    assert_int_equal(dataset_open(&empty, path), OK);
    assert_int_equal(loader_open(&loader, empty, &plain, 0), ERR_INPUT);
    dataset_close(empty);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedule_is_a_permutation),
        cmocka_unit_test(batches_hold_the_rows),
        cmocka_unit_test(resume_is_exact),
        cmocka_unit_test(batch_is_held),
        cmocka_unit_test(dropout_rates),
        cmocka_unit_test(parties_are_dropped_apart),
        cmocka_unit_test(far_references_are_of_the_same_clip),
        cmocka_unit_test(far_references_stay_in_their_shot),
        cmocka_unit_test(conditions_only),
        cmocka_unit_test(samples_of_pictures),
        cmocka_unit_test(closes_at_any_time),
        cmocka_unit_test(wrong_configs),
    };
    return cmocka_run_group_tests(tests, open_set, close_set);
}
