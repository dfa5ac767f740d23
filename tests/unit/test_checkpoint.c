/* test_checkpoint.c: Wan checkpoints in every form they come in: both namings, repacks' prefixes, one file or shards,
   half types; the published sizes by name and count; what does not fit is listed whole; bad files are one line; and
   loading takes no memory besides the parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/fileio.h"
#include "checkpoints/wan_config.h"
#include "checkpoints/weights.h"
#include "kernels/device.h"
#include "tests/wan_files.h"

#include <dirent.h>
#include <math.h>
#include <sys/stat.h>

static char folder[] = "/tmp/test_checkpoint_XXXXXX";
static const struct wan_size small = {.dim = 256, .ffn = 192, .layers = 3, .in = 8, .out = 8, .text = 32};

static const char *in_folder(const char *name) {
    static char text[4][FILE_PATH_MAX];
    static int turn;
    char *path = text[turn++ % 4];
    snprintf(path, FILE_PATH_MAX, "%s/%s", folder, name);
    return path;
}

static void empty_folder(const char *path) {
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char inside[FILE_PATH_MAX];
        if (e->d_name[0] == '.') continue;
        snprintf(inside, sizeof inside, "%s/%s", path, e->d_name);
        if (unlink(inside)) {
            empty_folder(inside);
            rmdir(inside);
        }
    }
    if (dir) closedir(dir);
}

#define CHECK(call)                                                                                                    \
    do {                                                                                                               \
        if (call) fail_msg("%s", error_text());                                                                        \
    } while (0)

/* One line that names the place and the fault. */
static void refuses(int code, const char *where, const char *why) {
    assert_int_equal(code, ERR_INPUT);
    if (!strstr(error_text(), where) || !strstr(error_text(), why))
        fail_msg("\"%s\" lacks \"%s\" or \"%s\"", error_text(), where, why);
    assert_null(strchr(error_text(), '\n'));
}

static void write_text(const char *name, const char *text) { CHECK(file_write(in_folder(name), text, strlen(text))); }

static void write_whole(const char *name, const char *prefix, const struct wan_size *size, int diffusers,
                        const char *type) {
    struct wan_header h;
    wan_header_open(&h, type);
    wan_add_transformer(&h, prefix, size, diffusers);
    assert_int_equal(wan_header_write(&h, in_folder(name)), 0);
}

/* ---- published sizes ---- */

static void knows_the_published_models(void **state) {
    (void)state;
    static const struct {
        struct wan_size size;
        int heads, tensors;
        size_t values;
    } models[] = {
        {{.dim = 3072, .ffn = 14336, .layers = 30, .in = 48, .out = 48, .text = 4096},
         24,
         825,
         4999787712}, /* TI2V-5B */
        {{.dim = 1536, .ffn = 8960, .layers = 30, .in = 16, .out = 16, .text = 4096}, 12, 825, 1418996800},
        {{.dim = 5120, .ffn = 13824, .layers = 40, .in = 16, .out = 16, .text = 4096}, 40, 1095, 14288491584},
        {{.dim = 5120, .ffn = 13824, .layers = 40, .in = 36, .out = 16, .text = 4096},
         40,
         1095,
         14288901184}, /* I2V-A14B */
    };
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        for (int diffusers = 0; diffusers < 2; diffusers++) {
            struct wan_header h;
            struct checkpoint c;
            struct dit_config config;
            struct dit net;
            wan_header_open(&h, m ? "BF16" : "F32");
            wan_add_transformer(&h, "", &models[m].size, diffusers);
            assert_int_equal(h.count, models[m].tensors);
            assert_int_equal(h.values, models[m].values);
            assert_int_equal(wan_header_write(&h, in_folder("a.safetensors")), 0);
            CHECK(checkpoint_open(&c, in_folder("a.safetensors")));
            assert_int_equal(c.naming, diffusers ? NAMING_DIFFUSERS : NAMING_ORIGINAL);
            CHECK(checkpoint_dit_config(&c, &config));
            assert_int_equal(config.heads, models[m].heads);
            assert_int_equal(config.layers, models[m].size.layers);
            assert_int_equal(config.in_channels, models[m].size.in);
            assert_int_equal(config.audio_dim, 0);
            config.height = config.width = 2;
            CHECK(dit_create(&net, &config, 0));
            assert_int_equal(net.table.count, models[m].tensors);
            assert_int_equal(net.table.values, models[m].values);
            CHECK(weights_check(&net.table, &c, WEIGHTS_ALL));
            dit_destroy(&net);
            checkpoint_close(&c);
        }
    unlink(in_folder("a.safetensors"));
}

static void refuses_the_image_branch(void **state) {
    (void)state;
    struct wan_size i2v = small;
    struct checkpoint c;
    i2v.image = 1;
    write_whole("a.safetensors", "", &i2v, 0, "BF16");
    refuses(checkpoint_open(&c, folder), "a.safetensors", "cross_attn.k_img.bias: the image branch of Wan 2.1");
    write_whole("a.safetensors", "", &i2v, 1, "BF16");
    refuses(checkpoint_open(&c, folder), "a.safetensors", "add_k_proj.bias: the image branch of Wan 2.1");
    unlink(in_folder("a.safetensors"));
}

/* ---- values ---- */

static const struct dit_config small_config = {.dim = 256,
                                               .ffn_dim = 192,
                                               .heads = 2,
                                               .layers = 3,
                                               .in_channels = 8,
                                               .out_channels = 8,
                                               .height = 4,
                                               .width = 4,
                                               .freq_dim = 256,
                                               .text_len = 6,
                                               .text_dim = 32,
                                               .rope_theta_t = 10000,
                                               .rope_theta_hw = 10000,
                                               .eps = 1e-6};

/* A value that F16, BF16 and F32 all hold exactly, another for every place. */
static float value_of(const struct param *p, size_t i) {
    unsigned h = 0;
    for (const char *c = p->name; *c; c++) h = 31 * h + (unsigned char)*c;
    return (float)((int)((h + 7 * i) % 255) - 127) / 64;
}

static int give_value(void *self, const struct param *p, size_t from, size_t count, float *values) {
    (void)self;
    for (size_t i = 0; i < count; i++) values[i] = value_of(p, from + i);
    return OK;
}

struct seen {
    const struct param *last;
    size_t next, values;
    long long peak; /* of anonymous memory, kB; watched when above 0 */
    void *arena;    /* device */
    const struct param_table *table;
};

static int take_value(void *self, const struct param *p, size_t from, size_t count, const float *values) {
    struct seen *s = self;
    if (p != s->last) s->last = p, s->next = 0;
    assert_int_equal(from, s->next); /* in order, no gap */
    for (size_t i = 0; i < count; i++)
        if (values[i] != value_of(p, from + i)) fail_msg("%s[%zu]", p->name, from + i);
    s->next += count;
    s->values += count;
    return OK;
}

static void every_value_comes_back(const struct dit *net, const char *path, enum weights_part part) {
    struct checkpoint c;
    struct seen seen = {.last = NULL};
    const struct weights_taker taker = {take_value, &seen};
    CHECK(checkpoint_open(&c, path));
    CHECK(weights_load(&taker, &net->table, &c, part));
    if (part == WEIGHTS_ALL) assert_int_equal(seen.values, net->table.values);
    assert_true(seen.values > 0);
    checkpoint_close(&c);
}

static void comes_back_in_every_form(void **state) {
    (void)state;
    struct dit net;
    const struct weights_giver giver = {give_value, NULL};
    const enum safetensors_type types[] = {ST_F32, ST_BF16, ST_F16};
    CHECK(dit_create(&net, &small_config, 0));
    for (int t = 0; t < 3; t++)
        for (int naming = 0; naming < 2; naming++)
            for (size_t shard = 0; shard < 2; shard++) {
                struct weights_format format = {.naming = naming ? NAMING_DIFFUSERS : NAMING_ORIGINAL,
                                                .type = types[t],
                                                .shard_bytes = shard * 700000};
                struct stat info;
                CHECK(weights_save(folder, "m", &net.table, &giver, WEIGHTS_ALL, &format));
                assert_int_equal(stat(in_folder("m.safetensors.index.json"), &info) == 0, shard);
                every_value_comes_back(&net, folder, WEIGHTS_ALL);
                /* a file by name, not its folder */
                every_value_comes_back(&net, in_folder(shard ? "m.safetensors.index.json" : "m.safetensors"),
                                       WEIGHTS_ALL);
            }
    dit_destroy(&net);
    empty_folder(folder);
}

/* Shards are no larger than asked for, tensors apart that are larger themselves. */
static void shards_keep_to_their_size(void **state) {
    (void)state;
    struct dit net;
    const struct weights_giver giver = {give_value, NULL};
    const struct weights_format format = {.naming = NAMING_ORIGINAL, .type = ST_F32, .shard_bytes = 900000};
    struct shards s;
    size_t bytes = 0;
    CHECK(dit_create(&net, &small_config, 0));
    CHECK(weights_save(folder, "m", &net.table, &giver, WEIGHTS_ALL, &format));
    CHECK(shards_open(&s, folder));
    assert_true(s.file_count >= 5);
    for (int k = 0; k < s.file_count; k++) {
        size_t sum = 0;
        for (int i = 0; i < s.files[k].file.count; i++) sum += s.files[k].file.entries[i].bytes;
        assert_true(sum <= 900000 || s.files[k].file.count == 1);
        assert_string_equal(s.files[k].file.metadata[1], "pt");
        bytes += sum;
    }
    assert_int_equal(bytes, 4 * net.table.values);
    char *text, wanted[64];
    CHECK(file_read(in_folder("m.safetensors.index.json"), 1 << 20, &text, NULL));
    snprintf(wanted, sizeof wanted, "\"total_size\":\t%zu", bytes);
    assert_non_null(strstr(text, wanted));
    free(text);
    shards_close(&s);
    dit_destroy(&net);
    empty_folder(folder);
}

static int give_large(void *self, const struct param *p, size_t from, size_t count, float *values) {
    (void)from;
    for (size_t i = 0; i < count; i++) values[i] = *(float *)self;
    if (strcmp(p->name, "blocks.1.norm3.bias")) memset(values, 0, count * sizeof *values);
    return OK;
}

static void rounds_to_half_types(void **state) {
    (void)state;
    struct dit net;
    struct checkpoint c;
    struct weights_format format = {.naming = NAMING_ORIGINAL};
    static const struct {
        float value, half, brain;              /* by hand: halves have 10 bits of fraction and steps of 2^-24 near 0 */
    } cases[] = {{1.00048828125f, 1.0f, 1.0f}, /* 1 + 2^-11: tie, to even */
                 {1.00146484375f, 1.001953125f, 1.0f},  /* 1 + 3 2^-11: tie, to even */
                 {65519, 65504, 65536},                 /* the largest that does not become infinite */
                 {-0x1.8p-24f, -0x1p-23f, -0x1.8p-24f}, /* tie between subnormals */
                 {0x1p-26f, 0, 0x1p-26f},
                 {1.01171875f, 1.01171875f, 1.015625f}}; /* 1 + 3 2^-8: tie in BF16 */
    CHECK(dit_create(&net, &small_config, 0));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int brain = 0; brain < 2; brain++) {
            float value = cases[i].value, got[256];
            const struct weights_giver giver = {give_large, &value};
            format.type = brain ? ST_BF16 : ST_F16;
            CHECK(weights_save(folder, "m", &net.table, &giver, WEIGHTS_ALL, &format));
            CHECK(checkpoint_open(&c, folder));
            CHECK(safetensors_read_float(checkpoint_find(&c, "blocks.1.norm3.bias"), got));
            float wanted = brain ? cases[i].brain : cases[i].half;
            if (got[255] != wanted)
                fail_msg("%a as %s is %a, expected %a", value, brain ? "BF16" : "F16", got[255], wanted);
            checkpoint_close(&c);
        }
    float large = 65520; /* does not fit: nothing is left of the file */
    const struct weights_giver giver = {give_large, &large};
    format.type = ST_F16;
    assert_int_equal(weights_save(folder, "m", &net.table, &giver, WEIGHTS_ALL, &format), ERR_NUMERIC);
    assert_non_null(strstr(error_text(), "blocks.1.norm3.bias"));
    assert_false(file_exists(in_folder("m.safetensors")));
    dit_destroy(&net);
    empty_folder(folder);
}

static void takes_prefixes(void **state) {
    (void)state;
    static const char *const prefixes[] = {"model.diffusion_model.", "diffusion_model.", "module.dit.", ""};
    struct dit net;
    struct checkpoint c;
    CHECK(dit_create(&net, &small_config, 0));
    for (int i = 0; i < 4; i++) {
        write_whole("a.safetensors", prefixes[i], &small, i & 1, "F16");
        CHECK(checkpoint_open(&c, in_folder("a.safetensors")));
        assert_string_equal(c.prefix, prefixes[i]);
        CHECK(weights_check(&net.table, &c, WEIGHTS_ALL));
        checkpoint_close(&c);
    }
    /* one tensor without the prefix that all others have */
    struct wan_header h;
    wan_header_open(&h, "F16");
    wan_add_transformer(&h, "diffusion_model.", &small, 0);
    wan_add(&h, "", "vae.conv.weight", "dd", &small);
    assert_int_equal(wan_header_write(&h, in_folder("a.safetensors")), 0);
    CHECK(checkpoint_open(&c, in_folder("a.safetensors")));
    refuses(weights_check(&net.table, &c, WEIGHTS_ALL), "a.safetensors", "surplus vae.conv.weight");
    checkpoint_close(&c);
    wan_header_open(&h, "F16");
    wan_add_transformer(&h, "high.", &small, 0);
    wan_add_transformer(&h, "low.", &small, 0);
    assert_int_equal(wan_header_write(&h, in_folder("a.safetensors")), 0);
    refuses(checkpoint_open(&c, in_folder("a.safetensors")), "a.safetensors", "two transformers");
    /* Diffusers files may hold a norm that nothing uses */
    wan_header_open(&h, "F16");
    wan_add_transformer(&h, "", &small, 1);
    wan_add(&h, "", "blocks.0.attn2.norm_added_q.weight", "d", &small);
    assert_int_equal(wan_header_write(&h, in_folder("a.safetensors")), 0);
    CHECK(checkpoint_open(&c, in_folder("a.safetensors")));
    CHECK(weights_check(&net.table, &c, WEIGHTS_ALL));
    checkpoint_close(&c);
    dit_destroy(&net);
    empty_folder(folder);
}

/* ---- what does not fit ---- */

static void lists_all_that_does_not_fit(void **state) {
    (void)state;
    struct dit_config deep = small_config;
    struct wan_size wide = small;
    struct wan_header h;
    struct dit net;
    struct checkpoint c;
    deep.layers = 40; /* blocks 3 to 39 are missing */
    wide.text = 33;
    CHECK(dit_create(&net, &deep, 0));
    wan_header_open(&h, "BF16");
    wan_add_transformer(&h, "", &wide, 0);
    wan_add(&h, "", "blocks.1.extra.weight", "d", &small);
    wan_add_shape(&h, "more", "I32", (long[]){2, 0});
    assert_int_equal(wan_header_write(&h, in_folder("a.safetensors")), 0);
    refuses(checkpoint_open(&c, folder), "a.safetensors", "differ"); /* I32 has four bytes */
    wan_header_open(&h, "BF16");
    wan_add_transformer(&h, "", &wide, 0);
    wan_add(&h, "", "blocks.1.extra.weight", "d", &small);
    wan_add_shape(&h, "time_extra", "F8_E4M3", (long[]){2, 0});
    assert_int_equal(wan_header_write(&h, in_folder("a.safetensors")), 0);
    CHECK(checkpoint_open(&c, folder));
    refuses(weights_check(&net.table, &c, WEIGHTS_ALL), "a.safetensors", "1002 tensors do not fit: ");
    static const char *const all[] = {
        "text_embedding.0.weight is [256, 33], expected [256, 32]", "missing blocks.3-39.modulation [1, 6, 256]",
        "missing blocks.3-39.ffn.2.bias [256]", "surplus blocks.1.extra.weight", "surplus time_extra"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strstr(error_text(), all[i])) fail_msg("\"%s\" lacks \"%s\"", error_text(), all[i]);
    for (size_t i = 0; i < sizeof wan_block / sizeof *wan_block; i++) {
        char name[96];
        snprintf(name, sizeof name, "missing blocks.3-39.%s ", wan_block[i].original);
        if (!strstr(error_text(), name)) fail_msg("\"%s\" lacks \"%s\"", error_text(), name);
    }
    assert_null(strstr(error_text(), "more"));
    checkpoint_close(&c);
    dit_destroy(&net);
    empty_folder(folder);
}

static void names_the_type_that_it_cannot_read(void **state) {
    (void)state;
    struct wan_header h;
    struct dit net;
    struct checkpoint c;
    CHECK(dit_create(&net, &small_config, 0));
    wan_header_open(&h, "F8_E4M3");
    wan_add_transformer(&h, "", &small, 0);
    assert_int_equal(wan_header_write(&h, in_folder("a.safetensors")), 0);
    CHECK(checkpoint_open(&c, folder));
    refuses(weights_check(&net.table, &c, WEIGHTS_ALL), "blocks.0-2.self_attn.q.weight",
            "is of type F8_E4M3, expected F32, BF16 or F16");
    checkpoint_close(&c);
    dit_destroy(&net);
    empty_folder(folder);
}

/* A file of another network altogether. */
static void says_what_a_strange_file_lacks(void **state) {
    (void)state;
    struct wan_header h;
    struct checkpoint c;
    struct dit_config config;
    wan_header_open(&h, "F32");
    wan_add(&h, "", "encoder.conv1.weight", "dd", &small);
    assert_int_equal(wan_header_write(&h, in_folder("a.safetensors")), 0);
    CHECK(checkpoint_open(&c, folder));
    refuses(checkpoint_dit_config(&c, &config), "a.safetensors", "patch_embedding.weight: it is no Wan transformer");
    checkpoint_close(&c);
    empty_folder(folder);
}

/* ---- shards ---- */

static void write_shard(const char *name, const char *first, const char *second) {
    struct wan_header h;
    wan_header_open(&h, "F32");
    if (first) wan_add_shape(&h, first, "F32", (long[]){2, 0});
    if (second) wan_add_shape(&h, second, "F32", (long[]){3, 0});
    assert_int_equal(wan_header_write(&h, in_folder(name)), 0);
}

static void refuses_index(const char *index, const char *why) {
    struct shards s;
    write_text("m.safetensors.index.json", index);
    refuses(shards_open(&s, folder), "m.safetensors.index.json", why);
}

static void refuses_bad_shards(void **state) {
    (void)state;
    struct shards s;
    write_shard("one.safetensors", "a", "b");
    write_shard("two.safetensors", "c", NULL);
    write_text("m.safetensors.index.json",
               "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"two.safetensors\"}}");
    CHECK(shards_open(&s, folder));
    assert_int_equal(s.count, 3);
    assert_int_equal(shards_find(&s, "c")->count, 2);
    assert_null(shards_find(&s, "d"));
    shards_close(&s);
    refuses_index("", "is not a JSON object");
    refuses_index("[1]", "is not a JSON object");
    refuses_index("{}", "has no weight_map");
    refuses_index("{\"weight_map\":[]}", "has no weight_map");
    refuses_index("{\"weight_map\":{}}", "names no tensor");
    refuses_index("{\"weight_map\":{\"a\":1}}", "a: expected a file name");
    refuses_index("{\"weight_map\":{\"a\":\"../one.safetensors\"}}", "is not one of this folder");
    refuses_index("{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "is not one of this folder");
    refuses_index("{\"weight_map\":{\"a\":\"..\"}}", "is not one of this folder");
    refuses_index("{\"weight_map\":{\"a\":\"\"}}", "is not one of this folder");
    refuses_index("{\"weight_map\":{\"a\":\"b\\\\one.safetensors\"}}", "is not one of this folder");
    refuses_index("{\"weight_map\":{\"a\":\"one.safetensors\",\"a\":\"two.safetensors\"}}", "a: is there twice");
    refuses_index("{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"one.safetensors\"}}",
                  "c is not in one.safetensors");
    refuses_index("{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\",\"c\":\"two.safetensors\"}}",
                  "b is in one.safetensors, the index says two.safetensors");
    refuses_index("{\"weight_map\":{\"a\":\"one.safetensors\"}}", "b of one.safetensors is not in the index");
    write_text("m.safetensors.index.json", "{\"weight_map\":{\"a\":\"three.safetensors\"}}");
    refuses(shards_open(&s, folder), "three.safetensors", "cannot open");
    write_text("m.safetensors.index.json",
               "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"two.safetensors\"}}");
    assert_int_equal(truncate(in_folder("two.safetensors"), 40), 0);
    refuses(shards_open(&s, folder), "two.safetensors", "does not fit in the file");
    write_shard("two.safetensors", "c", NULL);
    struct stat info;
    assert_int_equal(stat(in_folder("two.safetensors"), &info), 0);
    assert_int_equal(truncate(in_folder("two.safetensors"), info.st_size - 1), 0);
    refuses(shards_open(&s, folder), "two.safetensors", "c: its data end at byte 8 of 7: the file is cut short");
    empty_folder(folder);
}

static void chooses_the_file_of_a_folder(void **state) {
    (void)state;
    struct shards s;
    refuses(shards_open(&s, folder), folder, "holds no safetensors file");
    refuses(shards_open(&s, in_folder("none")), "none", "cannot open");
    write_shard("one.safetensors", "a", NULL);
    CHECK(shards_open(&s, folder));
    shards_close(&s);
    write_shard("two.safetensors", "b", NULL);
    refuses(shards_open(&s, folder), folder, "holds 2 safetensors files and no index");
    CHECK(file_make_folders(in_folder("transformer"))); /* a pipeline's folder */
    write_shard("transformer/x.safetensors", "c", NULL);
    CHECK(shards_open(&s, folder));
    assert_non_null(shards_find(&s, "c"));
    shards_close(&s);
    write_text("m.safetensors.index.json", "{\"weight_map\":{\"a\":\"one.safetensors\"}}");
    CHECK(shards_open(&s, folder)); /* its index comes first */
    assert_non_null(shards_find(&s, "a"));
    shards_close(&s);
    write_text("n.safetensors.index.json", "{}");
    refuses(shards_open(&s, folder), folder, "2 indexes");
    empty_folder(folder);
}

/* ---- config.json ---- */

static void compares_config_json(void **state) {
    (void)state;
    struct checkpoint c;
    struct dit_config config, run = small_config;
    write_whole("a.safetensors", "", &small, 0, "BF16");
    CHECK(checkpoint_open(&c, folder));
    CHECK(checkpoint_dit_config(&c, &config)); /* 256 = 2 heads of 128 */
    assert_int_equal(config.heads, 2);
    write_text("config.json",
               "{\"_class_name\":\"WanModel\",\"dim\":256,\"num_heads\":4,\"ffn_dim\":192,\"num_layers\":3,"
               "\"in_dim\":8,\"out_dim\":8,\"text_len\":77,\"freq_dim\":256,\"eps\":1e-5}");
    CHECK(checkpoint_dit_config(&c, &config));
    assert_int_equal(config.heads, 4);
    assert_int_equal(config.text_len, 77);
    assert_int_equal(config.text_dim, 32);
    assert_true(config.eps == 1e-5);
    run.heads = 4;
    run.text_len = 77;
    run.eps = 1e-5;
    CHECK(checkpoint_expect(&c, &run));
    run.heads = 2;
    run.ffn_dim = 99;
    refuses(checkpoint_expect(&c, &run), "config.json",
            "2 sizes differ: ffn_dim is 192, the run's 99; "
            "num_heads is 4, the run's 2");
    write_text(
        "config.json",
        "{\"num_attention_heads\":2,\"attention_head_dim\":128,\"in_channels\":8,\"text_dim\":32,\"num_layers\":2,"
        "\"patch_size\":[1,2,2],\"qk_norm\":\"rms_norm_across_heads\",\"cross_attn_norm\":true,\"image_dim\":null}");
    refuses(checkpoint_dit_config(&c, &config), "config.json", "num_layers is 2, the tensors' 3");
    write_text("config.json", "{\"num_attention_heads\":4,\"attention_head_dim\":128}");
    refuses(checkpoint_dit_config(&c, &config), "config.json",
            "num_attention_heads x attention_head_dim is 512, the tensors' 256");
    static const char *const bad[][2] = {
        {"{\"num_attention_heads\":2,\"image_dim\":1280}", "image_dim: expected null"},
        {"{\"num_attention_heads\":2,\"patch_size\":[1,1,2]}", "patch_size: expected [1, 2, 2]"},
        {"{\"num_attention_heads\":2,\"qk_norm\":\"layer_norm\"}", "qk_norm: expected"},
        {"{\"num_attention_heads\":2,\"cross_attn_norm\":false}", "cross_attn_norm: expected true"},
        {"{\"num_attention_heads\":-2}", "num_attention_heads: expected a whole number"},
        {"{\"num_attention_heads\":1e300}", "num_attention_heads: expected a whole number"},
        {"{\"num_attention_heads\":1048576,\"attention_head_dim\":1048576}", "too wide"},
        {"{\"num_attention_heads\":2,\"eps\":0}", "eps: expected"},
        {"nonsense", "is not a JSON object"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text("config.json", bad[i][0]);
        refuses(checkpoint_dit_config(&c, &config), "config.json", bad[i][1]);
    }
    write_text("config.json", "{\"format\":1}"); /* of something else */
    CHECK(checkpoint_dit_config(&c, &config));
    checkpoint_close(&c);
    empty_folder(folder);
}

static void prints_configs_that_read_back(void **state) {
    (void)state;
    for (int diffusers = 0; diffusers < 2; diffusers++) {
        struct wan_config config;
        struct dit_config back = {.text_len = 6, .text_dim = 32};
        int found;
        char *text = diffusers ? wan_config_print_diffusers(&small_config) : wan_config_print_original(&small_config);
        assert_non_null(text);
        write_text("config.json", text);
        free(text);
        CHECK(wan_config_read(in_folder("config.json"), &config, &found));
        assert_true(found);
        wan_config_fill(&config, &back);
        back.height = back.width = 4;
        back.rope_theta_t = back.rope_theta_hw = 10000;
        assert_memory_equal(&back, &small_config, sizeof back);
    }
    empty_folder(folder);
}

/* ---- memory ---- */

static long long anonymous_kb(void) {
    char line[128];
    long long kb = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "RssAnon: %lld", &kb) == 1) break;
    if (file) fclose(file);
    return kb;
}

static int take_and_watch(void *self, const struct param *p, size_t from, size_t count, const float *values) {
    struct seen *s = self;
    (void)values;
    if (!from) { /* once a tensor, before its first piece is stored */
        long long now = anonymous_kb();
        if (now > s->peak) s->peak = now;
    }
    elem *to = (elem *)s->arena + param_position(s->table, p) + from;
    elem piece[1 << 14];
    for (size_t i = 0; i < count; i++) piece[i] = elem_store((real)values[i]);
    mem_upload(to, piece, count * sizeof *piece);
    return OK;
}

/* WAN_FULL_SIZE=1 in the environment: all of TI2V-5B (20 GB of holes, 10 GB of memory in bf16). */
static void loads_in_the_memory_of_the_parameters(void **state) {
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* shadow memory counts too */
#endif
    const struct wan_size full = {.dim = 3072, .ffn = 14336, .layers = 30, .in = 48, .out = 48, .text = 4096},
                          part = {.dim = 1024, .ffn = 4608, .layers = 5, .in = 48, .out = 48, .text = 4096};
    const struct wan_size *size = getenv("WAN_FULL_SIZE") ? &full : &part;
    struct checkpoint c;
    struct dit_config config;
    struct dit net;
    write_whole("a.safetensors", "", size, 0, "F32"); /* 400 MB of holes */
    CHECK(checkpoint_open(&c, folder));
    CHECK(checkpoint_dit_config(&c, &config));
    config.height = config.width = 2;
    CHECK(dit_create(&net, &config, 0));
    long long before = anonymous_kb();
    struct seen seen = {.table = &net.table, .arena = device_alloc(net.table.total * sizeof(elem))};
    const struct weights_taker taker = {take_and_watch, &seen};
    assert_non_null(seen.arena);
    CHECK(weights_load(&taker, &net.table, &c, WEIGHTS_ALL));
    long long now = anonymous_kb();
    if (now > seen.peak) seen.peak = now;
    double ratio = (double)(seen.peak - before) * 1024 / (double)(net.table.values * sizeof(elem));
    print_message("anonymous memory: %.3f of the %.0f MB of parameters\n", ratio,
                  (double)(net.table.values * sizeof(elem)) / 1e6);
    assert_true(before > 0 && ratio > 0.95); /* it was measured */
    assert_true(ratio < 1.05);
    device_free(seen.arena);
    dit_destroy(&net);
    checkpoint_close(&c);
    empty_folder(folder);
}

static int set_up(void **state) {
    (void)state;
    return device_init(1) || !mkdtemp(folder);
}
static int tear_down(void **state) {
    (void)state;
    empty_folder(folder);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_in_the_memory_of_the_parameters),
        cmocka_unit_test(knows_the_published_models),
        cmocka_unit_test(refuses_the_image_branch),
        cmocka_unit_test(comes_back_in_every_form),
        cmocka_unit_test(shards_keep_to_their_size),
        cmocka_unit_test(rounds_to_half_types),
        cmocka_unit_test(takes_prefixes),
        cmocka_unit_test(lists_all_that_does_not_fit),
        cmocka_unit_test(names_the_type_that_it_cannot_read),
        cmocka_unit_test(says_what_a_strange_file_lacks),
        cmocka_unit_test(refuses_bad_shards),
        cmocka_unit_test(chooses_the_file_of_a_folder),
        cmocka_unit_test(compares_config_json),
        cmocka_unit_test(prints_configs_that_read_back),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
