/* test_wav2vec2_file.c: checkpoints of wav2vec2: those that do not fit, all that is amiss in one line; shapes without a
   config; the public sizes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "checkpoints/wav2vec2_file.h"
#include "kernels/device.h"
#include "tests/check.h"
#include "tests/wav2vec2_checkpoint.h"

static const struct checkpoint_style style = {"unit", "", 0, NULL, 0};

/* Opening a checkpoint whose file `name` holds `text` (NULL: removed) fails with `said`. */
static void expect_refused(const char *name, const char *text, const char *said) {
    char folder[FOLDER_MAX], path[FILE_PATH_MAX];
    struct wav2vec2_file file;
    CHECK(checkpoint_write(folder, &checkpoint_base, &style));
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (text)
        CHECK(file_write(path, text, strlen(text)));
    else
        remove(path);
    assert_int_equal(wav2vec2_file_open(&file, folder), ERR_INPUT);
    if (!strstr(error_text(), said)) fail_msg("\"%s\" does not say \"%s\"", error_text(), said);
    assert_null(strchr(error_text(), '\n'));
    checkpoint_remove(folder);
}

static void bad_checkpoints(void **state) {
    (void)state;
    expect_refused("config.json", "{\"hidden_size\": 48", "not a JSON object");
    expect_refused("config.json", "[1]", "not a JSON object");
    expect_refused("config.json", "{\"model_type\": \"hubert\"}", "model_type");
    expect_refused("config.json", "{\"hidden_size\": 48.5}", "hidden_size");
    expect_refused("config.json", "{\"hidden_size\": -48}", "hidden_size");
    expect_refused("config.json", "{\"num_attention_heads\": 7}", "7 heads");
    expect_refused("config.json", "{\"conv_dim\": []}", "conv_dim");
    expect_refused("config.json", "{\"conv_dim\": [1, 2], \"conv_kernel\": [3]}", "conv_kernel");
    expect_refused("config.json", "{\"feat_extract_norm\": \"batch\"}", "feat_extract_norm");
    expect_refused("config.json", "{\"add_adapter\": true}", "adapters");
    expect_refused("config.json", "{\"hidden_act\": \"relu\"}", "hidden_act");
    expect_refused("config.json", "{\"num_hidden_layers\": 4}", "do not fit");
    expect_refused("config.json", NULL, "config.json is needed");
    expect_refused("preprocessor_config.json", "{\"sampling_rate\": 8000}", "16000");
    expect_refused("preprocessor_config.json", "{\"do_normalize\": 1}", "do_normalize");
    expect_refused("model.safetensors", "12345678", "model.safetensors");
    expect_refused("model.safetensors", NULL, "model.safetensors");
}

/* Missing, surplus and mis-shaped tensors, all of them; values that are no numbers. */
static void bad_tensors(void **state) {
    (void)state;
    char folder[FOLDER_MAX], path[FILE_PATH_MAX];
    struct wav2vec2_file file;
    struct checkpoint_style lacking = style;
    lacking.skip = "encoder.layers.1.attention.k_proj.bias";
    CHECK(checkpoint_write(folder, &checkpoint_base, &lacking));
    assert_int_equal(wav2vec2_file_open(&file, folder), ERR_INPUT);
    assert_non_null(strstr(error_text(), "missing encoder.layers.1.attention.k_proj.bias"));
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    struct wav2vec2_config wider = checkpoint_base;
    wider.ffn_dim = 84;
    wider.layers = 4;
    CHECK(checkpoint_write_weights(path, &wider, &style));
    assert_int_equal(wav2vec2_file_open(&file, folder), ERR_INPUT);
    assert_non_null(strstr(error_text(), "expected [80, 48]"));
    assert_non_null(strstr(error_text(), "surplus encoder.layers.3."));
    CHECK(checkpoint_write_weights(path, &checkpoint_base, &style));
    struct safetensors tensors;
    CHECK(safetensors_open(&tensors, path));
    long at = (const char *)safetensors_find(&tensors, "encoder.layer_norm.bias")->data - (const char *)tensors.map;
    safetensors_close(&tensors);
    FILE *f = fopen(path, "r+b");
    float none = NAN;
    assert_non_null(f);
    assert_int_equal(fseek(f, at + 8, SEEK_SET) || fwrite(&none, sizeof none, 1, f) != 1 || fclose(f), 0);
    CHECK(wav2vec2_file_open(&file, folder));
    elem *weights = device_alloc(sizeof *weights * file.net.table.total);
    assert_int_equal(wav2vec2_file_load(&file, weights), ERR_INPUT);
    assert_non_null(strstr(error_text(), "encoder.layer_norm.bias: holds a value that is not finite"));
    device_free(weights);
    wav2vec2_file_close(&file);
    checkpoint_remove(folder);
}

/* Without config.json, the usual convolutions and heads are taken for granted; base and large are told apart. */
static void shapes_without_a_config(void **state) {
    (void)state;
    for (int large = 0; large < 2; large++) {
        struct wav2vec2_config config = wav2vec2_base;
        for (int i = 0; i < config.convs; i++) config.conv_dim[i] = 6 + i;
        config.dim = 128, config.layers = 2, config.heads = 2, config.ffn_dim = 20;
        config.position_kernel = 5, config.position_groups = 8;
        config.conv_bias = config.norm_every = config.pre_norm = large;
        struct checkpoint_style prefixed = {"unit", large ? "wav2vec2." : "", !large, NULL, large};
        char folder[FOLDER_MAX], path[FILE_PATH_MAX];
        CHECK(checkpoint_write(folder, &config, &prefixed));
        snprintf(path, sizeof path, "%s/config.json", folder);
        remove(path);
        snprintf(path, sizeof path, "%s/model.safetensors", folder);
        struct wav2vec2_file file;
        CHECK(wav2vec2_file_open(&file, path));
        assert_memory_equal(&file.net.config, &config, sizeof config);
        assert_int_equal(file.net.hop, 320);
        assert_int_equal(file.net.reach, 400);
        assert_int_equal(wav2vec2_frames(&file.net, 16000), 49);
        assert_int_equal(wav2vec2_frames(&file.net, 80000), 249);
        wav2vec2_file_close(&file);
        checkpoint_remove(folder);
    }
}

/* The public sizes, by count. */
static void public_sizes(void **state) {
    (void)state;
    struct wav2vec2 net;
    CHECK(wav2vec2_create(&net, &wav2vec2_base));
    /* 94,371,712 in Transformers, which counts the 128 lengths of the weight norm and the 768 of masked_spec_embed */
    assert_int_equal(net.table.values, 94371712 - 128 - 768);
    wav2vec2_destroy(&net);
    struct wav2vec2_config large = wav2vec2_base;
    large.conv_bias = large.norm_every = large.pre_norm = 1;
    large.dim = 1024, large.layers = 24, large.heads = 16, large.ffn_dim = 4096;
    CHECK(wav2vec2_create(&net, &large));
    assert_int_equal(net.table.values, 315438720 - 128 - 1024);
    wav2vec2_destroy(&net);
}

static int set_up(void **state) {
    (void)state;
    return device_init(2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_checkpoints),
        cmocka_unit_test(bad_tensors),
        cmocka_unit_test(shapes_without_a_config),
        cmocka_unit_test(public_sizes),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
