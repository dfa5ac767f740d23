/* test_checkpoint.c: Wan checkpoints in every form they come in: both namings, repacks' prefixes, one file or shards,
   half types; the published sizes by name and count; loading takes no memory besides the parameters. */
#include "tests/checkpoint_folder.h"

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
    long long peak; /* most anonymous memory, kB; watched when above 0 */
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
    const struct weights_sink sink = {.take = take_value, .self = &seen};
    CHECK(checkpoint_open(&c, path));
    CHECK(weights_load(&sink, &net->table, &c, part));
    if (part == WEIGHTS_ALL) assert_int_equal(seen.values, net->table.values);
    assert_true(seen.values > 0);
    checkpoint_close(&c);
}

static void comes_back_in_every_form(void **state) {
    (void)state;
    struct dit net;
    const struct weights_source source = {give_value, NULL};
    const enum safetensors_type types[] = {ST_F32, ST_BF16, ST_F16};
    CHECK(dit_create(&net, &small_config, 0));
    for (int t = 0; t < 3; t++)
        for (int naming = 0; naming < 2; naming++)
            for (size_t shard = 0; shard < 2; shard++) {
                struct weights_format format = {.naming = naming ? NAMING_DIFFUSERS : NAMING_ORIGINAL,
                                                .type = types[t],
                                                .shard_bytes = shard * 700000};
                struct stat info;
                CHECK(weights_save(folder, "m", &net.table, &source, WEIGHTS_ALL, &format));
                assert_int_equal(stat(in_folder("m.safetensors.index.json"), &info) == 0, shard);
                every_value_comes_back(&net, folder, WEIGHTS_ALL);
                /* a file by name, not its folder */
                every_value_comes_back(&net, in_folder(shard ? "m.safetensors.index.json" : "m.safetensors"),
                                       WEIGHTS_ALL);
            }
    dit_destroy(&net);
    folder_empty(folder);
}

/* Shards are no larger than asked for, tensors apart that are larger themselves. */
static void shards_keep_to_their_size(void **state) {
    (void)state;
    struct dit net;
    const struct weights_source source = {give_value, NULL};
    const struct weights_format format = {.naming = NAMING_ORIGINAL, .type = ST_F32, .shard_bytes = 900000};
    struct shards s;
    size_t bytes = 0;
    CHECK(dit_create(&net, &small_config, 0));
    CHECK(weights_save(folder, "m", &net.table, &source, WEIGHTS_ALL, &format));
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
    folder_empty(folder);
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
        float value, half, brain; /* converted by hand: halves have 10 bits of fraction and steps of 2^-24 near 0 */
    } cases[] = {{1.00048828125f, 1.0f, 1.0f},          /* 1 + 2^-11: tie, to even */
                 {1.00146484375f, 1.001953125f, 1.0f},  /* 1 + 3 2^-11: tie, to even */
                 {65519, 65504, 65536},                 /* the largest that does not become infinite */
                 {-0x1.8p-24f, -0x1p-23f, -0x1.8p-24f}, /* tie between subnormals */
                 {0x1p-26f, 0, 0x1p-26f},
                 {1.01171875f, 1.01171875f, 1.015625f}}; /* 1 + 3 2^-8: tie in BF16 */
    CHECK(dit_create(&net, &small_config, 0));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int brain = 0; brain < 2; brain++) {
            float value = cases[i].value, got[256];
            const struct weights_source source = {give_large, &value};
            format.type = brain ? ST_BF16 : ST_F16;
            CHECK(weights_save(folder, "m", &net.table, &source, WEIGHTS_ALL, &format));
            CHECK(checkpoint_open(&c, folder));
            CHECK(safetensors_read_float(checkpoint_find(&c, "blocks.1.norm3.bias"), got));
            float wanted = brain ? cases[i].brain : cases[i].half;
            if (got[255] != wanted)
                fail_msg("%a as %s is %a, expected %a", value, brain ? "BF16" : "F16", got[255], wanted);
            checkpoint_close(&c);
        }
    float large = 65520; /* does not fit: nothing is left of the file */
    const struct weights_source source = {give_large, &large};
    format.type = ST_F16;
    assert_int_equal(weights_save(folder, "m", &net.table, &source, WEIGHTS_ALL, &format), ERR_NUMERIC);
    assert_non_null(strstr(error_text(), "blocks.1.norm3.bias"));
    assert_false(file_exists(in_folder("m.safetensors")));
    dit_destroy(&net);
    folder_empty(folder);
}

static void takes_prefixes(void **state) {
    (void)state;
    static const char *const prefixes[] = {"model.diffusion_model.", "diffusion_model.", "module.dit.", "", "model.",
                                           "generator_ema.model.",   "generator.model."};
    struct dit net;
    struct checkpoint c;
    CHECK(dit_create(&net, &small_config, 0));
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        write_whole("a.safetensors", prefixes[i], &small, i & 1, "F16");
        CHECK(checkpoint_open(&c, in_folder("a.safetensors")));
        assert_string_equal(c.prefix, prefixes[i]);
        CHECK(weights_check(&net.table, &c, WEIGHTS_ALL));
        checkpoint_close(&c);
    }
    /* students of Self-Forcing and its kin, saved while FSDP wrapped them */
    write_whole("a.safetensors", "model._fsdp_wrapped_module.", &small, 0, "F16");
    CHECK(checkpoint_open(&c, in_folder("a.safetensors")));
    assert_string_equal(c.prefix, "model.");
    CHECK(weights_check(&net.table, &c, WEIGHTS_ALL));
    checkpoint_close(&c);
    /* minWM's branch for cameras is more than this network has */
    struct wan_header camera;
    wan_header_open(&camera, "F16");
    wan_add_transformer(&camera, "model.", &small, 0);
    wan_add(&camera, "", "model.blocks.0.self_attn.prope_o.weight", "dd", &small);
    assert_int_equal(wan_header_write(&camera, in_folder("a.safetensors")), 0);
    CHECK(checkpoint_open(&c, in_folder("a.safetensors")));
    refuses(weights_check(&net.table, &c, WEIGHTS_ALL), "a.safetensors",
            "surplus model.blocks.0.self_attn.prope_o.weight");
    checkpoint_close(&c);
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
    folder_empty(folder);
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
    const struct weights_sink sink = {.take = take_and_watch, .self = &seen};
    assert_non_null(seen.arena);
    CHECK(weights_load(&sink, &net.table, &c, WEIGHTS_ALL));
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
    folder_empty(folder);
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
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
