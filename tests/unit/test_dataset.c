/* test_dataset.c: what is written is what is read; a file appears only when it is finished; damaged files and files of
   another shape are refused with a line that says why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hdf5.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/error.h"
#include "base/hdf5_file.h"
#include "sample_dataset.h"

/* Pictures of any latent frames: 1 of the first, 4 of each later one. */
static void expect_pictures(struct dataset *set) {
    static unsigned char pictures[SAMPLE_T * SAMPLE_PICTURE];
    for (long i = 0; i < dataset_rows(set, SPLIT_TRAIN); i++)
        for (int first = 0; first < SAMPLE_F; first++)
            for (int frames = 0; first + frames <= SAMPLE_F; frames++) {
                struct dataset_row row = {0};
                int start = first ? 4 * first - 3 : 0, end = first + frames ? 4 * (first + frames) - 3 : 0;
                memset(pictures, 0, sizeof pictures);
                assert_int_equal(dataset_read_pictures(set, SPLIT_TRAIN, i, first, frames, pictures), OK);
                dataset_columns(set, SPLIT_TRAIN, i, &row);
                for (int k = 0; k < (end - start) * SAMPLE_PICTURE; k++)
                    assert_int_equal(pictures[k],
                                     sample_picture(row.utterance, start + k / SAMPLE_PICTURE, k % SAMPLE_PICTURE));
            }
    assert_int_equal(dataset_read_pictures(set, SPLIT_TRAIN, 0, 1, SAMPLE_F, pictures), ERR_INPUT);
    assert_int_equal(dataset_read_pictures(set, SPLIT_TRAIN, 0, -1, 1, pictures), ERR_INPUT);
    assert_int_equal(dataset_read_pictures(set, SPLIT_TRAIN, 19, 0, 1, pictures), ERR_INPUT);
}

static void round_trip(void **state) {
    (void)state;
    const char *path = sample_path("a.h5");
    assert_int_equal(sample_dataset(path, 23), OK);
    struct dataset *set;
    assert_int_equal(dataset_open(&set, path), OK);
    const struct dataset_shape *s = dataset_shape(set);
    assert_memory_equal(s, &sample_shape, offsetof(struct dataset_shape, codec));
    assert_string_equal(s->codec, "pca");
    assert_string_equal(s->audio_encoder, "logmel");
    assert_int_equal(dataset_rows(set, SPLIT_TRAIN), 19);
    assert_int_equal(dataset_rows(set, SPLIT_HELD_OUT), 4);
    for (int split = 0; split < 2; split++)
        for (long i = 0; i < dataset_rows(set, split); i++) {
            float latents[SAMPLE_LATENTS], audio[SAMPLE_AUDIO], talk[SAMPLE_T], listen[SAMPLE_T];
            struct dataset_row row = {latents, audio, talk, listen, 0, 0, 0, 9, 9, NULL, 0};
            assert_int_equal(dataset_read(set, split, i, &row), OK);
            int r = row.utterance;
            assert_int_equal(row.split, split);
            assert_int_equal(split == SPLIT_HELD_OUT, r % 5 == 4);
            assert_int_equal(row.clip, r / 2);
            assert_int_equal(row.identity, r % 3);
            assert_int_equal(row.prompt, 1 + r % 2);
            for (int k = 0; k < SAMPLE_LATENTS; k++) assert_true(latents[k] == sample_latent(r, k));
            for (int k = 0; k < SAMPLE_AUDIO; k++) assert_true(audio[k] == sample_audio(r, k));
            for (int t = 0; t < SAMPLE_T; t++) assert_true(talk[t] == 1 && listen[t] == (float)(t % 2));
            /* the first frame alone leaves the others be */
            for (int k = 0; k < SAMPLE_LATENTS; k++) latents[k] = -5;
            row.audio = NULL;
            assert_int_equal(dataset_read_frames(set, split, i, 1, &row), OK);
            for (int k = 0; k < SAMPLE_LATENTS; k++)
                assert_true(latents[k] == (k < SAMPLE_LATENTS / SAMPLE_F ? sample_latent(r, k) : -5));
        }
    expect_pictures(set);
    struct dataset_row row = {0};
    assert_int_equal(dataset_read(set, SPLIT_TRAIN, 19, &row), ERR_INPUT);
    assert_int_equal(dataset_read(set, SPLIT_TRAIN, -1, &row), ERR_INPUT);
    float text[SAMPLE_TEXT_LEN * SAMPLE_TEXT_DIM];
    assert_int_equal(dataset_prompts(set), SAMPLE_PROMPTS);
    for (int i = 0; i < SAMPLE_PROMPTS; i++) {
        for (size_t k = 0; k < sizeof text / sizeof *text; k++) text[k] = -1;
        assert_int_equal(dataset_text(set, i, text), OK);
        assert_memory_equal(text, sample_rows[i], sizeof text); /* zeros after the last token */
        assert_string_equal(dataset_prompt_text(set, i), sample_prompts[i].text);
        assert_int_equal(dataset_prompt_length(set, i), sample_prompts[i].length);
    }
    assert_int_equal(dataset_text(set, SAMPLE_PROMPTS, text), ERR_INPUT);
    assert_int_equal(dataset_text(set, -1, text), ERR_INPUT);
    char note[64];
    assert_int_equal(dataset_note(set, "origin", note, sizeof note), OK);
    assert_string_equal(note, "test");
    assert_int_equal(dataset_note(set, "nothing", note, sizeof note), OK);
    assert_string_equal(note, "");
    struct codec stored, made;
    assert_int_equal(dataset_codec(set, &stored), OK);
    assert_int_equal(sample_codec(&made), OK);
    struct codec_tensor a[3], b[3];
    assert_int_equal(codec_tensors(&stored, a, 3), codec_tensors(&made, b, 3));
    for (int i = 0; i < 3; i++) {
        long n = a[i].shape[0] * (a[i].ndim > 1 ? a[i].shape[1] : 1);
        assert_string_equal(a[i].name, b[i].name);
        assert_memory_equal(a[i].data, b[i].data, sizeof(float) * (size_t)n);
    }
    codec_close(&stored);
    codec_close(&made);
    dataset_close(set);
}

static void *read_all(void *argument) {
    struct dataset *set = argument;
    for (int round = 0; round < 5; round++)
        for (long i = 0; i < dataset_rows(set, SPLIT_TRAIN); i++) {
            float latents[SAMPLE_LATENTS];
            struct dataset_row row = {.latents = latents};
            if (dataset_read(set, SPLIT_TRAIN, i, &row)) return "read";
            for (int k = 0; k < SAMPLE_LATENTS; k++)
                if (latents[k] != sample_latent(row.utterance, k)) return "value";
        }
    return NULL;
}

static void threads(void **state) {
    (void)state;
    struct dataset *set;
    assert_int_equal(dataset_open(&set, sample_path("a.h5")), OK);
    pthread_t thread[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&thread[i], NULL, read_all, set), 0);
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(thread[i], &result);
        assert_null(result);
    }
    dataset_close(set);
}

static void appears_when_finished(void **state) {
    (void)state;
    struct dataset_writer *writer;
    struct dataset *set;
    struct stat info;
    const char *path = sample_path("b.h5");
    assert_int_equal(sample_create(&writer, path), OK);
    assert_int_equal(sample_append(writer, 0), OK);
    assert_int_equal(dataset_open(&set, path), ERR_INPUT); /* not there yet */
    dataset_discard(writer);
    char temporary[256];
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    assert_int_not_equal(stat(temporary, &info), 0);
    /* what a killed writer left is no obstacle, and an older set stays until the new one is whole */
    FILE *left = fopen(temporary, "w");
    fputs("half a file", left);
    fclose(left);
    assert_int_equal(sample_dataset(path, 6), OK);
    assert_int_equal(sample_create(&writer, path), OK);
    assert_int_equal(dataset_open(&set, path), OK);
    assert_int_equal(dataset_rows(set, SPLIT_TRAIN), 5);
    dataset_close(set);
    assert_int_equal(dataset_finish(writer), OK);
    assert_int_equal(dataset_open(&set, path), OK); /* empty, but a data set */
    assert_int_equal(dataset_rows(set, SPLIT_TRAIN), 0);
    dataset_close(set);
}

static void mismatch_names_both(void **state) {
    (void)state;
    struct dataset *set;
    assert_int_equal(dataset_open(&set, sample_path("a.h5")), OK);
    struct dataset_shape want = {0};
    assert_int_equal(dataset_expect(set, &want), OK);
    want = sample_shape;
    assert_int_equal(dataset_expect(set, &want), OK);
    want.C = 48;
    assert_int_equal(dataset_expect(set, &want), ERR_INPUT);
    assert_non_null(strstr(error_text(), "5"));
    assert_non_null(strstr(error_text(), "48"));
    want = sample_shape;
    strcpy(want.audio_encoder, "wav2vec2");
    assert_int_equal(dataset_expect(set, &want), ERR_INPUT);
    assert_non_null(strstr(error_text(), "wav2vec2"));
    assert_non_null(strstr(error_text(), "logmel"));
    dataset_close(set);
    /* a codec that does not make such latents */
    struct codec codec;
    struct dataset_writer *writer;
    assert_int_equal(sample_codec(&codec), OK);
    want = sample_shape;
    want.C = 6;
    assert_int_equal(dataset_create(&writer, sample_path("c.h5"), &want, &codec), ERR_USAGE);
    codec_close(&codec);
    assert_int_equal(sample_codec(&codec), OK);
    assert_int_equal(dataset_create(&writer, "/nowhere/at/all.h5", &sample_shape, &codec), ERR_INPUT);
    codec_close(&codec);
}

/* The writer's promises about prompts. */
static void prompts_are_checked(void **state) {
    (void)state;
    struct codec codec;
    struct dataset_writer *writer;
    const struct prompt_rows empty = {"", 0, NULL}, first = {"a", 1, sample_rows[0]}, wide = {"b", 3, sample_rows[0]};
    struct dataset_row row = {.prompt = 1};
    assert_int_equal(sample_codec(&codec), OK);
    assert_int_equal(dataset_create(&writer, sample_path("p.h5"), &sample_shape, &codec), OK);
    codec_close(&codec);
    assert_int_equal(dataset_add_prompt(writer, &first), ERR_USAGE); /* the empty one comes first */
    assert_int_equal(dataset_add_prompt(writer, &empty), OK);
    assert_int_equal(dataset_add_prompt(writer, &wide), ERR_USAGE);
    assert_int_equal(dataset_append(writer, &row), ERR_USAGE); /* there is no prompt 1 */
    assert_int_equal(dataset_finish(writer), OK);
    struct dataset *set;
    float text[SAMPLE_TEXT_LEN * SAMPLE_TEXT_DIM] = {1};
    assert_int_equal(dataset_open(&set, sample_path("p.h5")), OK);
    assert_int_equal(dataset_prompts(set), 1);
    assert_int_equal(dataset_text(set, 0, text), OK);
    assert_true(text[0] == 0);
    dataset_close(set);
    assert_int_equal(sample_codec(&codec), OK);
    assert_int_equal(dataset_create(&writer, sample_path("p.h5"), &sample_shape, &codec), OK);
    codec_close(&codec);
    assert_int_equal(dataset_finish(writer), ERR_USAGE); /* none at all */
}

static void set_int(hid_t file, const char *name, int value) {
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    H5Awrite(attribute, H5T_NATIVE_INT, &value);
    H5Aclose(attribute);
}

/* As versions 1 and 2 were. */
static void without_sums(hid_t file) {
    H5Ldelete(file, "9x8x16/sums", H5P_DEFAULT);
    H5Ldelete(file, "text_sums", H5P_DEFAULT);
    H5Adelete(file, "rows_sum");
    H5Adelete(file, "sum");
}

/* One prompt for all rows, as the first version had it. */
static void first_version(void **state) {
    (void)state;
    static const char *const later[] = {"text", "text_start", "prompts", "9x8x16/prompt"};
    static const float values[SAMPLE_TEXT_LEN][SAMPLE_TEXT_DIM] = {{3, 1, 4}, {1, 5, 9}};
    const char *path = sample_path("v1.h5");
    assert_int_equal(sample_dataset(path, 7), OK);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    for (int i = 0; i < 4; i++) H5Ldelete(file, later[i], H5P_DEFAULT);
    H5Adelete(file, "text_len");
    without_sums(file);
    set_int(file, "version", 1);
    const hsize_t sides[] = {SAMPLE_TEXT_LEN, SAMPLE_TEXT_DIM};
    hid_t space = H5Screate_simple(2, sides, NULL);
    hid_t array = H5Dcreate2(file, "text", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(array, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(array);
    H5Sclose(space);
    H5Fclose(file);
    struct dataset *set;
    struct dataset_row row = {.prompt = 0};
    float text[SAMPLE_TEXT_LEN * SAMPLE_TEXT_DIM];
    if (dataset_open(&set, path)) fail_msg("%s", error_text());
    assert_int_equal(dataset_shape(set)->text_len, SAMPLE_TEXT_LEN);
    assert_int_equal(dataset_prompts(set), 2);
    assert_int_equal(dataset_read(set, SPLIT_TRAIN, 0, &row), OK);
    assert_int_equal(row.prompt, 1);
    assert_int_equal(dataset_text(set, 1, text), OK);
    assert_memory_equal(text, values, sizeof text);
    assert_int_equal(dataset_text(set, 0, text), OK);
    for (int i = 0; i < SAMPLE_TEXT_LEN * SAMPLE_TEXT_DIM; i++) assert_true(text[i] == 0);
    dataset_close(set);
}

/* What another process does with a data set until it is killed; it is ready when the pipe ends. */
static pid_t elsewhere(void (*work)(const char *path), const char *path) {
    int ends[2];
    char end;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (!pid) {
        close(ends[0]);
        work(path);
        close(ends[1]);
        for (;;) pause();
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &end, 1), 0);
    close(ends[0]);
    return pid;
}
static void end(pid_t pid) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
static void open_to_write(const char *path) { H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT); }
static void open_to_read(const char *path) {
    struct dataset *set;
    dataset_open(&set, path);
}
static void begin_to_write(const char *path) {
    int busy;
    hid_t file;
    if (!hdf5_create(&file, path, HDF5_CHECKED, &busy)) H5Fflush(file, H5F_SCOPE_GLOBAL);
}

/* Open elsewhere is not damaged: readers share a data set, and a writer that has it is said to. */
static void open_elsewhere(void **state) {
    (void)state;
    const char *path = sample_path("elsewhere.h5");
    struct dataset *set;
    assert_int_equal(sample_dataset(path, 7), OK);
    pid_t pid = elsewhere(open_to_read, path);
    if (dataset_open(&set, path)) fail_msg("%s", error_text());
    dataset_close(set);
    end(pid);
    pid = elsewhere(open_to_write, path);
    assert_int_equal(dataset_open(&set, path), ERR_INPUT);
    assert_non_null(strstr(error_text(), "elsewhere.h5: is open for writing in another process"));
    end(pid); /* the file keeps the mark of a writer that never closed it, which the library says how to take away */
    assert_int_equal(dataset_open(&set, path), ERR_INPUT);
    assert_non_null(strstr(error_text(), "h5clear"));
}

/* A second writer is refused before it empties the first one's file. */
static void written_elsewhere(void **state) {
    (void)state;
    const char *path = sample_path("written.h5");
    struct stat before, after;
    hid_t file;
    int busy;
    pid_t pid = elsewhere(begin_to_write, path);
    assert_int_equal(stat(path, &before), 0);
    assert_true(before.st_size > 0);
    assert_int_equal(hdf5_create(&file, path, HDF5_CHECKED, &busy), ERR_INPUT);
    assert_non_null(strstr(error_text(), "written.h5: is being written by another process"));
    assert_int_equal(stat(path, &after), 0);
    assert_true(busy && after.st_size == before.st_size);
    end(pid);
    assert_int_equal(hdf5_create(&file, path, HDF5_CHECKED, &busy), OK);
    assert_true(!busy && H5Fclose(file) >= 0);
}

/* Copies a data set and lets `change` loose on the copy; opening it must fail with `says` in the line. */
static void refuse(void (*change)(hid_t file), const char *says) {
    const char *path = sample_path("changed.h5");
    struct dataset *set = NULL;
    assert_int_equal(sample_dataset(path, 7), OK);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(file >= 0);
    change(file);
    H5Fclose(file);
    assert_int_equal(dataset_open(&set, path), ERR_INPUT);
    assert_null(set);
    if (!strstr(error_text(), says)) fail_msg("\"%s\" does not say \"%s\"", error_text(), says);
}

static void other_version(hid_t file) { set_int(file, "version", 7); }
static void other_rate(hid_t file) { set_int(file, "fps", 30); }
static void no_format(hid_t file) { H5Adelete(file, "format"); }
static void no_audio(hid_t file) { H5Ldelete(file, "9x8x16/audio", H5P_DEFAULT); }
static void no_bucket(hid_t file) { H5Ldelete(file, "9x8x16", H5P_DEFAULT); }
static void two_buckets(hid_t file) { H5Gclose(H5Gcreate2(file, "13x8x16", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)); }
static void wrong_bucket(hid_t file) { H5Lmove(file, "9x8x16", file, "13x8x16", H5P_DEFAULT, H5P_DEFAULT); }
static void short_column(hid_t file) {
    hsize_t rows = 3;
    hid_t column = H5Dopen2(file, "9x8x16/clip", H5P_DEFAULT);
    H5Dset_extent(column, &rows);
    H5Dclose(column);
}
static void huge_column(hid_t file) { /* claims 2^40 rows, holds none of them */
    hsize_t rows = (hsize_t)1 << 40, chunk = 1024, most = H5S_UNLIMITED;
    H5Ldelete(file, "9x8x16/clip", H5P_DEFAULT);
    hid_t space = H5Screate_simple(1, &rows, &most), p = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(p, 1, &chunk);
    hid_t column = H5Dcreate2(file, "9x8x16/clip", H5T_STD_I32LE, space, H5P_DEFAULT, p, H5P_DEFAULT);
    H5Dclose(column);
    H5Pclose(p);
    H5Sclose(space);
}
static void strange_split(hid_t file) {
    int values[7] = {0, 1, 2, 0, 0, 0, 0};
    hid_t column = H5Dopen2(file, "9x8x16/split", H5P_DEFAULT);
    H5Dwrite(column, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(column);
}
static void no_text(hid_t file) { H5Ldelete(file, "text", H5P_DEFAULT); }
static void no_prompts(hid_t file) { H5Ldelete(file, "prompts", H5P_DEFAULT); }
static void short_text(hid_t file) { set_int(file, "text_len", 1); } /* a prompt has two tokens */
static void overwrite(hid_t file, const char *name, const int *values) {
    hid_t array = H5Dopen2(file, name, H5P_DEFAULT);
    H5Dwrite(array, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(array);
}
static void strange_prompt(hid_t file) { overwrite(file, "9x8x16/prompt", (int[]){1, 1, 3, 1, 1, 1, 1}); }
static void backward_starts(hid_t file) { overwrite(file, "text_start", (int[]){0, 2, 1, 4}); }
static void starts_beyond(hid_t file) { overwrite(file, "text_start", (int[]){0, 1, 3, 5}); }

static void damaged_sets(void **state) {
    (void)state;
    refuse(other_version, "version 7");
    refuse(other_rate, "30");
    refuse(no_format, "not a data set");
    refuse(no_audio, "audio");
    refuse(no_bucket, "group of windows");
    refuse(two_buckets, "2 buckets");
    refuse(wrong_bucket, "latents");
    refuse(short_column, "clip");
    refuse(huge_column, "clip");
    refuse(strange_split, "split");
    refuse(no_text, "text");
    refuse(no_prompts, "prompts");
    refuse(short_text, "text_start");
    refuse(strange_prompt, "prompt");
    refuse(backward_starts, "text_start");
    refuse(starts_beyond, "text_start");
}

static void damaged_files(void **state) {
    (void)state;
    struct dataset *set;
    assert_int_equal(dataset_open(&set, sample_path("nowhere.h5")), ERR_INPUT);
    const char *path = sample_path("text.h5");
    FILE *file = fopen(path, "w");
    fputs("this is no HDF5 file\n", file);
    fclose(file);
    assert_int_equal(dataset_open(&set, path), ERR_INPUT);
    path = sample_path("cut.h5");
    struct stat info;
    for (int part = 1; part < 8; part++) {
        assert_int_equal(sample_dataset(path, 7), OK);
        stat(path, &info);
        assert_int_equal(truncate(path, info.st_size * part / 8), 0);
        assert_int_equal(dataset_open(&set, path), ERR_INPUT);
    }
    /* a codec tensor that is not there is found when the codec is wanted */
    assert_int_equal(sample_dataset(path, 2), OK);
    hid_t h5 = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    H5Ldelete(h5, "codec/pca.mean", H5P_DEFAULT);
    without_sums(h5);
    set_int(h5, "version", 2);
    H5Fclose(h5);
    struct codec codec;
    assert_int_equal(dataset_open(&set, path), OK);
    assert_int_equal(dataset_codec(set, &codec), ERR_INPUT);
    assert_non_null(strstr(error_text(), "pca.mean"));
    dataset_close(set);
}

/* ---- sums ---- */

static void write_floats(hid_t file, const char *name, hsize_t row, int ndim, hsize_t count, const float *values) {
    hid_t array = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(array);
    hsize_t start[5] = {row}, block[5] = {1, 1, 1, 1, 1};
    block[ndim - 1] = count;
    hid_t memory = H5Screate_simple(ndim, block, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, block, NULL);
    assert_true(H5Dwrite(array, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, values) >= 0);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(array);
}

static void other_clip(hid_t file) { overwrite(file, "9x8x16/clip", (int[]){0, 0, 1, 1, 2, 2, 4}); }
static void other_note(hid_t file) {
    hid_t attribute = H5Aopen(file, "origin", H5P_DEFAULT), type = H5Aget_type(attribute);
    H5Awrite(attribute, type, "text");
    H5Tclose(type);
    H5Aclose(attribute);
}
static void other_codec(hid_t file) {
    const float value = 7;
    write_floats(file, "codec/pca.mean", 0, 1, 1, &value);
}
static void other_text_len(hid_t file) { set_int(file, "text_len", 3); }
static void no_sum(hid_t file) { H5Adelete(file, "sum"); }
static void no_row_sums(hid_t file) { H5Ldelete(file, "9x8x16/sums", H5P_DEFAULT); }
static void a_link(hid_t file) { H5Lcreate_external("other.h5", "/x", file, "more", H5P_DEFAULT, H5P_DEFAULT); }

/* What another program changed, whatever it was, is told from what was written. */
static void sums_tell_changes(void **state) {
    (void)state;
    refuse(other_clip, "its sum is");
    refuse(other_note, "its sum is");
    refuse(other_codec, "its sum is");
    refuse(other_text_len, "its sum is");
    refuse(no_sum, "attribute sum");
    refuse(no_row_sums, "sums");
    refuse(a_link, "something in it");
}

static void expect_row(struct dataset *set, long i, const char *says) {
    float latents[SAMPLE_LATENTS], audio[SAMPLE_AUDIO], talk[SAMPLE_T], listen[SAMPLE_T];
    struct dataset_row row = {latents, audio, talk, listen, 0, 0, 0, 0, 0, NULL, 0};
    int code = dataset_read(set, SPLIT_TRAIN, i, &row);
    assert_int_equal(code, says ? ERR_INPUT : OK);
    if (says && !strstr(error_text(), says)) fail_msg("\"%s\" does not say \"%s\"", error_text(), says);
}

/* A row that is another one's, or not the one that was written, is named when it is read; the others are as good as
   ever. */
static void sums_tell_rows(void **state) {
    (void)state;
    const char *path = sample_path("rows.h5");
    float values[SAMPLE_W] = {1, 2, 3, 4};
    struct dataset *set;
    assert_int_equal(sample_dataset(path, 7), OK);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    write_floats(file, "9x8x16/latents", 0, 5, SAMPLE_W, values);
    write_floats(file, "9x8x16/audio", 1, 4, SAMPLE_W, values);
    write_floats(file, "9x8x16/talk", 2, 2, SAMPLE_W, values);
    write_floats(file, "9x8x16/listen", 3, 2, SAMPLE_W, values);
    write_floats(file, "text", 2, 2, SAMPLE_TEXT_DIM, values); /* the second of prompt 1 */
    H5Fclose(file);
    assert_int_equal(dataset_open(&set, path), OK);
    expect_row(set, 0, "row 0 (clip 0): its latents are damaged");
    expect_row(set, 1, "row 1 (clip 0): its audio features are damaged");
    expect_row(set, 2, "row 2 (clip 1): its talk masks are damaged");
    expect_row(set, 3, "row 3 (clip 1): its listen masks are damaged");
    expect_row(set, 4, NULL);
    float text[SAMPLE_TEXT_LEN * SAMPLE_TEXT_DIM];
    assert_int_equal(dataset_text(set, 0, text), OK);
    assert_int_equal(dataset_text(set, 1, text), ERR_INPUT);
    assert_int_equal(dataset_text(set, 2, text), OK);
    dataset_close(set);
}

static void write_pictures(hid_t file, hsize_t row, hsize_t first, hsize_t count, const unsigned char *bytes) {
    hid_t array = H5Dopen2(file, "9x8x16/pictures", H5P_DEFAULT), space = H5Dget_space(array);
    const hsize_t start[5] = {row, first}, block[5] = {1, count, 3, SAMPLE_H * SAMPLE_P, SAMPLE_W * SAMPLE_P};
    hid_t memory = H5Screate_simple(5, block, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, block, NULL);
    assert_true(H5Dwrite(array, H5T_NATIVE_UCHAR, memory, space, H5P_DEFAULT, bytes) >= 0);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(array);
}

/* A picture that is another one's is told with its row when its latent frame's are read; the others are as good as
   ever. */
static void sums_tell_pictures(void **state) {
    (void)state;
    static unsigned char bytes[SAMPLE_T * SAMPLE_PICTURE];
    const char *path = sample_path("pictures.h5");
    struct dataset *set;
    assert_int_equal(sample_dataset(path, 4), OK);
    for (int i = 0; i < SAMPLE_PICTURE; i++) bytes[i] = sample_picture(2, 6, i); /* pictures of the next latent frame */
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    write_pictures(file, 2, 4, 1, bytes);
    H5Fclose(file);
    assert_int_equal(dataset_open(&set, path), OK);
    assert_int_equal(dataset_read_pictures(set, SPLIT_TRAIN, 2, 1, 1, bytes), ERR_INPUT);
    assert_non_null(strstr(error_text(), "row 2 (clip 1): its pictures are damaged"));
    assert_int_equal(dataset_read_pictures(set, SPLIT_TRAIN, 2, 0, SAMPLE_F, bytes), ERR_INPUT);
    assert_int_equal(dataset_read_pictures(set, SPLIT_TRAIN, 2, 0, 1, bytes), OK);
    assert_int_equal(dataset_read_pictures(set, SPLIT_TRAIN, 2, 2, 1, bytes), OK);
    assert_int_equal(dataset_read_pictures(set, SPLIT_TRAIN, 1, 0, SAMPLE_F, bytes), OK);
    dataset_close(set);
}

/* A set without pictures says so, and its rows are read as ever. */
static void without_pictures(void **state) {
    (void)state;
    static unsigned char bytes[SAMPLE_PICTURE];
    const char *path = sample_path("blind.h5");
    struct dataset_shape shape = sample_shape;
    struct dataset_writer *writer;
    struct dataset *set;
    struct codec codec;
    shape.pictures = 0;
    assert_int_equal(sample_codec(&codec), OK);
    assert_int_equal(dataset_create(&writer, path, &shape, &codec), OK);
    codec_close(&codec);
    for (int i = 0; i < SAMPLE_PROMPTS; i++) assert_int_equal(dataset_add_prompt(writer, &sample_prompts[i]), OK);
    for (int r = 0; r < 3; r++) assert_int_equal(sample_append(writer, r), OK);
    assert_int_equal(dataset_finish(writer), OK);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(H5Lexists(file, "9x8x16/pictures", H5P_DEFAULT) == 0);
    H5Fclose(file);
    assert_int_equal(dataset_open(&set, path), OK);
    assert_int_equal(dataset_shape(set)->pictures, 0);
    for (int r = 0; r < 3; r++) expect_row(set, r, NULL);
    assert_int_equal(dataset_read_pictures(set, SPLIT_TRAIN, 0, 0, 1, bytes), ERR_INPUT);
    assert_non_null(strstr(error_text(), "blind.h5: data set: has no pictures"));
    dataset_close(set);
}

/* Numbers that are none: named with row and clip when a set is written and, in one without sums, when it is read. */
static void what_is_not_finite(void **state) {
    (void)state;
    static const char *const parts[] = {"latents: value 0", "audio: value 0", "talk: value 0", "listen: value 0"};
    struct dataset_writer *writer;
    struct dataset *set;
    const char *path = sample_path("nan.h5");
    float nan[SAMPLE_LATENTS] = {NAN, 1}, good[SAMPLE_LATENTS] = {0};
    static unsigned char pictures[SAMPLE_T * SAMPLE_PICTURE];
    assert_int_equal(sample_create(&writer, path), OK);
    assert_int_equal(sample_append(writer, 0), OK);
    for (int k = 0; k < 4; k++) {
        struct dataset_row row = {k == 0 ? nan : good,
                                  k == 1 ? nan : good,
                                  k == 2 ? nan : good,
                                  k == 3 ? nan : good,
                                  5,
                                  0,
                                  0,
                                  0,
                                  1,
                                  pictures,
                                  0};
        assert_int_equal(dataset_append(writer, &row), ERR_INPUT);
        assert_non_null(strstr(error_text(), "row 1 (clip 5)"));
        assert_non_null(strstr(error_text(), parts[k]));
    }
    const struct prompt_rows prompt = {"bad", 2, (float[]){1, 2, 3, 4, INFINITY, 6}};
    assert_int_equal(dataset_add_prompt(writer, &prompt), ERR_INPUT);
    assert_non_null(strstr(error_text(), "prompt \"bad\": token 1 is not finite"));
    dataset_discard(writer);
    assert_int_equal(sample_dataset(path, 7), OK);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    without_sums(file);
    set_int(file, "version", 2);
    write_floats(file, "9x8x16/latents", 2, 5, 1, nan);
    H5Fclose(file);
    assert_int_equal(dataset_open(&set, path), OK); /* says that it has no sums */
    expect_row(set, 1, NULL);
    expect_row(set, 2, "row 2 (clip 1): latents: value 0 is not finite");
    dataset_close(set);
}

/* The same rows are the same set; one value more or less is another. */
static void sum_of(int first, uint32_t *sum) {
    const char *path = sample_path("sum.h5");
    struct dataset_writer *writer;
    struct dataset *set;
    assert_int_equal(sample_create(&writer, path), OK);
    for (int r = first; r < first + 3; r++) {
        float latents[SAMPLE_LATENTS] = {(float)r}, zero[SAMPLE_LATENTS] = {0};
        static unsigned char pictures[SAMPLE_T * SAMPLE_PICTURE];
        struct dataset_row row = {latents, zero, zero, zero, 0, 0, 0, 0, 1, pictures, 0};
        assert_int_equal(dataset_append(writer, &row), OK);
    }
    assert_int_equal(dataset_finish(writer), OK);
    assert_int_equal(dataset_open(&set, path), OK);
    *sum = dataset_sum(set);
    dataset_close(set);
}
static void sums_tell_sets(void **state) {
    (void)state;
    uint32_t first, again, other;
    sum_of(0, &first);
    sum_of(0, &again);
    sum_of(1, &other);
    assert_int_equal(first, again);
    assert_int_not_equal(first, other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(threads),
        cmocka_unit_test(appears_when_finished),
        cmocka_unit_test(mismatch_names_both),
        cmocka_unit_test(damaged_sets),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(prompts_are_checked),
        cmocka_unit_test(first_version),
        cmocka_unit_test(sums_tell_changes),
        cmocka_unit_test(sums_tell_rows),
        cmocka_unit_test(sums_tell_pictures),
        cmocka_unit_test(without_pictures),
        cmocka_unit_test(what_is_not_finite),
        cmocka_unit_test(sums_tell_sets),
        cmocka_unit_test(open_elsewhere),
        cmocka_unit_test(written_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, sample_remove);
}
