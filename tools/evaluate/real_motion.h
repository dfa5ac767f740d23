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
#include "tools/evaluate/synchrony.h"

struct real_clip {
    int frames;                /* number of frames of real and made */
    int copied;                /* number of frames of copy */
    int swapped;               /* number of frames of exchanged; 0: there is none */
    float *real, *made, *copy; /* motion energy, a value a frame */
    float *exchanged;          /* motion energy of what was made from the sound of clip number sound_of */
    int sound_of;
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
