/* test_finite.c: numbers that are none are met where they come in, by name: sound by its time, a weight by its tensor,
   whatever the loader. (Rows of data sets: test_dataset.c; types of tensors: test_safetensors.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include "base/finite.h"
#include "checkpoints/codec_file.h"
#include "checkpoints/decoder_file.h"
#include "checkpoints/pretrained.h"
#include "checkpoints/text_encoder.h"
#include "checkpoints/vae_file.h"
#include "data/media.h"
#include "tests/checkpoint_folder.h"
#include "tests/text_encoder_file.h"

static void first_fault(void **state) {
    (void)state;
    float values[40] = {0};
    assert_int_equal(finite_fault(values, 40), -1);
    assert_int_equal(finite_fault(values, 0), -1);
    values[39] = -INFINITY;
    assert_int_equal(finite_fault(values, 40), 39);
    values[7] = NAN;
    assert_int_equal(finite_fault(values, 40), 7);
    values[7] = 3e38f;
    assert_int_equal(finite_fault(values, 40), 39);
}

/* A WAV of float samples at 16 kHz, all 0 but one. */
static void write_sound(const char *path, long samples, long at, float value) {
    static const unsigned char head[] = {'R', 'I',  'F', 'F', 0, 0, 0,  0, 'W', 'A', 'V',  'E',  'f', 'm',
                                         't', ' ',  16,  0,   0, 0, 3,  0, 1,   0,   0x80, 0x3e, 0,   0,
                                         0,   0xfa, 0,   0,   4, 0, 32, 0, 'd', 'a', 't',  'a'};
    uint32_t bytes = (uint32_t)(4 * samples);
    FILE *file = fopen(path, "wb");
    fwrite(head, 1, sizeof head, file);
    fwrite(&bytes, 4, 1, file);
    for (long i = 0; i < samples; i++) fwrite(i == at ? &value : &(float){0}, 4, 1, file);
    assert_int_equal(fclose(file), 0);
}

static void sound(void **state) {
    (void)state;
    static const float values[] = {NAN, INFINITY, 1e30f};
    float *pcm;
    long samples;
    for (int i = 0; i < 3; i++) {
        write_sound(in_folder("a.wav"), 16000, 4000, values[i]);
        refuses(audio_read(in_folder("a.wav"), -1, &pcm, &samples), "a.wav", "a sample of its sound, at 0.250 s, is");
    }
    write_sound(in_folder("a.wav"), 16000, 4000, -8388608.f); /* unscaled, but sound */
    CHECK(audio_read(in_folder("a.wav"), -1, &pcm, &samples));
    assert_true(samples == 16000 && pcm[4000] == -8388608.f);
    free(pcm);
    unlink(in_folder("a.wav"));
}

/* Puts no number into the middle of a tensor of BF16 or F32. */
static void spoil(const char *path, const char *tensor) {
    struct safetensors file;
    CHECK(safetensors_open(&file, path));
    const struct safetensors_entry *e = safetensors_find(&file, tensor);
    assert_non_null(e);
    off_t at = (off_t)((const char *)e->data - (const char *)file.map + e->bytes / 2 / 4 * 4);
    unsigned char bf16[] = {0xc0, 0x7f}, f32[] = {0, 0, 0xc0, 0x7f};
    int fd = open(path, O_WRONLY), narrow = e->type == ST_BF16;
    assert_true(pwrite(fd, narrow ? bf16 : f32, narrow ? 2 : 4, at) > 0);
    close(fd);
    safetensors_close(&file);
}

static int take(void *self, const struct param *p, size_t from, size_t count, const float *values) {
    (void)self;
    (void)p;
    (void)from;
    return finite_fault(values, count) < 0 ? OK : ERR_NUMERIC;
}

static void transformer(void **state) {
    (void)state;
    struct dit net;
    int audio;
    const struct weights_sink sink = {.take = take, .self = NULL};
    CHECK(dit_create(&net, &small_config, 0));
    write_whole("a.safetensors", "", &small, 1, "BF16");
    CHECK(pretrained_load(&sink, &net.table, in_folder("a.safetensors"), &audio));
    spoil(in_folder("a.safetensors"), "blocks.1.ffn.net.2.weight");
    refuses(pretrained_load(&sink, &net.table, in_folder("a.safetensors"), &audio), "a.safetensors",
            "blocks.1.ffn.net.2.weight: holds a value that is not finite");
    dit_destroy(&net);
    unlink(in_folder("a.safetensors"));
}

static void text_encoder(void **state) {
    (void)state;
    static const char *const tensors[] = {"token_embedding.weight", "blocks.0.ffn.fc2.weight", "norm.weight"};
    const int ids[] = {0, 1, 2, 3, 4, 5, 6}, length = 7;
    for (int i = 0; i < 3; i++) {
        struct text_encoder e;
        struct umt5_file f;
        char path[FILE_PATH_MAX];
        snprintf(path, sizeof path, "%s", in_folder("t.safetensors"));
        umt5_file_make(&f, &small_umt5, 0);
        CHECK(safetensors_write(path, f.entries, f.count, NULL));
        umt5_file_free(&f);
        CHECK(text_encoder_open(&e, path));
        float *out = calloc((size_t)e.net.config.dim * 7, sizeof *out);
        CHECK(text_encoder_encode(&e, ids, &length, 1, out));
        text_encoder_close(&e);
        spoil(path, tensors[i]);
        CHECK(text_encoder_open(&e, path));
        int all[90], count = 90;
        for (int k = 0; k < count; k++) all[k] = k; /* every row of the table */
        out = realloc(out, sizeof *out * (size_t)e.net.config.dim * (size_t)count);
        refuses(text_encoder_encode(&e, all, &count, 1, out), "t.safetensors", tensors[i]);
        text_encoder_close(&e);
        free(out);
        unlink(path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(first_fault), cmocka_unit_test(sound),
                                       cmocka_unit_test(transformer), cmocka_unit_test(text_encoder)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
