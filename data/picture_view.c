/* picture_view.c: see picture_view.h. */
#include "data/picture_view.h"

#include <math.h>
#include "base/error.h"
#include "base/philox.h"

enum { VIEW_NUMBERS = 7 }; /* that a view is made of */

int picture_variation_is_none(const struct picture_variation *v) {
    return v->colour == 0 && v->place == 0 && v->scale == 0;
}

int picture_variation_check(const struct picture_variation *v) {
    if (v->step > 0 && v->place < v->step)
        return error_set(ERR_USAGE, "place_step: %g is more than place, %g, so nothing would be shifted", v->step,
                         v->place);
    return OK;
}

/* A shift for u, uniform in [-1, 1): every multiple of the step within the amount is as likely as the others. */
static double shift_of(const struct picture_variation *v, double u) {
    if (v->step == 0) return v->place * u;
    double most = floor(v->place / v->step + 1e-9);
    return v->step * (floor((2 * most + 1) * (u + 1) / 2) - most);
}

static struct random_address address_of(uint64_t seed, uint64_t clip, uint32_t copy) {
    return (struct random_address){.seed = seed ^ clip, .purpose = RANDOM_VIEW, .sample = copy};
}

int picture_view_stays_plain(double share, uint64_t seed, uint64_t clip, uint32_t copy) {
    const struct random_address address = address_of(seed, clip, copy);
    return random_uniform(&address, VIEW_NUMBERS) < share;
}

void picture_view_draw(struct picture_view *view, const struct picture_variation *variation, uint64_t seed,
                       uint64_t clip, uint32_t copy) {
    const struct random_address address = address_of(seed, clip, copy);
    double u[VIEW_NUMBERS];
    for (uint32_t i = 0; i < VIEW_NUMBERS; i++) u[i] = 2 * random_uniform(&address, i) - 1;
    *view =
        (struct picture_view){.gain = {variation->colour * u[0], variation->colour * u[1], variation->colour * u[2]},
                              .gamma = variation->colour * u[3],
                              .x = shift_of(variation, u[4]),
                              .y = shift_of(variation, u[5]),
                              .zoom = variation->scale * u[6]};
}

void picture_view_colour(const struct picture_view *view, float *pixels, size_t plane) {
    float exponent = (float)exp(view->gamma);
    if (view->gamma == 0 && view->gain[0] == 0 && view->gain[1] == 0 && view->gain[2] == 0)
        return; /* keeps every bit */
    for (size_t c = 0; c < 3; c++) {
        float factor = (float)exp(view->gain[c]);
        for (size_t i = 0; i < plane; i++) {
            float *p = &pixels[c * plane + i], value = fmaxf(0, 0.5f * (*p + 1));
            *p = 2 * fminf(1, factor * powf(value, exponent)) - 1;
        }
    }
}

void picture_view_place(const struct picture_view *view, const float in[2], float out[2]) {
    const double shift[2] = {view->x, view->y};
    for (int k = 0; k < 2; k++) out[k] = (float)(0.5 + shift[k] + exp(view->zoom) * ((double)in[k] - 0.5));
}
