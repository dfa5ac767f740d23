/* test_puppet.c: the puppet is a pure function of its numbers; voices, masks, truth and picture agree. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/error.h"
#include "data/puppet.h"
#include "data/puppet_drawing.h"
#include "data/puppet_script.h"

enum { SIDE = 64, FRAME = 3 * SIDE * SIDE };

static struct puppet *open_puppet(int identity, int utterance, double seconds) {
    struct puppet *p;
    assert_int_equal(puppet_open(&p, 7, identity, utterance, seconds), OK);
    return p;
}

static int same_dialogue(const struct puppet *a, const struct puppet *b) {
    size_t frames = (size_t)puppet_frames(a);
    int same = puppet_frames(b) == (int)frames;
    for (int t = 0; t < 2 && same; t++)
        same = !memcmp(puppet_pcm(a, t), puppet_pcm(b, t), frames * AUDIO_SAMPLES_PER_FRAME * sizeof(float)) &&
               !memcmp(puppet_mask(a, t), puppet_mask(b, t), frames * sizeof(float));
    return same && !memcmp(puppet_truth(a), puppet_truth(b), frames * sizeof *puppet_truth(a));
}

static void pure_function(void **state) {
    (void)state;
    static float pixels[2][FRAME];
    struct puppet *first = open_puppet(3, 11, 5), *other = open_puppet(3, 12, 5);
    (void)rand(); /* flite's noise must not depend on who drew from rand() before */
    struct puppet *again = open_puppet(3, 11, 5), *person = open_puppet(4, 11, 5);
    assert_true(same_dialogue(first, again));
    assert_false(same_dialogue(first, other));
    assert_false(same_dialogue(first, person));
    for (int i = 90; i >= 0; i -= 30) puppet_draw(first, i, SIDE, SIDE, pixels[0]); /* any order */
    puppet_draw(again, 0, SIDE, SIDE, pixels[1]);
    assert_memory_equal(pixels[0], pixels[1], sizeof pixels[0]);
    puppet_draw(person, 0, SIDE, SIDE, pixels[1]);
    assert_true(memcmp(pixels[0], pixels[1], sizeof pixels[0]));
    puppet_close(first), puppet_close(other), puppet_close(again), puppet_close(person);
}

static double frame_power(const float *pcm, int frame) {
    double sum = 0;
    for (int k = 0; k < AUDIO_SAMPLES_PER_FRAME; k++) {
        double x = pcm[(size_t)frame * AUDIO_SAMPLES_PER_FRAME + (size_t)k];
        sum += x * x;
    }
    return sum / AUDIO_SAMPLES_PER_FRAME;
}

/* Sound where the mask is on, hardly any where it is off. */
static void masks_follow_sound(void **state) {
    (void)state;
    struct puppet *p = open_puppet(1, 1, 20);
    for (int track = 0; track < 2; track++) {
        const float *mask = puppet_mask(p, track);
        double on = 0, off = 0;
        int frames_on = 0, frames_off = 0;
        for (int i = 0; i < puppet_frames(p); i++)
            if (mask[i] > 0.5f)
                on += frame_power(puppet_pcm(p, track), i), frames_on++;
            else
                off += frame_power(puppet_pcm(p, track), i), frames_off++;
        assert_true(frames_on > 100 && frames_off > 100);
        assert_true(on / frames_on > 300 * off / frames_off);
        assert_true(fabs(sqrt(on / frames_on) - SCRIPT_LOUDNESS) < 0.3 * SCRIPT_LOUDNESS);
    }
    puppet_close(p);
}

/* Correlation of mouth opening with the loudness `lag` frames later, while talking. */
static double mouth_with_sound(const struct puppet *p, int lag) {
    const float *talk = puppet_mask(p, PUPPET_AGENT);
    double sum[5] = {0}, n = 0;
    for (int i = 5; i < puppet_frames(p) - 5; i++) {
        int inside = 1;
        for (int k = -5; k <= 5; k++) inside &= talk[i + k] > 0.5f;
        if (!inside) continue;
        double x = puppet_truth(p)[i].mouth, y = sqrt(frame_power(puppet_pcm(p, PUPPET_AGENT), i + lag));
        sum[0] += x, sum[1] += y, sum[2] += x * x, sum[3] += y * y, sum[4] += x * y, n++;
    }
    return (n * sum[4] - sum[0] * sum[1]) / sqrt((n * sum[2] - sum[0] * sum[0]) * (n * sum[3] - sum[1] * sum[1]));
}

static void mouth_moves_with_the_voice(void **state) {
    (void)state;
    for (int voice = 0; voice < 3; voice++) {
        struct puppet *p = open_puppet(voice, 5, 25);
        int best = -4;
        for (int lag = -3; lag <= 3; lag++)
            if (best == -4 || mouth_with_sound(p, lag) > mouth_with_sound(p, best)) best = lag;
        assert_in_range(best + 1, 0, 2);
        assert_true(mouth_with_sound(p, best) > 0.2); /* loudness is not opening: a nasal is loud */
        assert_true(mouth_with_sound(p, best) > mouth_with_sound(p, -3) + 0.1);
        puppet_close(p);
    }
}

/* Mouth shut and hands at rest when the agent has long been silent; nods only to the user's voice. */
static void body_follows_who_speaks(void **state) {
    (void)state;
    struct puppet *p = open_puppet(2, 9, 40);
    const float *talk = puppet_mask(p, PUPPET_AGENT), *listen = puppet_mask(p, PUPPET_USER);
    const struct puppet_pose *truth = puppet_truth(p);
    int quiet_agent = 0, quiet_user = 0;
    double nods = 0, mouths = 0, listening = 0, talking = 0;
    for (int i = 0, since_talk = 0, since_listen = 0; i < puppet_frames(p) - 3; i++) {
        since_talk = talk[i] > 0 || talk[i + 1] > 0 || talk[i + 2] > 0 || talk[i + 3] > 0 ? 0 : since_talk + 1;
        since_listen = listen[i] > 0 ? 0 : since_listen + 1;
        assert_true(truth[i].mouth >= 0 && truth[i].mouth <= 1 && truth[i].nod >= 0 && truth[i].nod <= 1);
        if (since_talk > 5) assert_true(truth[i].mouth < 1e-3f);
        if (since_talk > 20) assert_true(truth[i].hand_left[1] > 0.9f && truth[i].hand_right[1] > 0.9f), quiet_agent++;
        if (since_listen > 12) assert_true(truth[i].nod < 0.02f), quiet_user++;
        if (listen[i] > 0) nods += truth[i].nod, listening++;
        if (talk[i] > 0) mouths += truth[i].mouth, talking++;
        for (int k = 0; k < 2; k++) {
            assert_true(truth[i].hand_left[k] > 0.05f && truth[i].hand_left[k] < 1);
            assert_true(truth[i].hand_right[k] > 0.05f && truth[i].hand_right[k] < 1);
        }
    }
    assert_true(quiet_agent > 50 && quiet_user > 50);
    assert_true(nods / listening > 0.2);
    assert_true(mouths / talking > 0.25);
    puppet_close(p);
}

static void phones_of_speech(void **state) {
    (void)state;
    for (int speaker = 0; speaker < SCRIPT_VOICES; speaker++) {
        struct script_voice voice = {speaker, 1, 1}, slow = {speaker, 1.3, 1};
        struct script_speech speech, longer;
        assert_int_equal(script_say(&speech, &voice, "Maybe my papa bought a map.", 1), OK);
        assert_int_equal(script_say(&longer, &slow, "Maybe my papa bought a map.", 1), OK);
        assert_true(longer.samples > 1.15 * (double)speech.samples);
        int lips = 0, stressed = 0;
        float end = 0;
        for (int i = 0; i < speech.phone_count; i++) {
            const struct script_phone *p = &speech.phones[i];
            assert_true(p->end > p->start && (i == 0 || fabsf(p->start - end) < 1e-4f));
            end = p->end;
            lips += !strcmp(p->name, "p") || !strcmp(p->name, "b") || !strcmp(p->name, "m");
            stressed += p->stressed;
        }
        assert_string_equal(speech.phones[0].name, "m");
        assert_string_equal(speech.phones[speech.phone_count - 1].name, "p");
        assert_int_equal(lips, 8); /* maybe my papa bought map */
        assert_in_range(stressed, 4, 8);
        assert_true(end <= (float)speech.samples / AUDIO_RATE + 1e-3f);
        script_free(&speech), script_free(&longer);
    }
    struct script_voice voice = {0, 1, 1};
    struct script_speech nothing;
    assert_int_equal(script_say(&nothing, &voice, "", 1), ERR_INPUT);
    assert_null(nothing.pcm);
}

static void sentences_differ(void **state) {
    (void)state;
    char text[40][SCRIPT_TEXT];
    int same = 0;
    for (int i = 0; i < 40; i++) {
        struct puppet_dice dice = puppet_dice(1, 0, i, PUPPET_SCRIPT);
        script_sentence(&dice, text[i]);
        assert_in_range(strlen(text[i]), 15, SCRIPT_TEXT - 2);
        for (int k = 0; k < i; k++) same += !strcmp(text[i], text[k]);
    }
    assert_int_equal(same, 0);
}

/* Darkness around the lips of one person drawn with a given opening. */
static double darkness(const struct puppet_looks *looks, float mouth) {
    static float pixels[FRAME];
    struct puppet_canvas *canvas;
    struct puppet_pose pose = {.mouth = mouth,
                               .head = {0.5f, 0.335f},
                               .lips = {0.5f, 0.423f},
                               .hand_left = {0.3f, 0.9f},
                               .hand_right = {0.7f, 0.9f}};
    assert_int_equal(puppet_canvas_open(&canvas, SIDE, SIDE, looks, &(struct picture_view){0}), OK);
    puppet_canvas_draw(canvas, &pose, pixels);
    puppet_canvas_close(canvas);
    double sum = 0;
    for (int y = 25; y < 33; y++)
        for (int x = 29; x < 35; x++)
            for (int c = 0; c < 3; c++) sum -= pixels[(c * SIDE + y) * SIDE + x];
    return sum;
}

static void picture_shows_the_truth(void **state) {
    (void)state;
    static float square[FRAME], wide[3 * SIDE * 2 * SIDE];
    struct puppet *p = open_puppet(5, 5, 2);
    assert_int_equal(puppet_draw(p, 20, SIDE, SIDE, square), OK);
    assert_int_equal(puppet_draw(p, 20, SIDE, 2 * SIDE, wide), OK);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                float v = square[(c * SIDE + y) * SIDE + x];
                assert_true(v >= -1 && v <= 1);
                assert_true(fabsf(v - wide[(c * SIDE + y) * 2 * SIDE + x + SIDE / 2]) < 1e-6f);
            }
    puppet_close(p);
    for (int identity = 0; identity < 8; identity++) {
        struct puppet_looks looks;
        puppet_looks(&looks, 3, identity);
        assert_true(darkness(&looks, 0.2f) > darkness(&looks, 0)); /* the line between shut lips is dark as well */
        for (int step = 1; step < 10; step++)
            assert_true(darkness(&looks, 0.1f * (float)step + 0.1f) > darkness(&looks, 0.1f * (float)step));
    }
}

static void wrong_requests(void **state) {
    (void)state;
    static float pixels[FRAME];
    struct puppet *p;
    assert_int_equal(puppet_open(&p, 1, 1, 1, 0.1), ERR_USAGE);
    assert_null(p);
    assert_int_equal(puppet_open(&p, 1, 1, 1, NAN), ERR_USAGE);
    p = open_puppet(1, 1, 1);
    assert_int_equal(puppet_frames(p), VIDEO_RATE);
    assert_int_equal(puppet_draw(p, VIDEO_RATE, SIDE, SIDE, pixels), ERR_USAGE);
    assert_int_equal(puppet_draw(p, -1, SIDE, SIDE, pixels), ERR_USAGE);
    assert_int_equal(puppet_draw(p, 0, 4, SIDE, pixels), ERR_USAGE);
    assert_int_equal(puppet_draw(p, 0, SIDE, SIDE, pixels), OK);
    puppet_close(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pure_function),
                                       cmocka_unit_test(masks_follow_sound),
                                       cmocka_unit_test(mouth_moves_with_the_voice),
                                       cmocka_unit_test(body_follows_who_speaks),
                                       cmocka_unit_test(phones_of_speech),
                                       cmocka_unit_test(sentences_differ),
                                       cmocka_unit_test(picture_shows_the_truth),
                                       cmocka_unit_test(wrong_requests)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
