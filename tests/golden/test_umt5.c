/* test_umt5.c: the text encoder against Transformers' UMT5EncoderModel (tests/golden/umt5.safetensors, made by umt5.py
   there in double), through checkpoint files in both namings. */
#include <unistd.h>
#include "tests/folder.h"
#include "tests/golden_file.h"
#include "tests/text_encoder_file.h"

/* In bf16 every stored weight and activation is off by at most u = 2^-8 of itself, in some 12 stores a layer, in
   sequence and independent. The result itself is stored in float. */
#if defined(TYPE_BF16)
static double bound(void) { return sqrt(40) / 256; }
#elif defined(TYPE_DOUBLE)
static double bound(void) { return 1e-7; }
#else
static double bound(void) { return 1e-5; }
#endif

static struct safetensors file;
static char folder[FOLDER_MAX];

static int *integers(const char *name, int *count) {
    const struct safetensors_entry *e = safetensors_find(&file, name);
    assert_non_null(e);
    int *out = malloc(sizeof *out * (e->count + 1));
    assert_non_null(out);
    for (size_t i = 0; i < e->count; i++)
        out[i] = e->type == ST_I64 ? (int)((const long long *)e->data)[i] : ((const int *)e->data)[i];
    *count = (int)e->count;
    return out;
}

static float *encode(const char *path, const int *ids, const int *length, int count, long tokens) {
    struct text_encoder encoder;
    float *out = malloc(sizeof *out * (size_t)(tokens * small_umt5.dim));
    assert_non_null(out);
    if (text_encoder_open(&encoder, path)) fail_msg("%s", error_text());
    if (text_encoder_encode(&encoder, ids, length, count, out)) fail_msg("%s", error_text());
    text_encoder_close(&encoder);
    return out;
}

static void transformers_parity(void **state) {
    (void)state;
    int tokens, count;
    int *ids = integers("ids", &tokens), *length = integers("lengths", &count);
    const struct safetensors_entry *e = safetensors_find(&file, "result");
    struct umt5_file weights;
    char path[FILE_PATH_MAX];
    snprintf(path, sizeof path, "%s/original.safetensors", folder);
    umt5_file_make(&weights, &small_umt5, 0);
    assert_int_equal(safetensors_write(path, weights.entries, weights.count, NULL), OK);
    umt5_file_free(&weights);
    float *result = encode(path, ids, length, count, tokens);
    double off = golden_distance(result, e->data, e->count);
    if (!(off < bound())) fail_msg("off by %g, allowed %g", off, bound());
    /* a text alone is what it is among others, but for the order of sums in products of other sizes */
    float *alone = encode(path, ids + length[0], length + 1, 1, length[1]);
    off = golden_distance(alone, result + length[0] * small_umt5.dim, (size_t)(length[1] * small_umt5.dim));
    if (!(off < bound())) fail_msg("alone: off by %g, allowed %g", off, bound());
    free(alone);
    free(result);
    free(ids);
    free(length);
    unlink(path);
}

/* The same weights in the other naming, in two files with an index: the same bits. */
static void namings_and_shards(void **state) {
    (void)state;
    static const int ids[] = {5, 0, 89, 17, 1}, length[] = {3, 2};
    struct umt5_file weights;
    char path[FILE_PATH_MAX], name[FILE_PATH_MAX];
    snprintf(path, sizeof path, "%s/one.safetensors", folder);
    umt5_file_make(&weights, &small_umt5, 0);
    assert_int_equal(safetensors_write(path, weights.entries, weights.count, NULL), OK);
    umt5_file_free(&weights);
    float *first = encode(path, ids, length, 2, 5);
    unlink(path);
    umt5_file_make(&weights, &small_umt5, 1);
    free(weights.entries[0].name);
    weights.entries[0].name = strdup("encoder.embed_tokens.weight"); /* the name that some files use */
    int half = weights.count / 2;
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    FILE *index = fopen(path, "w");
    assert_non_null(index);
    fprintf(index, "{\"weight_map\": {");
    for (int i = 0; i < weights.count; i++)
        fprintf(index, "%s\"%s\": \"model-0000%d-of-00002.safetensors\"", i ? ", " : "", weights.entries[i].name,
                i < half ? 1 : 2);
    fprintf(index, "}}");
    fclose(index);
    for (int k = 0; k < 2; k++) {
        snprintf(name, sizeof name, "%s/model-0000%d-of-00002.safetensors", folder, k + 1);
        assert_int_equal(safetensors_write(name, weights.entries + k * half, k ? weights.count - half : half, NULL),
                         OK);
    }
    umt5_file_free(&weights);
    float *second = encode(path, ids, length, 2, 5);
    assert_memory_equal(first, second, sizeof *first * 5 * (size_t)small_umt5.dim);
    free(first);
    free(second);
    unlink(path);
    for (int k = 0; k < 2; k++) {
        snprintf(name, sizeof name, "%s/model-0000%d-of-00002.safetensors", folder, k + 1);
        unlink(name);
    }
}

static void buckets(void **state) {
    (void)state;
    int count;
    int *expected = integers("buckets", &count);
    assert_int_equal(count, 1201);
    for (int i = 0; i < count; i++)
        if (umt5_bucket(&small_umt5, i - 600) != expected[i])
            fail_msg("distance %d: bucket %d, expected %d", i - 600, umt5_bucket(&small_umt5, i - 600), expected[i]);
    free(expected);
}

static int start(void **state) {
    (void)state;
    return golden_open(&file, "tests/golden/umt5.safetensors") || folder_make(folder, "test_umt5");
}

static int stop(void **state) {
    (void)state;
    safetensors_close(&file);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(transformers_parity), cmocka_unit_test(namings_and_shards),
                                       cmocka_unit_test(buckets)};
    return cmocka_run_group_tests(tests, start, stop);
}
