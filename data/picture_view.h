/* picture_view.h: how a clip is seen: its colours, its place in the picture and its size, one for all its frames. Clips
   that are trained on are varied so (`prepare`), since a student that only ever saw one camera knows no other's
   pictures. Logarithms and shares of the picture's height, so that zeros are the clip as it is. */
#ifndef DATA_PICTURE_VIEW_H
#define DATA_PICTURE_VIEW_H

#include <stddef.h>
#include <stdint.h>

struct picture_view {
    double gain[3]; /* natural logarithm of the factor of red, green and blue */
    double gamma;   /* natural logarithm of the exponent that the values (0 .. 1) are raised to: above 0 is darker */
    double x, y;    /* what is in the picture moves so far, to the right and down, in heights of the picture */
    double zoom;    /* natural logarithm of the factor by which it grows about the picture's middle, before it moves */
};
/* How far views go: each number of a view is uniform from -amount to amount. 0: all are alike. */
struct picture_variation {
    double colour; /* of gain and gamma */
    double place;  /* of x and y */
    double scale;  /* of zoom */
};
/* The keys of a config's section ("vary.") whose struct (FIELDS_OF) has the variation `at`; `of` says of what. */
#define VARIATION_FIELDS(section, at, of)                                                                              \
    REAL(section "colour", at.colour, 0, 1, "0",                                                                       \
         "Largest change of a colour's strength, and of the brightness, " of ", as a natural logarithm: 0.15 is "      \
         "16 percent more or 14 percent less; 0 changes none."),                                                       \
        REAL(section "place", at.place, 0, 0.5, "0",                                                                   \
             "Largest shift of the picture, in x and in y, " of ", in heights of the picture; 0 shifts none."),        \
        REAL(section "scale", at.scale, 0, 0.7, "0",                                                                   \
             "Largest change of the picture's size, " of ", as a natural logarithm: 0.1 is 11 percent larger or "      \
             "10 percent smaller; 0 changes none.")

/* Is there nothing to vary? */
int picture_variation_is_none(const struct picture_variation *variation);
/* The view that a clip has: random numbers addressed by seed, clip and copy (base/philox.h, RANDOM_VIEW). */
void picture_view_draw(struct picture_view *view, const struct picture_variation *variation, uint64_t seed,
                       uint64_t clip, uint32_t copy);
/* Colours pixels: planar [3, plane] in [-1, 1]; what gets too bright is white. */
void picture_view_colour(const struct picture_view *view, float *pixels, size_t plane);
/* Where a place (x, y), in heights of the picture from the top left of its middle square, is seen. */
void picture_view_place(const struct picture_view *view, const float in[2], float out[2]);

#endif
