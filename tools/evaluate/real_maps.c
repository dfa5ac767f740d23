/* real_maps.c: see real_maps.h. */
#include "tools/evaluate/real_maps.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tools/evaluate/sums.h"

_Static_assert(sizeof(struct real_map_sums) % sizeof(double) == 0, "the sums are an array of doubles");
void real_map_sums_merge(struct real_map_sums *to, const struct real_map_sums *from) { sums_add(to, from, sizeof *to); }

static void cover(struct latent_grid *grid, const struct latent_sizes *sizes, const struct box *mouth) {
    const struct landmarks nowhere = {.turn = 0}; /* only mouth and whole are read */
    latent_grid_of(grid, sizes, &nowhere);
    latent_grid_cover(grid, sizes, REGION_MOUTH, mouth, 1);
}

int real_mapper_open(struct real_mapper *m, const struct codec *codec, const char *features, const struct box *mouth) {
    const struct latent_sizes latents = {codec->channels, codec->h, codec->w, codec->height, codec->width};
    TRY(codec_share(&m->encoder, codec));
    cover(&m->latent_grid, &latents, mouth);
    if (!*features) return OK;
    TRY(feature_reader_open(&m->reader, features, codec->height, codec->width));
    const struct latent_sizes maps = feature_reader_sizes(m->reader);
    cover(&m->feature_grid, &maps, mouth);
    m->row = malloc((size_t)feature_reader_width(m->reader) * sizeof *m->row);
    m->first = malloc((size_t)feature_reader_width(m->reader) * sizeof *m->first);
    return m->row && m->first ? OK : error_set(ERR_DEVICE, "out of memory for features");
}

void real_mapper_close(struct real_mapper *m) {
    if (m->encoder.state) codec_close(&m->encoder);
    feature_reader_close(m->reader);
    free(m->row);
    free(m->first);
    memset(m, 0, sizeof *m);
}

/* ---- maps ---- */

static void add_likeness(const struct real_mapper *m, struct real_map_sums *sums, int frame, int frames) {
    const int ends = ENDS_SECONDS * VIDEO_RATE, in[2] = {frame <= ends, frame >= frames - ends};
    double cosine = 0;
    for (int i = 0; i < feature_reader_width(m->reader); i++) cosine += (double)m->row[i] * (double)m->first[i];
    for (int e = 0; e < 2; e++) {
        sums->likeness[e] += in[e] ? cosine : 0;
        sums->frames[e] += in[e];
    }
}

static int take_features(struct real_mapper *m, struct latent_history *maps, const struct clip *clip,
                         struct real_map_sums *likeness) {
    size_t size = 3 * (size_t)clip->height * (size_t)clip->width;
    TRY(latent_history_open(maps, &m->feature_grid, clip->count));
    for (int f = 0; f < clip->count; f += FRAMES_PER_LATENT) {
        TRY(feature_reader_take(m->reader, clip->frames + (size_t)f * size,
                                maps->at + maps->count++ * m->feature_grid.size, f ? m->row : m->first));
        if (f && likeness) add_likeness(m, likeness, f, clip->count);
    }
    return OK;
}

int real_maps_take(struct real_mapper *m, struct real_maps *maps, const struct clip *clip,
                   struct real_map_sums *likeness) {
    size_t size = 3 * (size_t)clip->height * (size_t)clip->width;
    real_maps_close(maps);
    TRY(latent_history_open(&maps->latents, &m->latent_grid, clip->count));
    for (int f = 0; f < clip->count; f++)
        TRY(latent_history_take(&maps->latents, &m->latent_grid, &m->encoder, clip->frames + (size_t)f * size));
    return m->reader ? take_features(m, &maps->features, clip, likeness) : OK;
}

void real_maps_close(struct real_maps *maps) {
    latent_history_close(&maps->latents);
    latent_history_close(&maps->features);
}

/* ---- distances ---- */

static int compare(struct latent_sums *sums, const struct latent_grid *grid, struct latent_history *made,
                   struct latent_history *copy) {
    struct latent_moments a = {0}, b = {0};
    long both = made->count < copy->count ? made->count : copy->count;
    made->count = copy->count = both;
    int code = latent_moments_open(&a, grid, made, 0);
    if (!code) code = latent_moments_open(&b, grid, copy, 0);
    if (!code) code = latent_sums_add(sums, grid, &a, &b);
    latent_moments_close(&a);
    latent_moments_close(&b);
    return code;
}

int real_maps_compare(const struct real_mapper *m, struct real_map_sums *sums, struct real_maps *made,
                      struct real_maps *copy) {
    TRY(compare(&sums->latents, &m->latent_grid, &made->latents, &copy->latents));
    TRY(compare(&sums->copy, &m->latent_grid, &copy->latents, &copy->latents));
    return m->reader ? compare(&sums->features, &m->feature_grid, &made->features, &copy->features) : OK;
}
