/* test_wav2vec2.c: all hidden states of small speech encoders, both variants, against Transformers' Wav2Vec2Model
   (tests/golden/wav2vec2.safetensors, made in double by wav2vec2.py there). */
#include "checkpoints/sound_encoder.h"
#include "kernels/device.h"
#include "tests/check.h"
#include "tests/golden_file.h"
#include "tests/wav2vec2_checkpoint.h"

/* Relative errors in the root of the sum of squares. float: unit 6e-8 through some hundred sums in sequence. double:
   the stored states are rounded to float (3e-8 of each, so of the root). bf16: what is stored is off by 2^-8 of itself
   at most, 2^-8 / sqrt 3 in the root; those errors are independent and add in squares: the signal, two stores a
   convolution, four up to the first state, nine a layer, with weights rounded as well for each linear (as many again):
   2 (1 + 2 convs + 4 + 9 layers), at most 80. */
#if defined(TYPE_BF16)
static double bound(const struct wav2vec2_config *c) {
    return sqrt(2.0 * (1 + 2 * c->convs + 4 + 9 * c->layers) / 3) / 256;
}
#elif defined(TYPE_DOUBLE)
static double bound(const struct wav2vec2_config *c) {
    (void)c;
    return 2e-7;
}
#else
static double bound(const struct wav2vec2_config *c) {
    (void)c;
    return 2e-6;
}
#endif

static struct safetensors file;

static void compare(const char *name, const float *got, const struct wav2vec2_config *c) {
    const struct safetensors_entry *e = safetensors_find(&file, name);
    assert_non_null(e);
    assert_int_equal(e->ndim, 3);
    assert_int_equal(e->shape[0], c->layers + 1);
    assert_int_equal(e->shape[2], c->dim);
    float *want = malloc(e->bytes);
    CHECK(safetensors_read_float(e, want));
    size_t each = e->count / (size_t)e->shape[0];
    for (long s = 0; s < e->shape[0]; s++) {
        double off = golden_distance(got + (size_t)s * each, want + (size_t)s * each, each);
        print_message("%s, state %ld: off by %.2e\n", name, s, off);
        if (!(off < bound(c))) fail_msg("%s, state %ld: off by %g, allowed %g", name, s, off, bound(c));
    }
    free(want);
}

static float *make_pcm(const char *seed, long samples) {
    char name[64];
    snprintf(name, sizeof name, "%s.pcm", seed);
    float *pcm = malloc(sizeof *pcm * (size_t)samples);
    golden_values(pcm, name, samples, 0.2, 0.05);
    for (long t = 0; t < samples; t++)
        if ((double)t >= (double)samples * 0.6) pcm[t] = (float)((double)pcm[t] * 0.1);
    return pcm;
}

static void run(const struct wav2vec2_config *config, const struct checkpoint_style *style, long samples,
                const char *states, int before) {
    char folder[FOLDER_MAX];
    CHECK(checkpoint_write(folder, config, style));
    struct wav2vec2_file checkpoint;
    CHECK(wav2vec2_file_open(&checkpoint, folder));
    assert_memory_equal(&checkpoint.net.config, config, sizeof *config);
    size_t total = checkpoint.net.table.total;
    elem *weights = device_alloc(total * sizeof *weights);
    assert_non_null(weights);
    mem_zero(weights, total * sizeof *weights);
    CHECK(wav2vec2_file_load(&checkpoint, weights));
    struct params params = {.table = &checkpoint.net.table, .weights = weights};
    int all[8];
    long rows = before ? (samples + 639) / 640 : wav2vec2_frames(&checkpoint.net, samples);
    for (int i = 0; i <= config->layers; i++) all[i] = i;
    float *pcm = make_pcm(style->seed, samples);
    float *out = malloc(sizeof *out * (size_t)((config->layers + 1) * rows * config->dim));
    CHECK(wav2vec2_clip(&checkpoint.net, &params, pcm, samples, before ? rows : 0, all, config->layers + 1, 0, out));
    compare(states, out, config);
    free(out);
    free(pcm);
    device_free(weights);
    wav2vec2_file_close(&checkpoint);
    checkpoint_remove(folder);
}

static const struct checkpoint_style base_style = {"base", "wav2vec2.", 1, NULL, 1},
                                     large_style = {"large", "", 0, NULL, 0};

static void base(void **state) {
    (void)state;
    run(&checkpoint_base, &base_style, 5009, "base.states", 0);
}
static void large(void **state) {
    (void)state;
    run(&checkpoint_large, &large_style, 4777, "large.states", 0);
}
static void resampled_before(void **state) {
    (void)state;
    run(&checkpoint_base, &base_style, 5009, "base.before", 1);
}

static int set_up(void **state) {
    (void)state;
    return golden_open(&file, "tests/golden/wav2vec2.safetensors");
}
static int tear_down(void **state) {
    (void)state;
    safetensors_close(&file);
    device_shutdown();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(base), cmocka_unit_test(large),
                                       cmocka_unit_test(resampled_before)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
