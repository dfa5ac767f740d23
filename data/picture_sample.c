/* picture_sample.c: see picture_sample.h. */
#include "data/picture_sample.h"

#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/philox.h"

struct place { /* a row of the split and its clip */
    int clip;
    long row;
};
struct picture_sampler {
    struct dataset *set;
    enum dataset_split split;
    int frames;
    double other;
    uint64_t seed;
    long rows;
    struct place *by_clip; /* [rows]: rows of a clip side by side */
    long *first, *count;   /* [rows]: of each row's clip: where its rows begin in by_clip, and how many it has */
};

static int compare(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    if (x->clip != y->clip) return x->clip < y->clip ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static int make_table(struct picture_sampler *s) {
    size_t n = (size_t)s->rows + 1;
    s->by_clip = calloc(n, sizeof *s->by_clip);
    s->first = calloc(n, sizeof *s->first);
    s->count = calloc(n, sizeof *s->count);
    if (!s->by_clip || !s->first || !s->count) return error_set(ERR_DEVICE, "data set: out of memory");
    for (long i = 0; i < s->rows; i++) {
        struct dataset_row row;
        dataset_columns(s->set, s->split, i, &row);
        s->by_clip[i] = (struct place){row.clip, i};
    }
    qsort(s->by_clip, (size_t)s->rows, sizeof *s->by_clip, compare);
    for (long i = 0, end; i < s->rows; i = end) {
        for (end = i + 1; end < s->rows && s->by_clip[end].clip == s->by_clip[i].clip; end++) {}
        for (long k = i; k < end; k++) s->first[s->by_clip[k].row] = i, s->count[s->by_clip[k].row] = end - i;
    }
    return OK;
}

int picture_sampler_open(struct picture_sampler **out, struct dataset *set, enum dataset_split split, int frames,
                         double other, uint64_t seed) {
    const struct dataset_shape *shape = dataset_shape(set);
    *out = NULL;
    if (!shape->pictures)
        return error_set(ERR_INPUT, "the data set has no pictures (prepare makes them with pictures=true)");
    if (frames < 1 || frames >= shape->F)
        return error_set(ERR_USAGE, "%d latent frames after the reference, but 1 to %d are possible", frames,
                         shape->F - 1);
    struct picture_sampler *s = calloc(1, sizeof *s);
    if (!s) return error_set(ERR_DEVICE, "data set: out of memory");
    *s = (struct picture_sampler){
        .set = set, .split = split, .frames = frames, .other = other, .seed = seed, .rows = dataset_rows(set, split)};
    int code = make_table(s);
    if (code) {
        picture_sampler_close(s);
        return code;
    }
    *out = s;
    return OK;
}

void picture_sampler_close(struct picture_sampler *s) {
    if (!s) return;
    free(s->by_clip);
    free(s->first);
    free(s->count);
    free(s);
}

/* Whose first picture is the reference: the row's own, or that of another row of the clip. */
static long reference_of(const struct picture_sampler *s, const struct random_address *address, long row) {
    long count = s->count[row];
    if (count < 2 || random_uniform(address, 0) >= s->other) return row;
    long pick = random_below(address, 1, count - 1);
    const struct place *clip = s->by_clip + s->first[row];
    for (long i = 0; i <= pick; i++)
        if (clip[i].row == row) pick++; /* the others, in order */
    return clip[pick].row;
}

int picture_sample(const struct picture_sampler *s, uint64_t step, uint32_t sample, long row, const float *window,
                   float *latents, unsigned char *pictures, int *joined) {
    const struct dataset_shape *shape = dataset_shape(s->set);
    size_t latent = (size_t)shape->C * (size_t)shape->H * (size_t)shape->W;
    struct random_address address = {.seed = s->seed, .step = step, .purpose = RANDOM_REFERENCE, .sample = sample};
    long reference = reference_of(s, &address, row);
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
