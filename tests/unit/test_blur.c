/* test_blur.c: boxes are blurred by the Gaussian that is asked for, and no pixel beside them changes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/blur.h"
#include "tests/check.h"

enum { HEIGHT = 20, WIDTH = 24, SIZE = HEIGHT * WIDTH, X = 10, Y = 8 };

static int is_in(const struct blur_box *b, int x, int y) {
    return x >= b->left && x < b->right && y >= b->top && y < b->bottom;
}

/* A single bright pixel becomes the product of two Gaussians, in the box alone; a box may reach beyond the picture. */
static void a_point_spreads(void **state) {
    (void)state;
    static const struct blur_box boxes[] = {{7, 5, 12, 11}, {0, 0, WIDTH, HEIGHT}, {-3, -4, 11, 9}, {30, 25, 40, 30}};
    const double sigma = 1.3;
    double sum = 0;
    for (int k = -4; k <= 4; k++) sum += exp(-0.5 * k * k / (sigma * sigma));
    for (int b = 0; b < 4; b++) {
        static float picture[3 * SIZE];
        memset(picture, 0, sizeof picture);
        for (int c = 0; c < 3; c++) picture[c * SIZE + Y * WIDTH + X] = (float)(c + 1);
        CHECK(blur_boxes(picture, HEIGHT, WIDTH, sigma, &boxes[b], 1));
        for (int i = 0; i < 3 * SIZE; i++) {
            int x = i % WIDTH - X, y = i / WIDTH % HEIGHT - Y, c = i / SIZE;
            double spread = abs(x) > 4 || abs(y) > 4 ? 0 : exp(-0.5 * (x * x + y * y) / (sigma * sigma)) / sum / sum;
            double want = (c + 1) * (is_in(&boxes[b], x + X, y + Y) ? spread : x == 0 && y == 0);
            if (fabs((double)picture[i] - want) > 1e-6) fail_msg("box %d, %d %d: %g", b, x, y, (double)picture[i]);
        }
    }
}

/* Where boxes overlap the picture is blurred once; an even picture stays as it is up to its edges. */
static void boxes_overlap(void **state) {
    (void)state;
    static const struct blur_box boxes[] = {{2, 2, 12, 12}, {6, 6, 24, 20}};
    static float once[3 * SIZE], twice[3 * SIZE];
    for (int i = 0; i < 3 * SIZE; i++) once[i] = twice[i] = i % 7 < 3 ? 0.5f : -0.5f;
    CHECK(blur_boxes(once, HEIGHT, WIDTH, 1, boxes + 1, 1));
    CHECK(blur_boxes(twice, HEIGHT, WIDTH, 1, boxes, 2));
    for (int i = 0; i < 3 * SIZE; i++)
        if (is_in(&boxes[1], i % WIDTH, i / WIDTH % HEIGHT)) assert_true(once[i] == twice[i]);
    for (int i = 0; i < 3 * SIZE; i++) once[i] = 0.25f;
    CHECK(blur_boxes(once, HEIGHT, WIDTH, 3, boxes, 2));
    for (int i = 0; i < 3 * SIZE; i++) assert_true(fabsf(once[i] - 0.25f) < 1e-6f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_point_spreads), cmocka_unit_test(boxes_overlap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
