/* sample_dataset.h: a small data set for tests: every number is a function of row and place, so that a test can tell
   where a value came from. Row r is clip r/2, identity r%3, utterance r, held out when r % 5 == 4. */
#ifndef TESTS_SAMPLE_DATASET_H
#define TESTS_SAMPLE_DATASET_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "data/dataset.h"
#include "tests/folder.h"

enum {
    SAMPLE_F = 3,
    SAMPLE_C = 5,
    SAMPLE_H = 2,
    SAMPLE_W = 4,
    SAMPLE_T = 9,
    SAMPLE_A = 2,
    SAMPLE_D = 6,
    SAMPLE_P = 4,
    SAMPLE_TEXT_LEN = 2,
    SAMPLE_TEXT_DIM = 3,
    SAMPLE_LATENTS = SAMPLE_F * SAMPLE_C * SAMPLE_H * SAMPLE_W,
    SAMPLE_AUDIO = SAMPLE_A * SAMPLE_T * SAMPLE_D,
    SAMPLE_PICTURE = 3 * SAMPLE_H * SAMPLE_P * SAMPLE_W * SAMPLE_P
};

static const struct dataset_shape sample_shape = {.F = SAMPLE_F,
                                                  .C = SAMPLE_C,
                                                  .H = SAMPLE_H,
                                                  .W = SAMPLE_W,
                                                  .T = SAMPLE_T,
                                                  .A = SAMPLE_A,
                                                  .D = SAMPLE_D,
                                                  .text_len = SAMPLE_TEXT_LEN,
                                                  .text_dim = SAMPLE_TEXT_DIM,
                                                  .pixel_height = SAMPLE_H * SAMPLE_P,
                                                  .pixel_width = SAMPLE_W * SAMPLE_P,
                                                  .pictures = 1,
                                                  .codec = "pca",
                                                  .audio_encoder = "logmel"};

static inline float sample_latent(int row, int i) { return (float)row + (float)i / 1024; }
static inline float sample_audio(int row, int i) { return -(float)row - (float)i / 1024; }
/* Value i of a row's picture t. */
static inline unsigned char sample_picture(int row, int t, int i) { return (unsigned char)(31 * row + 7 * t + i % 5); }

static inline int sample_codec(struct codec *codec) {
    enum { SIZE = 12 * SAMPLE_P * SAMPLE_P };
    static float basis[SAMPLE_C * SIZE], mean[SIZE], scale[SAMPLE_C];
    for (int c = 0; c < SAMPLE_C; c++) {
        basis[c * SIZE + 7 * c] = 1;
        scale[c] = (float)(c + 1);
    }
    const struct codec_tensor tensors[] = {
        {"pca.basis", 2, {SAMPLE_C, SIZE}, basis}, {"pca.mean", 1, {SIZE}, mean}, {"pca.scale", 1, {SAMPLE_C}, scale}};
    return codec_open(codec, "pca", sample_shape.pixel_height, sample_shape.pixel_width, tensors, 3);
}

static inline int sample_append(struct dataset_writer *writer, int r) {
    float latents[SAMPLE_LATENTS], audio[SAMPLE_AUDIO], talk[SAMPLE_T], listen[SAMPLE_T];
    static unsigned char pictures[SAMPLE_T * SAMPLE_PICTURE];
    for (int i = 0; i < SAMPLE_T * SAMPLE_PICTURE; i++)
        pictures[i] = sample_picture(r, i / SAMPLE_PICTURE, i % SAMPLE_PICTURE);
    for (int i = 0; i < SAMPLE_LATENTS; i++) latents[i] = sample_latent(r, i);
    for (int i = 0; i < SAMPLE_AUDIO; i++) audio[i] = sample_audio(r, i);
    for (int t = 0; t < SAMPLE_T; t++) talk[t] = 1, listen[t] = (float)(t % 2);
    const int split = r % 5 == 4 ? SPLIT_HELD_OUT : SPLIT_TRAIN;
    struct dataset_row row = {latents, audio, talk, listen, r / 2, r % 3, r, split, r % 2 + 1, pictures, 0};
    return dataset_append(writer, &row);
}

/* Row r has prompt 1 + r % 2; the empty one has rows of its own. */
static const float sample_rows[][SAMPLE_TEXT_LEN * SAMPLE_TEXT_DIM] = {{7, 8, 9}, {1, 2, 3, 4, 5, 6}, {10, 11, 12}};
static const struct prompt_rows sample_prompts[] = {
    {"", 1, sample_rows[0]}, {"a person talks", 2, sample_rows[1]}, {"\xc3\xa9vident", 1, sample_rows[2]}};
enum { SAMPLE_PROMPTS = sizeof sample_prompts / sizeof *sample_prompts };

/* A writer with the prompts in it. */
static inline int sample_create(struct dataset_writer **writer, const char *path) {
    struct codec codec;
    int code = sample_codec(&codec);
    if (code) return code;
    code = dataset_create(writer, path, &sample_shape, &codec);
    codec_close(&codec);
    for (int i = 0; i < SAMPLE_PROMPTS && !code; i++) code = dataset_add_prompt(*writer, &sample_prompts[i]);
    return code;
}

/* A data set of `rows` rows at path. */
static inline int sample_dataset(const char *path, int rows) {
    struct dataset_writer *writer;
    int code = sample_create(&writer, path);
    if (code) return code;
    for (int r = 0; r < rows && !code; r++) code = sample_append(writer, r);
    if (!code) code = dataset_leave_note(writer, "origin", "test");
    if (!code) return dataset_finish(writer);
    dataset_discard(writer);
    return code;
}

/* A path for a test's file, in its own folder. */
static inline const char *sample_path(const char *name) {
    static char folder[FOLDER_MAX], path[8][FILE_PATH_MAX];
    static int used;
    if (!*folder && folder_make(folder, "test_data")) abort();
    char *p = path[used++ % 8];
    snprintf(p, sizeof *path, "%s/%s", folder, name);
    return p;
}

/* Removes the folder of sample_path with all that is in it. */
static inline int sample_remove(void **state) {
    (void)state;
    return folder_remove(sample_path(""));
}

#endif
