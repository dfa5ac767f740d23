/* latent_consistency.c: see latent_consistency.h. */
#include "train/method/latent_consistency.h"

#include <stdlib.h>

#include "base/error.h"
#include "kernels/device.h"
#include "model/params/transfer.h"

static long rows_of(const struct latent_consistency *c, int clips) { return clips * c->frames * c->h * c->w; }
static long frame_of(const struct latent_consistency *c) { return 3 * c->h * c->patch * c->w * c->patch; }

void latent_consistency_layout(struct latent_consistency *c, int batch, int frames, int channels, int h, int w,
                               int patch, struct arena *arena) {
    *c = (struct latent_consistency){
        .batch = batch, .frames = frames, .C = channels, .h = h, .w = w, .patch = patch, .size = pca_values(patch)};
    long n = rows_of(c, batch);
    c->basis = ARENA_TAKE(arena, "consistency: encoder", real, c->C * c->size);
    c->weight = ARENA_TAKE(arena, "consistency: encoder", real, 1);
    c->offset = ARENA_TAKE(arena, "consistency: encoder", real, n * c->C);
    c->clip = ARENA_TAKE(arena, "consistency: pixels", real, n * c->size);
    c->rows = ARENA_TAKE(arena, "consistency: pixels", real, n * c->size);
    c->made = ARENA_TAKE(arena, "consistency: latents", real, n * c->C);
    c->wanted = ARENA_TAKE(arena, "consistency: latents", real, n * c->C);
}

static void upload_map(struct latent_consistency *c, float *basis, float *offset, const struct codec_linear *map) {
    long n = rows_of(c, c->batch);
    for (long i = 0; i < c->C; i++) {
        double sum = 0;
        for (long j = 0; j < c->size; j++) {
            basis[i * c->size + j] = 2 * map->scale[i] * map->analysis[i * c->size + j];
            sum += (double)basis[i * c->size + j] * (1 + (double)map->mean[j]) / 2;
        }
        for (long r = 0; r < n; r++) offset[r * c->C + i] = (float)sum;
    }
    transfer_to_real(c->basis, basis, c->C * c->size);
    transfer_to_real(c->offset, offset, n * c->C);
}

int latent_consistency_prepare(struct latent_consistency *c, const struct codec *codec) {
    const struct codec_linear map = codec_linear(codec);
    if (!map.analysis)
        return error_set(
            ERR_USAGE,
            "light_decoder.consistency_weight: expected 0 with the %s codec, which gives no gradient to pixels",
            codec->name);
    if (codec->channels != c->C || map.size != c->size)
        return error_set(ERR_USAGE, "light_decoder: decodes %ld channels at stride %ld, the codec has another size",
                         c->C, c->patch);
    float *basis = malloc((size_t)(c->C * c->size) * sizeof *basis);
    float *offset = malloc((size_t)(rows_of(c, c->batch) * c->C) * sizeof *offset);
    int code = basis && offset ? OK : error_set(ERR_DEVICE, "out of memory for the codec's map");
    if (!code) upload_map(c, basis, offset, &map);
    free(basis);
    free(offset);
    return code;
}

/* Lays the frames out in groups of four, as the codec encodes them: four copies of the first frame, then the others. */
static void spread_frames(const struct latent_consistency *c, int clips, const real *pixels) {
    long frame = frame_of(c), kept = video_frames(c->frames);
    for (int b = 0; b < clips; b++) {
        const real *from = pixels + b * kept * frame;
        real *to = c->clip + (long)b * FRAMES_PER_LATENT * c->frames * frame;
        for (int i = 0; i < FRAMES_PER_LATENT; i++) mem_copy(to + i * frame, from, (size_t)frame * sizeof(real));
        mem_copy(to + FRAMES_PER_LATENT * frame, from + frame, (size_t)((kept - 1) * frame) * sizeof(real));
    }
}

/* Adds the transpose of spread_frames: the gradients by the groups, to the frames that they came from. */
static void gather_frames(const struct latent_consistency *c, int clips, real *dpixels) {
    long frame = frame_of(c), kept = video_frames(c->frames);
    for (int b = 0; b < clips; b++) {
        real *to = dpixels + b * kept * frame;
        const real *from = c->clip + (long)b * FRAMES_PER_LATENT * c->frames * frame;
        for (int i = 0; i < FRAMES_PER_LATENT; i++) real_axpby(to, 1, from + i * frame, 1, frame);
        real_axpby(to + frame, 1, from + FRAMES_PER_LATENT * frame, 1, (kept - 1) * frame);
    }
}

void latent_consistency_gradient(struct latent_consistency *c, int clips, double weight, real *loss, real *dpixels,
                                 const real *pixels, const real *latents) {
    const struct block_order pixel_order = {
        {FRAMES_PER_LATENT, (int)c->patch, (int)c->patch}, c->patch * c->patch, {3 * c->patch * c->patch, c->patch, 1}};
    const struct block_order latent_order = {{1, 1, 1}, 1, {0, 0, 0}};
    long groups = (long)clips * c->frames, n = rows_of(c, clips);
    real_fill(c->weight, (real)weight, 1);
    spread_frames(c, clips, pixels);
    depth_from_planes(c->rows, c->clip, groups, c->h, c->w, 3, &pixel_order);
    matmul_real_nt(c->made, c->rows, c->basis, n, c->size, c->C);
    depth_from_planes(c->wanted, latents, groups, c->h, c->w, c->C, &latent_order);
    real_axpby(c->wanted, 1, c->offset, 1, n * c->C); /* the same difference as if it were subtracted from `made` */
    mse_loss(loss, dpixels ? c->made : NULL, c->made, c->wanted, c->weight, 1, n * c->C);
    if (!dpixels) return;
    matmul_real(c->rows, c->made, c->basis, n, c->C, c->size);
    planes_from_depth(c->clip, c->rows, groups, c->h, c->w, 3, &pixel_order);
    gather_frames(c, clips, dpixels);
}
