/* picture_sample.c: see picture_sample.h. */
#include "data/picture_sample.h"

#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/philox.h"
#include "data/clip_rows.h"

struct picture_sampler {
    struct dataset *set;
    enum dataset_split split;
    int frames;
    double other;
    uint64_t seed;
    struct clip_rows *by_clip;
};

int picture_sampler_open(struct picture_sampler **out, struct dataset *set, enum dataset_split split, int frames,
                         double other, uint64_t seed) {
    const struct dataset_shape *shape = dataset_shape(set);
    *out = NULL;
    if (!shape->pictures)
        return error_set(ERR_INPUT, "the data set has no pictures (prepare makes them with pictures=true)");
    if (frames < 1 || frames >= shape->F)
        return error_set(ERR_USAGE, "%d latent frames after the reference, expected 1 to %d", frames, shape->F - 1);
    struct picture_sampler *s = calloc(1, sizeof *s);
    if (!s) return error_set(ERR_DEVICE, "data set: out of memory");
    *s = (struct picture_sampler){.set = set, .split = split, .frames = frames, .other = other, .seed = seed};
    int code = clip_rows_open(&s->by_clip, set, split);
    if (code) {
        picture_sampler_close(s);
        return code;
    }
    *out = s;
    return OK;
}

void picture_sampler_close(struct picture_sampler *s) {
    if (!s) return;
    clip_rows_close(s->by_clip);
    free(s);
}

int picture_sample(const struct picture_sampler *s, uint64_t step, uint32_t sample, long row, const float *window,
                   float *latents, unsigned char *pictures, int *joined) {
    const struct dataset_shape *shape = dataset_shape(s->set);
    size_t latent = (size_t)shape->C * (size_t)shape->H * (size_t)shape->W;
    struct random_address address = {.seed = s->seed, .step = step, .purpose = RANDOM_REFERENCE, .sample = sample};
    long reference = random_uniform(&address, 0) < s->other ? clip_rows_other(s->by_clip, row, &address, 1) : row;
    int begin = 1 + (int)random_below(&address, 2, shape->F - s->frames);
    memcpy(latents, window, sizeof *latents * latent);
    memcpy(latents + latent, window + (size_t)begin * latent, sizeof *latents * latent * (size_t)s->frames);
    if (reference != row) {
        struct dataset_row first = {.latents = latents};
        TRY(dataset_read_frames(s->set, s->split, reference, 1, &first));
    }
    TRY(dataset_read_pictures(s->set, s->split, reference, 0, 1, pictures));
    TRY(dataset_read_pictures(s->set, s->split, row, begin, s->frames, pictures + dataset_picture_bytes(shape)));
    *joined = reference == row && begin == 1;
    return OK;
}
