/* real_motion.h: measures whether the mouth that a student makes moves when the real clip's mouth does. The trajectory
   of a real mouth is not known, so motion energy (measures.h) in the mouth's region is compared: that of the clip's own
   frames; of the codec's copy of them, which no student can be expected to surpass; of what the student makes of the
   clip's sound; and of what it makes of another clip's sound. Frames 0 and 1 do not count: the first is the reference,
   and the second's change is from it. A latent frame stands for four pictures, whose energy rises and falls alike in
   whatever a codec decodes; so the clip's mean of all first, second, third and fourth pictures is removed, but not for
   amounts. Host memory. */
#ifndef TOOLS_EVALUATE_REAL_MOTION_H
#define TOOLS_EVALUATE_REAL_MOTION_H

#include "tools/evaluate/bootstrap.h"
#include "tools/evaluate/real_maps.h"
#include "tools/evaluate/synchrony.h"

struct real_clip {
    int frames;                /* number of frames of real and made */
    int copied;                /* number of frames of copy */
    int swapped;               /* number of frames of exchanged; 0: there is none */
    float *real, *made, *copy; /* motion energy, a value a frame */
    float *exchanged;          /* motion energy of what was made from the sound of clip number sound_of */
    int sound_of;
    int again;       /* number of frames of reseeded; 0: there is none */
    float *reseeded; /* motion energy of what was made of the same sound from other noise */
    struct real_map_sums maps;
};
/* Takes memory for energies, all 0; the caller fills them. ERR_DEVICE: out of memory. */
int real_clip_open(struct real_clip *clip, int frames);
void real_clip_close(struct real_clip *clip);

enum real_figure {
    REAL_CORRELATION,      /* correlation of made with real */
    REAL_WITH_COPY,        /* correlation of made with the copy */
    REAL_CEILING,          /* correlation of the copy with real */
    REAL_OVER_CEILING,     /* REAL_CORRELATION over REAL_CEILING */
    REAL_AMOUNT_OVER_COPY, /* mean energy of made over that of the copy */
    REAL_EXCHANGED_OWN,    /* correlation of exchanged with the real frames of its picture: should fall */
    REAL_EXCHANGED_SOUND,  /* correlation of exchanged with the real frames of its sound: should hold */
    REAL_SOUND_COUNTS,     /* REAL_CORRELATION less REAL_EXCHANGED_OWN, over the clips that have both */
    REAL_RESEEDED,         /* correlation of reseeded with real */
    REAL_BETWEEN_SEEDS,    /* correlation of made with reseeded: 1 where noise changes nothing */
    REAL_SPREAD_MOUTH,     /* latents: half the mean squared difference of the two over the copy's variance */
    REAL_SPREAD_WHOLE,
    REAL_FINE_ENERGY_MOUTH, /* latents: deviation of the last quarter of the components, over the copy's */
    REAL_FINE_ENERGY_WHOLE,
    REAL_FRECHET_MOUTH, /* latents: Frechet distance to the copy, of appearance, a clip */
    REAL_FRECHET_WHOLE,
    REAL_FRECHET_MOTION_MOUTH, /* and of motion */
    REAL_FRECHET_MOTION_WHOLE,
    REAL_FEATURE_FRECHET_MOUTH, /* the same in a network's features */
    REAL_FEATURE_FRECHET_WHOLE,
    REAL_FEATURE_FRECHET_MOTION_MOUTH,
    REAL_FEATURE_FRECHET_MOTION_WHOLE,
    REAL_LIKENESS_FIRST, /* cosine of the network's row with that of the clip's first picture, first seconds */
    REAL_LIKENESS_LAST,  /* and last */
    REAL_FIGURES
};
extern const char *const real_figure_names[REAL_FIGURES];
/* Computes the figures with intervals over clips. ERR_DEVICE: out of memory. */
int real_figures(const struct real_clip *clips, int count, uint64_t seed,
                 struct bootstrap_interval figures[REAL_FIGURES]);
/* Makes the permutation tests of made and of the copy with real. ERR_DEVICE: out of memory. */
int real_chance(const struct real_clip *clips, int count, uint64_t seed, struct chance_test *made,
                struct chance_test *copy);

#endif
