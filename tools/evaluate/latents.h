/* latents.h: compares what the codec's encoder makes of a source's pictures with what it makes of the codec's copy of
   the truth, by region of the picture: Frechet distances of appearance and of motion (for each dialogue and position of
   the latent grid, then their mean), energies by band, and the spread between two rollouts. The maps of a network of
   features are compared by the same functions (feature_track.h). Host memory. */
#ifndef TOOLS_EVALUATE_LATENTS_H
#define TOOLS_EVALUATE_LATENTS_H

#include "model/codec/codec.h"
#include "tools/evaluate/measures.h"

enum region { REGION_MOUTH, REGION_EYES, REGION_HANDS, REGION_WHOLE, REGIONS };
extern const char *const region_names[REGIONS];
/* Appearance: a latent frame less the reference's. Motion: a latent frame less the one before it. */
enum latent_kind { LATENT_APPEARANCE, LATENT_MOTION, LATENT_KINDS };
/* Bands are quarters of a codec's components; those of pca go from coarse to fine. */
enum { LATENT_BANDS = 4, LATENT_POSITIONS = 64, LATENT_DIMS = 128 };

/* Where the regions lie in a latent frame. In a grid of more than LATENT_POSITIONS positions evenly chosen ones are
   looked at; of more than LATENT_DIMS components the first ones. */
struct latent_grid {
    int size, plane;                   /* numbers of a latent frame; positions of the whole grid */
    int dims, positions;               /* components and positions that are looked at */
    int at[LATENT_POSITIONS];          /* place of each position in the plane */
    int in[REGIONS][LATENT_POSITIONS]; /* 1: the position lies in the region; every region has at least one */
};
void latent_grid(struct latent_grid *grid, const struct codec *codec, const struct landmarks *marks);
/* The same for maps of any origin: a picture of height x width pixels becomes [channels, h, w]. */
struct latent_sizes {
    int channels, h, w, height, width;
};
void latent_grid_of(struct latent_grid *grid, const struct latent_sizes *sizes, const struct landmarks *marks);
/* Says anew where a region lies: in these boxes. */
void latent_grid_cover(struct latent_grid *grid, const struct latent_sizes *sizes, enum region region,
                       const struct box *boxes, int count);

/* The latent frames of one source in one dialogue: at [count, size], the reference's first. */
struct latent_history {
    long count, room;
    float *at;
};
/* Takes memory for `frames` pictures. ERR_DEVICE: out of memory. */
int latent_history_open(struct latent_history *history, const struct latent_grid *grid, long frames);
void latent_history_close(struct latent_history *history);
/* Pushes a picture through the encoder, which begins anew with the first. ERR_DEVICE: more pictures than room. */
int latent_history_take(struct latent_history *history, const struct latent_grid *grid, struct codec *encoder,
                        const float *picture);

/* Adds a latent frame; there must be room. */
void latent_history_add(struct latent_history *history, const struct latent_grid *grid, const float *latent);

/* Means [kind, position, dims] and covariances [kind, position, dims, dims]. */
struct latent_moments {
    double *mean, *covariance;
};
/* Computes moments. which: 0, of all frames; 1 or 2, of the odd or even runs of LATENT_RUN frames. ERR_DEVICE: out of
   memory. */
enum { LATENT_RUN = 12 };
int latent_moments_open(struct latent_moments *moments, const struct latent_grid *grid,
                        const struct latent_history *history, int which);
void latent_moments_close(struct latent_moments *moments);

/* Sums over dialogues, doubles alone; start from zeros. */
struct latent_sums {
    double frechet[LATENT_KINDS][REGIONS];
    double still[LATENT_KINDS][REGIONS];  /* distance of a picture that never moves: the control that must fail */
    double energy[REGIONS][LATENT_BANDS]; /* variance of appearance */
    double dialogues;
};
/* Adds one dialogue. ERR_DEVICE: out of memory. */
int latent_sums_add(struct latent_sums *sums, const struct latent_grid *grid, const struct latent_moments *source,
                    const struct latent_moments *copy);

void latent_sums_merge(struct latent_sums *to, const struct latent_sums *from); /* to += from */

/* Adds half the mean squared difference of two rollouts of one dialogue, by region, to spread [REGIONS]. The unit is
   that of latent_sums.energy, all bands together: a spread as large as the copy's energy means that the rollouts are as
   far apart as two unrelated moments. */
void latent_spread_add(double *spread, const struct latent_grid *grid, const struct latent_history *a,
                       const struct latent_history *b);
/* Adds the variance of a dialogue's latents, by region, to energy [REGIONS], in the unit of the spread. */
void latent_energy_add(double *energy, const struct latent_grid *grid, const struct latent_history *history);

#endif
