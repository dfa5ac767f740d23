/* feature_bank.c: see feature_bank.h. */
#include "tools/features/feature_bank.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/philox.h"
#include "data/loader.h"

static size_t picture_bytes(const struct feature_bank *b) { return 3 * (size_t)b->height * (size_t)b->width; }

/* ---- reading ---- */

struct reading {
    struct feature_bank *bank;
    struct dataset *set;
    enum dataset_split split;
    uint64_t seed;
    float *audio, *talk;
    unsigned char *group;
};

/* Copies what the network hears at latent frame `latent`: the features of its video frames and of AUDIO_MARGIN more on
   either side. */
static void take_sound(const struct reading *r, int latent, float *window) {
    const struct dataset_shape *shape = dataset_shape(r->set);
    for (int i = 0; i < AUDIO_WINDOW; i++) {
        int t = FRAMES_PER_LATENT * latent - FRAMES_PER_LATENT + 1 - AUDIO_MARGIN + i;
        t = t < 0 ? 0 : t >= shape->T ? shape->T - 1 : t;
        for (int d = 0; d < shape->D; d++) *window++ = r->talk[t] * r->audio[t * shape->D + d];
    }
}

/* Reads the moments of the window that is kept at `at`: latent frames drawn one from each of BANK_MOMENTS parts. */
static int read_window(const struct reading *r, long at) {
    struct feature_bank *b = r->bank;
    const struct dataset_shape *shape = dataset_shape(r->set);
    struct dataset_row row = {.audio = r->audio, .talk = r->talk};
    const struct random_address address = {.seed = r->seed, .purpose = RANDOM_FEATURES, .sample = (uint32_t)b->row[at]};
    TRY(dataset_read(r->set, r->split, b->row[at], &row));
    for (int k = 0; k < BANK_MOMENTS; k++) {
        long frames = shape->F - 1, first = 1 + k * frames / BANK_MOMENTS, past = 1 + (k + 1) * frames / BANK_MOMENTS;
        int latent = (int)(first + random_below(&address, (uint32_t)k, past > first ? past - first : 1));
        latent = latent < shape->F ? latent : shape->F - 1;
        size_t place = (size_t)(at * BANK_MOMENTS + k);
        TRY(dataset_read_pictures(r->set, r->split, b->row[at], latent, 1, r->group));
        memcpy(b->pictures + place * picture_bytes(b), r->group + (FRAMES_PER_LATENT - 1) * picture_bytes(b),
               picture_bytes(b));
        take_sound(r, latent, b->windows + place * (size_t)b->window);
    }
    return OK;
}

static int read_all(struct reading *r) {
    const struct dataset_shape *shape = dataset_shape(r->set);
    struct feature_bank *b = r->bank;
    r->audio = malloc((size_t)shape->A * (size_t)shape->T * (size_t)shape->D * sizeof *r->audio);
    r->talk = malloc((size_t)shape->T * sizeof *r->talk);
    r->group = malloc(FRAMES_PER_LATENT * picture_bytes(b));
    int code = r->audio && r->talk && r->group ? OK : error_set(ERR_DEVICE, "out of memory for a window");
    for (long i = 0; i < b->all; i++) b->place[i] = -1;
    for (long at = 0; at < b->rows && !code; at++) {
        b->row[at] = at * b->all / b->rows;
        b->place[b->row[at]] = at;
        code = read_window(r, at);
    }
    free(r->audio);
    free(r->talk);
    free(r->group);
    return code;
}

int feature_bank_open(struct feature_bank *b, struct dataset *set, enum dataset_split split, uint64_t seed,
                      size_t bytes) {
    const struct dataset_shape *shape = dataset_shape(set);
    *b = (struct feature_bank){.height = shape->pixel_height,
                               .width = shape->pixel_width,
                               .window = AUDIO_WINDOW * shape->D,
                               .all = dataset_rows(set, split)};
    if (!shape->pictures)
        return error_set(ERR_INPUT, "has no pictures, which features are learned from: prepare keeps them with "
                                    "pictures=true");
    if (!b->all || shape->F < 2) return error_set(ERR_INPUT, "has no windows of that split");
    long most = (long)(bytes / (BANK_MOMENTS * picture_bytes(b)));
    b->rows = b->all < most ? b->all : most < 1 ? 1 : most;
    size_t moments = (size_t)b->rows * BANK_MOMENTS;
    b->place = malloc((size_t)b->all * sizeof *b->place);
    b->row = malloc((size_t)b->rows * sizeof *b->row);
    b->pictures = malloc(moments * picture_bytes(b));
    b->windows = malloc(moments * (size_t)b->window * sizeof *b->windows);
    struct reading reading = {.bank = b, .set = set, .split = split, .seed = seed};
    int code =
        b->place && b->row && b->pictures && b->windows ? OK : error_set(ERR_DEVICE, "out of memory for pictures");
    if (!code) code = clip_rows_open(&b->shots, set, split);
    if (!code) code = read_all(&reading);
    if (code) feature_bank_close(b);
    return code;
}

void feature_bank_close(struct feature_bank *b) {
    if (b->shots) clip_rows_close(b->shots);
    free(b->place);
    free(b->row);
    free(b->pictures);
    free(b->windows);
    *b = (struct feature_bank){0};
}

/* ---- a sample ---- */

static const unsigned char *picture_at(const struct feature_bank *b, long at, long moment) {
    return b->pictures + (size_t)(at * BANK_MOMENTS + moment) * picture_bytes(b);
}

struct square { /* part of a picture, pixels; it may reach beyond the edges, where the last row or column goes on */
    float x, y, share;
};

/* Copies that part of a picture, as wide as the whole, with interpolation. */
static void cut(const struct feature_bank *b, const unsigned char *from, const struct square *s, float *to) {
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < b->height; y++)
            for (int x = 0; x < b->width; x++) {
                float v = fminf((float)b->height - 1, fmaxf(0, s->y + s->share * ((float)y + 0.5f) - 0.5f));
                float u = fminf((float)b->width - 1, fmaxf(0, s->x + s->share * ((float)x + 0.5f) - 0.5f));
                int y0 = (int)v, x0 = (int)u, y1 = y0 + 1 < b->height ? y0 + 1 : y0;
                int x1 = x0 + 1 < b->width ? x0 + 1 : x0;
                const unsigned char *plane = from + (size_t)c * (size_t)b->height * (size_t)b->width;
                const unsigned char *above = plane + y0 * b->width, *below = plane + y1 * b->width;
                v -= (float)y0, u -= (float)x0;
                float byte =
                    (1 - v) * ((1 - u) * above[x0] + u * above[x1]) + v * ((1 - u) * below[x0] + u * below[x1]);
                *to++ = byte / 127.5f - 1;
            }
}

/* A shift by whole pixels, at most a sixteenth of the height. */
static struct square shifted(const struct feature_bank *b, const struct random_address *a, uint32_t index) {
    long reach = b->height / 16;
    return (struct square){(float)(random_below(a, index, 2 * reach + 1) - reach),
                           (float)(random_below(a, index + 1, 2 * reach + 1) - reach), 1};
}

static struct square closer(const struct feature_bank *b, const struct random_address *a, uint32_t index) {
    float share = (float)(1 - 0.5 * random_uniform(a, index));
    return (struct square){(float)random_uniform(a, index + 1) * (1 - share) * (float)b->width,
                           (float)random_uniform(a, index + 2) * (1 - share) * (float)b->height, share};
}

/* ---- tampering ---- */

enum tampering { BY_ANOTHER, BY_ANOTHER_MOMENT, BY_GHOST, BY_BLUR, TAMPERINGS };
struct rectangle { /* places */
    int x0, y0, x1, y1;
};

static struct rectangle draw_rectangle(const struct feature_sample_shape *shape, const struct random_address *a,
                                       uint32_t index) {
    int w = 1 + (int)random_below(a, index, shape->w / 2 + (shape->w < 2)),
        h = 1 + (int)random_below(a, index + 1, shape->h / 2 + (shape->h < 2));
    int x = (int)random_below(a, index + 2, shape->w - w + 1), y = (int)random_below(a, index + 3, shape->h - h + 1);
    return (struct rectangle){x, y, x + w, y + h};
}

/* A low-pass of 1 2 1 each way, twice, from one picture to another; room: scratch of that size. */
static void blur(const struct feature_bank *b, const float *from, float *to, float *room) {
    long size = (long)picture_bytes(b);
    memcpy(to, from, (size_t)size * sizeof *to);
    for (int pass = 0; pass < 4; pass++) {
        long step = pass % 2 ? b->width : 1;
        memcpy(room, to, (size_t)size * sizeof *to);
        for (long i = step; i < size - step; i++) to[i] = 0.25f * (room[i - step] + 2 * room[i] + room[i + step]);
    }
}

/* Replaces the rectangle of `picture` by that of `other`, and writes the labels of all places. */
static void replace(const struct feature_bank *b, const struct feature_sample_shape *shape, const struct rectangle *r,
                    float *picture, const float *other, float *labels) {
    const float least = 0.02f;
    int p = b->height / shape->h;
    size_t plane = (size_t)b->height * (size_t)b->width;
    memset(labels, 0, (size_t)(shape->h * shape->w) * sizeof *labels);
    for (int y = r->y0; y < r->y1; y++)
        for (int x = r->x0; x < r->x1; x++) {
            double change = 0;
            for (int c = 0; c < 3; c++)
                for (int i = 0; i < p * p; i++) {
                    size_t at = (size_t)c * plane + (size_t)((y * p + i / p) * b->width + x * p + i % p);
                    change += fabs((double)picture[at] - (double)other[at]) / (3 * p * p);
                    picture[at] = other[at];
                }
            labels[y * shape->w + x] = change > (double)least;
        }
}

/* ---- a batch ---- */

struct drawing {
    const struct feature_bank *bank;
    const struct feature_sample_shape *shape;
    uint64_t seed, step;
    float *other, *room; /* [3, height, width]: scratch */
};

static long row_of(const struct drawing *d, int i) {
    return loader_row(d->seed, d->step * (uint64_t)d->shape->n + (uint64_t)i, d->bank->rows);
}

/* Another kept window of the same shot; `at` itself where there is none. */
static long neighbour(const struct drawing *d, long at, const struct random_address *a, uint32_t index) {
    long row = clip_rows_other(d->bank->shots, d->bank->row[at], a, index);
    return d->bank->place[row] >= 0 ? d->bank->place[row] : at;
}

static void tamper(const struct drawing *d, const struct random_address *a, int i, float *picture, float *labels) {
    const struct feature_bank *b = d->bank;
    long at = row_of(d, i), from = neighbour(d, at, a, 10);
    enum tampering how = (enum tampering)random_below(a, 11, TAMPERINGS);
    struct rectangle r = draw_rectangle(d->shape, a, 12);
    struct square square = shifted(b, a, 16);
    cut(b, picture_at(b, at, random_below(a, 18, BANK_MOMENTS)), &square, picture);
    if (how == BY_ANOTHER) from = row_of(d, (i + 1) % d->shape->n);
    if (how == BY_BLUR)
        blur(b, picture, d->other, d->room);
    else
        cut(b, picture_at(b, from, random_below(a, 19, BANK_MOMENTS)), &square, d->other);
    for (size_t k = 0; k < picture_bytes(b) && how == BY_GHOST; k++) d->other[k] = 0.5f * (d->other[k] + picture[k]);
    replace(b, d->shape, &r, picture, d->other, labels);
}

static void draw_sample(const struct drawing *d, int i, float *pictures, float *window, float *labels) {
    const struct feature_bank *b = d->bank;
    const struct random_address a = {
        .seed = d->seed, .step = d->step, .purpose = RANDOM_FEATURES, .pass = 1, .sample = (uint32_t)i};
    size_t size = picture_bytes(b), n = (size_t)d->shape->n;
    long at = row_of(d, i), moment = random_below(&a, 0, BANK_MOMENTS);
    struct square plain = shifted(b, &a, 1), close = closer(b, &a, 3);
    long from = neighbour(d, at, &a, 6), other = random_below(&a, 7, BANK_MOMENTS - 1);
    if (from != at)
        other = random_below(&a, 8, BANK_MOMENTS);
    else
        other += other >= moment; /* another moment of the same window */
    cut(b, picture_at(b, at, moment), &plain, pictures + (size_t)i * size);
    cut(b, picture_at(b, from, other), &close, pictures + (n + (size_t)i) * size);
    tamper(d, &a, i, pictures + (2 * n + (size_t)i) * size, labels);
    memcpy(window, b->windows + (size_t)(at * BANK_MOMENTS + moment) * (size_t)b->window,
           (size_t)b->window * sizeof *window);
}

/* Weighs both kinds of places so that each makes half of the loss's mean. */
static void weigh(const float *labels, float *weights, int count) {
    int ones = 0;
    for (int i = 0; i < count; i++) ones += labels[i] > 0;
    for (int i = 0; i < count; i++) weights[i] = 0.5f / (float)(labels[i] > 0 ? ones : count - ones);
}

int feature_bank_batch(const struct feature_bank *b, const struct feature_sample_shape *shape, uint64_t seed,
                       uint64_t step, float *pictures, float *windows, float *labels, float *weights) {
    float *room = malloc(2 * picture_bytes(b) * sizeof *room);
    if (!room) return error_set(ERR_DEVICE, "out of memory for a picture");
    const struct drawing d = {b, shape, seed, step, room, room + picture_bytes(b)};
    int places = shape->h * shape->w;
    for (int i = 0; i < shape->n; i++)
        draw_sample(&d, i, pictures, windows + (size_t)i * (size_t)b->window, labels + (size_t)i * (size_t)places);
    weigh(labels, weights, shape->n * places);
    free(room);
    return OK;
}
