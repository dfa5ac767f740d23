/* test_figures.c: the evaluation's figures on puppet dialogues that were spoiled in one way each, through a codec
   that was fitted on other persons: every figure must be where the spoiling puts it, and where it was for what the
   spoiling leaves alone. The codec's copy of the truth is the yardstick, so it has 1 everywhere. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoints/feature_file.h"
#include "data/puppet_drawing.h"
#include "kernels/device.h"
#include "model/codec/codec.h"
#include "model/params/transfer.h"
#include "tests/check.h"
#include "tests/folder.h"
#include "tools/evaluate/figures.h"

enum { SIDE = 64, FRAME = 3 * SIDE * SIDE, SEED = 7, SECONDS = 20, DIALOGUES = 2, LATE = 3 };

/* What is done to the truth. */
enum spoiling {
    COPY,    /* nothing */
    DRAWN,   /* not even the codec */
    DAMPED,  /* mouth, hands and head move 0.6 as far */
    DELAYED, /* the video comes LATE frames late */
    OTHERS,  /* another dialogue's motion */
    NO_HANDS,
    BLURRED,
    HANDS_BLURRED,
    STRANGER,   /* another person's looks, the same motion */
    DRIFTING,   /* brighter and brighter */
    FLICKERING, /* every other frame is brighter */
    STILL,      /* the reference, again and again */
    SPOILINGS
};

static struct codec codec, encoder;
static struct feature_reader *reader;
static struct copy_halves halves;
static struct source_totals totals[DIALOGUES][SPOILINGS];
static struct shift_sums shifts[SPOILINGS][FOLLOWED];

/* ---- the codec ---- */

struct training {
    struct puppet *puppet;
    int person, frame;
};
static int next_group(void *user, float *group) {
    struct training *t = user;
    if (t->puppet && t->frame + FRAMES_PER_LATENT > puppet_frames(t->puppet)) {
        puppet_close(t->puppet);
        t->puppet = NULL;
    }
    if (!t->puppet) {
        if (t->person == 24) return 0;
        CHECK(puppet_open(&t->puppet, SEED, t->person, t->person, 3));
        t->person++;
        t->frame = 1;
    }
    for (int f = 0; f < FRAMES_PER_LATENT; f++)
        CHECK(puppet_draw(t->puppet, t->frame++, SIDE, SIDE, group + f * FRAME));
    return 1;
}

/* ---- spoiled pictures ---- */

static struct puppet_pose damp(struct puppet_pose pose, const struct puppet_pose *rest) {
    const double keep = 0.6;
    float *value = (float *)&pose;
    const float *still = (const float *)rest;
    for (size_t i = 0; i < sizeof pose / sizeof *value; i++)
        value[i] = (float)(still[i] + keep * (value[i] - still[i]));
    return pose;
}

/* A low-pass of 1 2 1 each way, twice, from row `top` down. */
static void blur(float *frame, int top) {
    static float from[FRAME];
    for (int pass = 0; pass < 4; pass++) {
        memcpy(from, frame, sizeof from);
        int step = pass % 2 ? SIDE : 1;
        for (int i = step; i < FRAME - step; i++)
            if (i / SIDE % SIDE >= top) frame[i] = 0.25f * (from[i - step] + 2 * from[i] + from[i + step]);
    }
}

struct drawing {
    struct puppet *truth, *other;
    struct puppet_canvas *canvas, *stranger;
    struct puppet_pose mean;
};
static void draw(struct drawing *d, enum spoiling how, int f, float *frame) {
    const struct puppet_pose *truth = puppet_truth(d->truth);
    struct puppet_pose pose = truth[f];
    if (how == DAMPED) pose = damp(pose, &d->mean);
    if (how == DELAYED) pose = truth[f > LATE ? f - LATE : 0];
    if (how == OTHERS) pose = puppet_truth(d->other)[f];
    if (how == NO_HANDS) pose.hand_left[1] = pose.hand_right[1] = 3;
    if (how == STILL) pose = truth[0];
    puppet_canvas_draw(how == STRANGER ? d->stranger : d->canvas, &pose, frame);
    if (how == BLURRED || how == HANDS_BLURRED) blur(frame, how == BLURRED ? 0 : 3 * SIDE / 4);
    float brighter = how == DRIFTING     ? 0.2f * (float)f / (60 * VIDEO_RATE)
                     : how == FLICKERING ? 0.04f * (float)(f % 2)
                                         : 0;
    for (int i = 0; i < FRAME; i++) frame[i] += brighter;
}

/* The mean pose, but with the mouth shut as at rest. */
static struct puppet_pose mean_pose(const struct puppet *puppet) {
    struct puppet_pose mean = {0};
    float *sum = (float *)&mean;
    int frames = puppet_frames(puppet);
    for (int f = 0; f < frames; f++)
        for (size_t i = 0; i < sizeof mean / sizeof *sum; i++)
            sum[i] += ((const float *)&puppet_truth(puppet)[f])[i] / (float)frames;
    mean.mouth = 0;
    return mean;
}

static void measure(struct trial *trial, struct drawing *d, enum spoiling how, int dialogue) {
    static float group[FRAMES_PER_LATENT * FRAME], latent[48 * 64];
    struct trial_measures m;
    CHECK(trial_measures_open(&m, trial));
    codec_encode_reset(&codec);
    codec_decode_begin(&codec, trial->reference);
    assert_int_equal(codec_encode(&codec, trial->reference, 1, latent), 1);
    assert_int_equal(codec_decode_host(&codec, latent, 1, group), 1);
    for (int f = 1; f + FRAMES_PER_LATENT <= trial->frames; f += FRAMES_PER_LATENT) {
        for (int i = 0; i < FRAMES_PER_LATENT; i++) draw(d, how, f + i, group + i * FRAME);
        if (how != DRAWN) {
            assert_int_equal(codec_encode(&codec, group, FRAMES_PER_LATENT, latent), 1);
            assert_int_equal(codec_decode_host(&codec, latent, 1, group), FRAMES_PER_LATENT);
        }
        for (int i = 0; i < FRAMES_PER_LATENT; i++) CHECK(trial_take(&m, f + i, group + i * FRAME));
    }
    if (how == COPY) CHECK(trial_set_copy(trial, &m, &halves));
    struct shift_sums own[FOLLOWED];
    memset(own, 0, sizeof own);
    CHECK(source_add(&totals[dialogue][how], own, &m));
    shift_sums_merge(shifts[how], own, FOLLOWED);
    if (how == OTHERS || how == DAMPED) trial_add_spread(totals[dialogue][how].spread, &m);
    if (how == DRAWN) trial_keep_rollout(trial, &m);
    trial_measures_close(&m);
}

/* A network of features with random weights, which is enough to tell pictures apart, through its file. */
static void open_features(void) {
    static const struct feature_config config = {SIDE, SIDE, 2, {8, 12, 16}, 16, 8, 4};
    char folder[FOLDER_MAX], path[FILE_PATH_MAX];
    struct feature_net net;
    assert_int_equal(folder_make(folder, "features"), 0);
    CHECK(file_join(path, sizeof path, folder, "net"));
    CHECK(feature_net_create(&net, &config));
    long total = (long)net.table.total;
    real *master = device_alloc((size_t)total * sizeof *master);
    float *values = malloc((size_t)total * sizeof *values);
    params_initialise(master, &net.table, SEED);
    transfer_from_real(values, master, total);
    CHECK(feature_file_save(path, &net, values, NULL));
    CHECK(feature_reader_open(&reader, path, SIDE, SIDE));
    struct feature_reader *wrong;
    assert_int_equal(feature_reader_open(&wrong, path, 2 * SIDE, SIDE), ERR_INPUT);
    folder_remove(folder);
    device_free(master);
    free(values);
    feature_net_destroy(&net);
}

static int set_up(void **state) {
    (void)state;
    CHECK(device_init(1));
    open_features();
    static const struct codec_fit fit = {SIDE, SIDE, 8, 48, 0.5, 4};
    static const struct picture_view plain;
    struct training training = {0};
    CHECK(codec_fit(&codec, "pca", &fit, next_group, &training));
    CHECK(codec_share(&encoder, &codec));
    for (int i = 0; i < DIALOGUES; i++) {
        struct trial trial;
        struct drawing d;
        struct puppet_looks looks;
        CHECK(trial_open(&trial, SEED, TRIAL_DEVELOPMENT, i, SECONDS, SIDE, SIDE));
        trial_use_encoder(&trial, &encoder);
        CHECK(trial_use_features(&trial, reader));
        CHECK(puppet_open(&d.other, SEED, TRIAL_DEVELOPMENT + i, TRIAL_DEVELOPMENT + 50 + i, SECONDS));
        puppet_looks(&looks, SEED, TRIAL_DEVELOPMENT + i);
        CHECK(puppet_canvas_open(&d.canvas, SIDE, SIDE, &looks, &plain));
        puppet_looks(&looks, SEED, TRIAL_DEVELOPMENT + 60 + i);
        CHECK(puppet_canvas_open(&d.stranger, SIDE, SIDE, &looks, &plain));
        d.truth = trial.puppet;
        d.mean = mean_pose(d.truth);
        for (int how = 0; how < SPOILINGS; how++) measure(&trial, &d, how, i);
        puppet_canvas_close(d.canvas);
        puppet_canvas_close(d.stranger);
        puppet_close(d.other);
        trial_close(&trial);
    }
    return 0;
}
static struct bootstrap_interval *over_copy, *differences;
static double *over_drawn;
static const struct figure_pair pair = {DAMPED, COPY};

static double of(enum spoiling how, const char *name) {
    for (int f = 0; f < figure_count; f++)
        if (!strcmp(figures[f].name, name)) return over_copy[how * figure_count + f].value;
    fail_msg("no figure %s", name);
    return 0;
}
static void within(enum spoiling how, const char *name, double low, double high) {
    double value = of(how, name);
    if (!(value >= low && value <= high)) fail_msg("spoiling %d, %s: %g, not %g to %g", how, name, value, low, high);
}

static void compute(void **state) {
    (void)state;
    const struct source_totals *all[DIALOGUES * SPOILINGS];
    for (int i = 0; i < DIALOGUES * SPOILINGS; i++) all[i] = &totals[i / SPOILINGS][i % SPOILINGS];
    const struct figure_table table = {DIALOGUES, SPOILINGS, COPY, DRAWN, all};
    over_copy = malloc(sizeof *over_copy * (size_t)(SPOILINGS * figure_count));
    over_drawn = malloc(sizeof *over_drawn * (size_t)(SPOILINGS * figure_count));
    differences = malloc(sizeof *differences * (size_t)figure_count);
    CHECK(figures_compute(&table, 1, &pair, 1, over_copy, over_drawn, differences));
    if (getenv("SHOW_FIGURES")) /* prints a table to look at: a line for each figure, a column for each spoiling */
        for (int f = 0; f < figure_count; f++) {
            print_message("%-24s", figures[f].name);
            for (int s = 0; s < SPOILINGS; s++) print_message("%9.3f", over_copy[s * figure_count + f].value);
            print_message("\n");
        }
}

/* The copy over itself is 1; the drawing is better than the copy; over the drawing the copy is less than 1. */
static void the_copy_is_the_yardstick(void **state) {
    (void)state;
    for (int f = 0; f < figure_count; f++)
        if (figures[f].is_ratio && !strstr(figures[f].name, "_residual"))
            assert_true(fabs(over_copy[COPY * figure_count + f].value - 1) < 1e-9);
    static const char *const better[] = {"mouth_slope", "mouth_correlation", "hands_correlation", "sharpness"};
    for (size_t i = 0; i < sizeof better / sizeof *better; i++) within(DRAWN, better[i], 1, 2);
    for (int f = 0; f < figure_count; f++)
        if (!strcmp(figures[f].name, "sharpness") || !strcmp(figures[f].name, "mouth_slope"))
            assert_true(over_drawn[COPY * figure_count + f] < 1 && over_drawn[DRAWN * figure_count + f] == 1);
}

static void damped_motion_has_its_slope(void **state) {
    (void)state;
    within(DAMPED, "mouth_slope", 0.45, 0.75);
    within(DAMPED, "hands_slope", 0.5, 0.7);
    within(DAMPED, "nod_slope", 0.45, 0.75);
    within(DAMPED, "hands_correlation", 0.95, 1.05);
    within(DAMPED, "hands_lag_ms", -10, 10);
    within(DAMPED, "sharpness", 0.97, 1.03);
    for (int f = 0; f < figure_count; f++)
        if (!strcmp(figures[f].name, "hands_slope")) {
            assert_true(differences[f].high < -0.2);
            assert_true(fabs(differences[f].value - (of(DAMPED, "hands_slope") - 1)) < 1e-12);
        }
}

static void delayed_motion_is_late(void **state) {
    (void)state;
    const double late = 1e3 * LATE / VIDEO_RATE;
    within(DELAYED, "mouth_lag_ms", late - 15, late + 15);
    within(DELAYED, "hands_lag_ms", late - 15, late + 15);
    within(DELAYED, "nod_lag_ms", late - 20, late + 20);
    within(COPY, "mouth_lag_ms", -15, 15);
    within(DELAYED, "mouth_correlation", -0.2, 0.7);
    within(DELAYED, "mouth_best_correlation", of(COPY, "mouth_best_correlation") - 0.06, 1);
    within(DELAYED, "hands_residual", 0.35, 1); /* hands are slow: their slope hardly falls */
    within(DELAYED, "hands_found", 0.97, 1.03);
}

/* As much motion, and none of it where it belongs. */
static void another_s_motion_fails(void **state) {
    (void)state;
    within(OTHERS, "mouth_slope", -0.25, 0.25);
    within(OTHERS, "hands_correlation", -0.35, 0.35);
    within(OTHERS, "hands_residual", 0.7, 2.5);
    within(OTHERS, "hands_found", 0.97, 1.03);
    for (int i = 0; i < FOLLOWED; i++) {
        struct chance_test in_place = shift_sums_test(&shifts[COPY][i]), other = shift_sums_test(&shifts[OTHERS][i]);
        assert_true(in_place.z > 4 && in_place.p < 1.5 / (1 + SHIFTS));
        assert_true(other.z < 3.5 && fabs(in_place.mean) < 0.15);
    }
}

static void hands_that_are_gone_are_missed(void **state) {
    (void)state;
    within(NO_HANDS, "hands_found", 0, 0.2);
    within(COPY, "hands_found", 1, 1);
    within(NO_HANDS, "hands_correlation", -0.4, 0.4);
    within(NO_HANDS, "mouth_slope", 0.97, 1.03);
}

static void blur_is_seen_as_blur(void **state) {
    (void)state;
    within(BLURRED, "sharpness", 0, 0.8);
    within(BLURRED, "mouth_correlation", 0.9, 1.1);
    within(BLURRED, "mouth_lag_ms", -15, 15);
}

static int tear_down(void **state) {
    (void)state;
    feature_reader_close(reader);
    codec_close(&encoder);
    codec_close(&codec);
    free(over_copy), free(over_drawn), free(differences);
    return 0;
}

static double still(int kind, enum region region) {
    struct latent_sums all = {0};
    for (int i = 0; i < DIALOGUES; i++) latent_sums_merge(&all, &totals[i][COPY].latents);
    return all.still[kind][region] / all.dialogues;
}

/* Distances grow with what is wrong, where it is wrong, and a picture that never moves is as far as its scale says. */
static void distances_order_what_is_wrong(void **state) {
    (void)state;
    static const char *const names[LATENT_KINDS][REGIONS] = {
        {"frechet_mouth", "frechet_eyes", "frechet_hands", "frechet_whole"},
        {"frechet_motion_mouth", "frechet_motion_eyes", "frechet_motion_hands", "frechet_motion_whole"}};
    for (int kind = 0; kind < LATENT_KINDS; kind++)
        for (int r = 0; r < REGIONS; r++) {
            const char *name = names[kind][r];
            within(COPY, name, 0, 1e-6);
            within(DRAWN, name, 0, 1e-3 * still(kind, (enum region)r)); /* the copy's latents are the drawing's */
            within(DAMPED, name, 0.01 * still(kind, (enum region)r), 0.6 * still(kind, (enum region)r));
            within(STILL, name, 0.98 * still(kind, (enum region)r), 1.02 * still(kind, (enum region)r));
            if (r != REGION_EYES) /* where most is blinks, which another dialogue has as many of */
                assert_true(of(DAMPED, name) > of(DELAYED, name)); /* what is late is the same set of pictures */
            double chance = halves.latents.frechet[kind][r] / halves.latents.dialogues;
            assert_true(chance > 0 && chance < still(kind, (enum region)r));
        }
    /* the hands alone are blurred: so says the region, and the band */
    assert_true(of(HANDS_BLURRED, "frechet_hands") > 0.05 * still(LATENT_APPEARANCE, REGION_HANDS));
    within(HANDS_BLURRED, "frechet_mouth", 0, 0.01 * still(LATENT_APPEARANCE, REGION_MOUTH));
    within(HANDS_BLURRED, "fine_energy_hands", 0, 0.8);
    within(HANDS_BLURRED, "fine_energy_mouth", 0.98, 1.02);
    within(BLURRED, "fine_energy_mouth", 0, 0.8);
    within(STILL, "fine_energy_whole", 0, 0.02);
    assert_true(of(STRANGER, "frechet_whole") > of(OTHERS, "frechet_whole"));
}

/* Distances in features say the same of what was spoiled, and where. */
static void features_agree(void **state) {
    (void)state;
    struct latent_sums copy = {0};
    for (int i = 0; i < DIALOGUES; i++) latent_sums_merge(&copy, &totals[i][COPY].features);
    double still_hands = copy.still[LATENT_APPEARANCE][REGION_HANDS] / copy.dialogues,
           still_mouth = copy.still[LATENT_APPEARANCE][REGION_MOUTH] / copy.dialogues;
    within(COPY, "feature_frechet_whole", 0, 1e-6);
    within(COPY, "feature_frechet_motion_mouth", 0, 1e-6);
    assert_true(of(STILL, "feature_frechet_mouth") > 3 * of(DAMPED, "feature_frechet_mouth"));
    assert_true(of(STILL, "feature_frechet_mouth") < 1.2 * still_mouth); /* which is the drawing, not its copy */
    within(DAMPED, "feature_frechet_mouth", 0.01 * still_mouth, 0.6 * still_mouth);
    assert_true(of(DAMPED, "feature_frechet_mouth") > of(DELAYED, "feature_frechet_mouth"));
    assert_true(of(HANDS_BLURRED, "feature_frechet_hands") > 0.05 * still_hands);
    within(HANDS_BLURRED, "feature_frechet_mouth", 0, 0.02 * still_mouth);
    assert_true(of(STRANGER, "feature_frechet_whole") > 5 * of(OTHERS, "feature_frechet_whole"));
    double chance = halves.features.frechet[LATENT_APPEARANCE][REGION_HANDS] / halves.features.dialogues;
    assert_true(chance > 0 && chance < still_hands);
}

/* Another's motion leaves the person; another's looks do not, and neither does what is seen more and more brightly. */
static void likeness_says_whose_picture_it_is(void **state) {
    (void)state;
    static const char *const names[LIKENESSES][3] = {
        {"likeness_first", "likeness_last", "likeness_stranger"},
        {"face_likeness_first", "face_likeness_last", "face_likeness_stranger"}};
    for (int k = 0; k < LIKENESSES; k++) {
        double copy = of(COPY, names[k][0]), others = of(OTHERS, names[k][0]), stranger = of(STRANGER, names[k][0]),
               apart = copy - of(COPY, names[k][2]); /* between this person and the next */
        assert_true(apart > 0 && copy <= 1 + 1e-6);
        assert_true(fabs(others - copy) < 0.25 * apart && stranger < copy - 0.5 * apart);
        assert_true(of(DRIFTING, names[k][1]) < of(DRIFTING, names[k][0]) - 3 * fabs(of(COPY, names[k][1]) - copy));
        within(STILL, names[k][1], copy - 0.1 * apart, 1 + 1e-6);
    }
}

static void likeness_is_the_face_s(void **state) {
    (void)state;
    within(COPY, "face_psnr", 100, 110); /* the same but for the bytes that it is kept in */
    assert_true(of(STRANGER, "face_psnr") < 20);
    assert_true(of(OTHERS, "face_psnr") > of(STRANGER, "face_psnr") + 6);
    assert_true(of(DELAYED, "face_psnr") > of(STRANGER, "face_psnr") + 6);
}

static void drift_and_flicker(void **state) {
    (void)state;
    within(COPY, "wall_drift", -1, 1);
    within(DRAWN, "face_drift", -2, 2);
    assert_true(of(DRIFTING, "wall_drift") < -5 && of(DRIFTING, "face_drift") < -5);
    within(FLICKERING, "wall_drift", -1, 1);
    assert_true(of(FLICKERING, "flicker") > 5);
    within(DELAYED, "flicker", 0.8, 1.25);
    within(DRAWN, "flicker", 0, 0.5);
}

/* From the drawing, as kept: the damped motion is near, another's as far as two unrelated moments. */
static void spread_of_rollouts(void **state) {
    (void)state;
    within(OTHERS, "spread_mouth", 0.5, 1.6);
    within(DAMPED, "spread_mouth", 0.005, 0.4);
    assert_true(isnan(of(DELAYED, "spread_mouth"))); /* none was kept to hold against it */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(compute),
                                       cmocka_unit_test(the_copy_is_the_yardstick),
                                       cmocka_unit_test(damped_motion_has_its_slope),
                                       cmocka_unit_test(delayed_motion_is_late),
                                       cmocka_unit_test(another_s_motion_fails),
                                       cmocka_unit_test(hands_that_are_gone_are_missed),
                                       cmocka_unit_test(blur_is_seen_as_blur),
                                       cmocka_unit_test(distances_order_what_is_wrong),
                                       cmocka_unit_test(features_agree),
                                       cmocka_unit_test(likeness_says_whose_picture_it_is),
                                       cmocka_unit_test(likeness_is_the_face_s),
                                       cmocka_unit_test(drift_and_flicker),
                                       cmocka_unit_test(spread_of_rollouts)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
