/* picture_view.h: a view of a clip: changes of its colours, its place in the picture and its size, the same for all its
   frames. `prepare` varies training clips by views, because a student that only ever saw one camera cannot handle
   another's pictures. Values are logarithms and fractions of the picture's height, so that zeros leave the clip as it
   is. */
#ifndef DATA_PICTURE_VIEW_H
#define DATA_PICTURE_VIEW_H

#include <stddef.h>
#include <stdint.h>

struct picture_view {
    double gain[3]; /* natural logarithms of the factors of red, green and blue */
    double gamma;   /* natural logarithm of the exponent of the values (0 .. 1); above 0 is darker */
    double x, y;    /* shift of the picture's contents to the right and down, in heights of the picture */
    double zoom;    /* natural logarithm of their growth about the picture's middle, before the shift */
};
/* Range of views: each number of a view is uniform from -amount to amount. 0: all views are alike. */
struct picture_variation {
    double colour; /* amount for gain and gamma */
    double place;  /* amount for x and y */
    double step;   /* x and y are whole multiples of it; 0: any number */
    double scale;  /* amount for zoom */
};
/* Keys of a config's section ("vary.") whose struct (FIELDS_OF) has the variation at member `at`; `of`: words that say
   what is varied. */
#define VARIATION_FIELDS(section, at, of)                                                                              \
    REAL(section "colour", at.colour, 0, 1, "0",                                                                       \
         "Largest change of a colour's strength, and of the brightness, " of ", as a natural logarithm: 0.15 is "      \
         "16 percent more or 14 percent less; 0 changes none."),                                                       \
        REAL(section "place", at.place, 0, 0.5, "0",                                                                   \
             "Largest shift of the picture, in x and in y, " of ", in heights of the picture; 0 shifts none."),        \
        REAL(section "place_step", at.step, 0, 0.5, "0",                                                               \
             "Shifts are whole multiples of this, in heights of the picture; 0 allows any. The width of a codec's "    \
             "patch (patch / height) keeps what each part of a latent means."),                                        \
        REAL(section "scale", at.scale, 0, 0.7, "0",                                                                   \
             "Largest change of the picture's size, " of ", as a natural logarithm: 0.1 is 11 percent larger or "      \
             "10 percent smaller; 0 changes none.")

/* Returns 1 if all amounts are 0. */
int picture_variation_is_none(const struct picture_variation *variation);
/* Returns ERR_USAGE if shifts of at most `place` have no multiple of `step` but 0. */
int picture_variation_check(const struct picture_variation *variation);
/* Draws a clip's view from random numbers addressed by seed, clip and copy (base/philox.h, RANDOM_VIEW). */
void picture_view_draw(struct picture_view *view, const struct picture_variation *variation, uint64_t seed,
                       uint64_t clip, uint32_t copy);
/* Returns 1 if the clip is one of the `share` (0 .. 1) of all clips that stay as they are; by the same numbers. */
int picture_view_stays_plain(double share, uint64_t seed, uint64_t clip, uint32_t copy);
/* Changes the colours of pixels, planar [3, plane] in [-1, 1]; values that get too bright become white. */
void picture_view_colour(const struct picture_view *view, float *pixels, size_t plane);
/* Computes where a place (x, y) is seen, in heights of the picture from the top left of its middle square. */
void picture_view_place(const struct picture_view *view, const float in[2], float out[2]);

#endif
