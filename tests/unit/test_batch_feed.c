/* test_batch_feed.c: batches on their way to the device (train/stage/batch_feed.h). Every step sees its own batch,
   whole, although the next one is fed while the step is still queued; on a device that works beside the host a step of
   many kernels is under way then. What is made of a batch on the device, windows of sound, is of the same batch. */
#include <stdlib.h>
#include <string.h>

#include "kernels/device.h"
#include "kernels/kernels.h"
#include "model/params/transfer.h"
#include "tests/check.h"
#include "train/stage/batch_feed.h"

enum { B = 2, F = 4, T = 1 + 4 * (F - 1), TEXT = 3, STEPS = 7, ROUNDS = 40 };
static const struct dit_config config = {.in_channels = 4,
                                         .out_channels = 4,
                                         .height = 24,
                                         .width = 32,
                                         .text_len = TEXT,
                                         .text_dim = 8,
                                         .audio_dim = 6,
                                         .audio_tokens = 2};

struct world {
    struct batch_feed feed;
    struct arena arena;
    float *host;
    real *sums, *windows, *rows; /* [STEPS][values of a batch], [STEPS][values of its windows]; one batch's windows */
    size_t windows_size;
};

static void open_world(struct world *w) {
    size_t sound = B * T * 6, values = sizeof(float) * (B * F * 4 * 24 * 32 + 2 * sound + 2 * B * T + B * TEXT * 8);
    memset(w, 0, sizeof *w);
    arena_begin(&w->arena, "feed");
    batch_feed_layout(&w->feed, &config, NULL, B, F, &w->arena);
    CHECK(arena_commit(&w->arena));
    batch_feed_layout(&w->feed, &config, NULL, B, F, &w->arena);
    w->windows_size = (size_t)B * F * AUDIO_WINDOW * 6;
    w->host = malloc(values);
    w->sums = device_alloc(STEPS * w->feed.batch[0].values * sizeof(real));
    w->windows = device_alloc(STEPS * w->windows_size * sizeof(real));
    w->rows = device_alloc(w->windows_size * sizeof(real));
    assert_true(w->host && w->sums && w->windows && w->rows);
}

static void close_world(struct world *w) {
    CHECK(device_sync());
    batch_feed_free(&w->feed);
    arena_free(&w->arena);
    device_free(w->sums);
    device_free(w->windows);
    device_free(w->rows);
    free(w->host);
}

/* All of a batch's numbers are its step's, from 1; the host's memory is the same for every batch, as a loader's is. */
static struct loader_batch host_batch(struct world *w, int step) {
    size_t clip = w->feed.batch[0].values, sound = B * T * 6, at = 0;
    struct loader_batch batch = {.step = (uint64_t)step};
    float **parts[] = {&batch.latents, &batch.talk_audio, &batch.listen_audio, &batch.talk, &batch.listen, &batch.text};
    const size_t sizes[] = {clip, sound, sound, B * T, B * T, B * TEXT * 8};
    for (int i = 0; i < 6; i++) {
        *parts[i] = w->host + at;
        for (size_t k = 0; k < sizes[i]; k++) (*parts[i])[k] = i == 3 || i == 4 ? 1 : (float)step;
        at += sizes[i];
    }
    return batch;
}

/* A step of many kernels: ROUNDS times the batch's clips, and its windows of the listener's sound. */
static void queue_step(struct world *w, const struct device_batch *batch, int step) {
    real *sum = w->sums + (size_t)step * batch->values;
    mem_zero(sum, batch->values * sizeof(real));
    for (int i = 0; i < ROUNDS; i++) real_axpby(sum, 1, batch->clips, 1, (long)batch->values);
    real_from_elem(w->rows, batch->condition.windows[AUDIO_LISTEN], (long)w->windows_size);
    mem_copy(w->windows + (size_t)step * w->windows_size, w->rows, w->windows_size * sizeof(real));
}

static void every_step_has_its_batch(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    const struct device_batch *before = NULL;
    for (int step = 0; step < STEPS; step++) {
        struct loader_batch host = host_batch(&w, 1 + step);
        const struct device_batch *batch = batch_feed_next(&w.feed, &host, NULL);
        assert_ptr_not_equal(batch, before);
        queue_step(&w, batch, step);
        before = batch;
    }
    size_t clip = w.feed.batch[0].values;
    float *found = malloc((clip + w.windows_size) * sizeof *found);
    assert_non_null(found);
    for (int step = 0; step < STEPS; step++) {
        transfer_from_real(found, w.sums + (size_t)step * clip, (long)clip);
        for (size_t i = 0; i < clip; i++) assert_float_equal(found[i], ROUNDS * (1 + step), 0);
        transfer_from_real(found, w.windows + (size_t)step * w.windows_size, (long)w.windows_size);
        size_t heard = 0;
        for (size_t i = 0; i < w.windows_size; i++) {
            assert_true(found[i] == 0 || found[i] == (float)(1 + step)); /* 0: before the clip and behind it */
            heard += found[i] != 0;
        }
        assert_true(heard > w.windows_size / 2);
    }
    free(found);
    close_world(&w);
}

int main(void) {
    if (device_init(0)) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_step_has_its_batch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
