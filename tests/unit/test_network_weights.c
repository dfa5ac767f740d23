/* test_network_weights.c: a network whose weights are streamed within the memory that is granted
   (checkpoints/network_weights.h) computes the same bits as one whose weights all stay, be they of elem or quantised:
   from the checkpoint's file where the device is the host, elsewhere from pinned host memory. */
#include "tests/small_net.h"

#include "checkpoints/network_weights.h"
#include "model/dit/dit.h"
#include "tests/folder.h"

enum { F = 2, LAYERS = 8, PASSES = 2 };
static char folder[FOLDER_MAX];

/* Wide enough for a budget in MiB. */
static struct dit_config config_of(enum quantised_type type) {
    struct dit_config c = small_config(LAYERS);
    c.dim = 128;
    c.ffn_dim = 256;
    c.weights = type;
    return c;
}

/* Writes random weights of a network whose blocks' weights become `type`. */
static void write_weights(const char *name, const struct dit *full, enum quantised_type type) {
    float *values = calloc(full->table.total, sizeof *values);
    uint32_t state = 1;
    assert_non_null(values);
    for (int i = 0; i < full->table.count; i++) {
        const struct param *p = &full->table.list[i];
        for (size_t k = 0; k < p->count; k++, state = state * 1664525u + 1013904223u)
            values[param_position(&full->table, p) + k] = 0.2f * ((float)(state >> 8) * 0x1p-24f - 0.5f);
    }
    struct weights_host host = {.table = &full->table, .values = values};
    const struct weights_source source = weights_from_host(&host);
    const struct weights_format format = {.naming = NAMING_ORIGINAL, .type = ST_F32, .quantised = type};
    CHECK(weights_save(folder, name, &full->table, &source, WEIGHTS_ALL, &format));
    free(values);
}

static struct dit_input input_of(struct small_net *s, const struct dit_config *c) {
    static const int positions[F] = {0, 1};
    const long size = (long)F * c->in_channels * c->height * c->width, window = (long)F * AUDIO_WINDOW * c->audio_dim;
    real *t = small_alloc(s, sizeof(real) * F);
    for (int f = 0; f < F; f++) real_fill(t + f, (real)(f ? 700 : 0), 1);
    return (struct dit_input){.batch = 1,
                              .frames = F,
                              .positions = positions,
                              .latents = small_reals(s, size, 1),
                              .latent_stride = size,
                              .t = t,
                              .text = small_elems(s, (long)c->text_len * c->text_dim, 1),
                              .audio = {small_elems(s, window, 1), small_elems(s, window, 1)},
                              .audio_stride = window};
}

/* The velocity of a pass with the weights of `path` within `mib`, after as many passes as it takes for every buffer to
   be used again; host memory. *copied: slices that were streamed. */
static real *velocity_within(const struct dit *net, const char *path, long mib, const struct dit_input *in,
                             long *copied) {
    struct network_weights weights;
    struct dit_acts *acts;
    struct arena arena;
    int audio;
    const long size = in->latent_stride;
    CHECK(network_weights_plan(&weights, &net->table, mib, WEIGHTS_COPIED));
    assert_true(!mib || weights.device.used <= (size_t)mib << 20);
    CHECK(network_weights_load(&weights, path, &audio));
    assert_true(audio);
    arena_begin(&arena, "activations");
    CHECK(dit_acts_layout(&acts, net, 1, F, DIT_FORWARD_ONLY, &arena));
    dit_acts_free(acts);
    arena_take(&arena, "velocity", sizeof(real) * (size_t)size);
    CHECK(arena_commit(&arena));
    CHECK(dit_acts_layout(&acts, net, 1, F, DIT_FORWARD_ONLY, &arena));
    real *velocity = arena_take(&arena, "velocity", sizeof(real) * (size_t)size);
    for (int pass = 0; pass < PASSES; pass++) CHECK(dit_forward(net, &weights.params, acts, in, velocity, size));
    CHECK(device_sync());
    real *values = small_host(velocity, size);
    *copied = weights.streamed.copied;
    dit_acts_free(acts);
    arena_free(&arena);
    network_weights_close(&weights); /* a copy for a pass to come may be under way */
    CHECK(device_sync());
    return values;
}

static void same_bits(enum quantised_type type) {
    const struct dit_config full_config = config_of(QUANTISED_NONE), config = config_of(type);
    struct dit full, net;
    struct small_net small = {0};
    char path[FILE_PATH_MAX];
    long none, some;
    CHECK(dit_create(&full, &full_config, 0));
    CHECK(dit_create(&net, &config, 0));
    CHECK(scratch_open(&small.memory, 1 << 20));
    write_weights("m", &full, type);
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    const struct dit_input in = input_of(&small, &config);
    const size_t bytes = net.table.total * sizeof(elem);
    real *resident = velocity_within(&net, path, 0, &in, &none);
    real *streamed = velocity_within(&net, path, (long)(bytes * 2 / 3 >> 20) + 1, &in, &some);
    double sum = 0;
    for (long i = 0; i < in.latent_stride; i++) sum += fabs((double)resident[i]);
    assert_true(isfinite(sum) && sum > 0);
    assert_int_equal(none, 0);
    assert_true(some >= PASSES * 2);
    assert_memory_equal(streamed, resident, sizeof(real) * (size_t)in.latent_stride);
    free(resident), free(streamed);
    small_close(&small);
    dit_destroy(&net);
    dit_destroy(&full);
    folder_empty(folder);
}

static void of_elem(void **state) { (void)state, same_bits(QUANTISED_NONE); }
static void of_int8(void **state) { (void)state, same_bits(QUANTISED_INT8); }
static void of_fp8(void **state) { (void)state, same_bits(QUANTISED_FP8); }

static int prepare(void **state) {
    (void)state;
    return folder_make(folder, "test_network_weights") || device_init(2);
}
static int clean(void **state) {
    (void)state;
    return folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(of_elem), cmocka_unit_test(of_int8), cmocka_unit_test(of_fp8)};
    return cmocka_run_group_tests(tests, prepare, clean);
}
