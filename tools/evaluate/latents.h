/* latents.h: what the codec's encoder sees in a source's pictures, by region of the picture, beside what it sees in
   the codec's copy of the truth: Frechet distances of appearance and of motion (a dialogue and a position of the
   latent grid at a time, then the mean), energies by band, and the spread between two rollouts. Host memory. */
#ifndef TOOLS_EVALUATE_LATENTS_H
#define TOOLS_EVALUATE_LATENTS_H

#include "model/codec/codec.h"
#include "tools/evaluate/measures.h"

enum region { REGION_MOUTH, REGION_EYES, REGION_HANDS, REGION_WHOLE, REGIONS };
extern const char *const region_names[REGIONS];
/* Appearance: a latent frame less the reference's. Motion: less the one before. */
enum latent_kind { LATENT_APPEARANCE, LATENT_MOTION, LATENT_KINDS };
/* Bands: quarters of a codec's components, of pca from coarse to fine. */
enum { LATENT_BANDS = 4, LATENT_POSITIONS = 64, LATENT_DIMS = 128 };

/* Where is what in a latent frame. Of a grid of more than LATENT_POSITIONS positions evenly chosen ones are looked
   at, of more than LATENT_DIMS components the first. */
struct latent_grid {
    int size, plane;                   /* numbers of a latent frame; positions of the whole grid */
    int dims, positions;               /* that are looked at */
    int at[LATENT_POSITIONS];          /* place in the plane */
    int in[REGIONS][LATENT_POSITIONS]; /* 1: of this region; every region has one at least */
};
void latent_grid(struct latent_grid *grid, const struct codec *codec, const struct landmarks *marks);

/* The latent frames of one source in one dialogue: at [count, size], the reference's first. */
struct latent_history {
    long count, room;
    float *at;
};
/* Room for `frames` pictures. ERR_DEVICE: out of memory. */
int latent_history_open(struct latent_history *history, const struct latent_grid *grid, long frames);
void latent_history_close(struct latent_history *history);
/* Pushes a picture through the encoder, which begins anew with the first. ERR_DEVICE: more pictures than room. */
int latent_history_take(struct latent_history *history, const struct latent_grid *grid, struct codec *encoder,
                        const float *picture);

/* Means [kind, position, dims] and covariances [kind, position, dims, dims]. */
struct latent_moments {
    double *mean, *covariance;
};
/* which: 0, all frames; 1 or 2, the odd or even runs of LATENT_RUN frames. ERR_DEVICE: out of memory. */
enum { LATENT_RUN = 12 };
int latent_moments_open(struct latent_moments *moments, const struct latent_grid *grid,
                        const struct latent_history *history, int which);
void latent_moments_close(struct latent_moments *moments);

/* Sums over dialogues, doubles alone; start from zeros. */
struct latent_sums {
    double frechet[LATENT_KINDS][REGIONS];
    double still[LATENT_KINDS][REGIONS]; /* of a picture that never moves, to this source: the control that must fail */
    double energy[REGIONS][LATENT_BANDS]; /* variance of appearance */
    double dialogues;
};
/* Adds one dialogue. ERR_DEVICE: out of memory. */
int latent_sums_add(struct latent_sums *sums, const struct latent_grid *grid, const struct latent_moments *source,
                    const struct latent_moments *copy);

void latent_sums_merge(struct latent_sums *to, const struct latent_sums *from); /* to += from */

/* Half the mean squared difference of two rollouts of one dialogue, by region, added to spread [REGIONS] in the unit
   of latent_sums.energy (all bands together), so that 1 over the copy's energy is as far apart as two unrelated
   moments. */
void latent_spread_add(double *spread, const struct latent_grid *grid, const struct latent_history *a,
                       const struct latent_history *b);

#endif
