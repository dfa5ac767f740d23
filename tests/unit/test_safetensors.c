/* test_safetensors.c: safetensors come back bit for bit in every type, and no file, however damaged or hostile, is more
   than one error line; tensor names of Wan and Diffusers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/fileio.h"
#include "checkpoints/names.h"
#include "checkpoints/safetensors.h"
#include "tests/folder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char folder[FOLDER_MAX], path[FILE_PATH_MAX];

/* A file with this header text and so many zero bytes of data. */
static void craft(const char *header, uint64_t told_length, size_t data) {
    struct file_writer w;
    assert_int_equal(file_create(&w, path), OK);
    for (int i = 0; i < 8; i++) fputc((int)(told_length >> (8 * i) & 255), w.file);
    fputs(header, w.file);
    for (size_t i = 0; i < data; i++) fputc(0, w.file);
    assert_int_equal(file_commit(&w), OK);
}

static void refuses(const char *header, size_t data, const char *why) {
    struct safetensors file;
    craft(header, strlen(header), data);
    if (safetensors_open(&file, path) != ERR_INPUT) fail_msg("accepted: %s", header);
    if (!strstr(error_text(), path) || !strstr(error_text(), why)) fail_msg("\"%s\" lacks \"%s\"", error_text(), why);
}

static int write_sample(const char *where) {
    static const float a[] = {1, -2.5f, 3e-40f, INFINITY, 0, -0.0f};
    static const uint16_t half[] = {0x3c00, 0xc100, 0x0001, 0x7c00}, brain[] = {0x3f80, 0xc020, 0x0001};
    static const double wide[] = {0.1, -1e300};
    static const unsigned char bytes[] = {1, 2, 3};
    static const int64_t whole[] = {-5};
    const struct safetensors_entry entries[] = {
        {.name = "z.a", .type = ST_F32, .ndim = 2, .shape = {2, 3}, .count = 6, .bytes = 24, .data = a},
        {.name = "half", .type = ST_F16, .ndim = 1, .shape = {4}, .count = 4, .bytes = 8, .data = half},
        {.name = "brain \"q\"\n\xc3\xa9",
         .type = ST_BF16,
         .ndim = 1,
         .shape = {3},
         .count = 3,
         .bytes = 6,
         .data = brain},
        {.name = "wide", .type = ST_F64, .ndim = 3, .shape = {1, 2, 1}, .count = 2, .bytes = 16, .data = wide},
        {.name = "bytes", .type = ST_U8, .ndim = 1, .shape = {3}, .count = 3, .bytes = 3, .data = bytes},
        {.name = "scalar", .type = ST_I64, .ndim = 0, .count = 1, .bytes = 8, .data = whole},
        {.name = "empty", .type = ST_F32, .ndim = 2, .shape = {0, 7}, .count = 0, .bytes = 0, .data = NULL},
    };
    const char *const metadata[] = {"format", "pt", "note", "a \"b\"", NULL};
    return safetensors_write(where, entries, 7, metadata);
}

static void comes_back(void **state) {
    (void)state;
    struct safetensors file;
    float v[6];
    assert_int_equal(write_sample(path), OK);
    assert_int_equal(safetensors_open(&file, path), OK);
    assert_int_equal(file.count, 7);
    for (int i = 1; i < file.count; i++) assert_true(strcmp(file.entries[i - 1].name, file.entries[i].name) < 0);
    for (int i = 0; i < file.count; i++) { /* aligned to the type */
        const struct safetensors_entry *e = &file.entries[i];
        if (e->count) assert_int_equal((uintptr_t)e->data % (e->bytes / e->count), 0);
    }
    const struct safetensors_entry *e = safetensors_find(&file, "z.a");
    assert_non_null(e);
    assert_true(e->type == ST_F32 && e->ndim == 2 && e->shape[0] == 2 && e->shape[1] == 3);
    assert_int_equal(safetensors_read_any(e, v), OK);
    assert_true(v[0] == 1 && v[1] == -2.5f && v[2] == 3e-40f && isinf(v[3]) && v[4] == 0 && signbit(v[5]));
    assert_int_equal(safetensors_read_any(safetensors_find(&file, "half"), v), OK);
    assert_true(v[0] == 1 && v[1] == -2.5f && v[2] == 0x1p-24f && isinf(v[3]));
    assert_int_equal(safetensors_read_float(safetensors_find(&file, "brain \"q\"\n\xc3\xa9"), v), OK);
    assert_true(v[0] == 1 && v[1] == -2.5f && v[2] == 0x1p-133f);
    assert_int_equal(safetensors_read_any(safetensors_find(&file, "wide"), v), OK);
    assert_true(v[0] == 0.1f && isinf(v[1]));
    assert_int_equal(safetensors_read_float(safetensors_find(&file, "bytes"), v), ERR_INPUT);
    assert_int_equal(safetensors_find(&file, "scalar")->ndim, 0);
    assert_int_equal(safetensors_find(&file, "empty")->count, 0);
    assert_null(safetensors_find(&file, "nothing"));
    assert_string_equal(file.metadata[0], "format");
    assert_string_equal(file.metadata[3], "a \"b\"");
    assert_null(file.metadata[4]);
    safetensors_close(&file);
}

/* What is not finite is refused with its tensor and place, wherever it comes from: a type's own infinity, a double
   that is too large. */
static void names_what_is_not_finite(void **state) {
    (void)state;
    static const char *const names[] = {"z.a", "half", "wide"};
    static const char *const places[] = {"z.a: holds a value that is not finite (element 3: inf)",
                                         "half: holds a value that is not finite (element 3: inf)",
                                         "wide: holds a value that is not finite (element 1: -inf)"};
    struct safetensors file;
    float v[6];
    assert_int_equal(write_sample(path), OK);
    assert_int_equal(safetensors_open(&file, path), OK);
    for (int i = 0; i < 3; i++) {
        const struct safetensors_entry *e = safetensors_find(&file, names[i]);
        assert_int_equal(safetensors_read_float(e, v), ERR_INPUT);
        assert_string_equal(error_text(), places[i]);
        assert_int_equal(safetensors_read_part(e, 0, 1, v), OK);
    }
    safetensors_close(&file);
    const uint16_t nan[] = {0x3f80, 0xffc1};
    const struct safetensors_entry e = {.name = "n", .type = ST_BF16, .count = 2, .bytes = 4, .data = nan};
    assert_int_equal(safetensors_read_part(&e, 1, 1, v), ERR_INPUT);
    assert_non_null(strstr(error_text(), "element 1"));
}

/* Every half float against ldexp. */
static void converts_every_half(void **state) {
    (void)state;
    static uint16_t bits[65536];
    static float v[65536];
    for (int i = 0; i < 65536; i++) bits[i] = (uint16_t)i;
    const struct safetensors_entry e = {.name = "h", .type = ST_F16, .count = 65536, .bytes = 131072, .data = bits};
    assert_int_equal(safetensors_read_any(&e, v), OK);
    for (int i = 0; i < 65536; i++) {
        int exponent = (i >> 10) & 31, fraction = i & 1023;
        double expected = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        if (i & 0x8000) expected = -expected;
        if (exponent == 31)
            assert_true(fraction ? isnan(v[i]) : (isinf(v[i]) && (signbit(v[i]) != 0) == (i >> 15)));
        else
            assert_true((double)v[i] == expected && (signbit(v[i]) != 0) == (i >> 15));
    }
}

static void writes_the_same_bytes(void **state) {
    (void)state;
    char *first, *second;
    size_t n, m;
    assert_int_equal(write_sample(path), OK);
    assert_int_equal(file_read(path, 1 << 20, &first, &n), OK);
    assert_int_equal(write_sample(path), OK);
    assert_int_equal(file_read(path, 1 << 20, &second, &m), OK);
    assert_int_equal(n, m);
    assert_memory_equal(first, second, n);
    free(first);
    free(second);
}

static void refuses_to_write_nonsense(void **state) {
    (void)state;
    const float v[4] = {0};
    struct safetensors_entry e[2] = {
        {.name = "a", .type = ST_F32, .ndim = 1, .shape = {4}, .count = 4, .bytes = 16, .data = v},
        {.name = "a", .type = ST_F32, .ndim = 1, .shape = {4}, .count = 4, .bytes = 16, .data = v}};
    assert_int_equal(safetensors_write(path, e, 2, NULL), ERR_USAGE);
    e[0].shape[0] = 5;
    assert_int_equal(safetensors_write(path, e, 1, NULL), ERR_USAGE);
    e[1].type = ST_OTHER;
    assert_int_equal(safetensors_write(path, e + 1, 1, NULL), ERR_USAGE);
    e[0].shape[0] = 4;
    assert_int_equal(safetensors_write("/nonexistent/x", e, 1, NULL), ERR_INPUT);
    assert_int_equal(safetensors_write(path, NULL, 0, NULL), OK); /* nothing is a file, too */
    struct safetensors file;
    assert_int_equal(safetensors_open(&file, path), OK);
    assert_int_equal(file.count, 0);
    safetensors_close(&file);
}

#define A(shape, from, to) "{\"a\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}}"
static void refuses_wrong_headers(void **state) {
    (void)state;
    struct safetensors file;
    refuses("", 0, "not JSON");
    refuses("[]", 0, "no JSON object");
    refuses("{\"a\":1}", 0, "no dtype");
    refuses("{\"a\":{}}", 0, "no dtype");
    refuses("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "no shape");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "offsets");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":{\"x\":0,\"y\":4}}}x", 4, "not JSON");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, "offsets");
    refuses(A("[1]", "4", "0"), 4, "offsets");
    refuses(A("[1]", "-4", "0"), 4, "offsets");
    refuses(A("[1]", "0", "4.5"), 4, "offsets");
    refuses(A("[1]", "0", "1e300"), 4, "offsets");
    refuses(A("[1]", "0", "\"4\""), 4, "offsets");
    refuses(A("[1]", "0", "4"), 3, "cut short");
    refuses(A("[1]", "0", "18446744073709551620"), 4, "offsets");
    refuses(A("[2]", "0", "4"), 4, "differ");
    refuses(A("[-1]", "0", "4"), 4, "shape is wrong");
    refuses(A("[1.5]", "0", "4"), 4, "shape is wrong");
    refuses(A("[4294967296,4294967296]", "0", "0"), 0, "shape is wrong");
    refuses(A("[4503599627370496,1024]", "0", "0"), 0, "differ"); /* 4 x 2^62 bytes wraps to 0 */
    refuses(A("[1,1,1,1,1,1,1,1,1]", "0", "4"), 4, "dimensions");
    refuses(A("[1]", "4", "8"), 8, "do not follow");
    refuses(A("[1]", "0", "4"), 8, "belong to no tensor");
    refuses("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],"
            "\"data_offsets\":[2,6]}}",
            6, "do not follow");
    refuses("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"U8\",\"shape\":[4],"
            "\"data_offsets\":[4,8]}}",
            8, "twice");
    const char *none = "{\"__metadata__\":null,\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    craft(none, strlen(none), 1);
    assert_int_equal(safetensors_open(&file, path), OK);
    assert_true(file.count == 1 && !file.metadata);
    safetensors_close(&file);
    refuses("{\"__metadata__\":[]}", 0, "metadata");
    refuses("{\"__metadata__\":{\"a\":1}}", 0, "metadata");
    refuses("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "metadata");
    const uint64_t lengths[] = {3, 1000, 100ull << 20 | 1, 1ull << 40, 1ull << 63, UINT64_MAX, UINT64_MAX - 7};
    for (int i = 0; i < 7; i++) {
        craft("{}", lengths[i], 0);
        assert_int_equal(safetensors_open(&file, path), ERR_INPUT);
    }
    /* types we do not convert are listed all the same */
    const char *other = "{\"a\":{\"dtype\":\"F8_E5M2\",\"shape\":[4],\"data_offsets\":[0,4]}}";
    craft(other, strlen(other), 4);
    if (safetensors_open(&file, path)) fail_msg("%s", error_text());
    assert_int_equal(file.entries[0].type, ST_OTHER);
    float v[4];
    assert_int_equal(safetensors_read_float(&file.entries[0], v), ERR_INPUT);
    safetensors_close(&file);
}

static void refuses_what_is_no_file(void **state) {
    (void)state;
    struct safetensors file;
    assert_int_equal(safetensors_open(&file, "/nonexistent"), ERR_INPUT);
    assert_int_equal(safetensors_open(&file, folder), ERR_INPUT);
    assert_int_equal(safetensors_open(&file, "/dev/zero"), ERR_INPUT);
    assert_int_equal(file_write(path, "", 0), OK);
    assert_int_equal(safetensors_open(&file, path), ERR_INPUT);
    char *deep = malloc(200001);
    memset(deep, '[', 200000);
    deep[200000] = 0;
    refuses(deep, 0, "not JSON");
    free(deep);
}

/* Opens a file (kept in memory) of these bytes and reads all that it offers; the sanitizers watch. */
static int try_open(int memory, const char *bytes, size_t n) {
    struct safetensors file;
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", memory);
    assert_int_equal(ftruncate(memory, (off_t)n), 0);
    assert_int_equal(pwrite(memory, bytes, n, 0), n);
    if (safetensors_open(&file, name)) {
        assert_null(strchr(error_text(), '\n'));
        return 0;
    }
    for (int i = 0; i < file.count; i++) {
        const struct safetensors_entry *e = &file.entries[i];
        unsigned sum = 0;
        for (size_t k = 0; k < e->bytes; k++) sum += ((const unsigned char *)e->data)[k];
        float *v = e->type < ST_I32 ? malloc(e->count * sizeof *v + 1) : NULL;
        if (v) assert_int_equal(safetensors_read_any(e, v), OK);
        free(v);
        assert_true(sum < UINT32_MAX);
    }
    safetensors_close(&file);
    return 1;
}

/* Truncated at every byte, every bit of the header flipped. */
static void survives_damage(void **state) {
    (void)state;
    char *bytes;
    size_t n, header = 8;
    int accepted = 0, memory = memfd_create("damaged", 0);
    assert_true(memory >= 0);
    assert_int_equal(write_sample(path), OK);
    assert_int_equal(file_read(path, 1 << 20, &bytes, &n), OK);
    for (int i = 3; i >= 0; i--) header += (size_t)(unsigned char)bytes[i] << (8 * i);
    assert_int_equal(try_open(memory, bytes, n), 1);
    for (size_t cut = 0; cut < n; cut++) assert_int_equal(try_open(memory, bytes, cut), 0);
    for (size_t at = 0; at < header; at++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (char)(1 << bit);
            accepted += try_open(memory, bytes, n);
            bytes[at] ^= (char)(1 << bit);
        }
    assert_true(accepted > 0 && accepted < (int)header * 8); /* a flipped letter of a name is no error */
    free(bytes);
    close(memory);
}

static void translates_names(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"patch_embedding.weight", "patch_embedding.weight"},
        {"text_embedding.0.weight", "condition_embedder.text_embedder.linear_1.weight"},
        {"text_embedding.2.bias", "condition_embedder.text_embedder.linear_2.bias"},
        {"time_embedding.0.bias", "condition_embedder.time_embedder.linear_1.bias"},
        {"time_embedding.2.weight", "condition_embedder.time_embedder.linear_2.weight"},
        {"time_projection.1.weight", "condition_embedder.time_proj.weight"},
        {"blocks.17.modulation", "blocks.17.scale_shift_table"},
        {"blocks.0.self_attn.q.weight", "blocks.0.attn1.to_q.weight"},
        {"blocks.0.self_attn.o.bias", "blocks.0.attn1.to_out.0.bias"},
        {"blocks.2.self_attn.norm_q.weight", "blocks.2.attn1.norm_q.weight"},
        {"blocks.29.cross_attn.k.weight", "blocks.29.attn2.to_k.weight"},
        {"blocks.29.cross_attn.k_img.weight", "blocks.29.attn2.add_k_proj.weight"},
        {"blocks.29.cross_attn.norm_k.weight", "blocks.29.attn2.norm_k.weight"},
        {"blocks.29.cross_attn.norm_k_img.weight", "blocks.29.attn2.norm_added_k.weight"},
        {"blocks.1.norm3.bias", "blocks.1.norm2.bias"},
        {"blocks.1.ffn.0.weight", "blocks.1.ffn.net.0.proj.weight"},
        {"blocks.1.ffn.2.bias", "blocks.1.ffn.net.2.bias"},
        {"head.modulation", "scale_shift_table"},
        {"head.head.weight", "proj_out.weight"},
        {"img_emb.proj.4.bias", "condition_embedder.image_embedder.norm2.bias"},
        {"img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"},
        {"blocks.3.talk_attn.q.weight", "blocks.3.talk_attn.q.weight"},
        {"audio_proj.proj1.weight", "audio_proj.proj1.weight"},
    };
    char name[160];
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_int_equal(names_to_diffusers(pairs[i][0], name, sizeof name), OK);
        assert_string_equal(name, pairs[i][1]);
        assert_int_equal(names_to_original(pairs[i][1], name, sizeof name), OK);
        assert_string_equal(name, pairs[i][0]);
    }
    assert_int_equal(names_to_diffusers("blocks.0.self_attn.q.weight", name, 10), ERR_INPUT);
    assert_int_equal(names_is_diffusers("blocks.0.attn1.to_q.weight"), 1);
    assert_int_equal(names_is_diffusers("blocks.0.self_attn.q.weight"), 0);
}

/* What training wrappers put into names, wherever they put it. */
static void unwraps_names(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"blocks.1._fsdp_wrapped_module.ffn.net.2.weight", "blocks.1.ffn.net.2.weight"},
        {"_fsdp_wrapped_module.blocks.1._fsdp_wrapped_module._checkpoint_wrapped_module.norm2.bias",
         "blocks.1.norm2.bias"},
        {"_orig_mod.proj_out.weight", "proj_out.weight"},
        {"model._orig_mod.x._checkpoint_wrapped_module.y", "model.x.y"},
        {"my_orig_mod.x", "my_orig_mod.x"},
        {"a._orig_mod", "a._orig_mod"},
        {"", ""},
    };
    char name[160];
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        snprintf(name, sizeof name, "%s", pairs[i][0]);
        names_unwrap(name);
        assert_string_equal(name, pairs[i][1]);
    }
    const char *header = "{\"x._orig_mod.a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    struct safetensors file;
    craft(header, strlen(header), 1);
    assert_int_equal(safetensors_open(&file, path), OK);
    assert_non_null(safetensors_find(&file, "x.a"));
    safetensors_close(&file);
    refuses("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
            "\"_orig_mod.a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
            2, "twice");
}

static int set_up(void **state) {
    (void)state;
    if (folder_make(folder, "test_safetensors")) return 1;
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    return 0;
}
static int tear_down(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(converts_every_half),
        cmocka_unit_test(writes_the_same_bytes),
        cmocka_unit_test(refuses_to_write_nonsense),
        cmocka_unit_test(refuses_wrong_headers),
        cmocka_unit_test(refuses_what_is_no_file),
        cmocka_unit_test(survives_damage),
        cmocka_unit_test(translates_names),
        cmocka_unit_test(names_what_is_not_finite),
        cmocka_unit_test(unwraps_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
