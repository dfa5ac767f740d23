/* test_checkpoint_fit.c: Wan checkpoints that do not fit: all that is amiss is listed, bad shards and folders are one
   line, config.json is compared with the tensors, and read back as it was printed. */
#include "tests/checkpoint_folder.h"

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
    wan_add_shape(&h, "time_extra", "F8_E5M2", (long[]){2, 0});
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
    folder_empty(folder);
}

static void names_the_type_that_it_cannot_read(void **state) {
    (void)state;
    struct wan_header h;
    struct dit net;
    struct checkpoint c;
    CHECK(dit_create(&net, &small_config, 0));
    wan_header_open(&h, "F8_E5M2");
    wan_add_transformer(&h, "", &small, 0);
    assert_int_equal(wan_header_write(&h, in_folder("a.safetensors")), 0);
    CHECK(checkpoint_open(&c, folder));
    refuses(weights_check(&net.table, &c, WEIGHTS_ALL), "blocks.0-2.self_attn.q.weight",
            "is of type F8_E5M2, expected F32, BF16 or F16");
    checkpoint_close(&c);
    dit_destroy(&net);
    folder_empty(folder);
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
    folder_empty(folder);
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
    folder_empty(folder);
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
    folder_empty(folder);
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
    write_text("config.json", "{\"format\":1}"); /* belongs to something else */
    CHECK(checkpoint_dit_config(&c, &config));
    checkpoint_close(&c);
    folder_empty(folder);
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
    folder_empty(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_all_that_does_not_fit),    cmocka_unit_test(names_the_type_that_it_cannot_read),
        cmocka_unit_test(says_what_a_strange_file_lacks), cmocka_unit_test(refuses_bad_shards),
        cmocka_unit_test(chooses_the_file_of_a_folder),   cmocka_unit_test(compares_config_json),
        cmocka_unit_test(prints_configs_that_read_back),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
