/* spoil.c: see spoil.h. */
#include "tools/probe/spoil.h"

#include <math.h>

#include "base/error.h"
#include "base/normal.h"
#include "data/blur.h"

const char *const spoil_names[SPOILS + 1] = {"hands", "noise", "person", "hue", "sound", "none", NULL};

static float *plane(const struct pictures *p, int picture, int colour) {
    return p->at + (size_t)(3 * picture + colour) * (size_t)p->height * (size_t)p->width;
}

/* ---- blur ---- */

int spoil_blur(const struct pictures *p, const struct spoil_box *box) {
    const struct blur_box pixels = {(int)lround(box->left * p->width), (int)lround(box->top * p->height),
                                    (int)lround(box->right * p->width), (int)lround(box->bottom * p->height)};
    for (int i = 1; i < p->count; i++)
        TRY(blur_boxes(plane(p, i, 0), p->height, p->width, fmax(0.019 * p->height, 0.5), &pixels, 1));
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
