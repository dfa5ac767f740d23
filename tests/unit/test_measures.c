/* test_measures.c: the evaluation's measures against the truth of the puppet's own frames, clean, blurred and noisy,
   and against sums worked out by hand. */
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
#include "data/puppet.h"
#include "data/puppet_drawing.h"
#include "tools/evaluate/measures.h"

enum { SIDE = 64, PLANE = SIDE * SIDE, FRAME = 3 * PLANE, SEED = 7 };

/* ---- drawn clips ---- */

struct drawn {
    struct puppet *puppet;
    struct clip clip;
    float *clean, *spoilt; /* [count, 3, 64, 64] */
    float *mouth;          /* [count] */
    struct landmarks marks;
};

static struct landmarks landmarks_of(const struct puppet_pose *pose, float h) {
    struct landmarks m = {.turn = 0};
    for (int k = 0; k < 2; k++) {
        m.head[k] = h * pose->head[k], m.eyes[k] = h * pose->eyes[k], m.lips[k] = h * pose->lips[k];
        m.hand_left[k] = h * pose->hand_left[k], m.hand_right[k] = h * pose->hand_right[k];
    }
    return m;
}

static struct drawn draw(int identity, double seconds) {
    struct drawn d;
    assert_int_equal(puppet_open(&d.puppet, SEED, identity, identity, seconds), OK);
    int count = puppet_frames(d.puppet);
    d.clean = malloc(sizeof(float) * FRAME * (size_t)count);
    d.spoilt = malloc(sizeof(float) * FRAME * (size_t)count);
    d.mouth = malloc(sizeof(float) * (size_t)count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(puppet_draw(d.puppet, i, SIDE, SIDE, d.clean + (size_t)i * FRAME), OK);
        d.mouth[i] = puppet_truth(d.puppet)[i].mouth;
    }
    d.clip = (struct clip){d.clean, count, SIDE, SIDE};
    d.marks = landmarks_of(puppet_truth(d.puppet), SIDE);
    return d;
}

static void drop(struct drawn *d) {
    puppet_close(d->puppet);
    free(d->clean), free(d->spoilt), free(d->mouth);
}

/* A low-pass of 3 x 3 pixels (1 2 1), about what the codec leaves of a detail, then noise of a deviation. */
static void spoil(struct drawn *d, int blur, float noise) {
    static const float taps[3] = {0.25f, 0.5f, 0.25f};
    for (int p = 0; p < d->clip.count * 3; p++)
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                const float *in = d->clean + (size_t)p * PLANE;
                float sum = 0;
                for (int j = -1; j <= 1; j++)
                    for (int i = -1; i <= 1; i++) {
                        int yy = y + j < 0 ? 0 : y + j >= SIDE ? SIDE - 1 : y + j;
                        int xx = x + i < 0 ? 0 : x + i >= SIDE ? SIDE - 1 : x + i;
                        sum += taps[i + 1] * taps[j + 1] * in[yy * SIDE + xx];
                    }
                struct random_address at = {.seed = SEED, .purpose = RANDOM_TEST, .frame = (uint32_t)p};
                /* uniform of the same deviation */
                float n = noise > 0 ? noise * 3.46f * (float)(random_uniform(&at, (uint32_t)(y * SIDE + x)) - 0.5) : 0;
                d->spoilt[(size_t)p * PLANE + (size_t)(y * SIDE + x)] = (blur ? sum : in[y * SIDE + x]) + n;
            }
    d->clip.frames = d->spoilt;
}

enum spoiling { CLEAN, BLURRED, NOISY, SPOILINGS };
static void set_spoiling(struct drawn *d, enum spoiling how) {
    if (how == CLEAN) d->clip.frames = d->clean;
    if (how == BLURRED) spoil(d, 1, 0);
    if (how == NOISY) spoil(d, 0, 0.06f);
}

enum { PEOPLE = 3 };
static struct drawn people[PEOPLE];

static int draw_people(void **state) {
    (void)state;
    for (int i = 0; i < PEOPLE; i++) people[i] = draw(i, 14);
    return 0;
}
static int drop_people(void **state) {
    (void)state;
    for (int i = 0; i < PEOPLE; i++) drop(&people[i]);
    return 0;
}

/* 0 when one is constant. */
static double correlation(const float *a, const float *b, int count) {
    double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (int i = 0; i < count; i++) ma += a[i], mb += b[i];
    if (count) ma /= count, mb /= count;
    for (int i = 0; i < count; i++) {
        aa += (a[i] - ma) * (a[i] - ma);
        bb += (b[i] - mb) * (b[i] - mb);
        ab += (a[i] - ma) * (b[i] - mb);
    }
    double scale = sqrt(aa * bb);
    return scale > 1e-12 ? ab / scale : 0;
}

static double mouth_correlation(struct drawn *d, const float *known, struct regression *pool) {
    int n = d->clip.count;
    float(*shift)[2] = malloc(sizeof *shift * (size_t)n), *opening = malloc(sizeof *opening * (size_t)n);
    measure_face_shift(&d->clip, d->clean, &d->marks, shift);
    measure_mouth_opening(&d->clip, d->clean, &d->marks, (const float(*)[2])shift, opening);
    lip_pool_add(pool, opening, known, puppet_mask(d->puppet, PUPPET_AGENT), n);
    double r = correlation(opening, known, n);
    free(shift), free(opening);
    return r;
}

static void mouth_in_pixels(void **state) {
    (void)state;
    static const double least[SPOILINGS] = {0.95, 0.91, 0.95}; /* least correlation over a whole dialogue */
    for (int how = CLEAN; how < SPOILINGS; how++) {
        struct regression pool = {0}, wrong = {0};
        for (int i = 0; i < PEOPLE; i++) {
            set_spoiling(&people[i], how);
            assert_true(mouth_correlation(&people[i], people[i].mouth, &pool) > least[how]);
            mouth_correlation(&people[i], people[(i + 1) % PEOPLE].mouth, &wrong); /* somebody else's words */
        }
        assert_true(regression_correlation(&pool) > 0.97);
        /* some 400 frames, a third of them independent: 3 standard errors are 0.26 */
        assert_true(fabs(regression_correlation(&wrong)) < 0.3);
        assert_true(pool.spans >= 5);
    }
}

/* One person drawn with every opening: the measure grows with it, and its unit is the pixel. */
static void mouth_is_monotone(void **state) {
    (void)state;
    static float frames[11][FRAME];
    for (int identity = 0; identity < 12; identity++) {
        struct puppet_looks looks;
        struct puppet_canvas *canvas;
        struct puppet_pose pose = {.head = {0.5f, 0.335f},
                                   .lips = {0.5f, 0.335f + (float)PUPPET_LIPS_Y},
                                   .eyes = {0.5f, 0.335f + (float)PUPPET_EYES_Y},
                                   .hand_left = {0.3f, 0.9f},
                                   .hand_right = {0.7f, 0.9f}};
        puppet_looks(&looks, SEED, identity);
        assert_int_equal(puppet_canvas_open(&canvas, SIDE, SIDE, &looks, &(struct picture_view){0}), OK);
        for (int k = 0; k <= 10; k++) {
            pose.mouth = 0.1f * (float)k;
            puppet_canvas_draw(canvas, &pose, frames[k]);
        }
        puppet_canvas_close(canvas);
        struct clip clip = {frames[0], 11, SIDE, SIDE};
        struct landmarks marks = landmarks_of(&pose, SIDE);
        float opening[11];
        measure_mouth_opening(&clip, frames[0], &marks, NULL, opening);
        for (int k = 2; k <= 10; k++) assert_true(opening[k] > opening[k - 1] + 0.1f);
        assert_true(opening[2] > opening[0]);
        assert_true(opening[0] < 0.8f);
        /* the gap is 6.4 pixels in its middle, less at the sides and by the teeth */
        assert_true(opening[10] > 3.0f && opening[10] < 6.5f);
    }
}

static double root_mean_square(const float (*a)[2], const float (*b)[2], int n, int axis) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)(a[i][axis] - b[i][axis]) * (a[i][axis] - b[i][axis]);
    return sqrt(sum / n);
}

static void hands_and_face_in_pixels(void **state) {
    (void)state;
    for (int how = CLEAN; how < SPOILINGS; how++)
        for (int i = 0; i < PEOPLE; i++) {
            struct drawn *d = &people[i];
            const struct puppet_pose *truth = puppet_truth(d->puppet);
            int n = d->clip.count;
            float(*found)[2] = malloc(sizeof *found * (size_t)n), (*known)[2] = malloc(sizeof *known * (size_t)n),
            *mismatch = malloc(sizeof *mismatch * (size_t)n);
            set_spoiling(d, how);
            for (int hand = HAND_LEFT; hand <= HAND_RIGHT; hand++) {
                measure_hand(&d->clip, d->clean, &d->marks, hand, found, mismatch);
                for (int f = 0; f < n; f++)
                    for (int k = 0; k < 2; k++)
                        known[f][k] = SIDE * (hand == HAND_LEFT ? truth[f].hand_left[k] : truth[f].hand_right[k]);
                for (int k = 0; k < 2; k++)
                    assert_true(root_mean_square((const float(*)[2])found, (const float(*)[2])known, n, k) < 0.7);
                struct motion_pool made = {0}, real = {0};
                motion_pool_add(&made, (const float(*)[2])found, puppet_mask(d->puppet, PUPPET_AGENT), n);
                motion_pool_add(&real, (const float(*)[2])known, puppet_mask(d->puppet, PUPPET_AGENT), n);
                double ratio = motion_pool_variance(&made) / motion_pool_variance(&real);
                assert_true(ratio > 0.9 && ratio < 1.1);
            }
            measure_face_shift(&d->clip, d->clean, &d->marks, found);
            for (int f = 0; f < n; f++)
                for (int k = 0; k < 2; k++) known[f][k] = SIDE * truth[f].eyes[k] - d->marks.eyes[k];
            for (int k = 0; k < 2; k++)
                assert_true(root_mean_square((const float(*)[2])found, (const float(*)[2])known, n, k) < 0.5);
            /* nods: the head moves much more while the user speaks than while nobody does */
            struct motion_pool nodding = {0}, idle = {0};
            float *nobody = malloc(sizeof *nobody * (size_t)n);
            for (int f = 0; f < n; f++) {
                int quiet = f >= 15;
                for (int b = 0; b <= 15 && quiet; b++)
                    quiet = !(puppet_mask(d->puppet, PUPPET_USER)[f - b] > 0 ||
                              puppet_mask(d->puppet, PUPPET_AGENT)[f - b] > 0);
                nobody[f] = (float)quiet;
            }
            motion_pool_add(&nodding, (const float(*)[2])found, puppet_mask(d->puppet, PUPPET_USER), n);
            motion_pool_add(&idle, (const float(*)[2])found, nobody, n);
            assert_true(motion_pool_variance(&nodding) > 0.5);
            assert_true(motion_pool_variance(&nodding) > 4 * motion_pool_variance(&idle));
            free(found), free(known), free(nobody), free(mismatch);
        }
}

/* A larger picture gives the same openings, in proportion. */
static void other_sizes(void **state) {
    (void)state;
    enum { LARGE = 160, COUNT = 12 };
    struct puppet *p = people[0].puppet;
    float *large = malloc(sizeof(float) * 3 * LARGE * LARGE * (COUNT + 1)), shift[COUNT][2], opening[COUNT],
          small[COUNT];
    float hand[COUNT][2], mismatch[COUNT];
    int first = 0;
    while (puppet_truth(p)[first].mouth < 0.5f) first++;
    for (int i = 0; i < COUNT; i++) puppet_draw(p, first + i, LARGE, LARGE, large + (size_t)i * 3 * LARGE * LARGE);
    float *reference = large + (size_t)COUNT * 3 * LARGE * LARGE;
    puppet_draw(p, 0, LARGE, LARGE, reference);
    struct clip clip = {large, COUNT, LARGE, LARGE},
                same = {people[0].clean + (size_t)first * FRAME, COUNT, SIDE, SIDE};
    struct landmarks marks = landmarks_of(puppet_truth(p), LARGE);
    measure_face_shift(&clip, reference, &marks, shift);
    measure_mouth_opening(&clip, reference, &marks, (const float(*)[2])shift, opening);
    measure_face_shift(&same, people[0].clean, &people[0].marks, shift);
    measure_mouth_opening(&same, people[0].clean, &people[0].marks, (const float(*)[2])shift, small);
    measure_hand(&clip, reference, &marks, HAND_LEFT, hand, mismatch);
    for (int i = 0; i < COUNT; i++) {
        assert_true(fabsf(opening[i] * SIDE / LARGE - small[i]) < 0.7f);
        for (int k = 0; k < 2; k++)
            assert_true(fabsf(hand[i][k] - LARGE * puppet_truth(p)[first + i].hand_left[k]) < 2.5f);
    }
    free(large);
}

/* ---- lip statistics ---- */

static void lip_pool_by_hand(void **state) {
    (void)state;
    enum { N = 60 };
    float known[N], measured[N], talk[N] = {0}, flat[N];
    for (int i = 0; i < N; i++) {
        talk[i] = (i >= 3 && i < 28) || (i >= 32 && i < 58); /* two spans */
        known[i] = talk[i] > 0 ? 0.5f + 0.3f * sinf(0.9f * (float)i) : 0;
        if (i >= 24 && i < 28) known[i] = 0;                      /* a pause inside the mask */
        measured[i] = 3 + 5 * known[i] + (i < 30 ? 20.0f : 0.0f); /* a span's level does not matter */
        flat[i] = 4 * talk[i];
    }
    struct regression pool = {0};
    lip_pool_add(&pool, measured, known, talk, N);
    assert_int_equal(pool.spans, 2);
    assert_int_equal(pool.frames, 25 - 4 - 2 * LIP_CUT + 26 - 2 * LIP_CUT);
    assert_true(fabs(regression_correlation(&pool) - 1) < 1e-6);
    double mean[2] = {0}, squares = 0;
    for (int i = 3 + LIP_CUT; i < 24 - LIP_CUT; i++) mean[0] += known[i] / (21 - 2 * LIP_CUT);
    for (int i = 32 + LIP_CUT; i < 58 - LIP_CUT; i++) mean[1] += known[i] / (26 - 2 * LIP_CUT);
    for (int i = 3 + LIP_CUT; i < 24 - LIP_CUT; i++) squares += pow(5 * (known[i] - mean[0]), 2);
    for (int i = 32 + LIP_CUT; i < 58 - LIP_CUT; i++) squares += pow(5 * (known[i] - mean[1]), 2);
    assert_true(fabs(regression_deviation(&pool) - sqrt(squares / (double)pool.frames)) < 1e-4);
    for (int i = 0; i < N; i++)
        if (!(talk[i] > 0) || known[i] < LIP_PAUSE) measured[i] = 1000; /* outside of speech: not looked at */
    struct regression again = {0};
    lip_pool_add(&again, measured, known, talk, N);
    assert_true(fabs(regression_correlation(&again) - 1) < 1e-6);
    struct regression none = {0}, opposite = {0};
    lip_pool_add(&none, flat, known, talk, N); /* what only follows the mask */
    assert_true(fabs(regression_correlation(&none)) < 1e-6);
    for (int i = 0; i < N; i++) flat[i] = -known[i];
    lip_pool_add(&opposite, flat, known, talk, N);
    assert_true(fabs(regression_correlation(&opposite) + 1) < 1e-6);
    struct regression empty = {0};
    assert_true(regression_correlation(&empty) == 0 && regression_deviation(&empty) == 0);
}

/* The mask alone tells nothing of the mouth inside the spans, nor do another dialogue's words under this mask. */
static void mask_alone_fails(void **state) {
    (void)state;
    enum { FIT = 5, JUDGED = 5, SECONDS = 20, N = SECONDS * VIDEO_RATE };
    static float known[FIT + JUDGED][N], predicted[N];
    static struct puppet *puppets[FIT + JUDGED];
    struct mask_profile profile = {0};
    struct regression mask_only = {0}, shuffled = {0}, itself = {0};
    for (int i = 0; i < FIT + JUDGED; i++) {
        assert_int_equal(puppet_open(&puppets[i], SEED, 100 + i, 100 + i, SECONDS), OK);
        for (int f = 0; f < N; f++) known[i][f] = puppet_truth(puppets[i])[f].mouth;
        if (i < FIT) mask_profile_add(&profile, known[i], puppet_mask(puppets[i], PUPPET_AGENT), N);
    }
    for (int i = FIT; i < FIT + JUDGED; i++) {
        const float *talk = puppet_mask(puppets[i], PUPPET_AGENT);
        mask_profile_predict(&profile, talk, N, predicted);
        for (int f = 0; f < N; f++) assert_true(talk[f] > 0 ? predicted[f] > 0 : predicted[f] == 0);
        lip_pool_add(&mask_only, predicted, known[i], talk, N);
        lip_pool_add(&shuffled, known[i - FIT], known[i], talk, N);
        lip_pool_add(&itself, known[i], known[i], talk, N);
    }
    assert_true(fabs(regression_correlation(&mask_only)) < 0.15);
    assert_true(fabs(regression_correlation(&shuffled)) < 0.15);
    assert_true(regression_correlation(&itself) > 0.999 && itself.frames > 800);
    for (int i = 0; i < FIT + JUDGED; i++) puppet_close(puppets[i]);
}

/* ---- numbers worked out by hand ---- */

static void motion_by_hand(void **state) {
    (void)state;
    /* spans {0, 2} and {10, 10, 16} on x; y constant: variance (1 + 1 + 4 + 4 + 16) / 5 */
    const float position[7][2] = {{0, 5}, {2, 5}, {99, 99}, {10, 1}, {10, 1}, {16, 1}, {50, 9}};
    const float mask[7] = {1, 1, 0, 1, 1, 1, 0}, unless[7] = {0, 1, 0, 0, 0, 0, 0};
    const float value[7] = {1, 100, 100, 2, 3, 4, 100};
    struct motion_pool pool = {0}, empty = {0};
    motion_pool_add(&pool, position, mask, 7);
    assert_true(fabs(motion_pool_variance(&pool) - 26.0 / 5) < 1e-9);
    assert_true(motion_pool_variance(&empty) == 0);
    assert_true(fabs(measure_mean_while(value, mask, unless, 7) - 2.5) < 1e-9);
    assert_true(fabs(measure_mean_while(value, mask, NULL, 7) - 22) < 1e-9);
    assert_true(measure_mean_while(value, unless, unless, 7) == 0);
    const float a[4] = {1, 2, 3, 4}, b[4] = {2, 4, 6, 8}, c[4] = {1, 1, 1, 1}, d[4] = {1, -1, -1, 1};
    assert_true(fabs(correlation(a, b, 4) - 1) < 1e-9);
    assert_true(correlation(a, c, 4) == 0);
    assert_true(fabs(correlation(a, d, 4)) < 1e-9);
}

static void picture_quality(void **state) {
    (void)state;
    struct drawn *d = &people[1];
    struct clip clip = {d->clean, 20, SIDE, SIDE};
    /* the puppet's own motion hardly reaches the still parts */
    assert_true(measure_identity_psnr(&clip, d->clean, &d->marks) > 45);
    struct clip one = {d->spoilt, 1, SIDE, SIDE};
    memcpy(d->spoilt, d->clean, sizeof(float) * FRAME);
    assert_true(measure_identity_psnr(&one, d->clean, &d->marks) == 99);
    /* a change of the head alone does not count; of everything by 0.1 it is 10 log10(4 / 0.01) */
    for (int c = 0; c < 3; c++)
        for (int y = 10; y < 34; y++)
            for (int x = 24; x < 40; x++) d->spoilt[c * PLANE + y * SIDE + x] = 0;
    assert_true(measure_identity_psnr(&one, d->clean, &d->marks) == 99);
    for (int k = 0; k < FRAME; k++) d->spoilt[k] = d->clean[k] + 0.1f;
    assert_true(fabs(measure_identity_psnr(&one, d->clean, &d->marks) - 26.0206) < 1e-3);
    /* blur lowers sharpness; noise does not pass for it, but for noise */
    d->clip.count = 20;
    double sharp = measure_sharpness(&clip), flat = measure_flat_noise(&clip);
    spoil(d, 1, 0);
    struct clip spoilt = {d->spoilt, 20, SIDE, SIDE};
    assert_true(measure_sharpness(&spoilt) < 0.75 * sharp);
    assert_true(measure_flat_noise(&spoilt) < flat + 0.005);
    spoil(d, 0, 0.06f);
    assert_true(measure_flat_noise(&spoilt) > flat + 0.02);
    assert_true(fabs(measure_sharpness(&spoilt) / sharp - 1) < 0.1);
    d->clip.count = puppet_frames(d->puppet);
}

static void gradients_by_hand(void **state) {
    (void)state;
    /* half black, half white: one column in 63 has a gradient of 2, so the largest 3 % are 2 * (1/63) / 0.03 on
       average */
    static float step[FRAME];
    for (int k = 0; k < FRAME; k++) step[k] = k % SIDE < SIDE / 2 ? -1 : 1;
    struct clip clip = {step, 1, SIDE, SIDE};
    assert_true(fabs(measure_sharpness(&clip) - 2 / 63.0 / 0.03) < 0.01);
    assert_true(measure_flat_noise(&clip) < 1e-3);
}

static void motion_energy(void **state) {
    (void)state;
    static float frames[3][FRAME];
    memset(frames, 0, sizeof frames);
    for (int c = 0; c < 3; c++)
        for (int y = 8; y < 12; y++)
            for (int x = 8; x < 12; x++) frames[1][c * PLANE + y * SIDE + x] = 0.5f; /* a grey square comes and goes */
    struct clip clip = {frames[0], 3, SIDE, SIDE};
    struct box whole = {8, 8, 12, 12}, half = {8, 8, 16, 12}, away = {30, 30, 40, 40}, outside = {70, 70, 90, 90};
    float energy[3];
    measure_motion_energy(&clip, &whole, energy);
    assert_true(energy[0] == 0 && fabsf(energy[1] - 0.5f) < 1e-6f && fabsf(energy[2] - 0.5f) < 1e-6f);
    measure_motion_energy(&clip, &half, energy);
    assert_true(fabsf(energy[1] - 0.25f) < 1e-6f);
    measure_motion_energy(&clip, &away, energy);
    assert_true(energy[1] == 0);
    measure_motion_energy(&clip, &outside, energy);
    assert_true(energy[1] == 0);
    /* the mouth region of a drawn clip has the energy of its mouth's changes */
    struct drawn *d = &people[2];
    float m[2] = {d->marks.lips[0], d->marks.lips[1]};
    struct box lips = {m[0] - 6, m[1] - 4, m[0] + 6, m[1] + 8};
    int n = d->clip.count;
    float *moved = malloc(sizeof *moved * (size_t)n), *changed = calloc((size_t)n, sizeof *changed);
    d->clip.frames = d->clean;
    measure_motion_energy(&d->clip, &lips, moved);
    for (int f = 1; f < n; f++) changed[f] = fabsf(d->mouth[f] - d->mouth[f - 1]);
    assert_true(correlation(moved, changed, n) > 0.4); /* nods move the box as well */
    free(moved), free(changed);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(mouth_in_pixels),          cmocka_unit_test(mouth_is_monotone),
                                       cmocka_unit_test(hands_and_face_in_pixels), cmocka_unit_test(other_sizes),
                                       cmocka_unit_test(lip_pool_by_hand),         cmocka_unit_test(mask_alone_fails),
                                       cmocka_unit_test(motion_by_hand),           cmocka_unit_test(picture_quality),
                                       cmocka_unit_test(gradients_by_hand),        cmocka_unit_test(motion_energy)};
    return cmocka_run_group_tests(tests, draw_people, drop_people);
}
