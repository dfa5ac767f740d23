/* test_picture_view.c: views are drawn from their address alone and stay within their amounts; colours, the puppet's
   picture and a video's window follow them, and nothing is made up beyond an edge. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "data/media.h"
#include "data/picture_view.h"
#include "data/puppet.h"
#include "tests/folder.h"

enum { SIDE = 64, PLANE = SIDE * SIDE, NUMBERS = sizeof(struct picture_view) / sizeof(double) };

static char folder[FOLDER_MAX];
static int setup(void **state) {
    (void)state;
    return folder_make(folder, "test_view");
}
static int teardown(void **state) {
    (void)state;
    return folder_remove(folder);
}

/* Each number is uniform from -amount to amount: of a thousand the mean is within 0.06 (three deviations of
   amount / sqrt(3000)), and some come near both ends. No two numbers of a view go together. */
static void views_fill_their_range(void **state) {
    (void)state;
    enum { DRAWS = 1000 };
    const struct picture_variation variation = {.colour = 0.2, .place = 0.1, .scale = 0.3};
    const double amount[NUMBERS] = {0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0.3};
    double sum[NUMBERS] = {0}, low[NUMBERS] = {0}, high[NUMBERS] = {0}, product[NUMBERS] = {0};
    for (uint64_t clip = 0; clip < DRAWS; clip++) {
        struct picture_view view;
        double u[NUMBERS];
        picture_view_draw(&view, &variation, 7, clip * 977, 0);
        memcpy(u, &view, sizeof u);
        for (int k = 0; k < NUMBERS; k++) {
            u[k] /= amount[k];
            sum[k] += u[k];
            low[k] = fmin(low[k], u[k]);
            high[k] = fmax(high[k], u[k]);
            product[k] += u[k] * u[(k + 1) % NUMBERS];
        }
    }
    for (int k = 0; k < NUMBERS; k++) {
        assert_float_equal(sum[k] / DRAWS, 0, 0.06);
        assert_true(low[k] >= -1 && low[k] < -0.97 && high[k] <= 1 && high[k] > 0.97);
        assert_float_equal(product[k] / DRAWS, 0, 0.032); /* three deviations of (1 / 3) / sqrt(DRAWS) */
    }
}

/* With a step each multiple of it within the amount is drawn, and nothing else: of 1500 draws of five values each comes
   300 times within three deviations (sqrt(1500 * 0.2 * 0.8) = 15.5). A step beyond the amount is refused. */
static void shifts_in_steps(void **state) {
    (void)state;
    const struct picture_variation variation = {.place = 0.25, .step = 0.125}, coarse = {.place = 0.1, .step = 0.125};
    int drawn[2][5] = {{0}};
    for (uint64_t clip = 0; clip < 1500; clip++) {
        struct picture_view view;
        picture_view_draw(&view, &variation, 3, clip, 0);
        const double shift[2] = {view.x / 0.125, view.y / 0.125};
        for (int k = 0; k < 2; k++) {
            assert_true(shift[k] == floor(shift[k]) && fabs(shift[k]) <= 2);
            drawn[k][(int)shift[k] + 2]++;
        }
    }
    for (int k = 0; k < 10; k++) assert_in_range(drawn[k / 5][k % 5], 300 - 46, 300 + 46);
    assert_int_equal(picture_variation_check(&variation), OK);
    assert_int_equal(picture_variation_check(&coarse), ERR_USAGE);
}

/* As many clips as the share says stay plain, within four standard errors, and one seed's are not another's. */
static void some_stay_plain(void **state) {
    (void)state;
    enum { CLIPS = 2000 };
    int plain = 0, both = 0;
    for (uint64_t clip = 0; clip < CLIPS; clip++) {
        int stays = picture_view_stays_plain(0.3, 1, clip, 0);
        plain += stays;
        both += stays && picture_view_stays_plain(0.3, 7919, clip, 0);
        assert_false(picture_view_stays_plain(0, 1, clip, 0));
        assert_true(picture_view_stays_plain(1, 1, clip, 0));
        assert_true(!stays || picture_view_stays_plain(0.5, 1, clip, 0));
    }
    assert_true(fabs(plain - 0.3 * CLIPS) < 4 * sqrt(0.3 * 0.7 * CLIPS));
    assert_true(fabs(both - 0.09 * CLIPS) < 4 * sqrt(0.09 * 0.91 * CLIPS));
}

static void views_have_an_address(void **state) {
    (void)state;
    const struct picture_variation variation = {.colour = 0.2, .place = 0.1, .scale = 0.3}, none = {0};
    struct picture_view one, again, other, plain = {0};
    picture_view_draw(&one, &variation, 1, 5, 2);
    picture_view_draw(&again, &variation, 1, 5, 2);
    assert_memory_equal(&one, &again, sizeof one);
    static const struct {
        uint64_t seed, clip;
        uint32_t copy;
    } others[] = {{2, 5, 2}, {1, 6, 2}, {1, 5, 3}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        picture_view_draw(&other, &variation, others[i].seed, others[i].clip, others[i].copy);
        for (int k = 0; k < NUMBERS; k++) assert_true(((double *)&one)[k] != ((double *)&other)[k]);
    }
    picture_view_draw(&other, &none, 1, 5, 2);
    for (int k = 0; k < NUMBERS; k++) assert_true(((double *)&other)[k] == ((double *)&plain)[k]);
    assert_true(picture_variation_is_none(&none));
    assert_false(picture_variation_is_none(&(struct picture_variation){.scale = 0.1}));
}

static void colours(void **state) {
    (void)state;
    float pixels[3 * 4] = {-1, -0.5f, 0, 1, -1, -0.5f, 0, 1, -1, -0.5f, 0, 1}, kept[3 * 4];
    memcpy(kept, pixels, sizeof kept);
    picture_view_colour(&(struct picture_view){.x = 0.1, .zoom = 0.2}, pixels, 4);
    assert_memory_equal(pixels, kept, sizeof kept);
    const struct picture_view view = {.gain = {0.2, -0.3, 0}, .gamma = 0.4};
    picture_view_colour(&view, pixels, 4);
    for (int i = 0; i < 12; i++) {
        double value = (kept[i] + 1) / 2, want = exp(view.gain[i / 4]) * pow(value, exp(0.4));
        assert_float_equal((pixels[i] + 1) / 2, want > 1 ? 1 : want, 1e-6);
    }
}

/* ---- the puppet ---- */

static struct puppet *open_person(int person) {
    struct puppet *p;
    assert_int_equal(puppet_open(&p, 3, person, person, 1), OK);
    return p;
}

/* Twice as large is the middle of a picture of twice the size, but for the roundings of edges to 1 / 256 pixel. */
static void puppets_grow(void **state) {
    (void)state;
    static float small[3 * PLANE], large[3 * 4 * PLANE];
    struct puppet *p = open_person(4);
    assert_int_equal(puppet_draw(p, 12, 2 * SIDE, 2 * SIDE, large), OK);
    puppet_vary(p, &(struct picture_view){.zoom = log(2)});
    assert_int_equal(puppet_draw(p, 12, SIDE, SIDE, small), OK);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++)
                assert_float_equal(small[(c * SIDE + y) * SIDE + x],
                                   large[(c * 2 * SIDE + y + SIDE / 2) * 2 * SIDE + x + SIDE / 2], 6. / 127.5);
    puppet_close(p);
}

/* A shift of whole pixels moves what was there, and what comes in at the edges is wall and shirt that go on: outside of
   the plain picture every column is as its edge was. */
static void puppets_move(void **state) {
    (void)state;
    enum { RIGHT = 5, UP = 11 };
    static float plain[3 * PLANE], moved[3 * PLANE];
    for (int person = 0; person < 12; person++) {
        struct puppet *p = open_person(person);
        assert_int_equal(puppet_draw(p, 3, SIDE, SIDE, plain), OK);
        puppet_vary(p, &(struct picture_view){.x = (double)RIGHT / SIDE, .y = -(double)UP / SIDE});
        assert_int_equal(puppet_draw(p, 3, SIDE, SIDE, moved), OK);
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < SIDE - UP; y++)
                for (int x = RIGHT; x < SIDE; x++)
                    assert_float_equal(moved[(c * SIDE + y) * SIDE + x], plain[(c * SIDE + y + UP) * SIDE + x - RIGHT],
                                       6. / 127.5);
        for (int c = 0; c < 3; c++)
            for (int y = SIDE - UP; y < SIDE; y++) {
                const float *row = moved + (c * SIDE + y) * SIDE, *above = moved + (c * SIDE + SIDE - UP - 1) * SIDE;
                for (int x = 29; x < 36; x += 6) /* shirt between the hands, to both sides of its buttons */
                    assert_float_equal(row[x], above[x], 0.1);
                assert_float_equal(row[0], above[0], 0.1); /* wall */
            }
        puppet_close(p);
    }
}

/* There is wall or shirt to the last pixel in the smallest picture that is moved farthest, to all four corners: the
   limits of VARIATION_FIELDS. What nobody drew would be black. */
static void puppets_at_the_limits(void **state) {
    (void)state;
    enum { LARGE = 4 * SIDE, LAST = LARGE - 1 };
    static float picture[3 * LARGE * LARGE];
    for (int corner = 0; corner < 4; corner++) {
        struct puppet *p = open_person(corner);
        puppet_vary(p,
                    &(struct picture_view){.x = corner & 1 ? 0.5 : -0.5, .y = corner & 2 ? 0.5 : -0.5, .zoom = -0.7});
        assert_int_equal(puppet_draw(p, 3, LARGE, LARGE, picture), OK);
        for (int i = 0; i < LARGE; i++) {
            const int edges[] = {i, LAST * LARGE + i, i * LARGE, i * LARGE + LAST};
            for (int e = 0; e < 4; e++) {
                const float *at = picture + edges[e];
                assert_true(at[0] > -0.95f || at[LARGE * LARGE] > -0.95f || at[2 * LARGE * LARGE] > -0.95f);
            }
        }
        puppet_close(p);
    }
}

/* Places go where the picture goes: the dark gap of an open mouth is found at the lips' place. */
static void places(void **state) {
    (void)state;
    const struct picture_view view = {.x = 0.05, .y = -0.1, .zoom = 0.2};
    float out[2];
    picture_view_place(&view, (const float[2]){0.5f, 0.5f}, out);
    assert_float_equal(out[0], 0.55, 1e-6);
    assert_float_equal(out[1], 0.40, 1e-6);
    picture_view_place(&view, (const float[2]){0.7f, 0.3f}, out);
    assert_float_equal(out[0], 0.55 + 0.2 * exp(0.2), 1e-6);
    assert_float_equal(out[1], 0.40 - 0.2 * exp(0.2), 1e-6);
    /* in the picture: where the plain one has a pixel, the varied one, three times as large, has the same colour */
    enum { LARGE = 3 * SIDE };
    static float plain[3 * LARGE * LARGE], varied[3 * LARGE * LARGE];
    struct puppet *p = open_person(2);
    assert_int_equal(puppet_draw(p, 3, LARGE, LARGE, plain), OK);
    puppet_vary(p, &view);
    assert_int_equal(puppet_draw(p, 3, LARGE, LARGE, varied), OK);
    double error = 0, spread = 0;
    int count = 0;
    for (int y = 30; y < LARGE; y += 4)
        for (int x = 20; x < LARGE - 40; x += 4) {
            picture_view_place(&view, (const float[2]){(x + 0.5f) / LARGE, (y + 0.5f) / LARGE}, out);
            int u = (int)(out[0] * LARGE), v = (int)(out[1] * LARGE);
            if (u < 0 || v < 0 || u >= LARGE || v >= LARGE) continue;
            error += fabsf(plain[y * LARGE + x] - varied[v * LARGE + u]);
            spread += fabsf(plain[y * LARGE + x] - plain[v * LARGE + u]);
            count++;
        }
    assert_true(count > 500);
    assert_true(error < 0.15 * spread); /* edges alone; where nothing had moved the two would be equal */
    puppet_close(p);
}

/* ---- videos ---- */

/* 120 x 80 pixels that say where they are: red 2 x, green 3 y. */
static const char *ramp(void) {
    static unsigned char rgb[80 * 120 * 3];
    static char path[FILE_PATH_MAX];
    for (int y = 0; y < 80; y++)
        for (int x = 0; x < 120; x++) {
            rgb[3 * (y * 120 + x)] = (unsigned char)(2 * x);
            rgb[3 * (y * 120 + x) + 1] = (unsigned char)(3 * y);
            rgb[3 * (y * 120 + x) + 2] = 77;
        }
    snprintf(path, sizeof path, "%s/ramp.png", folder);
    assert_int_equal(png_write(path, rgb, 80, 120), OK);
    return path;
}

/* Reads a window of the ramp by a view; *left, *top, *size are what its pixels say of it. blue: of 255. */
static void look(const struct video_crop *crop, const struct video_face *face, const struct picture_view *view,
                 double *left, double *top, double *size, double *blue) {
    enum { OUT = 40 };
    static float frame[3 * OUT * OUT];
    struct video_reader *r;
    assert_int_equal(video_open_crop(&r, ramp(), OUT, OUT, crop), OK);
    video_vary(r, view);
    if (face) video_follow(r, face, 1);
    assert_int_equal(video_read(r, frame), 1);
    video_close(r);
    double red[2] = {(frame[20 * OUT + 5] + 1) * 127.5, (frame[20 * OUT + 35] + 1) * 127.5};
    double green = (frame[OUT * OUT + 5 * OUT + 20] + 1) * 127.5;
    *size = (red[1] - red[0]) / 2 / 30 * OUT;
    *left = red[0] / 2 + 0.5 - 5.5 / OUT * *size;
    *top = green / 3 + 0.5 - 5.5 / OUT * *size;
    *blue = (frame[2 * OUT * OUT + 20 * OUT + 20] + 1) * 127.5;
}

static void videos_are_varied(void **state) {
    (void)state;
    const struct video_crop crop = {0.5, 0.5, 0.5}, all = {0}; /* 40 x 40 about (60, 40); 80 x 80 */
    const struct video_face face = {60, 40, 40};
    const double grow = log(1.25);
    double left, top, size, blue;
    const struct {
        struct picture_view view;
        double left, top, size;
    } cases[] = {{{.x = 0}, 40, 20, 40},
                 {{.x = 0.1, .y = -0.2}, 36, 28, 40}, /* what is seen goes right and up: the window left and down */
                 {{.zoom = grow}, 44, 24, 32},
                 {{.zoom = -grow, .x = 0.1}, 30, 15, 50},
                 {{.y = 0.6}, 40, 0, 40},             /* moved only as far as the picture reaches */
                 {{.zoom = -1.5, .x = 1}, 0, 0, 80}}; /* no larger than the picture */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int follows = 0; follows < 2; follows++) {
            look(&crop, follows ? &face : NULL, &cases[i].view, &left, &top, &size, &blue);
            if (fabs(left - cases[i].left) > 1 || fabs(top - cases[i].top) > 1 || fabs(size - cases[i].size) > 1)
                fail_msg("case %zu, %d: %.2f, %.2f, %.2f", i, follows, left, top, size);
            assert_float_equal(blue, 77, 2);
        }
    look(&all, NULL, &(struct picture_view){.zoom = -grow, .x = 0.1, .y = 0.1}, &left, &top, &size, &blue);
    assert_float_equal(left, 12, 1); /* there is room to the sides alone */
    assert_float_equal(top, 0, 1);
    assert_float_equal(size, 80, 1);
    for (int follows = 0; follows < 2; follows++) {
        look(&crop, follows ? &face : NULL, &(struct picture_view){.gain = {0, 0, 0.3}}, &left, &top, &size, &blue);
        assert_float_equal(blue, 77 * exp(0.3), 2);
        assert_float_equal(left, 40, 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_fill_their_range),
        cmocka_unit_test(shifts_in_steps),
        cmocka_unit_test(views_have_an_address),
        cmocka_unit_test(some_stay_plain),
        cmocka_unit_test(colours),
        cmocka_unit_test(puppets_grow),
        cmocka_unit_test(puppets_move),
        cmocka_unit_test(puppets_at_the_limits),
        cmocka_unit_test(places),
        cmocka_unit_test(videos_are_varied),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
