/* test_puppet_worlds.c: the plain world stays what it was; the hard world has what its header promises; spoiled
   pictures are spoiled where and when they should be. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/error.h"
#include "data/puppet.h"

enum { SIDE = 64, FRAME = 3 * SIDE * SIDE, SEED = 7 };
#define POSE  6267.37636
#define SOUND 126.367455
#define DRAWN 6463.96765

/* A sum over numbers, each with a weight by its place, so that an exchange is noticed too. */
static double weighted(const float *values, size_t count, size_t stride) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)values[i * stride] * (0.5 + (double)(i * 7919 % 1000) / 1000);
    return sum;
}

/* Data sets of the plain world must not change when a new world is added. The sums were taken before there was another.
   The tolerance is for compilers and mathematical libraries that round otherwise; another random draw changes them by
   far more. */
static void plain_world_is_as_it_was(void **state) {
    (void)state;
    static float pixels[FRAME];
    struct puppet *p;
    assert_int_equal(puppet_open(&p, SEED, 3, 11, 5.01), OK);
    size_t frames = (size_t)puppet_frames(p), floats = sizeof(struct puppet_pose) / sizeof(float);
    const float *truth = (const float *)puppet_truth(p);
    double pose = 0, sound = 0, drawn = 0;
    for (size_t k = 0; k < floats; k++) pose += (double)(k + 1) * weighted(truth + k, frames, floats);
    for (int t = 0; t < 2; t++) sound += weighted(puppet_pcm(p, t), frames * AUDIO_SAMPLES_PER_FRAME, 1);
    for (int f = 0; f < (int)frames; f += 25) {
        assert_int_equal(puppet_draw(p, f, SIDE, SIDE, pixels), OK);
        drawn += weighted(pixels, FRAME, 1);
    }
    if (getenv("SHOW_FIGURES")) print_message("pose %.9g, sound %.9g, pictures %.9g\n", pose, sound, drawn);
    assert_true(fabs(pose - POSE) < 1e-4 * fabs(POSE));
    assert_true(fabs(sound - SOUND) < 1e-3);
    assert_true(fabs(drawn - DRAWN) < 1e-4 * fabs(DRAWN));
    puppet_close(p);
}

static struct puppet *open_hard(int person, double seconds) {
    struct puppet *p;
    assert_int_equal(puppet_open_world(&p, PUPPET_HARD, SEED, person, person, seconds), OK);
    return p;
}
static int hands_away(const struct puppet_pose *pose) {
    return pose->hand_left[1] > 1.1f && pose->hand_right[1] > 1.1f;
}

/* The first picture shows the person whole: hands up, eyes open and ahead, mouth shut, head straight. */
static void first_picture_shows_all(void **state) {
    (void)state;
    for (int person = 0; person < 12; person++) {
        struct puppet *p = open_hard(person, 2);
        const struct puppet_pose *first = puppet_truth(p);
        assert_true(first->hand_left[1] < 0.85f && first->hand_right[1] < 0.85f);
        assert_true(first->blink < 0.05f && first->mouth < 0.02f && fabsf(first->turn) < 0.02f);
        assert_true(fabsf(first->gaze[0]) < 0.05f);
        puppet_close(p);
    }
}

/* While the agent listens its hands are away and its eyes shut for 3 s or more, and both come back; now and then nobody
   speaks for 2 to 9 s. */
static void details_leave_and_return(void **state) {
    (void)state;
    int gone = 0, longest_shut = 0, returns = 0, idles = 0;
    struct puppet *p = open_hard(1, 180);
    const float *talk = puppet_mask(p, PUPPET_AGENT), *listen = puppet_mask(p, PUPPET_USER);
    for (int f = 0, away = 0, shut = 0, quiet = 0; f < puppet_frames(p); f++) {
        const struct puppet_pose *pose = &puppet_truth(p)[f];
        assert_true(!(talk[f] > 0.5f && listen[f] > 0.5f));
        if (!hands_away(pose) && away >= 3 * VIDEO_RATE) returns++;
        away = hands_away(pose) ? away + 1 : 0;
        gone += away == 3 * VIDEO_RATE;
        shut = pose->blink > 0.9f ? shut + 1 : 0;
        if (shut > longest_shut) longest_shut = shut;
        quiet = talk[f] > 0.5f || listen[f] > 0.5f ? 0 : quiet + 1;
        idles += quiet == 2 * VIDEO_RATE;
        assert_true(quiet < 9 * VIDEO_RATE + VIDEO_RATE / 2);
        int goes_on = f + 5 < puppet_frames(p) && talk[f + 5] < 0.5f; /* hands rise with the first sound */
        if (quiet > VIDEO_RATE && goes_on) assert_true(pose->mouth < 1e-3f && hands_away(pose));
    }
    assert_true(gone >= 8 && returns >= gone - 1 && idles >= 3);
    assert_true(longest_shut > 3 * VIDEO_RATE && longest_shut < 9 * VIDEO_RATE);
    puppet_close(p);
}

/* Draws share looks and voices and differ in motion; the same draw is the same again. */
static void draws_differ_in_motion_alone(void **state) {
    (void)state;
    struct puppet *p = open_hard(2, 20), *other, *again;
    assert_int_equal(puppet_open_draw(&other, p, 1), OK);
    assert_int_equal(puppet_open_draw(&again, other, 0), OK);
    size_t frames = (size_t)puppet_frames(p);
    for (int t = 0; t < 2; t++) {
        assert_memory_equal(puppet_pcm(p, t), puppet_pcm(other, t), frames * AUDIO_SAMPLES_PER_FRAME * sizeof(float));
        assert_memory_equal(puppet_mask(p, t), puppet_mask(other, t), frames * sizeof(float));
    }
    assert_memory_equal(puppet_person(p), puppet_person(other), sizeof *puppet_person(p));
    assert_memory_equal(puppet_truth(p), puppet_truth(again), frames * sizeof *puppet_truth(p));
    double mouth = 0, turn = 0;
    for (size_t f = 0; f < frames; f++) {
        mouth += fabs((double)puppet_truth(p)[f].mouth - (double)puppet_truth(other)[f].mouth);
        turn += fabs((double)puppet_truth(p)[f].turn - (double)puppet_truth(other)[f].turn);
    }
    assert_true(mouth == 0 && turn / (double)frames > 0.2);
    puppet_close(p), puppet_close(other), puppet_close(again);
}

/* Of every sentence one hand, the other or both, far or near: all six come, none much more often than it should. */
static void hands_are_chosen(void **state) {
    (void)state;
    int seen[4][2] = {{0}}, total = 0;
    for (int person = 0; person < 6; person++) {
        struct puppet *p = open_hard(person, 60);
        const float *talk = puppet_mask(p, PUPPET_AGENT);
        for (int f = 40, since = 0; f < puppet_frames(p); f++) {
            since = talk[f] > 0.5f ? since + 1 : 0;
            if (since != 20 || f < 100) continue; /* 0.8 s into a sentence; the first one is not chosen */
            const struct puppet_pose *pose = &puppet_truth(p)[f];
            int left = pose->hand_left[1] < 1, right = pose->hand_right[1] < 1;
            float up = left ? pose->hand_left[1] : pose->hand_right[1];
            seen[left + 2 * right][up < 0.80f]++;
            total++;
        }
        puppet_close(p);
    }
    assert_true(total > 40 && seen[0][0] + seen[0][1] == 0);
    for (int hands = 1; hands < 4; hands++)
        for (int far = 0; far < 2; far++) assert_in_range(seen[hands][far], 1 + total / 25, total * 2 / 5);
}

static void persons_have_details(void **state) {
    (void)state;
    struct puppet_looks a, b, plain;
    puppet_looks(&plain, SEED, 1);
    assert_int_equal(plain.detailed, 0);
    puppet_looks(&a, SEED, 1), puppet_details(&a, SEED, 1);
    puppet_looks(&b, SEED, 2), puppet_details(&b, SEED, 2);
    assert_true(memcmp(&a.nails, &b.nails, sizeof a.nails) && memcmp(&a.iris, &b.iris, sizeof a.iris));
    assert_true(a.shirt.r == plain.shirt.r && a.detailed && !a.glasses && a.stripe_count >= 1);
}

/* How much spoiling changes a picture about its left hand and, unless the view moves it, elsewhere. */
static void compare_spoiled(const struct picture_view *view, double *hands, double *elsewhere) {
    static float clean[FRAME], spoiled[FRAME];
    float left[2], right[2], lips[2];
    struct puppet *p = open_hard(0, 2);
    puppet_vary(p, view);
    assert_int_equal(puppet_draw(p, 5, SIDE, SIDE, clean), OK);
    puppet_spoil(p, PUPPET_SPOIL_HANDS);
    assert_int_equal(puppet_draw(p, 5, SIDE, SIDE, spoiled), OK);
    const struct puppet_pose *pose = &puppet_truth(p)[5];
    picture_view_place(view, pose->hand_left, left);
    picture_view_place(view, pose->hand_right, right);
    picture_view_place(view, pose->lips, lips);
    *hands = *elsewhere = 0;
    for (int i = 0; i < FRAME; i++) {
        float x = ((float)(i % SIDE) + 0.5f) / SIDE, y = ((float)(i / SIDE % SIDE) + 0.5f) / SIDE;
        double apart = fabs((double)clean[i] - (double)spoiled[i]);
        *hands += hypotf(x - left[0], y - left[1]) < 0.09f ? apart : 0;
        int out = hypotf(x - left[0], y - left[1]) > 0.22f && hypotf(x - right[0], y - right[1]) > 0.22f &&
                  hypotf(x - lips[0], y - lips[1]) > 0.17f;
        *elsewhere += out ? apart : 0;
    }
    puppet_close(p);
}

static void spoiled_hands_are_blurred(void **state) {
    (void)state;
    const struct picture_view views[] = {{.zoom = 0}, {.x = 0.15, .y = -0.12}, {.x = -0.1, .zoom = 0.1}};
    double hands, elsewhere;
    for (int k = 0; k < 3; k++) {
        compare_spoiled(&views[k], &hands, &elsewhere);
        assert_true(hands > 5 && elsewhere == 0);
    }
}

/* About half of the dialogues drift; in these the hue goes 35 degrees or more away from a window's first picture, in
   small steps. */
static void spoiled_hues_drift(void **state) {
    (void)state;
    int drifting = 0, far = 0;
    for (int dialogue = 0; dialogue < 60; dialogue++) {
        double least = 0, most = 0, before = puppet_spoil_hue(SEED, dialogue, dialogue, 0);
        for (int f = 1; f < 200; f++) {
            double hue = puppet_spoil_hue(SEED, dialogue, dialogue, f);
            assert_true(fabs(hue) <= 20 && fabs(hue - before) < 1);
            before = hue, least = fmin(least, hue), most = fmax(most, hue);
        }
        drifting += most > least;
        far += most - least > 35;
    }
    assert_in_range(drifting, 18, 42);
    assert_int_equal(far, drifting);
}

static void lists_of_what_is_spoiled(void **state) {
    (void)state;
    int spoil;
    assert_int_equal(puppet_spoil_read("", &spoil), OK);
    assert_int_equal(spoil, 0);
    assert_int_equal(puppet_spoil_read("hands,drift", &spoil), OK);
    assert_int_equal(spoil, PUPPET_SPOIL_HANDS | PUPPET_SPOIL_DRIFT);
    assert_int_equal(puppet_spoil_read("drift", &spoil), OK);
    assert_int_equal(spoil, PUPPET_SPOIL_DRIFT);
    assert_int_equal(puppet_spoil_read("hand", &spoil), ERR_USAGE);
    assert_int_equal(puppet_spoil_read("hands, drift", &spoil), ERR_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_world_is_as_it_was),  cmocka_unit_test(first_picture_shows_all),
        cmocka_unit_test(details_leave_and_return),  cmocka_unit_test(draws_differ_in_motion_alone),
        cmocka_unit_test(hands_are_chosen),          cmocka_unit_test(persons_have_details),
        cmocka_unit_test(spoiled_hands_are_blurred), cmocka_unit_test(spoiled_hues_drift),
        cmocka_unit_test(lists_of_what_is_spoiled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
