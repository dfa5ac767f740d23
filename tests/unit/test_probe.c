/* test_probe.c: what the discriminator's probe compares: each way of spoiling leaves wrong what it says and nothing
   else, drifting hues look at every frame like still ones, and areas under the curve are those of counting. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "tests/check.h"
#include "tests/unit/sample_dataset.h"
#include "tools/probe/area.h"
#include "tools/probe/pairs.h"

enum { ROWS = 20, PAIRS = 3, FRAME = SAMPLE_C * SAMPLE_H * SAMPLE_W, SOUND = SAMPLE_T * SAMPLE_D };

struct world {
    struct dataset *set;
    struct codec codec;
    struct pair_maker maker;
};

static void open_world(struct world *w) {
    const struct spoil_box hands = {0, 0.5, 1, 1}; /* the lower row of latents */
    const char *path = sample_path("probe.h5");
    CHECK(sample_dataset(path, ROWS));
    CHECK(dataset_open(&w->set, path));
    CHECK(dataset_codec(w->set, &w->codec));
    CHECK(pair_maker_open(&w->maker, w->set, &w->codec, &hands, 60, 5, PAIRS));
}

static void close_world(struct world *w) {
    pair_maker_close(&w->maker);
    codec_close(&w->codec);
    dataset_close(w->set);
}

static const float *latents(const struct world *w, enum pair_side side, int b, int frame) {
    return w->maker.batch[side].latents + ((size_t)b * SAMPLE_F + (size_t)frame) * FRAME;
}

static int same_frame(const struct world *w, int b, int frame) {
    return !memcmp(latents(w, SIDE_REAL, b, frame), latents(w, SIDE_FAKE, b, frame), FRAME * sizeof(float));
}

static int same_sound(const struct world *w, int b) {
    const struct loader_batch *r = &w->maker.batch[SIDE_REAL], *f = &w->maker.batch[SIDE_FAKE];
    size_t sound = (size_t)b * SOUND, mask = (size_t)b * SAMPLE_T;
    return !memcmp(r->talk_audio + sound, f->talk_audio + sound, SOUND * sizeof(float)) &&
           !memcmp(r->listen_audio + sound, f->listen_audio + sound, SOUND * sizeof(float)) &&
           !memcmp(r->talk + mask, f->talk + mask, SAMPLE_T * sizeof(float)) &&
           !memcmp(r->listen + mask, f->listen + mask, SAMPLE_T * sizeof(float));
}

/* Frame 0 is never spoiled; with hands, noise and hue all later ones are, with another person the second half. */
static void pictures_are_spoiled(void **state) {
    (void)state;
    static const enum spoil kinds[] = {SPOIL_HANDS, SPOIL_NOISE, SPOIL_HUE, SPOIL_PERSON};
    struct world w;
    open_world(&w);
    for (int k = 0; k < 4; k++) {
        CHECK(pair_maker_next(&w.maker, SPLIT_TRAIN, kinds[k], 4));
        for (int b = 0; b < PAIRS; b++) {
            assert_true(same_frame(&w, b, 0));
            assert_true(same_frame(&w, b, 1) == (kinds[k] == SPOIL_PERSON));
            assert_false(same_frame(&w, b, 2));
            assert_true(same_sound(&w, b) == (kinds[k] != SPOIL_PERSON));
        }
    }
    close_world(&w);
}

/* The sample's rows tell by their numbers whose sound a picture has. */
static int is_heard(const struct loader_batch *batch, int b, int t, const float *sound) {
    int at = b * SAMPLE_T + t;
    return batch->talk[at] != 0 && batch->talk_audio[at * SAMPLE_D] == sound[t * SAMPLE_D];
}

/* Where the person changes no latent frame hears both, and the real clip is as silent there as the fake one. */
static void each_frame_hears_one_person(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    CHECK(pair_maker_next(&w.maker, SPLIT_TRAIN, SPOIL_PERSON, 4));
    for (int b = 0; b < PAIRS; b++) {
        const struct loader_batch *r = &w.maker.batch[SIDE_REAL], *f = &w.maker.batch[SIDE_FAKE];
        const float *own = r->talk_audio + b * SOUND;
        int others = 0;
        for (int i = 1; i < SAMPLE_F; i++) {
            int heard[2] = {0};
            for (int t = i > 1 ? (int)video_frames(i) - AUDIO_MARGIN : 0;
                 t < video_frames(i + 1) + AUDIO_MARGIN && t < SAMPLE_T; t++)
                if (f->talk[b * SAMPLE_T + t] != 0) heard[is_heard(f, b, t, own)]++;
            assert_true(!heard[0] || !heard[1]);
            others += heard[0] > 0;
        }
        assert_int_equal(others, 1); /* the sample's second half is one latent frame */
        assert_memory_equal(r->talk + b * SAMPLE_T, f->talk + b * SAMPLE_T, SAMPLE_T * sizeof(float));
        assert_true(r->talk[b * SAMPLE_T] == 1 && r->talk[b * SAMPLE_T + SAMPLE_T - 1] == 1);
    }
    close_world(&w);
}

/* Outside of its region a blur changes no bit. */
static void hands_alone_are_blurred(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    CHECK(pair_maker_next(&w.maker, SPLIT_HELD_OUT, SPOIL_HANDS, 0));
    for (int b = 0; b < PAIRS; b++)
        for (int f = 0; f < SAMPLE_F; f++)
            for (int c = 0; c < SAMPLE_C; c++)
                assert_memory_equal(latents(&w, SIDE_REAL, b, f) + c * SAMPLE_H * SAMPLE_W,
                                    latents(&w, SIDE_FAKE, b, f) + c * SAMPLE_H * SAMPLE_W, SAMPLE_W * sizeof(float));
    close_world(&w);
}

/* A clip that is not spoiled is the set's own, of another person, with its own sound. */
static void others_are_whole(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    for (uint64_t first = 0; first < 12; first += PAIRS) {
        CHECK(pair_maker_next(&w.maker, SPLIT_TRAIN, SPOIL_NONE, first));
        for (int b = 0; b < PAIRS; b++) {
            int row[SIDES];
            for (int s = 0; s < SIDES; s++) {
                row[s] = (int)latents(&w, s, b, 0)[0];
                for (int i = 0; i < SAMPLE_LATENTS; i++)
                    assert_true(latents(&w, s, b, 0)[i] == sample_latent(row[s], i));
                for (int i = 0; i < SOUND; i++) {
                    assert_true(w.maker.batch[s].talk_audio[b * SOUND + i] == sample_audio(row[s], i));
                    assert_true(w.maker.batch[s].listen_audio[b * SOUND + i] == sample_audio(row[s], SOUND + i));
                }
            }
            assert_int_not_equal(row[SIDE_REAL] % 3, row[SIDE_FAKE] % 3);
        }
    }
    close_world(&w);
}

static void sound_is_late(void **state) {
    (void)state;
    enum { LATE = 8 };
    struct world w;
    open_world(&w);
    CHECK(pair_maker_next(&w.maker, SPLIT_TRAIN, SPOIL_SOUND, 0));
    for (int b = 0; b < PAIRS; b++) {
        const struct loader_batch *r = &w.maker.batch[SIDE_REAL], *f = &w.maker.batch[SIDE_FAKE];
        for (int frame = 0; frame < SAMPLE_F; frame++) assert_true(same_frame(&w, b, frame));
        for (int t = 0; t < SAMPLE_T; t++) {
            int at = b * SAMPLE_T + t;
            if (t < LATE) assert_true(r->talk[at] == 0 && f->talk[at] == 0 && r->listen[at] == 0 && f->listen[at] == 0);
            for (int d = 0; t >= LATE && d < SAMPLE_D; d++)
                assert_true(f->talk_audio[at * SAMPLE_D + d] == r->talk_audio[(at - LATE) * SAMPLE_D + d]);
        }
        assert_true(r->talk[b * SAMPLE_T + LATE] == 1);
    }
    close_world(&w);
}

/* A rotation of hues leaves grey as it is, and a third of a turn exchanges the colours. */
static void hues_turn(void **state) {
    (void)state;
    float pixel[3][2] = {{0.4f, 0.2f}, {-0.1f, 0.2f}, {-0.6f, 0.2f}};
    const struct pictures one = {&pixel[0][0], 1, 1, 2};
    spoil_hue(&one, 0, 120);
    const float turned[3] = {-0.6f, 0.4f, -0.1f};
    for (int c = 0; c < 3; c++) {
        assert_true(fabsf(pixel[c][0] - turned[c]) < 1e-6f);
        assert_true(fabsf(pixel[c][1] - 0.2f) < 1e-6f);
    }
}

/* Over even starts the angles of every frame are even on the circle, as the first one's are; each clip drifts alike. */
static void drifting_hues_look_still(void **state) {
    (void)state;
    enum { STARTS = 360, F = 13 };
    for (int f = 0; f < F; f++) {
        int seen[STARTS] = {0};
        for (int i = 0; i < STARTS; i++) {
            double angle = spoil_hue_angle((double)i / STARTS, 60, f, F);
            seen[(int)lround(angle) % STARTS]++;
            double moved = fmod(angle - spoil_hue_angle((double)i / STARTS, 60, 0, F) + 360, 360);
            assert_true(fabs(moved - 60.0 * f / (F - 1)) < 1e-9);
        }
        for (int i = 0; i < STARTS; i++) assert_int_equal(seen[i], 1);
    }
}

/* ---- areas ---- */

enum { JUDGED = 40, EACH = 6 };
struct judged {
    double real_ones[JUDGED * EACH], fake_ones[JUDGED * EACH];
    int clip[JUDGED];
};

/* Logits on a coarse grid, so that many are equal, in clips of two pairs. */
static struct judged_logits draw(struct judged *j, double shift) {
    const struct random_address at = {.seed = 3, .purpose = RANDOM_TEST};
    for (int i = 0; i < JUDGED * EACH; i++) {
        j->real_ones[i] = floor(8 * random_uniform(&at, (uint32_t)(2 * i)) + shift);
        j->fake_ones[i] = floor(8 * random_uniform(&at, (uint32_t)(2 * i + 1)));
        j->clip[i / EACH] = 7 * (i / EACH / 2);
    }
    return (struct judged_logits){JUDGED, EACH, j->real_ones, j->fake_ones, j->clip};
}

static double counted(const struct judged *j) {
    double sum = 0;
    for (int a = 0; a < JUDGED * EACH; a++)
        for (int b = 0; b < JUDGED * EACH; b++)
            sum += j->real_ones[a] > j->fake_ones[b] ? 1 : j->real_ones[a] == j->fake_ones[b] ? 0.5 : 0;
    return sum / (JUDGED * EACH) / (JUDGED * EACH);
}

static void areas_are_counted(void **state) {
    (void)state;
    struct judged j;
    struct bootstrap_interval area;
    for (int shift = -8; shift <= 8; shift += 2) {
        struct judged_logits logits = draw(&j, shift);
        CHECK(area_interval(&logits, 1, &area));
        assert_true(fabs(area.value - counted(&j)) < 1e-12);
        assert_true(area.low <= area.value && area.value <= area.high);
        if (shift == 0) assert_true(area.low < 0.5 && area.high > 0.5);
        if (shift == 8) assert_true(area.low == 1 && area.high == 1);
        if (shift == -8) assert_true(area.low == 0 && area.high == 0);
    }
}

/* One clip has no interval. */
static void one_clip(void **state) {
    (void)state;
    struct judged j;
    struct bootstrap_interval area;
    struct judged_logits logits = draw(&j, 1);
    memset(j.clip, 0, sizeof j.clip);
    CHECK(area_interval(&logits, 1, &area));
    assert_true(area.low == area.value && area.high == area.value);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pictures_are_spoiled),
                                       cmocka_unit_test(each_frame_hears_one_person),
                                       cmocka_unit_test(hands_alone_are_blurred),
                                       cmocka_unit_test(others_are_whole),
                                       cmocka_unit_test(sound_is_late),
                                       cmocka_unit_test(hues_turn),
                                       cmocka_unit_test(drifting_hues_look_still),
                                       cmocka_unit_test(areas_are_counted),
                                       cmocka_unit_test(one_clip)};
    return cmocka_run_group_tests(tests, NULL, sample_remove);
}
