/* pairs.c: see pairs.h. Letters: F latent frames, T pictures, A tracks of sound, D features of a frame of sound. */
#include "tools/probe/pairs.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/media_rates.h"
#include "base/philox.h"

enum { SOUND_LATE = 8 }; /* frames */
enum { OWN, OTHER };     /* Which of struct pair_maker's two rows. */

struct sizes { /* numbers of a clip's arrays */
    size_t latents, features, mask, text, picture, pixels, audio;
};
static struct sizes sizes_of(const struct dataset *set) {
    const struct dataset_shape *s = dataset_shape(set);
    size_t picture = dataset_picture_bytes(s);
    return (struct sizes){.latents = (size_t)s->F * (size_t)(s->C * s->H * s->W),
                          .features = (size_t)s->T * (size_t)s->D,
                          .mask = (size_t)s->T,
                          .text = (size_t)s->text_len * (size_t)s->text_dim,
                          .picture = picture,
                          .pixels = (size_t)s->T * picture,
                          .audio = (size_t)(s->A * s->T) * (size_t)s->D};
}

/* ---- memory ---- */

static float *take(float **at, size_t count) {
    float *taken = *at;
    *at += count;
    return taken;
}

/* Number of floats that `cut` cuts. */
static size_t memory_count(const struct pair_maker *m) {
    struct sizes z = sizes_of(m->set);
    size_t side = (size_t)m->count * (z.latents + 2 * z.features + 2 * z.mask + z.text);
    size_t row = z.latents + z.audio + 2 * z.mask + z.pixels;
    return z.text + SIDES * side + 2 * row;
}

static void cut(struct pair_maker *m, float *at) {
    struct sizes z = sizes_of(m->set);
    size_t n = (size_t)m->count;
    m->empty = take(&at, z.text);
    for (int s = 0; s < SIDES; s++) {
        struct loader_batch *b = &m->batch[s];
        b->latents = take(&at, n * z.latents);
        b->talk_audio = take(&at, n * z.features);
        b->listen_audio = take(&at, n * z.features);
        b->talk = take(&at, n * z.mask);
        b->listen = take(&at, n * z.mask);
        b->text = take(&at, n * z.text);
        b->empty = m->empty;
    }
    for (int i = OWN; i <= OTHER; i++) {
        struct dataset_row *row = &m->row[i];
        row->latents = take(&at, z.latents);
        row->audio = take(&at, z.audio);
        row->talk = take(&at, z.mask);
        row->listen = take(&at, z.mask);
        m->pixels[i] = take(&at, z.pixels);
    }
}

int pair_maker_open(struct pair_maker *m, struct dataset *set, struct codec *codec, const struct spoil_box *hands,
                    double hue, uint64_t seed, int count) {
    *m = (struct pair_maker){.set = set, .codec = codec, .hands = *hands, .hue = hue, .seed = seed, .count = count};
    m->memory = calloc(memory_count(m), sizeof *m->memory);
    m->bytes = malloc(sizes_of(set).pixels);
    m->clip = calloc((size_t)count, sizeof *m->clip);
    if (!m->memory || !m->bytes || !m->clip) {
        pair_maker_close(m);
        return error_set(ERR_DEVICE, "out of memory for pairs of clips");
    }
    cut(m, m->memory);
    return dataset_text(set, 0, m->empty);
}

void pair_maker_close(struct pair_maker *m) {
    free(m->memory);
    free(m->bytes);
    free(m->clip);
    memset(m, 0, sizeof *m);
}

/* ---- rows ---- */

static int same_person(const struct pair_maker *m, enum dataset_split split, long a, long b, int persons) {
    struct dataset_row x = {0}, y = {0};
    dataset_columns(m->set, split, a, &x);
    dataset_columns(m->set, split, b, &y);
    return persons ? x.identity == y.identity : x.clip == y.clip;
}

/* A row of another person than row `own`'s, of another clip where the split has one person, each as likely. */
static int other_row(const struct pair_maker *m, enum dataset_split split, long own, uint64_t number, long *other) {
    long rows = dataset_rows(m->set, split);
    const struct random_address address = {.seed = m->seed, .step = number, .purpose = RANDOM_PROBE, .pass = 1};
    for (int persons = 1; persons >= 0; persons--) {
        long first = random_below(&address, 0, rows);
        for (long i = 0; i < rows; i++) {
            *other = (first + i) % rows;
            if (!same_person(m, split, own, *other, persons)) return OK;
        }
    }
    return error_set(ERR_INPUT, "the data set's %s clips are all one clip, so that there is no other to compare with",
                     split == SPLIT_TRAIN ? "training" : "held-out");
}

/* Reads a row's pictures, or decodes them. */
static int read_pictures(struct pair_maker *m, enum dataset_split split, long row, int i) {
    const struct dataset_shape *s = dataset_shape(m->set);
    size_t count = sizes_of(m->set).pixels;
    if (s->pictures) {
        TRY(dataset_read_pictures(m->set, split, row, 0, s->F, m->bytes));
        for (size_t k = 0; k < count; k++) m->pixels[i][k] = (float)m->bytes[k] / 127.5f - 1;
        return OK;
    }
    codec_decode_begin(m->codec, NULL);
    int made = codec_decode_host(m->codec, m->row[i].latents, s->F, m->pixels[i]);
    return made < 0 ? -made : OK;
}

/* ---- sides ---- */

/* Gives side `s` of pair b latents, sound and text of row i. */
static int fill(struct pair_maker *m, enum pair_side s, int b, int i) {
    const struct dataset_shape *shape = dataset_shape(m->set);
    struct sizes z = sizes_of(m->set);
    struct loader_batch *to = &m->batch[s];
    const struct dataset_row *row = &m->row[i];
    size_t at = (size_t)b;
    memcpy(to->latents + at * z.latents, row->latents, z.latents * sizeof(float));
    memcpy(to->talk_audio + at * z.features, row->audio, z.features * sizeof(float));
    memcpy(to->listen_audio + at * z.features, row->audio + (size_t)(shape->A - 1) * z.features,
           z.features * sizeof(float));
    memcpy(to->talk + at * z.mask, row->talk, z.mask * sizeof(float));
    memcpy(to->listen + at * z.mask, row->listen, z.mask * sizeof(float));
    return dataset_text(m->set, row->prompt, to->text + at * z.text);
}

/* Encodes pictures as the latents of side `s` of pair b. */
static int encode(struct pair_maker *m, enum pair_side s, int b, const float *pixels) {
    const struct dataset_shape *shape = dataset_shape(m->set);
    codec_encode_reset(m->codec);
    int made = codec_encode(m->codec, pixels, shape->T, m->batch[s].latents + (size_t)b * sizes_of(m->set).latents);
    if (made == shape->F) return OK;
    return made < 0 ? -made : error_set(ERR_INPUT, "the codec made %d latent frames, expected %d", made, shape->F);
}

static struct pictures pictures_of(const struct pair_maker *m, int i) {
    const struct dataset_shape *s = dataset_shape(m->set);
    return (struct pictures){m->pixels[i], s->T, s->pixel_height, s->pixel_width};
}

/* Takes the sound from pictures [from, to) of both clips of pair b; what lies outside of them is left out. */
static void silence(struct pair_maker *m, int b, int from, int to) {
    int T = dataset_shape(m->set)->T;
    if (from < 0) from = 0;
    if (to > T) to = T;
    for (int s = 0; s < SIDES; s++)
        for (int t = from; t < to; t++) m->batch[s].talk[b * T + t] = m->batch[s].listen[b * T + t] = 0;
}

/* The fake goes on with pictures and sound of the other row, from a latent frame in the middle on. Latent frames hear
   AUDIO_MARGIN pictures before and after their own, so that about the change two of them would hear both persons, which
   no real frame does. Both clips are silent there. */
static void change_person(struct pair_maker *m, int b) {
    struct sizes z = sizes_of(m->set);
    const struct dataset_shape *shape = dataset_shape(m->set);
    size_t from = 1 + (size_t)FRAMES_PER_LATENT * (size_t)((shape->F - 1) / 2), left = z.mask - from, at = (size_t)b;
    size_t D = (size_t)shape->D, last = (size_t)(shape->A - 1) * z.features;
    struct loader_batch *to = &m->batch[SIDE_FAKE];
    const struct dataset_row *row = &m->row[OTHER];
    memcpy(m->pixels[OWN] + from * z.picture, m->pixels[OTHER] + from * z.picture, left * z.picture * sizeof(float));
    memcpy(to->talk_audio + at * z.features + from * D, row->audio + from * D, left * D * sizeof(float));
    memcpy(to->listen_audio + at * z.features + from * D, row->audio + last + from * D, left * D * sizeof(float));
    memcpy(to->talk + at * z.mask + from, row->talk + from, left * sizeof(float));
    memcpy(to->listen + at * z.mask + from, row->listen + from, left * sizeof(float));
    silence(m, b, (int)from - AUDIO_MARGIN, (int)from + AUDIO_MARGIN);
}

/* Turns the hues of the pictures; real: all by the angle at which the fake begins. */
static void turn_hues(struct pair_maker *m, uint64_t number, int drifts) {
    const struct dataset_shape *shape = dataset_shape(m->set);
    const struct random_address address = {.seed = m->seed, .step = number, .purpose = RANDOM_PROBE, .pass = 2};
    const struct pictures p = pictures_of(m, OWN);
    double start = random_uniform(&address, 0);
    for (int t = 0; t < shape->T; t++) {
        int f = drifts ? (t + FRAMES_PER_LATENT - 1) / FRAMES_PER_LATENT : 0;
        spoil_hue(&p, t, spoil_hue_angle(start, m->hue, f, shape->F));
    }
}

static void delay(float *rows, size_t width, size_t count) {
    size_t late = SOUND_LATE < count ? SOUND_LATE : count;
    memmove(rows + late * width, rows, (count - late) * width * sizeof *rows);
    memset(rows, 0, late * width * sizeof *rows);
}

static void shift_sound(struct pair_maker *m, int b) {
    struct sizes z = sizes_of(m->set);
    size_t D = (size_t)dataset_shape(m->set)->D, at = (size_t)b;
    struct loader_batch *fake = &m->batch[SIDE_FAKE];
    delay(fake->talk_audio + at * z.features, D, z.mask);
    delay(fake->listen_audio + at * z.features, D, z.mask);
    delay(fake->talk + at * z.mask, 1, z.mask);
    delay(fake->listen + at * z.mask, 1, z.mask);
    silence(m, b, 0, SOUND_LATE);
}

/* ---- pairs ---- */

/* Reads the true pictures of pair b's own row, spoils them and encodes both sides. */
static int spoil_pictures(struct pair_maker *m, enum dataset_split split, enum spoil spoil, uint64_t number, long own,
                          long other, int b) {
    const struct pictures p = pictures_of(m, OWN);
    TRY(read_pictures(m, split, own, OWN));
    if (spoil == SPOIL_PERSON) TRY(read_pictures(m, split, other, OTHER));
    if (spoil == SPOIL_HUE) {
        memcpy(m->pixels[OTHER], m->pixels[OWN], sizes_of(m->set).pixels * sizeof(float));
        turn_hues(m, number, 0);
    }
    TRY(encode(m, SIDE_REAL, b, m->pixels[OWN]));
    if (spoil == SPOIL_HANDS) TRY(spoil_blur(&p, &m->hands));
    if (spoil == SPOIL_NOISE) spoil_noise(&p, m->seed + number, (uint32_t)split);
    if (spoil == SPOIL_PERSON) change_person(m, b);
    if (spoil == SPOIL_HUE) {
        memcpy(m->pixels[OWN], m->pixels[OTHER], sizes_of(m->set).pixels * sizeof(float));
        turn_hues(m, number, 1);
    }
    return encode(m, SIDE_FAKE, b, m->pixels[OWN]);
}

static int make_pair(struct pair_maker *m, enum dataset_split split, enum spoil spoil, uint64_t number, int b) {
    long own = loader_row(m->seed, number, dataset_rows(m->set, split)), other = own;
    if (spoil == SPOIL_PERSON || spoil == SPOIL_NONE) TRY(other_row(m, split, own, number, &other));
    TRY(dataset_read(m->set, split, own, &m->row[OWN]));
    if (other != own) TRY(dataset_read(m->set, split, other, &m->row[OTHER]));
    m->clip[b] = m->row[OWN].clip;
    TRY(fill(m, SIDE_REAL, b, OWN));
    TRY(fill(m, SIDE_FAKE, b, spoil == SPOIL_NONE ? OTHER : OWN));
    if (spoil == SPOIL_SOUND) shift_sound(m, b);
    if (spoil == SPOIL_SOUND || spoil == SPOIL_NONE) return OK;
    return spoil_pictures(m, split, spoil, number, own, other, b);
}

int pair_maker_next(struct pair_maker *m, enum dataset_split split, enum spoil spoil, uint64_t first) {
    for (int b = 0; b < m->count; b++) TRY(make_pair(m, split, spoil, first + (uint64_t)b, b));
    return OK;
}
