/* test_vae_file.c: video autoencoders from files: both namings, types and prefixes give the same network; what does not
   fit is listed; the published models' headers; and the codecs that these files are opened as. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/fileio.h"
#include "checkpoints/codec_file.h"
#include "checkpoints/decoder_file.h"
#include "checkpoints/vae_file.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "model/params/transfer.h"
#include "tests/byte_frames.h"
#include "tests/folder.h"
#include "tests/vae_files.h"
#include "tests/wan_files.h"

enum { HEIGHT = 32, WIDTH = 48, FRAMES = 9, Z = 4 };
static char folder[FOLDER_MAX], path[FILE_PATH_MAX], model[FILE_PATH_MAX]; /* model: with a vae/ inside */

static void expect_text(const char *part) {
    if (!strstr(error_text(), part)) fail_msg("\"%s\" lacks \"%s\"", error_text(), part);
}

/* ---- files ---- */

static void write_small(int residual, int diffusers, const char *prefix,
                        int (*change)(void *, struct safetensors_entry *), void *user) {
    struct vae_config config;
    small_vae_config(&config, residual, Z);
    assert_int_equal(small_vae_write(path, &config, diffusers, prefix, change, user), OK);
}

/* Every kind in every form is read as the same config, checksum and weights. */
static void forms(void **state) {
    (void)state;
    static const char *const prefixes[] = {"", "", "first_stage_model.", "vae."};
    for (int residual = 0; residual < 2; residual++) {
        uint32_t first = 0;
        unsigned char *bytes = NULL;
        for (int form = 0; form < 4; form++) {
            struct vae_config config, read;
            struct vae_weights w;
            uint32_t checksum;
            small_vae_config(&config, residual, Z);
            write_small(residual, form % 2, prefixes[form], NULL, NULL);
            assert_int_equal(vae_file_config(&read, path), OK);
            assert_memory_equal(&read, &config, sizeof config);
            assert_int_equal(vae_file_open(&w, path, VAE_BOTH, &checksum), OK);
            assert_memory_equal(&w.net.config, &config, sizeof config);
            size_t size = w.net.table.total * sizeof(elem);
            unsigned char *now = malloc(size);
            assert_non_null(now);
            mem_download(now, w.weights, size);
            if (bytes) assert_memory_equal(now, bytes, size);
            if (bytes) assert_int_equal(checksum, first);
            first = checksum;
            free(bytes);
            bytes = now;
            assert_int_equal(vae_file_checksum(path, &checksum), OK);
            assert_int_equal(checksum, first);
            vae_weights_close(&w);
        }
        free(bytes);
    }
}

/* An entry as BF16 or F16 (`user`: the type); values that all of the three hold exactly. */
static int as_type(void *user, struct safetensors_entry *e) {
    enum safetensors_type type = *(enum safetensors_type *)user;
    uint16_t *to = malloc(e->count * sizeof *to + 1);
    float *from = (float *)e->data;
    if (!to) abort();
    for (size_t i = 0; i < e->count; i++) {
        float value = (float)(lrintf(from[i] * 64)) / 64; /* -1 .. 1.5 in steps of 1/64 */
        uint32_t bits;
        memcpy(&bits, &value, 4);
        uint32_t half = bits & 0x7fffffff ? (bits >> 16 & 0x8000) | (((bits & 0x7fffffff) - 0x38000000) >> 13) : 0;
        to[i] = (uint16_t)(type == ST_BF16 ? bits >> 16 : half);
        from[i] = value;
    }
    if (type == ST_F32) {
        free(to);
        return 0;
    }
    free(from);
    e->data = to;
    e->type = type;
    e->bytes = 2 * e->count;
    return 0;
}

static void types(void **state) {
    (void)state;
    uint32_t checksum[3];
    static const enum safetensors_type list[] = {ST_F32, ST_BF16, ST_F16};
    for (int i = 0; i < 3; i++) {
        enum safetensors_type type = list[i];
        write_small(1, 1, "", as_type, &type);
        assert_int_equal(vae_file_checksum(path, &checksum[i]), OK);
    }
    assert_int_equal(checksum[0], checksum[1]);
    assert_int_equal(checksum[0], checksum[2]);
}

static int spoil(void *user, struct safetensors_entry *e) {
    const char *how = user;
    if (!strcmp(how, "tensors")) {
        if (!strcmp(e->name, "decoder.head.2.bias") || !strcmp(e->name, "encoder.middle.1.proj.weight")) return 1;
        if (!strcmp(e->name, "decoder.conv1.bias")) e->shape[0]--, e->count--, e->bytes -= 4;
        if (!strcmp(e->name, "conv1.bias")) e->name[4] = 'X';
    }
    if (!strcmp(how, "nan") && !strcmp(e->name, "decoder.middle.0.residual.2.weight")) ((float *)e->data)[77] = NAN;
    return !strcmp(how, "level") && !strncmp(e->name, "encoder.conv1.weight", 20);
}

static void faults(void **state) {
    (void)state;
    struct vae_config config;
    struct vae_weights w;
    uint32_t checksum;
    write_small(1, 0, "", spoil, "tensors");
    assert_int_equal(vae_file_config(&config, path), ERR_INPUT);
    expect_text("5 tensors do not fit");
    expect_text("missing decoder.head.2.bias [12]");
    expect_text("missing encoder.middle.1.proj.weight [32, 32, 1, 1]");
    expect_text("decoder.conv1.bias is [63], expected [64]");
    expect_text("missing conv1.bias [8]");
    expect_text("surplus convX.bias");
    assert_int_equal(vae_file_open(&w, path, VAE_BOTH, &checksum), ERR_INPUT);

    write_small(1, 0, "", spoil, "nan");
    assert_int_equal(vae_file_open(&w, path, VAE_BOTH, &checksum), ERR_INPUT);
    expect_text("decoder.middle.0.residual.2.weight: holds a value that is not finite (element 77");

    write_small(1, 0, "", spoil, "level");
    assert_int_equal(vae_file_config(&config, path), ERR_INPUT);
    expect_text("it is no Wan video autoencoder");
    assert_int_equal(vae_file_config(&config, "tests/golden/vae.safetensors"), ERR_INPUT);
    expect_text("it is no Wan video autoencoder");
    assert_int_equal(vae_file_config(&config, "tests/golden/vae.py"), ERR_INPUT);
    assert_int_equal(vae_file_config(&config, "/nothing/here"), ERR_INPUT);
}

static const char *in_model(const char *name) {
    static char full[2 * FILE_PATH_MAX];
    snprintf(full, sizeof full, "%s/vae/%s", model, name);
    return full;
}
static void write_config(const char *text) {
    assert_int_equal(file_write(in_model("config.json"), text, strlen(text)), OK);
}
#define CLASS "{\"_class_name\": \"AutoencoderKLWan\", "

/* config.json beside the file: statistics are taken, sizes compared, another class's passed over. */
static void config_file(void **state) {
    (void)state;
    struct vae_config config;
    assert_int_equal(file_make_folders(in_model("")), OK);
    write_small(1, 1, "", NULL, NULL);
    assert_int_equal(rename(path, in_model("diffusion_pytorch_model.safetensors")), 0);
    write_config(CLASS "\"z_dim\": 4, \"base_dim\": 8, \"patch_size\": 2, \"is_residual\": true, "
                       "\"decoder_base_dim\": 16, \"attn_scales\": [], \"latents_mean\": [1, 2, 3, 4], "
                       "\"latents_std\": [0.5, 1, 2, 4]}");
    assert_int_equal(vae_file_config(&config, model), OK); /* the model's folder: its vae/ */
    assert_true(config.mean[2] == 3 && config.std[0] == 0.5f && config.std[3] == 4);
    write_config(CLASS "\"z_dim\": 16, \"base_dim\": 96}");
    assert_int_equal(vae_file_config(&config, in_model("")), ERR_INPUT);
    expect_text("z_dim is 16, the tensors say 4");
    expect_text("base_dim is 96, the tensors say 8");
    write_config(CLASS "\"latents_std\": [0, 1, 1, 1]}");
    assert_int_equal(vae_file_config(&config, in_model("")), ERR_INPUT);
    write_config(CLASS "\"latents_std\": [1, 1]}");
    assert_int_equal(vae_file_config(&config, in_model("")), ERR_INPUT);
    expect_text("latents_std: expected a list of 4 numbers");
    write_config(CLASS "\"attn_scales\": [0.5]}");
    assert_int_equal(vae_file_config(&config, in_model("")), ERR_INPUT);
    write_config(CLASS "\"z_dim\": 4");
    assert_int_equal(vae_file_config(&config, in_model("")), ERR_INPUT);
    write_config("{\"_class_name\": \"WanModel\", \"dim\": 3072}");
    assert_int_equal(vae_file_config(&config, in_model("")), OK);
    unlink(in_model("config.json"));
    unlink(in_model("diffusion_pytorch_model.safetensors"));
    rmdir(in_model(""));
    rmdir(model);
}

/* The published models' headers, data left out: sizes are recognised in both namings. */
static void full_size(void **state) {
    (void)state;
    for (int residual = 0; residual < 2; residual++)
        for (int diffusers = 0; diffusers < 2; diffusers++) {
            struct vae_config config, read;
            struct wan_header header;
            char line[512], kind[16], name[2][128];
            (residual ? vae_config_wan22 : vae_config_wan21)(&config);
            FILE *list = fopen("tests/golden/vae_names.txt", "r");
            assert_non_null(list);
            wan_header_open(&header, "F32");
            while (fgets(line, sizeof line, list)) {
                long shape[6] = {0};
                assert_true(sscanf(line, "%15s %127s %127s %ld %ld %ld %ld %ld", kind, name[1], name[0], &shape[0],
                                   &shape[1], &shape[2], &shape[3], &shape[4]) >= 4);
                if (!strcmp(kind, residual ? "wan22" : "wan21")) wan_add_shape(&header, name[diffusers], "F32", shape);
            }
            fclose(list);
            assert_int_equal(header.bytes, residual ? 2818754672 : 507570124);
            assert_int_equal(wan_header_write(&header, path), 0);
            assert_int_equal(vae_file_config(&read, path), OK);
            assert_memory_equal(&read, &config, sizeof config);
        }
}

/* ---- codecs ---- */

static struct codec open_codec(int residual) {
    struct codec codec;
    const struct codec_source source = {residual ? "wan22" : "wan21", path, "", {0}, VAE_BOTH};
    write_small(residual, 1, "", NULL, NULL);
    int code = codec_file_open(&codec, &source, HEIGHT, WIDTH);
    if (code) fail_msg("%s", error_text());
    return codec;
}

static float *clip_of(int values, double deviation) {
    float *clip = malloc((size_t)values * sizeof *clip);
    assert_non_null(clip);
    golden_values(clip, "clip", values, deviation, 0);
    return clip;
}

/* Any division of a clip into pushes gives the same bits, again after a reset. */
static void stream(void **state) {
    (void)state;
    for (int residual = 0; residual < 2; residual++) {
        struct codec c = open_codec(residual);
        int frame = 3 * HEIGHT * WIDTH, latent = c.channels * c.h * c.w;
        assert_int_equal(c.h, HEIGHT / (residual ? 16 : 8));
        assert_int_equal(c.channels, Z);
        float *clip = clip_of(FRAMES * frame, 0.5), *whole = malloc(3 * (size_t)latent * sizeof *whole);
        float *part = malloc(3 * (size_t)latent * sizeof *part),
              *back = malloc((size_t)(FRAMES * frame) * sizeof *back);
        float *pieces = malloc((size_t)(FRAMES * frame) * sizeof *pieces);
        assert_true(whole && part && back && pieces);
        codec_encode_reset(&c);
        assert_int_equal(codec_encode(&c, clip, FRAMES, whole), 3);
        static const int pushes[][6] = {{1, 4, 4}, {2, 1, 5, 1}, {1, 1, 1, 3, 3}, {9}};
        for (int i = 0; i < 4; i++) {
            int frames = 0, out = 0;
            codec_encode_reset(&c);
            for (int k = 0; k < 6 && pushes[i][k]; frames += pushes[i][k++])
                out += codec_encode(&c, clip + frames * frame, pushes[i][k], part + out * latent);
            assert_int_equal(out, 3);
            assert_memory_equal(part, whole, 3 * (size_t)latent * sizeof *whole);
        }
        codec_decode_begin(&c, NULL);
        assert_int_equal(codec_decode_host(&c, whole, 3, back), FRAMES);
        codec_decode_begin(&c, NULL);
        assert_int_equal(codec_decode_host(&c, whole, 1, pieces), 1);
        assert_int_equal(codec_decode_host(&c, whole + latent, 2, pieces + frame), 8);
        assert_memory_equal(pieces, back, (size_t)(FRAMES * frame) * sizeof *back);
        for (int i = 0; i < FRAMES * frame; i++) assert_true(back[i] >= -1 && back[i] <= 1);
        expect_bytes(&c, whole, 3, back);
        expect_fault(&c);
        /* a second stream of the same weights: the two do not know of each other */
        struct codec second;
        assert_int_equal(codec_share(&second, &c), OK);
        codec_decode_begin(&c, NULL);
        codec_decode_begin(&second, NULL);
        assert_int_equal(codec_decode(&second, whole, 1, pieces), 1);
        assert_int_equal(codec_decode(&c, whole + latent, 1, clip), 1);
        assert_int_equal(codec_decode(&second, whole + latent, 2, pieces + frame), 8);
        assert_memory_equal(pieces, back, (size_t)(FRAMES * frame) * sizeof *back);
        codec_close(&second);
        assert_int_equal(codec_decode(&c, whole, 1, clip), 4); /* the weights are still there */
        free(clip), free(whole), free(part), free(back), free(pieces);
        codec_close(&c);
    }
}

/* ---- a decoder in the codec's place ---- */

enum { LATENTS = 3 };
static void use_decoder(struct codec *codec) {
    const struct decoder_config sizes = {.kind = DECODER_LIGHT,
                                         .light = {Z, 8, {6, 5, 4}, 1, {1, 2, 2}, {2, 2, 2}, 2, 2.5}};
    char file[FILE_PATH_MAX];
    struct decoder_net net;
    snprintf(file, sizeof file, "%s/decoder.safetensors", folder);
    assert_int_equal(decoder_net_create(&net, &sizes), OK);
    float *values = calloc(net.table->total, sizeof *values);
    assert_non_null(values);
    for (int i = 0; i < net.table->count; i++) {
        const struct param *p = &net.table->list[i];
        golden_values(values + param_position(net.table, p), p->name, (long)p->count, 0.3, 0.02);
    }
    assert_int_equal(decoder_file_save(file, &net, values), OK);
    assert_int_equal(decoder_file_use(codec, file), OK);
    unlink(file);
    free(values);
    decoder_net_destroy(&net);
}

/* Encodes a clip and decodes it to bytes. */
static void there_and_back(struct codec *codec, const float *clip, float *latents, unsigned char *rgb) {
    real *device = device_alloc((size_t)(LATENTS * codec->channels * codec->h * codec->w) * sizeof *device);
    assert_non_null(device);
    codec_encode_reset(codec);
    assert_int_equal(codec_encode(codec, clip, FRAMES, latents), LATENTS);
    transfer_to_real(device, latents, (long)LATENTS * codec->channels * codec->h * codec->w);
    codec_decode_begin(codec, NULL);
    assert_int_equal(codec_decode_bytes(codec, device, LATENTS, rgb), FRAMES);
    device_free(device);
}

/* Where another decoder takes the codec's place, its own is in no memory and in no plan: the same latents, the same
   pictures, of a stream that shares the codec too. Without that decoder it cannot decode. */
static void encoder_alone(void **state) {
    (void)state;
    struct codec whole = open_codec(1), alone, second;
    struct codec_source source = {"wan22", path, whole.checksum, {0}, VAE_ENCODER_ALONE};
    struct vae_weights w;
    uint32_t checksum;
    assert_int_equal(vae_file_open(&w, path, VAE_ENCODER_ALONE, &checksum), OK);
    assert_int_equal(w.arena.size / sizeof(elem), w.net.table.slice_offset[1]);
    assert_true(w.net.table.slice_offset[1] < w.net.table.total * 2 / 3);
    vae_weights_close(&w);

    int frame = 3 * HEIGHT * WIDTH, latent = whole.channels * whole.h * whole.w;
    float *clip = clip_of(FRAMES * frame, 0.5), *latents[2];
    unsigned char *rgb[2];
    for (int i = 0; i < 2; i++) {
        latents[i] = malloc((size_t)(LATENTS * latent) * sizeof **latents);
        rgb[i] = malloc((size_t)(FRAMES * frame));
        assert_true(latents[i] && rgb[i]);
    }
    assert_int_equal(codec_file_open(&alone, &source, HEIGHT, WIDTH), OK); /* the checksum is still the file's */
    real *device = device_alloc((size_t)latent * sizeof *device);
    real_fill(device, 0, latent);
    assert_int_equal(codec_decode(&alone, device, 1, clip), -ERR_USAGE);
    expect_text("its own decoder was not loaded");
    device_free(device);
    use_decoder(&whole);
    use_decoder(&alone);
    there_and_back(&whole, clip, latents[0], rgb[0]);
    there_and_back(&alone, clip, latents[1], rgb[1]);
    assert_memory_equal(latents[0], latents[1], (size_t)(LATENTS * latent) * sizeof **latents);
    assert_memory_equal(rgb[0], rgb[1], (size_t)(FRAMES * frame));
    assert_int_equal(codec_share(&second, &alone), OK);
    memset(rgb[1], 0, (size_t)(FRAMES * frame));
    there_and_back(&second, clip, latents[1], rgb[1]);
    assert_memory_equal(rgb[0], rgb[1], (size_t)(FRAMES * frame));
    codec_close(&second), codec_close(&alone), codec_close(&whole);
    for (int i = 0; i < 2; i++) free(latents[i]), free(rgb[i]);
    free(clip);

    struct memory_plan plan[2] = {{.out = fopen("/dev/null", "w")}, {.out = fopen("/dev/null", "w")}};
    assert_true(plan[0].out && plan[1].out);
    source.checksum = "";
    for (int i = 0; i < 2; i++) {
        source.halves = i ? VAE_ENCODER_ALONE : VAE_BOTH;
        assert_int_equal(codec_file_plan(&source, HEIGHT, WIDTH, &plan[i], NULL), OK);
        size_t shared = plan[i].device;
        assert_int_equal(codec_file_plan(&source, HEIGHT, WIDTH, NULL, &plan[i]), OK);
        assert_int_equal(plan[i].device == shared, i);
        fclose(plan[i].out);
    }
    assert_true(plan[1].device < plan[0].device);
}

/* Latents are normalised by the statistics: with others, they change by just that, and decode to the same. */
static void statistics(void **state) {
    (void)state;
    struct codec plain, other;
    struct vae_weights w;
    uint32_t checksum;
    plain = open_codec(1);
    assert_int_equal(vae_file_open(&w, path, VAE_BOTH, &checksum), OK);
    for (int i = 0; i < Z; i++) w.net.config.mean[i] = (float)(i - 1), w.net.config.std[i] = (float)(1 << i);
    assert_int_equal(codec_vae_open(&other, &w, &(struct codec_tiles){0, 0}, HEIGHT, WIDTH), OK);
    int frame = 3 * HEIGHT * WIDTH, n = plain.h * plain.w;
    float *clip = clip_of(frame, 0.5), a[Z * 6], b[Z * 6],
          *back[2] = {malloc((size_t)frame * 4), malloc((size_t)frame * 4)};
    assert_int_equal(n, 6);
    assert_int_equal(codec_encode(&plain, clip, 1, a), 1);
    assert_int_equal(codec_encode(&other, clip, 1, b), 1);
    for (int i = 0; i < Z * n; i++) assert_true(b[i] == (a[i] - (float)(i / n - 1)) / (float)(1 << (i / n)));
    for (int i = 0; i < Z * n; i++) /* values that go there and back exactly */
        a[i] = (float)(i % 7 - 3) / 4, b[i] = (a[i] - (float)(i / n - 1)) / (float)(1 << (i / n));
    assert_int_equal(codec_decode_host(&plain, a, 1, back[0]), 1);
    assert_int_equal(codec_decode_host(&other, b, 1, back[1]), 1);
    assert_memory_equal(back[0], back[1], (size_t)frame * 4);
    free(clip), free(back[0]), free(back[1]);
    codec_close(&plain);
    codec_close(&other);
}

static void codec_faults(void **state) {
    (void)state;
    struct codec c = open_codec(1), other;
    struct codec_source source = {"wan22", path, c.checksum, {0}, VAE_BOTH};
    assert_int_equal(codec_tensors(&c, NULL, 0), 0);
    assert_true(codec_is_external(c.name) && !codec_is_external("pca"));
    assert_true(c.weights[0] == '/');
    assert_int_equal(codec_file_describe(&other, &source, HEIGHT, WIDTH), OK);
    assert_string_equal(other.checksum, c.checksum);
    assert_string_equal(other.weights, c.weights);
    assert_true(other.channels == c.channels && other.h == c.h && other.w == c.w && !other.operations);
    assert_int_equal(codec_file_open(&other, &source, HEIGHT + 8, WIDTH), ERR_INPUT);
    expect_text("must be multiples of 16");
    source.checksum = "00000000";
    assert_int_equal(codec_file_open(&other, &source, HEIGHT, WIDTH), ERR_INPUT);
    expect_text("checksum");
    source = (struct codec_source){"wan21", path, "", {0}, VAE_BOTH};
    assert_int_equal(codec_file_open(&other, &source, HEIGHT, WIDTH), ERR_INPUT);
    expect_text("holds codec wan22, expected wan21");
    source = (struct codec_source){"wan22", "", "", {0}, VAE_BOTH};
    assert_int_equal(codec_file_open(&other, &source, HEIGHT, WIDTH), ERR_USAGE);
    source = (struct codec_source){"vae9", path, "", {0}, VAE_BOTH};
    assert_int_equal(codec_file_open(&other, &source, HEIGHT, WIDTH), ERR_INPUT);
    expect_text("not known here");
    assert_int_equal(codec_open(&other, "wan22", HEIGHT, WIDTH, NULL, 0), ERR_INPUT);
    codec_close(&c);
}

/* What the published models need at 704 x 1280, against sums made by hand: past frames of the 2.2 decoder (1.61 G
   elements), operations of a latent frame (66.4 T). */
static void plan(void **state) {
    (void)state;
    struct vae vae;
    struct vae_stream s;
    struct vae_config config;
    vae_config_wan22(&config);
    assert_int_equal(vae_create(&vae, &config), OK);
    assert_int_equal(vae_stream_plan(&s, &vae, VAE_DECODE, 704, 1280, 1), OK);
    print_message("decoder: %zu elements past frames, %.2f TFLOP\n", s.slot[s.slots], s.flops[1] / 1e12);
    assert_int_equal(s.slots, 32);
    assert_true(fabs((double)s.slot[s.slots] / 1.61e9 - 1) < 0.005);
    assert_true(fabs(s.flops[1] / 66.4e12 - 1) < 0.005);
    vae_stream_close(&s);
    assert_int_equal(vae_stream_plan(&s, &vae, VAE_ENCODE, 704, 1280, 1), OK);
    print_message("encoder: %zu elements past frames, %.2f TFLOP\n", s.slot[s.slots], s.flops[1] / 1e12);
    assert_int_equal(s.slots, 24);
    vae_stream_close(&s);
    assert_int_equal(vae_stream_plan(&s, &vae, VAE_ENCODE, 704, 1288, 1), ERR_INPUT);
    vae_destroy(&vae);
}

static int start(void **state) {
    (void)state;
    device_poison(1);
    if (folder_make(folder, "test_vae_file")) return -1;
    snprintf(path, sizeof path, "%s/vae.safetensors", folder);
    snprintf(model, sizeof model, "%s/model", folder);
    return device_init(2);
}

static int stop(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),         cmocka_unit_test(types),        cmocka_unit_test(faults),
        cmocka_unit_test(config_file),   cmocka_unit_test(full_size),    cmocka_unit_test(stream),
        cmocka_unit_test(statistics),    cmocka_unit_test(codec_faults), cmocka_unit_test(plan),
        cmocka_unit_test(encoder_alone),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
