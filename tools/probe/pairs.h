/* pairs.h: pairs of a real clip and a fake one, which is a real clip of a data set spoiled in one way (spoil.h), for
   the discriminator's probe. Pictures are spoiled and then encoded by the data set's codec, and so are the real clips
   of such pairs, so that encoding them once more tells nothing; they are the set's true pictures, or what the codec
   decodes where the set has none. Host memory.
     hands, noise  one clip; the fake's pictures are spoiled
     person        the fake goes on, in its second half, with pictures and sound of another person's clip; in both clips
                   the two pictures on either side of the change have no sound, which two latent frames would share
     hue           the real clip's hues are all turned by one angle; the fake's begin there and drift evenly
     sound         one clip; the fake's sound is 8 frames late, and the first 8 frames of both have none
     none          the fake is another person's clip with its own reference and sound
   Which rows a pair has is a pure function of seed and number. A set of one person has pairs of other clips instead. */
#ifndef TOOLS_PROBE_PAIRS_H
#define TOOLS_PROBE_PAIRS_H

#include "data/loader.h"
#include "tools/probe/spoil.h"

enum pair_side { SIDE_REAL, SIDE_FAKE, SIDES };
struct pair_maker {
    struct dataset *set;
    struct codec *codec;
    struct spoil_box hands;
    double hue; /* degrees by which hues drift */
    uint64_t seed;
    int count;                        /* pairs of a batch */
    struct loader_batch batch[SIDES]; /* the present pairs */
    int *clip;                        /* [count]: numbers of the real clips in the data set */
    struct dataset_row row[2];        /* rows a pair is made of: its own and the other's */
    float *pixels[2];                 /* [T, 3, height, width]: their pictures */
    unsigned char *bytes;             /* pictures on their way from the file */
    float *empty;                     /* the empty prompt */
    float *memory;                    /* holds all of these */
};
/* Opens a maker of `count` pairs a batch. The set and the codec stay the caller's. ERR_DEVICE: out of memory. */
int pair_maker_open(struct pair_maker *maker, struct dataset *set, struct codec *codec, const struct spoil_box *hands,
                    double hue, uint64_t seed, int count);
void pair_maker_close(struct pair_maker *maker);
/* Makes pairs number first .. first + count - 1 of a split. */
int pair_maker_next(struct pair_maker *maker, enum dataset_split split, enum spoil spoil, uint64_t first);

#endif
