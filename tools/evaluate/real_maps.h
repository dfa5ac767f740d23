/* real_maps.h: compares the pictures that a student makes of a real clip with the codec's copy of the clip, by their
   maps: the codec's latents and, where there is a network of features, its maps. It measures Frechet distances of
   appearance and of motion (latents.h) in the mouth's box and in the whole picture, how far two rollouts are apart, and
   the likeness to the clip's first picture by the network's row. Host memory; the network uses the device. */
#ifndef TOOLS_EVALUATE_REAL_MAPS_H
#define TOOLS_EVALUATE_REAL_MAPS_H

#include "tools/evaluate/feature_reader.h"

enum { ENDS_SECONDS = 10 }; /* length of a clip's first and last part */

/* Sums over clips; doubles alone; start from zeros. */
struct real_map_sums {
    struct latent_sums latents, features;
    struct latent_sums copy;       /* the copy's own latents compared with themselves: their energy */
    double spread[REGIONS];        /* distance of latents between two rollouts */
    double likeness[2], frames[2]; /* cosines with the first picture in the first and the last seconds */
};
void real_map_sums_merge(struct real_map_sums *to, const struct real_map_sums *from); /* to += from */

struct real_mapper {
    struct codec encoder;          /* a stream of the student's codec for measuring */
    struct feature_reader *reader; /* NULL: none */
    struct latent_grid latent_grid, feature_grid;
    float *row, *first; /* rows of a picture and of the clip's first */
};
/* features: file of the network; "": none. mouth: its box, pixels. */
int real_mapper_open(struct real_mapper *mapper, const struct codec *codec, const char *features,
                     const struct box *mouth);
void real_mapper_close(struct real_mapper *mapper);

struct real_maps { /* one source's, in a clip */
    struct latent_history latents, features;
};
/* Computes the maps of a clip's pictures, the first of which is the reference. likeness NULL: it is not wanted. */
int real_maps_take(struct real_mapper *mapper, struct real_maps *maps, const struct clip *clip,
                   struct real_map_sums *likeness);
void real_maps_close(struct real_maps *maps);
/* Adds the distances of made from the copy, over the maps that both have. */
int real_maps_compare(const struct real_mapper *mapper, struct real_map_sums *sums, struct real_maps *made,
                      struct real_maps *copy);

#endif
