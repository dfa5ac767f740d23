/* real_motion.h: does the mouth of a real clip's student move when the clip's mouth does? Of real people no
   trajectory is known; what can be held against each other is motion energy (measures.h) in the mouth's region: of
   the clip's own frames, of the codec's copy of them, which no student can be expected to pass, of what the student
   makes of the clip's sound, and of what it makes of another clip's sound. Frames 0 and 1 do not count: the first is
   the reference, the second's change is from it. A latent frame stands for four pictures, and between them energy
   rises and falls alike in whatever a codec decodes; so each clip's mean of the first, second, third and fourth
   picture is removed from all but amounts. Host memory. */
#ifndef TOOLS_EVALUATE_REAL_MOTION_H
#define TOOLS_EVALUATE_REAL_MOTION_H

#include "tools/evaluate/bootstrap.h"
#include "tools/evaluate/synchrony.h"

struct real_clip {
    int frames, copied, swapped; /* frames of real and made; of copy; of exchanged, 0: there is none */
    float *real, *made, *copy;   /* motion energy, a value a frame */
    float *exchanged;            /* from the sound of the clip `sound_of` */
    int sound_of;
};
/* Energies of 0, all to be filled. ERR_DEVICE: out of memory. */
int real_clip_open(struct real_clip *clip, int frames);
void real_clip_close(struct real_clip *clip);

enum real_figure {
    REAL_CORRELATION,      /* made with real */
    REAL_WITH_COPY,        /* made with the copy */
    REAL_CEILING,          /* the copy with real */
    REAL_OVER_CEILING,     /* the first over the third */
    REAL_AMOUNT_OVER_COPY, /* mean energy, made over the copy */
    REAL_EXCHANGED_OWN,    /* made from another clip's sound, with the real frames of its own picture: should fall */
    REAL_EXCHANGED_SOUND,  /* the same, with the real frames that the sound belongs to: should hold */
    REAL_SOUND_COUNTS,     /* the first less REAL_EXCHANGED_OWN, over the clips that have both */
    REAL_FIGURES
};
extern const char *const real_figure_names[REAL_FIGURES];
/* With intervals over clips. ERR_DEVICE: out of memory. */
int real_figures(const struct real_clip *clips, int count, uint64_t seed,
                 struct bootstrap_interval figures[REAL_FIGURES]);
/* The permutation test of made, and of the copy, with real. ERR_DEVICE: out of memory. */
int real_chance(const struct real_clip *clips, int count, uint64_t seed, struct chance_test *made,
                struct chance_test *copy);

#endif
