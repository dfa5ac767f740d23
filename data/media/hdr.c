/* hdr.c: see hdr.h. PQ: L = 10000 (max(E^(1/m2) - c1, 0) / (c2 - c3 E^(1/m2)))^(1/m1) cd/m2. HLG: scene light by the
   inverse OETF, then the OOTF of a display of 1000 cd/m2: L = 1000 Y^0.2 E. */
#include "data/media/hdr.h"

#include <libavutil/pixfmt.h>
#include <math.h>
#include <stdlib.h>

enum { STEPS = 1 << 12 }; /* steps of the tables; values between are interpolated */
static const double WHITE = 203, HLG_PEAK = 1000, KNEE = 0.75;

struct hdr_map {
    int hlg, wide;            /* wide 1: BT.2020's primaries */
    float light[STEPS + 1];   /* light of a code: relative to diffuse white (PQ), or the scene's, 0 to 1 (HLG) */
    float display[STEPS + 1]; /* code of a light from 0 to 1, indexed by the light's square root */
};

const char *hdr_kind(const AVFrame *frame) {
    return frame->color_trc == AVCOL_TRC_SMPTE2084 ? "PQ" : frame->color_trc == AVCOL_TRC_ARIB_STD_B67 ? "HLG" : NULL;
}

static double pq_light(double code) {
    const double m1 = 2610. / 16384, m2 = 2523. / 32, c1 = 3424. / 4096, c2 = 2413. / 128, c3 = 2392. / 128;
    double e = pow(code, 1 / m2);
    return 10000 / WHITE * pow(fmax(e - c1, 0) / (c2 - c3 * e), 1 / m1);
}

static double hlg_light(double code) {
    const double a = 0.17883277, b = 1 - 4 * a, c = 0.5 - a * log(4 * a);
    return code <= 0.5 ? code * code / 3 : (exp((code - c) / a) + b) / 12;
}

/* Returns the code of a light for an ordinary display (sRGB, IEC 61966-2-1). */
static double display_code(double light) {
    return light <= 0.0031308 ? 12.92 * light : 1.055 * pow(light, 1 / 2.4) - 0.055;
}

struct hdr_map *hdr_map_make(const AVFrame *frame) {
    struct hdr_map *m = malloc(sizeof *m);
    if (!m) return NULL;
    m->hlg = frame->color_trc == AVCOL_TRC_ARIB_STD_B67;
    m->wide = frame->color_primaries == AVCOL_PRI_BT2020 || frame->color_primaries == AVCOL_PRI_UNSPECIFIED;
    for (int i = 0; i <= STEPS; i++) {
        double x = (double)i / STEPS;
        m->light[i] = (float)(m->hlg ? hlg_light(x) : pq_light(x));
        m->display[i] = (float)display_code(x * x);
    }
    return m;
}

static float look_up(const float *table, float x) {
    float at = fminf(fmaxf(x, 0), 1) * STEPS;
    int i = at < STEPS ? (int)at : STEPS - 1;
    return table[i] + (at - (float)i) * (table[i + 1] - table[i]);
}

/* Leaves light up to the knee as it is, and lets brighter light approach 1. */
static float compress(float light) {
    const float knee = (float)KNEE;
    return light <= knee ? light : knee + (1 - knee) * (1 - expf((knee - light) / (1 - knee)));
}

void hdr_map_pixel(const struct hdr_map *m, const uint16_t from[3], float to[3]) {
    float rgb[3];
    for (int c = 0; c < 3; c++) rgb[c] = look_up(m->light, (float)from[c] / 65535);
    if (m->hlg) {
        float y = 0.2627f * rgb[0] + 0.6780f * rgb[1] + 0.0593f * rgb[2];
        float gain = (float)(HLG_PEAK / WHITE) * powf(fmaxf(y, 1e-6f), 0.2f);
        for (int c = 0; c < 3; c++) rgb[c] *= gain;
    }
    if (m->wide) { /* conversion to BT.709's primaries (ITU-R BT.2087) */
        const float r = rgb[0], g = rgb[1], b = rgb[2];
        rgb[0] = 1.6605f * r - 0.5876f * g - 0.0728f * b;
        rgb[1] = -0.1246f * r + 1.1329f * g - 0.0083f * b;
        rgb[2] = -0.0182f * r - 0.1006f * g + 1.1187f * b;
    }
    /* the brightest of the three colours sets the gain of all, so that the hue stays */
    float most = fmaxf(rgb[0], fmaxf(rgb[1], rgb[2])), gain = most > 0 ? compress(most) / most : 0;
    for (int c = 0; c < 3; c++) to[c] = look_up(m->display, sqrtf(fmaxf(rgb[c] * gain, 0)));
}

void hdr_map_free(struct hdr_map *m) { free(m); }
