/* test_vae.c: small Wan VAEs, 2.1 and 2.2, against Diffusers' AutoencoderKLWan in float64
   (tests/golden/vae.safetensors, made by vae.py there): encode and decode, in passes of one latent frame and in a pass
   of all; and the names and shapes of the full-size ones (vae_names.txt). */
#include "kernels/device.h"
#include "model/params/transfer.h"
#include "model/codec/vae.h"
#include "tests/golden_file.h"
#include "tests/vae_files.h"

enum { FRAMES = 9, LATENTS = 3, Z = 4 };

/* Relative errors in the root of the sum of squares. The golden values are exact but for their rounding to float. In
   bf16 every value that is stored is off by at most u = 2^-8 of itself, every weight too; the errors are independent
   and add in squares: 4 stores and 2 convolutions a residual block, of which the decoder has 14, and some 16 more. */
#if defined(TYPE_DOUBLE)
static double bound(void) { return 1e-7; }
#elif defined(TYPE_BF16)
static double bound(void) { return sqrt(14 * 6 + 16) / 256; }
#else
static double bound(void) { return 1e-5; }
#endif

static struct safetensors file;

static struct model {
    const char *kind;
    int height, width;
    struct vae vae;
    struct params params;
} models[3] = {{.kind = "wan21", .height = 16, .width = 24},
               {.kind = "wan22", .height = 32, .width = 48},
               {.kind = "odd", .height = 16, .width = 24}};

static void *allocated(size_t bytes) {
    void *p = malloc(bytes);
    assert_non_null(p);
    return p;
}

/* The values that vae.py makes under that name: device real. */
static float *made(const struct model *m, const char *name, long count, double deviation) {
    char full[128];
    float *values = allocated((size_t)count * sizeof *values);
    snprintf(full, sizeof full, "%s.%s", m->kind, name);
    golden_values(values, full, count, deviation, 0);
    return values;
}

static void load_weights(struct model *m) {
    const struct param_table *table = &m->vae.table;
    m->params = (struct params){.table = table, .weights = device_alloc(table->total * sizeof(elem))};
    assert_non_null(m->params.weights);
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        float *values = allocated(p->count * sizeof *values), *arranged = allocated(p->count * sizeof *values);
        small_vae_values(values, &m->vae.config, p);
        vae_arrange(arranged, values, p);
        transfer_to_elem(m->params.weights + param_position(table, p), arranged, (long)p->count);
        free(values);
        free(arranged);
    }
}

/* [frames, C, n] to [frames, n, C] */
static void to_channels_last(float *to, const float *from, int frames, int C, int n) {
    for (int f = 0; f < frames; f++)
        for (int c = 0; c < C; c++)
            for (int i = 0; i < n; i++) to[(f * n + i) * C + c] = from[(f * C + c) * n + i];
}

/* Relative error against the golden tensor, or against `other`. */
static void check(const struct model *m, const char *name, const float *values, const float *other, size_t count,
                  double allowed) {
    char full[64];
    snprintf(full, sizeof full, "%s.%s", m->kind, name);
    float *expected = golden_tensor_of(&file, "", full, count);
    assert_non_null(expected);
    double off = golden_distance(values, other ? other : expected, count);
    free(expected);
    print_message("%s%s: off by %.3g\n", full, other ? ", one pass against three" : "", off);
    if (!(off < allowed)) fail_msg("%s: off by %g, allowed %g", full, off, allowed);
}

struct clip {
    long frame, latent; /* elements */
    real *pixels, *latents;
};

static struct clip clip_open(const struct model *m) {
    int stride = vae_stride(&m->vae.config);
    struct clip c = {.frame = 3L * m->height * m->width,
                     .latent = (long)Z * (m->height / stride) * (m->width / stride)};
    c.pixels = device_alloc((size_t)(FRAMES * c.frame) * sizeof(real));
    c.latents = device_alloc((size_t)(LATENTS * c.latent) * sizeof(real));
    assert_true(c.pixels && c.latents);
    return c;
}

static void clip_close(struct clip *c) {
    device_free(c->pixels);
    device_free(c->latents);
}

/* Encoded in passes of `group` latent frames after the first: host [LATENTS, Z, h, w]. */
static float *encode(const struct model *m, int group) {
    struct clip c = clip_open(m);
    struct vae_stream s;
    float *pixels = made(m, "pixels", 3L * FRAMES * m->height * m->width, 0.5);
    long plane = (long)m->height * m->width;
    float *frames = allocated((size_t)(FRAMES * c.frame) * sizeof *frames);
    for (int ch = 0; ch < 3; ch++) /* vae.py's are [3, T, H, W] */
        for (int t = 0; t < FRAMES; t++)
            memcpy(frames + t * c.frame + ch * plane, pixels + (ch * FRAMES + t) * plane,
                   (size_t)plane * sizeof(float));
    transfer_to_real(c.pixels, frames, FRAMES * c.frame);
    assert_int_equal(vae_stream_plan(&s, &m->vae, VAE_ENCODE, m->height, m->width, group), OK);
    assert_int_equal(vae_stream_open(&s), OK);
    for (int done = 0; done < LATENTS;) {
        int count = done ? group : 1;
        vae_encode(&s, &m->params, c.pixels + (done ? 4 * done - 3 : 0) * c.frame, count, c.latents + done * c.latent);
        done += count;
    }
    assert_int_equal(device_sync(), OK);
    float *rows = allocated((size_t)(LATENTS * c.latent) * sizeof *rows),
          *out = allocated((size_t)(LATENTS * c.latent) * sizeof *out);
    transfer_from_real(rows, c.latents, LATENTS * c.latent);
    to_channels_last(out, rows, LATENTS, (int)(c.latent / Z), Z); /* the way back is the same exchange of two sides */
    vae_stream_close(&s);
    clip_close(&c);
    free(pixels);
    free(frames);
    free(rows);
    return out;
}

/* Decoded likewise: host [FRAMES, 3, height, width], clamped. */
static float *decode(const struct model *m, int group) {
    struct clip c = clip_open(m);
    struct vae_stream s;
    float *made_latents = made(m, "latents", LATENTS * c.latent, 1),
          *rows = allocated((size_t)(LATENTS * c.latent) * sizeof *rows);
    int n = (int)(c.latent / Z); /* vae.py's are [Z, F, h, w] */
    for (int f = 0; f < LATENTS; f++)
        for (int z = 0; z < Z; z++)
            for (int i = 0; i < n; i++) rows[(f * n + i) * Z + z] = made_latents[(z * LATENTS + f) * n + i];
    transfer_to_real(c.latents, rows, LATENTS * c.latent);
    assert_int_equal(vae_stream_plan(&s, &m->vae, VAE_DECODE, m->height, m->width, group), OK);
    assert_int_equal(vae_stream_open(&s), OK);
    for (int done = 0; done < LATENTS;) {
        int count = done ? group : 1;
        vae_decode(&s, &m->params, c.latents + done * c.latent, count, c.pixels + (done ? 4 * done - 3 : 0) * c.frame);
        done += count;
    }
    assert_int_equal(device_sync(), OK);
    float *out = allocated((size_t)(FRAMES * c.frame) * sizeof *out);
    transfer_from_real(out, c.pixels, FRAMES * c.frame);
    for (long i = 0; i < FRAMES * c.frame; i++) out[i] = fminf(1, fmaxf(-1, out[i]));
    vae_stream_close(&s);
    clip_close(&c);
    free(made_latents);
    free(rows);
    return out;
}

static void encoder(void **state) {
    const struct model *m = *state;
    float *three = encode(m, 1), *two = encode(m, 2);
    size_t count = (size_t)LATENTS * Z * (size_t)(m->height / vae_stride(&m->vae.config)) *
                   (size_t)(m->width / vae_stride(&m->vae.config));
    check(m, "encoded", three, NULL, count, bound());
    check(m, "encoded", two, NULL, count, bound());
    check(m, "encoded", two, three, count, bound());
    free(three);
    free(two);
}

static void decoder(void **state) {
    const struct model *m = *state;
    float *three = decode(m, 1), *two = decode(m, 2);
    size_t count = (size_t)FRAMES * 3 * (size_t)m->height * (size_t)m->width;
    check(m, "decoded", three, NULL, count, bound());
    check(m, "decoded", two, NULL, count, bound());
    check(m, "decoded", two, three, count, bound());
    free(three);
    free(two);
}

/* Every tensor of the published models, by both names, with its shape; and no other. */
static void names(void **state) {
    (void)state;
    FILE *list = fopen("tests/golden/vae_names.txt", "r");
    char kind[16], diffusers[128], original[128], shape[64], line[512];
    struct vae full[2];
    struct vae_config config;
    vae_config_wan21(&config);
    assert_int_equal(vae_create(&full[0], &config), OK);
    vae_config_wan22(&config);
    assert_int_equal(vae_create(&full[1], &config), OK);
    assert_non_null(list);
    int count[2] = {0, 0};
    while (fgets(line, sizeof line, list)) {
        assert_int_equal(sscanf(line, "%15s %127s %127s %63[0-9 ]", kind, diffusers, original, shape), 4);
        const struct vae *vae = &full[!strcmp(kind, "wan22")];
        const struct param *p = param_find(&vae->table, original);
        if (!p) fail_msg("%s: %s is not in the table", kind, original);
        char key[160], sides[64] = "";
        assert_int_equal(vae_names_to_diffusers(&vae->config, original, key, sizeof key), OK);
        assert_string_equal(key, diffusers);
        for (int d = 0; d < p->ndim; d++)
            snprintf(sides + strlen(sides), sizeof sides - strlen(sides), d ? " %ld" : "%ld", p->shape[d]);
        assert_string_equal(sides, shape);
        count[vae == &full[1]]++;
    }
    fclose(list);
    static const int tensors[2] = {194, 196};
    static const size_t values[2][2] = {{53595872 + 1056, 73295331 + 272}, {149627776 + 9312, 555049228 + 2352}};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(count[i], tensors[i]);
        assert_int_equal(full[i].table.count, tensors[i]);
        size_t half[2] = {0, 0};
        for (int k = 0; k < full[i].table.count; k++) half[full[i].table.list[k].slice] += full[i].table.list[k].count;
        assert_int_equal(half[0], values[i][0]);
        assert_int_equal(half[1], values[i][1]);
        assert_int_equal(full[i].table.values, i ? 704688668 : 126892531);
        vae_destroy(&full[i]);
    }
}

static int start(void **state) {
    (void)state;
    if (golden_open(&file, "tests/golden/vae.safetensors")) return 1;
    int code = OK;
    for (int i = 0; i < 3 && !code; i++) {
        struct vae_config config;
        small_vae_config(&config, i > 0, Z);
        if (i == 2) { /* other multiples, levels, blocks and steps in time than any published model */
            config.encoder_base = 6;
            config.decoder_base = 10;
            config.levels = 3;
            config.res_blocks = 1;
            memcpy(config.mult, (int[]){1, 2, 1}, 3 * sizeof(int));
            memcpy(config.halve_time, (int[]){1, 1, 0}, 3 * sizeof(int));
        }
        code = vae_create(&models[i].vae, &config);
        if (!code) load_weights(&models[i]);
    }
    if (code) print_error("%s\n", error_text());
    return code;
}

static int stop(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        device_free(models[i].params.weights);
        vae_destroy(&models[i].vae);
    }
    safetensors_close(&file);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        {"wan21_encode", encoder, NULL, NULL, &models[0]},
        {"wan21_decode", decoder, NULL, NULL, &models[0]},
        {"wan22_encode", encoder, NULL, NULL, &models[1]},
        {"wan22_decode", decoder, NULL, NULL, &models[1]},
        {"odd_encode", encoder, NULL, NULL, &models[2]},
        {"odd_decode", decoder, NULL, NULL, &models[2]},
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
