/* spoil.c: see spoil.h. */
#include "tools/probe/spoil.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/normal.h"

const char *const spoil_names[SPOILS + 1] = {"hands", "noise", "person", "hue", "sound", "none", NULL};

static float *plane(const struct pictures *p, int picture, int colour) {
    return p->at + (size_t)(3 * picture + colour) * (size_t)p->height * (size_t)p->width;
}

static int within(int at, int count) { return at < 0 ? 0 : at < count ? at : count - 1; }

/* ---- blur ---- */

enum { REACH_MAX = 64 };
struct kernel {
    int reach;
    float weight[2 * REACH_MAX + 1];
};

static struct kernel gaussian(double deviation) {
    struct kernel k = {.reach = (int)ceil(3 * deviation)};
    double sum = 0;
    if (k.reach > REACH_MAX) k.reach = REACH_MAX;
    for (int i = -k.reach; i <= k.reach; i++) sum += exp(-0.5 * i * i / (deviation * deviation));
    for (int i = -k.reach; i <= k.reach; i++)
        k.weight[i + k.reach] = (float)(exp(-0.5 * i * i / (deviation * deviation)) / sum);
    return k;
}

/* Blurs a plane along rows (dx 1) or columns (dy 1); beyond an edge lies its nearest pixel. */
static void blur_along(float *to, const float *from, int height, int width, const struct kernel *k, int dx, int dy) {
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            float sum = 0;
            for (int i = -k->reach; i <= k->reach; i++)
                sum += k->weight[i + k->reach] * from[within(y + i * dy, height) * width + within(x + i * dx, width)];
            to[y * width + x] = sum;
        }
}

int spoil_blur(const struct pictures *p, const struct spoil_box *box) {
    const struct kernel k = gaussian(fmax(0.019 * p->height, 0.5));
    size_t size = (size_t)p->height * (size_t)p->width;
    float *rows = malloc(2 * size * sizeof *rows), *whole = rows ? rows + size : NULL;
    if (!rows) return error_set(ERR_DEVICE, "out of memory for a blur");
    int x0 = (int)lround(box->left * p->width), x1 = (int)lround(box->right * p->width),
        y0 = (int)lround(box->top * p->height), y1 = (int)lround(box->bottom * p->height);
    for (int i = 3; i < 3 * p->count; i++) {
        float *pixels = plane(p, i / 3, i % 3);
        blur_along(rows, pixels, p->height, p->width, &k, 1, 0);
        blur_along(whole, rows, p->height, p->width, &k, 0, 1);
        for (int y = y0; y < y1; y++)
            memcpy(pixels + y * p->width + x0, whole + y * p->width + x0, sizeof(float) * (size_t)(x1 - x0));
    }
    free(rows);
    return OK;
}

/* ---- noise, hue ---- */

void spoil_noise(const struct pictures *p, uint64_t seed, uint32_t sample) {
    const float deviation = 2 * 0.05f; /* Colours go from -1 to 1. */
    long size = 3L * p->height * p->width;
    for (int picture = 1; picture < p->count; picture++) {
        const struct random_address address = {
            .seed = seed, .purpose = RANDOM_PROBE, .sample = sample, .frame = (uint32_t)picture};
        float *pixels = plane(p, picture, 0);
        for (long i = 0; i < size; i += 4) {
            struct normal_block z = random_normals(&address, (uint32_t)(i / 4));
            for (long k = i; k < i + 4 && k < size; k++) pixels[k] += deviation * z.v[k - i];
        }
    }
}

/* A rotation about (1, 1, 1) by Rodrigues' formula; what leaves the range of colours is held at its ends. */
void spoil_hue(const struct pictures *p, int picture, double degrees) {
    double angle = degrees * acos(-1.0) / 180, c = cos(angle), third = (1 - c) / 3, s = sin(angle) / sqrt(3.0);
    const float m[3] = {(float)(c + third), (float)(third - s), (float)(third + s)}; /* row 0; others are its turns */
    float *r = plane(p, picture, 0), *g = plane(p, picture, 1), *b = plane(p, picture, 2);
    for (long i = 0; i < (long)p->height * p->width; i++) {
        float turned[3] = {m[0] * r[i] + m[1] * g[i] + m[2] * b[i], m[2] * r[i] + m[0] * g[i] + m[1] * b[i],
                           m[1] * r[i] + m[2] * g[i] + m[0] * b[i]};
        r[i] = fmaxf(-1, fminf(1, turned[0]));
        g[i] = fmaxf(-1, fminf(1, turned[1]));
        b[i] = fmaxf(-1, fminf(1, turned[2]));
    }
}

double spoil_hue_angle(double start, double drift, int f, int F) {
    return fmod(360 * start + drift * f / (F - 1) + 360, 360);
}
