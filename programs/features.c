/* features.c: trains a network of features (model/features/feature_net.h) on the training clips of a data set that
   holds true pictures, and writes it to a file, in whose features the evaluations then measure Frechet distances and
   likeness (`features=`). How well it tells what it was taught is measured on the held-out clips (training clips where
   there are none), printed, and noted in the file, with the deviation of its maps, which is their unit. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "checkpoints/feature_file.h"
#include "kernels/device.h"
#include "model/params/transfer.h"
#include "tools/features/feature_bank.h"
#include "tools/features/feature_score.h"
#include "train/method/feature_step.h"

enum { BANK_BYTES = 256 << 20, TEST_BATCHES = 8 };

struct settings {
    char out[FILE_PATH_MAX];
    long steps, seed, log_every;
    int batch, threads, patch, width0, width1, width2, embedding;
    double lr;
};
#define FIELDS_OF struct settings
static const struct config_field keys[] = {
    TEXT("out", out, NULL, "Safetensors file for the network; the folder must exist."),
    LONG("steps", steps, 1, 1e9, "400", "Number of updates."),
    INT("batch", batch, 2, 4096, "32", "Samples of an update: each has three pictures and a sound."),
    REAL("lr", lr, 0, 1, "2e-3", "Learning rate, which falls to 0 over the second half of the updates."),
    LONG("seed", seed, 0, 1e15, "1",
         "Seed of weights and samples; the same seed, data and thread count give the same file."),
    INT("patch", patch, 0, 64, "0",
        "Side of a square of pixels, a quarter of that which one place of the features covers; 0: a 32nd of the "
        "picture's height."),
    INT("width0", width0, 1, FEATURE_WIDTH_MAX, "16", "Channels at four times the features' resolution."),
    INT("width1", width1, 1, FEATURE_WIDTH_MAX, "32", "Channels at twice the features' resolution."),
    INT("width2", width2, 1, FEATURE_WIDTH_MAX, "48", "Channels of the features."),
    INT("embedding", embedding, 1, FEATURE_EMBEDDING_MAX, "32",
        "Length of the row that says whose picture it is, and of those for sound."),
    LONG("log_every", log_every, 1, 1e9, "50", "Updates from one log line to the next."),
    THREADS_FIELD,
};

/* A batch on the host and on the device. */
struct batch {
    struct feature_sample_shape shape;
    float *pictures, *windows, *labels, *weights;
    real *on_device[4];
    size_t sizes[4];
};
struct training {
    const struct settings *settings;
    struct dataset *set;
    struct feature_bank bank, held_out; /* held_out: rows 0 where the data set has no held-out clips */
    struct feature_net net;
    struct feature_step step;
    struct arena state, activations;
    struct batch batch;
};

/* ---- memory ---- */

static int layout(struct training *t) {
    const struct settings *o = t->settings;
    const struct optimiser_config optimiser = {.lr = o->lr,
                                               .beta1 = 0.9,
                                               .beta2 = 0.99,
                                               .eps = 1e-8,
                                               .decay = 0.01,
                                               .clip = 1,
                                               .warmup = 20,
                                               .cooldown = o->steps / 2,
                                               .ema_warmup = 10};
    TRY(feature_step_layout(&t->step, &t->net, &optimiser, o->steps, o->batch, &t->state, &t->activations));
    for (int i = 0; i < 4; i++)
        t->batch.on_device[i] = ARENA_TAKE(&t->activations, "features: batch", real, t->batch.sizes[i]);
    return OK;
}

static int take_memory(struct training *t) {
    struct batch *b = &t->batch;
    size_t n = (size_t)t->settings->batch, places = (size_t)(t->net.h * t->net.w);
    size_t sizes[4] = {9 * n * (size_t)t->net.config.height * (size_t)t->net.config.width,
                       n * (size_t)t->net.config.window, n * places, n * places};
    float **host[4] = {&b->pictures, &b->windows, &b->labels, &b->weights};
    memcpy(b->sizes, sizes, sizeof sizes);
    b->shape = (struct feature_sample_shape){(int)n, t->net.h, t->net.w};
    for (int i = 0; i < 4; i++)
        if (!(*host[i] = malloc(sizes[i] * sizeof **host[i])))
            return error_set(ERR_DEVICE, "out of memory for a batch");
    arena_begin(&t->state, "network and optimiser");
    arena_begin(&t->activations, "activations");
    TRY(layout(t));
    TRY(arena_commit(&t->state));
    TRY(arena_commit(&t->activations));
    return layout(t);
}

static int draw_batch(struct batch *b, const struct feature_bank *bank, uint64_t seed, long number,
                      struct feature_batch *out) {
    const float *host[4] = {b->pictures, b->windows, b->labels, b->weights};
    TRY(feature_bank_batch(bank, &b->shape, seed, (uint64_t)number, b->pictures, b->windows, b->labels, b->weights));
    for (int i = 0; i < 4; i++) transfer_to_real(b->on_device[i], host[i], (long)b->sizes[i]);
    *out = (struct feature_batch){b->on_device[0], b->on_device[1], b->on_device[2], b->on_device[3]};
    return OK;
}

/* ---- training ---- */

static int report(struct training *t, long step) {
    struct optimiser_report account;
    float parts[3];
    optimiser_report(&t->step.optimiser, step, &account);
    transfer_from_real(parts, &t->step.figures->person, 3);
    if (!isfinite(account.loss)) return error_set(ERR_NUMERIC, "step %ld: the loss is not finite", step);
    log_line("step %ld: loss %.3f (person %.3f, sound %.3f, spoiled %.3f)", step + 1, account.loss, (double)parts[0],
             (double)parts[1], (double)parts[2]);
    return OK;
}

static int train(struct training *t) {
    const struct settings *o = t->settings;
    for (long step = 0; step < o->steps; step++) {
        struct feature_batch batch;
        TRY(draw_batch(&t->batch, &t->bank, (uint64_t)o->seed, step, &batch));
        TRY(feature_step_run(&t->step, &batch, step));
        if ((step + 1) % o->log_every == 0 || step + 1 == o->steps) TRY(report(t, step));
    }
    return device_sync();
}

/* ---- what it has learned ---- */

static int score(struct training *t, struct feature_score *score) {
    struct params params = optimiser_frozen(&t->step.optimiser);
    *score = (struct feature_score){0};
    const struct feature_bank *bank = t->held_out.rows ? &t->held_out : &t->bank;
    for (long i = 0; i < TEST_BATCHES; i++) {
        struct feature_batch batch;
        TRY(draw_batch(&t->batch, bank, (uint64_t)t->settings->seed, i, &batch));
        feature_step_gradient(&t->step, &params, &batch);
        TRY(feature_score_add(score, &t->step, t->batch.labels));
    }
    return OK;
}

static int save(struct training *t, const struct feature_score *s) {
    char steps[32], seed[32], sum[16], person[16], sound[16], spoiled[16], deviation[32];
    const char *notes[] = {"steps",
                           steps,
                           "seed",
                           seed,
                           "data",
                           sum,
                           "deviation",
                           deviation,
                           "held_out_person",
                           person,
                           "held_out_sound",
                           sound,
                           "held_out_spoiled",
                           spoiled,
                           NULL};
    snprintf(deviation, sizeof deviation, "%.9g", s->batches > 0 ? sqrt(s->variance / s->batches) : 1);
    snprintf(steps, sizeof steps, "%ld", t->settings->steps);
    snprintf(seed, sizeof seed, "%ld", t->settings->seed);
    snprintf(sum, sizeof sum, "%08x", dataset_sum(t->set));
    snprintf(person, sizeof person, "%.3f", feature_score_share(&s->person));
    snprintf(sound, sizeof sound, "%.3f", feature_score_share(&s->sound));
    snprintf(spoiled, sizeof spoiled, "%.3f", feature_score_share(&s->spoiled));
    float *values = malloc(t->net.table.total * sizeof *values);
    if (!values) return error_set(ERR_DEVICE, "out of memory for the weights");
    int code = optimiser_read(&t->step.optimiser, OPTIMISER_MASTER, 0, values);
    if (!code) code = device_sync();
    if (!code) code = feature_file_save(t->settings->out, &t->net, values, notes);
    free(values);
    return code;
}

static void print_score(const struct training *t, const struct feature_score *s, double seconds) {
    uint64_t length;
    uint32_t sum;
    printf("%s clips, pairs of which the right one is the nearer (chance 0.5): picture of the same person %.3f, sound "
           "of the moment %.3f, place that was tampered with %.3f\n",
           t->held_out.rows ? "held-out" : "training (no held-out ones are there)", feature_score_share(&s->person),
           feature_score_share(&s->sound), feature_score_share(&s->spoiled));
    if (!file_checksum(t->settings->out, &length, &sum))
        printf("%s: %zu parameters, checksum %08x, %.0f s\n", t->settings->out, t->net.table.values, sum, seconds);
}

/* ---- the program ---- */

static int open_network(struct training *t) {
    const struct settings *o = t->settings;
    const struct feature_config config = {.height = t->bank.height,
                                          .width = t->bank.width,
                                          .patch = o->patch ? o->patch : t->bank.height / 32 + !(t->bank.height / 32),
                                          .widths = {o->width0, o->width1, o->width2},
                                          .embedding = o->embedding,
                                          .window = t->bank.window,
                                          .hearing = 96};
    TRY(feature_net_create(&t->net, &config));
    TRY(take_memory(t));
    return feature_step_fresh(&t->step, (uint64_t)o->seed);
}

static int open_data(struct training *t, const char *path) {
    TRY(dataset_open(&t->set, path));
    int code = feature_bank_open(&t->bank, t->set, SPLIT_TRAIN, (uint64_t)t->settings->seed, BANK_BYTES);
    if (!code && dataset_rows(t->set, SPLIT_HELD_OUT))
        code = feature_bank_open(&t->held_out, t->set, SPLIT_HELD_OUT, (uint64_t)t->settings->seed, BANK_BYTES / 8);
    return code ? error_context(code, "%s", path) : OK;
}

static int run(struct training *t, const char *path) {
    double start = clock_seconds();
    struct feature_score held_out;
    TRY(device_init(t->settings->threads));
    TRY(open_data(t, path));
    TRY(open_network(t));
    log_line("%ld windows of %ld, %zu parameters, maps of %d x %d places", t->bank.rows, t->bank.all,
             t->net.table.values, t->net.h, t->net.w);
    TRY(train(t));
    TRY(score(t, &held_out));
    TRY(save(t, &held_out));
    print_score(t, &held_out, clock_seconds() - start);
    return OK;
}

static void close_training(struct training *t) {
    feature_step_free(&t->step);
    feature_net_destroy(&t->net);
    feature_bank_close(&t->bank);
    feature_bank_close(&t->held_out);
    if (t->set) dataset_close(t->set);
    arena_free(&t->state);
    arena_free(&t->activations);
    free(t->batch.pictures);
    free(t->batch.windows);
    free(t->batch.labels);
    free(t->batch.weights);
}

int main(int argc, char **argv) {
    static const struct command command = {
        .name = "features",
        .does = "Trains a small network of features on a data set's true pictures, in which evaluations measure "
                "distances.",
        .words = "DATA.h5",
        .min_words = 1,
        .max_words = 1,
        .keys = keys,
        .key_count = FIELDS(keys)};
    static struct training t;
    static struct settings o;
    struct args args;
    int code = args_parse(&args, &command, &o, argc, argv);
    if (code || args.done) return args_exit("features", code);
    t.settings = &o;
    code = run(&t, args.words[0]);
    close_training(&t);
    return args_exit("features", code);
}
