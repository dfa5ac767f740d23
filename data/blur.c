/* blur.c: see blur.h. */
#include "data/blur.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static int within(int i, int n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

static struct blur_box inside(const struct blur_box *b, int height, int width) {
    return (struct blur_box){b->left < 0 ? 0 : b->left, b->top < 0 ? 0 : b->top, b->right > width ? width : b->right,
                             b->bottom > height ? height : b->bottom};
}

/* Half a Gaussian, normalised as a whole one: weight [reach + 1]. */
static void fill_weights(float *weight, int reach, double sigma) {
    double sum = 0;
    for (int k = -reach; k <= reach; k++) sum += exp(-0.5 * k * k / (sigma * sigma));
    for (int k = 0; k <= reach; k++) weight[k] = (float)(exp(-0.5 * k * k / (sigma * sigma)) / sum);
}

struct plane {
    float *at, *once; /* [height, width]: the picture, and scratch that is blurred along rows */
    int height, width, reach;
    const float *weight;
};

/* Blurs a box from p->at into `to`: first along rows, those beyond the box too that a column reaches, then along
   columns. */
static void blur_box(const struct plane *p, const struct blur_box *box, float *to) {
    int first = within(box->top - p->reach, p->height), last = within(box->bottom - 1 + p->reach, p->height);
    for (int y = first; y <= last; y++)
        for (int x = box->left; x < box->right; x++) {
            float sum = 0;
            for (int k = -p->reach; k <= p->reach; k++)
                sum += p->weight[abs(k)] * p->at[y * p->width + within(x + k, p->width)];
            p->once[y * p->width + x] = sum;
        }
    for (int y = box->top; y < box->bottom; y++)
        for (int x = box->left; x < box->right; x++) {
            float sum = 0;
            for (int k = -p->reach; k <= p->reach; k++)
                sum += p->weight[abs(k)] * p->once[within(y + k, p->height) * p->width + x];
            to[y * p->width + x] = sum;
        }
}

int blur_boxes(float *planar, int height, int width, double sigma, const struct blur_box *boxes, int count) {
    size_t size = (size_t)height * (size_t)width;
    int reach = (int)ceil(3 * sigma);
    float *room = malloc((2 * size + (size_t)reach + 1) * sizeof *room);
    if (!room) return error_set(ERR_DEVICE, "out of memory for a blur");
    float *blurred = room + size, *weight = blurred + size;
    fill_weights(weight, reach, sigma);
    for (size_t c = 0; c < 3; c++) {
        const struct plane plane = {planar + c * size, room, height, width, reach, weight};
        memcpy(blurred, plane.at, size * sizeof *blurred);
        for (int b = 0; b < count; b++) {
            struct blur_box box = inside(&boxes[b], height, width);
            blur_box(&plane, &box, blurred);
        }
        memcpy(plane.at, blurred, size * sizeof *blurred);
    }
    free(room);
    return OK;
}
