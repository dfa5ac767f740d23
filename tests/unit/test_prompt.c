/* test_prompt.c: prompts: cleaning, keys and token numbers against Python's (tests/golden/prompts.json, made by
   prompts.py there), and files of embeddings. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cjson/cJSON.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/fileio.h"
#include "checkpoints/prompt_file.h"
#include "checkpoints/tokenizer.h"
#include "tests/folder.h"

static char folder[FOLDER_MAX];
static cJSON *golden;

static const char *text_of(const cJSON *entry, const char *key) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(entry, key);
    assert_true(cJSON_IsString(item));
    return item->valuestring;
}

static const char *in_folder(const char *name) {
    static char path[FILE_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ---- text ---- */

static void cleaning_and_keys(void **state) {
    (void)state;
    const cJSON *entry;
    cJSON_ArrayForEach(entry, golden) {
        char *clean, key[PROMPT_KEY];
        assert_int_equal(prompt_clean(text_of(entry, "text"), &clean), OK);
        assert_string_equal(clean, text_of(entry, "clean"));
        assert_int_equal(prompt_key(clean, key), OK);
        assert_string_equal(key, text_of(entry, "sha256"));
        free(clean);
    }
}

static void not_text(void **state) {
    (void)state;
    static const char *const bad[] = {"\xff",     "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80",
                                      "\xe4\xba", "x\x80y"};
    char *clean;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(prompt_clean(bad[i], &clean), ERR_INPUT);
        assert_null(clean);
    }
    char *large = malloc(PROMPT_TEXT_MAX + 2);
    assert_non_null(large);
    memset(large, 'a', PROMPT_TEXT_MAX + 1);
    large[PROMPT_TEXT_MAX + 1] = 0;
    assert_int_equal(prompt_clean(large, &clean), ERR_INPUT);
    large[PROMPT_TEXT_MAX] = 0;
    assert_int_equal(prompt_clean(large, &clean), OK);
    free(clean);
    free(large);
}

/* ---- tokens ---- */

static struct tokenizer *open_tokenizer(void) {
    struct tokenizer *tokenizer;
    int code = tokenizer_open(&tokenizer, "tests/golden/prompts.model");
    if (code == ERR_USAGE) skip(); /* a build without the library */
    if (code) fail_msg("%s", error_text());
    return tokenizer;
}

static void token_numbers(void **state) {
    (void)state;
    struct tokenizer *tokenizer = open_tokenizer();
    const cJSON *entry, *id;
    int ids[4096], length, cut;
    cJSON_ArrayForEach(entry, golden) {
        const cJSON *expected = cJSON_GetObjectItemCaseSensitive(entry, "ids");
        assert_int_equal(tokenizer_encode(tokenizer, text_of(entry, "clean"), 4096, ids, &length, &cut), OK);
        assert_int_equal(cut, 0);
        assert_int_equal(length, cJSON_GetArraySize(expected));
        int i = 0;
        cJSON_ArrayForEach(id, expected) assert_int_equal(ids[i++], id->valueint);
    }
    tokenizer_close(tokenizer);
}

/* Too long: the first tokens and the end. */
static void truncation(void **state) {
    (void)state;
    struct tokenizer *tokenizer = open_tokenizer();
    int all[64], ids[8], length, cut;
    const char *text = "a person talks and smiles at the camera in front of a wall";
    assert_int_equal(tokenizer_encode(tokenizer, text, 64, all, &length, &cut), OK);
    int whole = length;
    assert_true(whole > 8);
    assert_int_equal(tokenizer_encode(tokenizer, text, 8, ids, &length, &cut), OK);
    assert_int_equal(length, 8);
    assert_int_equal(cut, whole - 8);
    assert_memory_equal(ids, all, 7 * sizeof *ids);
    assert_int_equal(ids[7], 1);
    assert_int_equal(tokenizer_encode(tokenizer, text, 1, ids, &length, &cut), OK);
    assert_int_equal(ids[0], 1);
    assert_int_equal(tokenizer_encode(tokenizer, text, 0, ids, &length, &cut), ERR_USAGE);
    tokenizer_close(tokenizer);
}

static void no_tokenizer(void **state) {
    (void)state;
    tokenizer_close(open_tokenizer());
    struct tokenizer *tokenizer;
    static const char *const bad[] = {"tests/golden/missing.model", "tests/golden", "tests/golden/prompts.json",
                                      "/dev/null"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(tokenizer_open(&tokenizer, bad[i]), ERR_INPUT);
        assert_null(tokenizer);
    }
}

/* ---- files ---- */

enum { DIM = 4 };
static const float rows[3 * DIM] = {1, -2, 0.5, 8, 3, 4, -1, 0.25, 7, 6, 5, 2};

static struct safetensors_entry tensor(const char *name, enum safetensors_type type, long length, long dim,
                                       const void *data) {
    size_t count = (size_t)length * (size_t)(dim ? dim : 1), size = type == ST_F32 ? 4 : type == ST_I64 ? 8 : 1;
    return (struct safetensors_entry){.name = (char *)name,
                                      .type = type,
                                      .ndim = dim ? 2 : 1,
                                      .shape = {length, dim},
                                      .count = count,
                                      .bytes = count * size,
                                      .data = data};
}

static void write_tensors(const struct safetensors_entry *entries, int count) {
    assert_int_equal(safetensors_write(in_folder("p.safetensors"), entries, count, NULL), OK);
}

static void keyed(void **state) {
    (void)state;
    static const int ids[] = {7, 8, 1}, end[] = {1};
    const struct prompt_rows prompts[] = {
        {"a person talks", 3, rows}, {"", 1, rows + DIM}, {"a person talks", 3, rows}};
    const int *const all[] = {ids, end, ids};
    for (int narrow = 0; narrow < 2; narrow++) {
        struct prompt_file f;
        const struct prompt_entry *e;
        float *values;
        assert_int_equal(
            prompt_file_write(in_folder("p.safetensors"), prompts, 3, DIM, narrow ? ST_BF16 : ST_F32, 0, all), OK);
        assert_int_equal(prompt_file_open(&f, in_folder("p.safetensors")), OK);
        assert_int_equal(f.count, 2);
        assert_int_equal(f.dim, DIM);
        assert_int_equal(prompt_file_find(&f, " a  person\ntalks ", &e), OK);
        assert_string_equal(e->text, "a person talks");
        const struct prompt_entry *meant;
        assert_int_equal(prompt_file_find(&f, NULL, &meant), OK);
        assert_ptr_equal(meant, e);
        assert_int_equal(e->length, 3);
        assert_int_equal(prompt_file_read(&f, e, &values), OK);
        assert_memory_equal(values, rows, sizeof rows); /* exact in bf16, too */
        free(values);
        assert_non_null(e = prompt_file_empty(&f));
        assert_int_equal(e->length, 1);
        assert_int_equal(prompt_file_find(&f, "a person sings", &e), ERR_INPUT);
        assert_non_null(strstr(error_text(), "\"a person talks\""));
        prompt_file_close(&f);
    }
}

static void named(void **state) {
    (void)state;
    struct safetensors_entry entries[] = {tensor("context", ST_F32, 3, DIM, rows),
                                          tensor("empty", ST_F32, 1, DIM, rows), tensor("other", ST_F32, 2, DIM, rows)};
    struct prompt_file f;
    const struct prompt_entry *e;
    write_tensors(entries, 1);
    assert_int_equal(prompt_file_open(&f, in_folder("p.safetensors")), OK);
    assert_int_equal(prompt_file_find(&f, "whatever it is", &e), OK);
    assert_int_equal(e->length, 3);
    assert_null(prompt_file_empty(&f));
    prompt_file_close(&f);
    write_tensors(entries, 3);
    assert_int_equal(prompt_file_open(&f, in_folder("p.safetensors")), OK);
    assert_int_equal(prompt_file_find(&f, "other", &e), OK);
    assert_int_equal(e->length, 2);
    assert_int_equal(prompt_file_find(&f, NULL, &e), ERR_INPUT); /* context or other? */
    assert_non_null(prompt_file_empty(&f));
    prompt_file_close(&f);
}

/* As PyTorch saves a batch of one and its mask: a type that safetensors_write does not have. */
static void write_boolean_mask(const unsigned char mask[3]) {
    static const char header[] = "{\"embeds\":{\"dtype\":\"F32\",\"shape\":[1,3,4],\"data_offsets\":[0,48]},"
                                 "\"mask\":{\"dtype\":\"BOOL\",\"shape\":[1,3],\"data_offsets\":[48,51]}}";
    unsigned char file[8 + sizeof header - 1 + sizeof rows + 3] = {sizeof header - 1};
    memcpy(file + 8, header, sizeof header - 1);
    memcpy(file + 8 + sizeof header - 1, rows, sizeof rows);
    memcpy(file + sizeof file - 3, mask, 3);
    assert_int_equal(file_write(in_folder("p.safetensors"), file, sizeof file), OK);
}

static void masked(void **state) {
    (void)state;
    static const long long wide[] = {1, 1, 0}, holes[] = {1, 0, 1};
    static const unsigned char bytes[] = {1, 0, 0};
    struct safetensors_entry entries[] = {tensor("context", ST_F32, 3, DIM, rows), tensor("mask", ST_I64, 3, 0, wide)};
    struct prompt_file f;
    const struct prompt_entry *e;
    write_tensors(entries, 2);
    assert_int_equal(prompt_file_open(&f, in_folder("p.safetensors")), OK);
    assert_int_equal(prompt_file_find(&f, NULL, &e), OK);
    assert_int_equal(e->length, 2);
    prompt_file_close(&f);
    entries[1] = tensor("mask", ST_U8, 3, 0, bytes);
    write_tensors(entries, 2);
    assert_int_equal(prompt_file_open(&f, in_folder("p.safetensors")), OK);
    assert_int_equal(f.entries[0].length, 1);
    prompt_file_close(&f);
    write_boolean_mask(bytes);
    assert_int_equal(prompt_file_open(&f, in_folder("p.safetensors")), OK);
    assert_int_equal(f.entries[0].length, 1);
    prompt_file_close(&f);
    entries[1] = tensor("mask", ST_I64, 3, 0, holes);
    write_tensors(entries, 2);
    assert_int_equal(prompt_file_open(&f, in_folder("p.safetensors")), ERR_INPUT);
}

static void bad_files(void **state) {
    (void)state;
    float hole[DIM] = {1, NAN, 0, 0}, *values;
    struct prompt_file f;
    const struct prompt_entry *e;
    struct safetensors_entry none = tensor("scalars", ST_F32, 3, 0, rows),
                             nan = tensor("context", ST_F32, 1, DIM, hole);
    struct safetensors_entry widths[] = {tensor("a", ST_F32, 3, 4, rows), tensor("b", ST_F32, 4, 3, rows)};
    write_tensors(&none, 1);
    assert_int_equal(prompt_file_open(&f, in_folder("p.safetensors")), ERR_INPUT);
    write_tensors(widths, 2);
    assert_int_equal(prompt_file_open(&f, in_folder("p.safetensors")), ERR_INPUT);
    write_tensors(&nan, 1);
    assert_int_equal(prompt_file_open(&f, in_folder("p.safetensors")), OK);
    assert_int_equal(prompt_file_find(&f, NULL, &e), OK);
    assert_int_equal(prompt_file_read(&f, e, &values), ERR_INPUT);
    prompt_file_close(&f);
    assert_int_equal(prompt_file_open(&f, in_folder("missing")), ERR_INPUT);
}

static int start(void **state) {
    (void)state;
    char *text;
    if (file_read("tests/golden/prompts.json", 1 << 20, &text, NULL)) return print_error("%s\n", error_text()), 1;
    golden = cJSON_Parse(text);
    free(text);
    return !cJSON_IsArray(golden) || folder_make(folder, "test_prompt");
}

static int stop(void **state) {
    (void)state;
    cJSON_Delete(golden);
    unlink(in_folder("p.safetensors"));
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(cleaning_and_keys),
                                       cmocka_unit_test(not_text),
                                       cmocka_unit_test(token_numbers),
                                       cmocka_unit_test(truncation),
                                       cmocka_unit_test(no_tokenizer),
                                       cmocka_unit_test(keyed),
                                       cmocka_unit_test(named),
                                       cmocka_unit_test(masked),
                                       cmocka_unit_test(bad_files)};
    return cmocka_run_group_tests(tests, start, stop);
}
