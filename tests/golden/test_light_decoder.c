/* test_light_decoder.c: two small light decoders against a PyTorch module written from the public description
   (light_decoder.safetensors, made by light_decoder.py there), whole and as streams, through files in the public names
   and shapes; and the sizes, names and counts of the public full-size files. */
#include <unistd.h>

#include "checkpoints/decoder_file.h"
#include "kernels/device.h"
#include "model/params/transfer.h"
#include "tests/folder.h"
#include "tests/golden_file.h"
#include "tests/golden_weights.h"

/* Relative error in the root of the sum of squares. In bf16 every stored activation and weight is off by at most
   u = 2^-8 of itself; the errors are independent and add in squares over the layers in sequence, each a store and a
   weight: 3 blocks of 3, growth and convolution in 3 levels, and the first and last layer. */
#ifdef TYPE_BF16
static double bound(void) { return sqrt(2.0 * (3 * (3 * 3 + 2) + 2)) / 256; }
#else
static double bound(void) { return sizeof(elem) == 8 ? 1e-6 : 1e-4; }
#endif

struct kind {
    const char *name;
    int channels, patch, blocks, latents, h, w;
};
static const struct kind kinds[] = {{"z48", 48, 2, 2, 3, 2, 3}, {"z16", 16, 1, 3, 4, 3, 2}};
static const int widths[4] = {24, 17, 16, 12};

/* ---- files in the public names ---- */

enum { ENTRIES = 128 };
struct public_file {
    struct safetensors_entry entries[ENTRIES];
    int count;
};

static void put(struct public_file *file, const char *prefix, const char *name, long a, long b, long k) {
    char seed[96];
    struct safetensors_entry *e = &file->entries[file->count++];
    *e = (struct safetensors_entry){.name = strdup(name), .type = ST_F32, .ndim = b ? 4 : 1, .shape = {a, b, k, k}};
    e->count = (size_t)(b ? a * b * k * k : a);
    e->bytes = e->count * sizeof(float);
    float *values = malloc(e->bytes);
    assert_non_null(values);
    snprintf(seed, sizeof seed, "%s.%s", prefix, name);
    golden_values(values, seed, (long)e->count, 0.1, 0);
    e->data = values;
}

static void put_layer(struct public_file *file, const char *prefix, int number, const char *what, long co, long ci,
                      long k, int bias) {
    char name[64];
    snprintf(name, sizeof name, "decoder.%d%s.weight", number, what);
    put(file, prefix, name, co, ci, k);
    snprintf(name, sizeof name, "decoder.%d%s.bias", number, what);
    if (bias) put(file, prefix, name, co, 0, 0);
}

static void public_file(struct public_file *file, const struct kind *kind, const int width[4], const int grow[3]) {
    const char *const convs[] = {".conv.0", ".conv.2", ".conv.4"};
    file->count = 0;
    put_layer(file, kind->name, 1, "", width[0], kind->channels, 3, 1);
    int number = 3;
    for (int s = 0; s < 3; s++) {
        for (int b = 0; b < kind->blocks; b++, number++)
            for (int i = 0; i < 3; i++)
                put_layer(file, kind->name, number, convs[i], width[s], (i ? 1 : 2) * width[s], 3, 1);
        put_layer(file, kind->name, number + 1, ".conv", width[s] * grow[s], width[s], 1, 0);
        put_layer(file, kind->name, number + 2, "", width[s + 1], width[s], 3, 0);
        number += 3;
    }
    put_layer(file, kind->name, number + 1, "", 3L * kind->patch * kind->patch, width[3], 3, 1);
}

static void public_file_free(struct public_file *file) {
    for (int i = 0; i < file->count; i++) {
        free(file->entries[i].name);
        free((void *)(uintptr_t)file->entries[i].data);
    }
    file->count = 0;
}

static char folder[FOLDER_MAX];
static char path[FILE_PATH_MAX], copy[FILE_PATH_MAX];

static void write_public(const struct kind *kind, const int width[4], const int grow[3]) {
    static struct public_file file;
    public_file(&file, kind, width, grow);
    assert_int_equal(safetensors_write(path, file.entries, file.count, NULL), OK);
    public_file_free(&file);
}

/* ---- the decoder ---- */

struct decoder {
    struct decoder_net net;
    struct params params;
    struct arena arena;
    struct decoder_acts acts;
    real *latents, *pixels;
    size_t latent, frame; /* numbers of one */
};

static size_t frame_values(const struct kind *kind) {
    return 3 * (size_t)(8 * kind->patch * kind->h) * (size_t)(8 * kind->patch * kind->w);
}

static void decoder_load(struct decoder *d, const char *file_path) {
    struct safetensors file;
    assert_int_equal(safetensors_open(&file, file_path), OK);
    assert_int_equal(decoder_file_create(&d->net, &file), OK);
    d->params = (struct params){.table = d->net.table, .weights = device_alloc(d->net.table->total * sizeof(elem))};
    assert_non_null(d->params.weights);
    assert_int_equal(decoder_file_load(d->params.weights, &d->net, &file), OK);
    safetensors_close(&file);
}

static void decoder_open(struct decoder *d, const struct kind *kind, const char *file_path, enum decoder_memory memory,
                         int at_once) {
    memset(d, 0, sizeof *d);
    decoder_load(d, file_path);
    assert_int_equal(decoder_net_stride(&d->net), 8 * kind->patch);
    arena_begin(&d->arena, "decoder");
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(decoder_acts_layout(&d->acts, &d->net, memory, 1, at_once, kind->h, kind->w, &d->arena), OK);
        if (!pass) assert_int_equal(arena_commit(&d->arena), OK);
    }
    d->latent = (size_t)kind->channels * (size_t)kind->h * (size_t)kind->w;
    d->frame = frame_values(kind);
    size_t values = (size_t)kind->latents * d->latent;
    float *host = malloc(values * sizeof *host);
    d->latents = device_alloc(values * sizeof(real));
    d->pixels = device_alloc((size_t)video_frames(kind->latents) * d->frame * sizeof(real));
    assert_true(host && d->latents && d->pixels);
    char name[32];
    snprintf(name, sizeof name, "%s.latents", kind->name);
    golden_values(host, name, (long)values, 1, 0);
    transfer_to_real(d->latents, host, (long)values);
    free(host);
}

static void decoder_close(struct decoder *d) {
    decoder_acts_free(&d->acts);
    arena_free(&d->arena);
    device_free(d->latents), device_free(d->pixels), device_free(d->params.weights);
    decoder_net_destroy(&d->net);
}

/* Pushes the clip in pieces of those lengths; the number of frames is checked. */
static void stream(struct decoder *d, const struct kind *kind, const int *pieces) {
    int done = 0, frames = 0;
    decoder_stream_begin(&d->net, &d->acts, NULL);
    for (; *pieces; done += *pieces++) {
        frames += decoder_stream_decode(&d->net, &d->params, &d->acts, d->latents + (size_t)done * d->latent, *pieces,
                                        d->pixels + (size_t)frames * d->frame);
        assert_int_equal(frames, video_frames(done + *pieces));
    }
    assert_int_equal(done, kind->latents);
    assert_int_equal(device_sync(), OK);
}

static double relative(const struct decoder *d, const struct kind *kind, const float *want) {
    size_t values = (size_t)video_frames(kind->latents) * d->frame;
    real *made = malloc(values * sizeof *made);
    double error = 0, size = 0;
    assert_non_null(made);
    mem_download(made, d->pixels, values * sizeof *made);
    for (size_t i = 0; i < values; i++) {
        error += (made[i] - want[i]) * (double)(made[i] - want[i]);
        size += (double)want[i] * want[i];
    }
    free(made);
    return sqrt(error / size);
}

static float *golden(const struct kind *kind) {
    struct safetensors file;
    char name[32];
    size_t count = (size_t)video_frames(kind->latents) * frame_values(kind);
    snprintf(name, sizeof name, "%s.pixels", kind->name);
    assert_int_equal(safetensors_open(&file, "tests/golden/light_decoder.safetensors"), OK);
    float *values = golden_tensor_of(&file, "", name, count);
    assert_non_null(values);
    safetensors_close(&file);
    return values;
}

static const int grow[3] = {1, 2, 2};

/* Whole, one by one and in uneven pieces; as a training forward; and from the file that we write of what we read. */
static void parity(void **state) {
    const struct kind *kind = *state;
    const int whole[] = {kind->latents, 0}, uneven[] = {2, kind->latents - 2, 0};
    int single[8] = {0};
    for (int i = 0; i < kind->latents; i++) single[i] = 1;
    const int *const pieces[] = {whole, single, uneven};
    float *want = golden(kind);
    struct decoder d;
    write_public(kind, widths, grow);
    for (int at_once = 1; at_once <= 4; at_once += 3) {
        decoder_open(&d, kind, path, DECODER_STREAM, at_once);
        for (int i = 0; i < 3; i++) {
            stream(&d, kind, pieces[i]);
            double off = relative(&d, kind, want);
            if (!i && at_once == 4) print_message("%s: off by %.2g\n", kind->name, off);
            assert_true(off < bound());
        }
        decoder_close(&d);
    }
    decoder_open(&d, kind, path, DECODER_TRAIN, kind->latents);
    decoder_net_forward(&d.net, &d.params, &d.acts, 1, d.latents, NULL, d.pixels);
    assert_true(relative(&d, kind, want) < bound());
    size_t total = d.net.table->total;
    float *values = calloc(total, sizeof *values);
    assert_non_null(values);
    transfer_from_elem(values, d.params.weights, (long)total);
    assert_int_equal(decoder_file_save(copy, &d.net, values), OK);
    free(values);
    decoder_close(&d);
    decoder_open(&d, kind, copy, DECODER_STREAM, 2);
    stream(&d, kind, whole);
    assert_true(relative(&d, kind, want) < bound());
    decoder_close(&d);
    free(want);
}

/* At the public widths; growth of 8 keeps the last frame. The counts are PyTorch's. */
static void full_size(void **state) {
    (void)state;
    static const int full[4] = {256, 128, 64, 64}, eight[3] = {2, 2, 2};
    static const struct kind full_kinds[] = {{"z48", 48, 2, 3, 1, 1, 1}, {"z16", 16, 1, 3, 1, 1, 1}};
    static const size_t parameters[] = {9923532, 9844611};
    for (int i = 0; i < 2; i++) {
        struct safetensors file;
        struct decoder_net net;
        write_public(&full_kinds[i], full, i ? grow : eight);
        assert_int_equal(safetensors_open(&file, path), OK);
        assert_int_equal(decoder_file_create(&net, &file), OK);
        assert_int_equal(net.of.light.config.grow[0], 1);
        assert_int_equal(net.table->count, 64);
        assert_int_equal(net.table->values, parameters[i]);
        decoder_net_destroy(&net);
        safetensors_close(&file);
    }
}

/* What does not fit is named, with what was expected. */
static void refused(void **state) {
    (void)state;
    static struct public_file file;
    struct safetensors opened;
    struct decoder_net net;
    public_file(&file, &kinds[0], widths, grow);
    assert_int_equal(safetensors_write(path, file.entries, file.count, (const char *const[]){"scale", "2,2", NULL}),
                     OK);
    assert_int_equal(safetensors_open(&opened, path), OK);
    assert_int_equal(decoder_file_create(&net, &opened), ERR_INPUT);
    assert_non_null(strstr(error_text(), "scale"));
    safetensors_close(&opened);
    /* one tensor gone, one of another shape, one too many */
    struct safetensors_entry *e = file.entries;
    free(e[3].name), e[3].name = strdup("decoder.99.weight");
    e[5].shape[0] -= 1, e[5].count -= 1, e[5].bytes -= sizeof(float);
    assert_int_equal(e[5].ndim, 1);
    assert_int_equal(safetensors_write(path, file.entries, file.count, NULL), OK);
    assert_int_equal(safetensors_open(&opened, path), OK);
    assert_int_equal(decoder_file_create(&net, &opened), ERR_INPUT);
    assert_non_null(strstr(error_text(), "missing decoder.3.conv.0.bias"));
    assert_non_null(strstr(error_text(), "decoder.3.conv.2.bias is [23], expected [24]"));
    assert_non_null(strstr(error_text(), "surplus decoder.99.weight"));
    safetensors_close(&opened);
    free(e[0].name), e[0].name = strdup("decoder.0.weight");
    assert_int_equal(safetensors_write(path, file.entries, file.count, NULL), OK);
    assert_int_equal(safetensors_open(&opened, path), OK);
    assert_int_equal(decoder_file_create(&net, &opened), ERR_INPUT);
    assert_non_null(strstr(error_text(), "super"));
    safetensors_close(&opened);
    public_file_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        {"z48, patch 2", parity, NULL, NULL, (void *)(uintptr_t)&kinds[0]},
        {"z16, patch 1", parity, NULL, NULL, (void *)(uintptr_t)&kinds[1]},
        cmocka_unit_test(full_size),
        cmocka_unit_test(refused),
    };
    if (device_init(2) || folder_make(folder, "light_decoder")) return 1;
    device_poison(1);
    snprintf(path, sizeof path, "%s/public.safetensors", folder);
    snprintf(copy, sizeof copy, "%s/ours.safetensors", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path), unlink(copy), rmdir(folder);
    return failed;
}
