/* latents.c: see latents.h. */
#include "tools/evaluate/latents.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tools/evaluate/frechet.h"
#include "tools/evaluate/sums.h"

const char *const region_names[REGIONS] = {"mouth", "eyes", "hands", "whole"};

/* ---- the grid ---- */

/* Finds the boxes of a region, in pixels, from the reference's landmarks, and returns their number. A box is as large
   as the part and its motion: the mouth's with the depth of nods, the hands' with the reach of their swing. */
static int region_boxes(enum region region, const struct landmarks *m, float height, float width, struct box box[2]) {
    float h = height, middle = m->head[0];
    switch (region) {
    case REGION_MOUTH:
        box[0] = (struct box){m->lips[0] - 0.07f * h, m->lips[1] - 0.04f * h, m->lips[0] + 0.07f * h,
                              m->lips[1] + 0.14f * h};
        return 1;
    case REGION_EYES:
        box[0] = (struct box){m->eyes[0] - 0.11f * h, m->eyes[1] - 0.05f * h, m->eyes[0] + 0.11f * h,
                              m->eyes[1] + 0.08f * h};
        return 1;
    case REGION_HANDS:
        box[0] = (struct box){middle - 0.375f * h, 0.75f * h, middle - 0.125f * h, h};
        box[1] = (struct box){middle + 0.125f * h, 0.75f * h, middle + 0.375f * h, h};
        return 2;
    default:
        box[0] = (struct box){0, 0, width, h};
        return 1;
    }
}

/* Share of a cell that lies in a box. */
static float covered(const struct box *cell, const struct box *box) {
    float x = fminf(cell->x1, box->x1) - fmaxf(cell->x0, box->x0),
          y = fminf(cell->y1, box->y1) - fmaxf(cell->y0, box->y0);
    return x > 0 && y > 0 ? x * y / ((cell->x1 - cell->x0) * (cell->y1 - cell->y0)) : 0;
}

void latent_grid_cover(struct latent_grid *g, const struct latent_sizes *sizes, enum region region,
                       const struct box *boxes, int count) {
    const float least = 0.2f; /* share of a cell that must lie in the region */
    float cell_h = (float)sizes->height / (float)sizes->h, cell_w = (float)sizes->width / (float)sizes->w, most = 0;
    int best = 0;
    for (int p = 0; p < g->positions; p++) {
        float y = (float)(g->at[p] / sizes->w), x = (float)(g->at[p] % sizes->w), share = 0;
        struct box cell = {x * cell_w, y * cell_h, (x + 1) * cell_w, (y + 1) * cell_h};
        for (int b = 0; b < count; b++) share += covered(&cell, &boxes[b]);
        g->in[region][p] = share >= least;
        if (share > most) most = share, best = p;
    }
    g->in[region][best] = 1;
}

/* Chooses the positions that are looked at: every step-th row and column, at most `side` of each. */
static void choose_positions(struct latent_grid *g, const struct latent_sizes *sizes) {
    int step = 1, side = 8;
    _Static_assert(LATENT_POSITIONS == 64, "eight rows of eight");
    while ((sizes->h + step - 1) / step > side || (sizes->w + step - 1) / step > side) step++;
    memset(g, 0, sizeof *g);
    g->plane = sizes->h * sizes->w;
    g->size = sizes->channels * g->plane;
    g->dims = sizes->channels < LATENT_DIMS ? sizes->channels : LATENT_DIMS;
    for (int y = step / 2; y < sizes->h; y += step)
        for (int x = step / 2; x < sizes->w; x += step) g->at[g->positions++] = y * sizes->w + x;
}

void latent_grid_of(struct latent_grid *g, const struct latent_sizes *sizes, const struct landmarks *marks) {
    choose_positions(g, sizes);
    for (int r = 0; r < REGIONS; r++) {
        struct box box[2];
        int count = region_boxes((enum region)r, marks, (float)sizes->height, (float)sizes->width, box);
        latent_grid_cover(g, sizes, (enum region)r, box, count);
    }
}

void latent_grid(struct latent_grid *g, const struct codec *codec, const struct landmarks *marks) {
    const struct latent_sizes sizes = {codec->channels, codec->h, codec->w, codec->height, codec->width};
    latent_grid_of(g, &sizes, marks);
}

static int region_count(const struct latent_grid *g, int region) {
    int count = 0;
    for (int p = 0; p < g->positions; p++) count += g->in[region][p];
    return count;
}

/* ---- latents ---- */

int latent_history_open(struct latent_history *history, const struct latent_grid *g, long frames) {
    *history = (struct latent_history){.room = latent_frames(frames)};
    history->at = malloc((size_t)history->room * (size_t)g->size * sizeof *history->at);
    return history->at ? OK : error_set(ERR_DEVICE, "out of memory for the latents of a dialogue");
}

void latent_history_add(struct latent_history *h, const struct latent_grid *g, const float *latent) {
    memcpy(h->at + h->count * g->size, latent, (size_t)g->size * sizeof *latent);
    h->count++;
}

void latent_history_close(struct latent_history *history) {
    free(history->at);
    *history = (struct latent_history){0};
}

int latent_history_take(struct latent_history *history, const struct latent_grid *g, struct codec *encoder,
                        const float *picture) {
    if (history->count == history->room) return OK; /* the last pictures do not fill a latent frame */
    if (!history->count) codec_encode_reset(encoder);
    int got = codec_encode(encoder, picture, 1, history->at + history->count * g->size);
    if (got < 0) return -got;
    history->count += got;
    return OK;
}

/* ---- moments ---- */

/* Copies frame f's vector at a position: dims numbers. */
static void vector_at(const struct latent_grid *g, const struct latent_history *h, int kind, long f, int position,
                      double *out) {
    const float *now = h->at + f * g->size + g->at[position];
    const float *from = h->at + (kind == LATENT_MOTION ? f - 1 : 0) * g->size + g->at[position];
    for (int c = 0; c < g->dims; c++) out[c] = (double)now[(long)c * g->plane] - (double)from[(long)c * g->plane];
}

static void moments_at(const struct latent_grid *g, const struct latent_history *h, int kind, int position, int which,
                       double *mean, double *covariance) {
    int n = g->dims;
    double vector[LATENT_DIMS], count = 0;
    for (long f = 1; f < h->count; f++) {
        if (which && 1 + (f - 1) / LATENT_RUN % 2 != which) continue;
        vector_at(g, h, kind, f, position, vector);
        count++;
        for (int i = 0; i < n; i++) {
            mean[i] += vector[i];
            for (int j = 0; j <= i; j++) covariance[i * n + j] += vector[i] * vector[j];
        }
    }
    if (count < 1) return;
    for (int i = 0; i < n; i++) mean[i] /= count;
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++)
            covariance[i * n + j] = covariance[j * n + i] = covariance[i * n + j] / count - mean[i] * mean[j];
}

int latent_moments_open(struct latent_moments *m, const struct latent_grid *g, const struct latent_history *h,
                        int which) {
    size_t places = LATENT_KINDS * (size_t)g->positions, n = (size_t)g->dims;
    m->mean = calloc(places * n, sizeof *m->mean);
    m->covariance = calloc(places * n * n, sizeof *m->covariance);
    if (!m->mean || !m->covariance) {
        latent_moments_close(m);
        return error_set(ERR_DEVICE, "out of memory for moments of latents");
    }
    for (int kind = 0; kind < LATENT_KINDS; kind++)
        for (int p = 0; p < g->positions; p++) {
            size_t place = (size_t)(kind * g->positions + p);
            moments_at(g, h, kind, p, which, m->mean + place * n, m->covariance + place * n * n);
        }
    return OK;
}

void latent_moments_close(struct latent_moments *m) {
    free(m->mean);
    free(m->covariance);
    *m = (struct latent_moments){0};
}

static struct normal normal_at(const struct latent_grid *g, const struct latent_moments *m, int kind, int position) {
    size_t place = (size_t)(kind * g->positions + position), n = (size_t)g->dims;
    return (struct normal){m->mean + place * n, m->covariance + place * n * n};
}

/* ---- sums ---- */

/* Adds value / (number of positions of the region) to sums [REGIONS], for every region that has the position. */
static void add_to_regions(double *sums, int stride, const struct latent_grid *g, int position, double value) {
    for (int r = 0; r < REGIONS; r++)
        if (g->in[r][position]) sums[r * stride] += value / region_count(g, r);
}

int latent_sums_add(struct latent_sums *sums, const struct latent_grid *g, const struct latent_moments *source,
                    const struct latent_moments *copy) {
    int n = g->dims;
    double *room = malloc((size_t)(2 * n * n + 2 * n) * sizeof *room);
    if (!room) return error_set(ERR_DEVICE, "out of memory for a distance");
    for (int kind = 0; kind < LATENT_KINDS; kind++)
        for (int p = 0; p < g->positions; p++) {
            struct normal a = normal_at(g, source, kind, p), b = normal_at(g, copy, kind, p);
            add_to_regions(sums->frechet[kind], 1, g, p, frechet_distance(&a, &b, n, room));
            add_to_regions(sums->still[kind], 1, g, p, frechet_to_zero(&a, n));
        }
    for (int p = 0; p < g->positions; p++) {
        struct normal of = normal_at(g, source, LATENT_APPEARANCE, p);
        for (int c = 0; c < n; c++)
            add_to_regions(sums->energy[0] + c * LATENT_BANDS / n, LATENT_BANDS, g, p, of.covariance[c * n + c]);
    }
    sums->dialogues++;
    free(room);
    return OK;
}

_Static_assert(sizeof(struct latent_sums) % sizeof(double) == 0, "the sums are an array of doubles");
void latent_sums_merge(struct latent_sums *to, const struct latent_sums *from) { sums_add(to, from, sizeof *to); }

void latent_spread_add(double *spread, const struct latent_grid *g, const struct latent_history *a,
                       const struct latent_history *b) {
    long count = a->count < b->count ? a->count : b->count;
    for (int p = 0; p < g->positions; p++) {
        double squares = 0;
        for (long f = 1; f < count; f++)
            for (int c = 0; c < g->dims; c++) {
                long at = f * g->size + (long)c * g->plane + g->at[p];
                double apart = (double)a->at[at] - (double)b->at[at];
                squares += 0.5 * apart * apart;
            }
        if (count > 1) add_to_regions(spread, 1, g, p, squares / (double)(count - 1));
    }
}

void latent_energy_add(double *energy, const struct latent_grid *g, const struct latent_history *history) {
    double frames = (double)(history->count - 1);
    for (int p = 0; p < g->positions && frames > 0; p++) {
        double variance = 0;
        for (int c = 0; c < g->dims; c++) {
            double sum = 0, squares = 0;
            for (long f = 1; f < history->count; f++) {
                double at = (double)history->at[f * g->size + (long)c * g->plane + g->at[p]];
                sum += at, squares += at * at;
            }
            variance += squares / frames - sum * sum / (frames * frames);
        }
        add_to_regions(energy, 1, g, p, variance);
    }
}
