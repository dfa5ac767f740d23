/* loader.c: see loader.h. A ring of SLOTS batches: the thread fills them and the caller takes them; the slot that the
   caller holds is not filled again before its next call. */
#include "data/loader.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/permutation.h"
#include "base/philox.h"
#include "data/clip_rows.h"
#include "data/picture_sample.h"

enum { SLOTS = 3, BATCH_MAX = 1 << 16, COLUMNS = 4 };

struct slot {
    struct loader_batch batch;
    float *memory;
    int code; /* error that kept it from being filled */
    char text[512];
};
struct loader {
    struct dataset *set;
    struct loader_config config;
    struct dataset_shape shape;
    struct picture_sampler *pictures; /* NULL: none are wanted */
    long rows;
    float *empty;              /* [text_len, text_dim] */
    float *audio;              /* [A, T, D] of one row */
    struct clip_rows *by_clip; /* NULL: no references from elsewhere */
    struct slot slots[SLOTS];
    uint64_t next;   /* step that the caller gets next */
    uint64_t filled; /* step that the thread fills next */
    uint64_t first;
    int stop, started;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

long loader_row(uint64_t seed, uint64_t n, long rows) { return permuted_turn(seed, n, rows); }

/* Reads the reference from elsewhere in the clip for sample b, which is row r. */
static int fill_far(struct loader *l, struct loader_batch *batch, int b, long r, const struct random_address *address) {
    const struct dataset_shape *s = &l->shape;
    size_t frame = (size_t)s->C * s->H * s->W;
    struct dataset_row other = {.latents = batch->far + (size_t)b * frame};
    TRY(dataset_read_frames(l->set, l->config.split, clip_rows_other(l->by_clip, r, address, 4), 1, &other));
    if (random_uniform(address, 5) < l->config.far_share)
        memcpy(batch->latents + (size_t)b * frame * (size_t)s->F, other.latents, sizeof(float) * frame);
    return OK;
}

/* Numbers of latents and bytes of pictures in a sample with true pictures; 0 without. */
static size_t sample_latents(const struct dataset_shape *s, int frames) {
    return frames ? (size_t)(1 + frames) * (size_t)s->C * (size_t)s->H * (size_t)s->W : 0;
}
static size_t sample_pictures(const struct dataset_shape *s, int frames) {
    return frames ? (size_t)video_frames(1 + frames) * dataset_picture_bytes(s) : 0;
}

/* Fills sample b of a step. */
static int fill_sample(struct loader *l, struct loader_batch *batch, uint64_t step, int b) {
    const struct dataset_shape *s = &l->shape;
    const struct loader_config *c = &l->config;
    size_t clip = (size_t)s->F * s->C * s->H * s->W, sound = (size_t)s->T * s->D,
           text = (size_t)s->text_len * s->text_dim;
    uint64_t sample = (uint64_t)(c->first + b);
    long row_index = loader_row(c->seed, step * (uint64_t)c->batch + sample, l->rows);
    struct dataset_row row = {.latents = batch->latents + b * clip,
                              .audio = l->audio,
                              .talk = batch->talk + (size_t)b * s->T,
                              .listen = batch->listen + (size_t)b * s->T};
    TRY(dataset_read_frames(l->set, c->split, row_index, c->latents ? s->F : 1, &row));
    memcpy(batch->talk_audio + b * sound, l->audio, sizeof(float) * sound);
    memcpy(batch->listen_audio + b * sound, l->audio + (size_t)(s->A - 1) * sound, sizeof(float) * sound);
    batch->clip[b] = row.clip;
    batch->identity[b] = row.identity;
    batch->utterance[b] = row.utterance;
    struct random_address address = {
        .seed = c->seed, .step = step, .purpose = RANDOM_DROPOUT, .sample = (uint32_t)sample};
    if (l->by_clip) TRY(fill_far(l, batch, b, row_index, &address));
    int dropped = random_uniform(&address, 0) < c->drop_text;
    TRY(dataset_text(l->set, dropped ? 0 : row.prompt, batch->text + b * text));
    int silent = random_uniform(&address, 1) < c->drop_audio;
    if (random_uniform(&address, 2) < c->drop_talk || silent) memset(row.talk, 0, sizeof(float) * (size_t)s->T);
    if (random_uniform(&address, 3) < c->drop_listen || silent) memset(row.listen, 0, sizeof(float) * (size_t)s->T);
    if (!l->pictures) return OK;
    return picture_sample(l->pictures, step, (uint32_t)sample, row_index, row.latents,
                          batch->sample_latents + (size_t)b * sample_latents(s, c->picture_frames),
                          batch->sample_pictures + (size_t)b * sample_pictures(s, c->picture_frames),
                          &batch->sample_joined[b]);
}

static void fill_slot(struct loader *l, struct slot *slot, uint64_t step) {
    slot->code = OK;
    slot->batch.step = step;
    for (int b = 0; b < l->config.count && !slot->code; b++) slot->code = fill_sample(l, &slot->batch, step, b);
    if (slot->code)
        snprintf(slot->text, sizeof slot->text, "%.500s", error_text()); /* the error text belongs to this thread */
}

/* The thread: fills slots as they become free. Step s has slot s % SLOTS; the caller holds that of step next - 1. */
static void *work(void *argument) {
    struct loader *l = argument;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->stop && l->filled - l->first >= l->next - l->first + SLOTS - 1)
            pthread_cond_wait(&l->changed, &l->lock);
        if (l->stop) break;
        uint64_t step = l->filled;
        pthread_mutex_unlock(&l->lock);
        fill_slot(l, &l->slots[step % SLOTS], step);
        pthread_mutex_lock(&l->lock);
        l->filled = step + 1;
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* Number of values in a sample's arrays. */
static size_t sample_size(const struct dataset_shape *s) {
    return (size_t)(s->F + 1) * s->C * s->H * s->W + 2 * (size_t)s->T * s->D + 2 * (size_t)s->T +
           (size_t)s->text_len * s->text_dim;
}

size_t loader_memory(const struct dataset_shape *shape, int count, int picture_frames) {
    size_t floats = sample_size(shape) + sample_latents(shape, picture_frames);
    return SLOTS * (size_t)count *
           (floats * sizeof(float) + COLUMNS * sizeof(int) + sample_pictures(shape, picture_frames));
}

/* Allocates one zeroed piece of memory for the arrays of a batch. */
static int allocate_slot(struct slot *slot, const struct dataset_shape *s, int B, int picture_frames) {
    size_t clip = (size_t)s->F * s->C * s->H * s->W, sound = (size_t)s->T * s->D;
    size_t n = (size_t)B;
    float *at = slot->memory = calloc(n * (sample_size(s) + sample_latents(s, picture_frames)), sizeof *at);
    slot->batch.clip = calloc(COLUMNS * n, sizeof(int));
    slot->batch.sample_pictures = calloc(n * sample_pictures(s, picture_frames) + 1, 1);
    if (!at || !slot->batch.clip || !slot->batch.sample_pictures) return error_set(ERR_DEVICE, "loader: out of memory");
    slot->batch.latents = at;
    slot->batch.far = at += n * clip;
    slot->batch.talk_audio = at += n * (size_t)s->C * s->H * s->W;
    slot->batch.listen_audio = at += n * sound;
    slot->batch.talk = at += n * sound;
    slot->batch.listen = at += n * (size_t)s->T;
    slot->batch.text = at += n * (size_t)s->T;
    slot->batch.sample_latents = at + n * (size_t)s->text_len * (size_t)s->text_dim;
    slot->batch.identity = slot->batch.clip + n;
    slot->batch.utterance = slot->batch.clip + 2 * n;
    slot->batch.sample_joined = slot->batch.clip + 3 * n;
    return OK;
}

static int prepare(struct loader *l) {
    const struct dataset_shape *s = &l->shape;
    l->empty = malloc(sizeof(float) * (size_t)s->text_len * s->text_dim);
    l->audio = malloc(sizeof(float) * (size_t)s->A * s->T * s->D);
    if (!l->empty || !l->audio) return error_set(ERR_DEVICE, "loader: out of memory");
    TRY(dataset_text(l->set, 0, l->empty));
    const struct loader_config *c = &l->config;
    if (c->picture_frames)
        TRY(picture_sampler_open(&l->pictures, l->set, c->split, c->picture_frames, c->other_reference, c->seed));
    if (l->config.far || l->config.far_share > 0) TRY(clip_rows_open(&l->by_clip, l->set, l->config.split));
    for (int i = 0; i < SLOTS; i++) {
        TRY(allocate_slot(&l->slots[i], s, c->count, c->picture_frames));
        l->slots[i].batch.empty = l->empty;
    }
    if (pthread_create(&l->thread, NULL, work, l)) return error_set(ERR_DEVICE, "loader: cannot start a thread");
    l->started = 1;
    return OK;
}

int loader_open(struct loader **out, struct dataset *set, const struct loader_config *config, uint64_t first_step) {
    *out = NULL;
    if (config->batch < 1 || config->batch > BATCH_MAX)
        return error_set(ERR_USAGE, "loader: batch is %d, expected 1 to %d", config->batch, BATCH_MAX);
    if (config->first < 0 || config->count < 0 || config->first + config->count > config->batch)
        return error_set(ERR_USAGE, "loader: samples %d to %d of a batch of %d", config->first,
                         config->first + config->count - 1, config->batch);
    const double shares[] = {config->drop_text, config->drop_audio, config->drop_talk, config->drop_listen,
                             config->far_share};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        if (!(shares[i] >= 0 && shares[i] <= 1))
            return error_set(ERR_USAGE, "loader: a probability of %g, expected 0 to 1", shares[i]);
    long rows = dataset_rows(set, config->split);
    if (!rows)
        return error_set(ERR_INPUT, "the data set has no %s windows",
                         config->split == SPLIT_TRAIN ? "training" : "held-out");
    struct loader *l = calloc(1, sizeof *l);
    if (!l) return error_set(ERR_DEVICE, "loader: out of memory");
    l->set = set;
    l->config = *config;
    if (!l->config.count) l->config.count = config->batch;
    l->shape = *dataset_shape(set);
    l->rows = rows;
    l->first = l->next = l->filled = first_step;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    int code = prepare(l);
    if (code) {
        loader_close(l);
        return code;
    }
    *out = l;
    return OK;
}

int loader_next(struct loader *l, const struct loader_batch **batch) {
    pthread_mutex_lock(&l->lock);
    while (l->filled <= l->next) pthread_cond_wait(&l->changed, &l->lock);
    struct slot *slot = &l->slots[l->next % SLOTS];
    l->next++;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    *batch = &slot->batch;
    return slot->code ? error_set((enum error_code)slot->code, "%s", slot->text) : OK;
}

void loader_close(struct loader *l) {
    if (!l) return;
    if (l->started) {
        pthread_mutex_lock(&l->lock);
        l->stop = 1;
        pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->thread, NULL);
    }
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    for (int i = 0; i < SLOTS; i++) {
        free(l->slots[i].memory);
        free(l->slots[i].batch.clip);
        free(l->slots[i].batch.sample_pictures);
    }
    picture_sampler_close(l->pictures);
    clip_rows_close(l->by_clip);
    free(l->empty);
    free(l->audio);
    free(l);
}
