/* test_quantised.c: students of int8 and fp8 weights: what is written is the rounding that quantised.h defines, what is
   read is what was written, the network computes as one whose weights are rounded in the same way, and what cannot be
   used is refused by name. */
#include "tests/small_net.h"

#include "base/error.h"
#include "checkpoints/safetensors.h"
#include "checkpoints/student_config.h"
#include "checkpoints/weights.h"
#include "model/params/transfer.h"
#include "tests/folder.h"

enum { F = 2, LAYERS = 2, C = 3 };
static char folder[FOLDER_MAX];

/* The full network and its values; the same with weights rounded as a quantised one's. */
static struct world {
    struct dit full, net;
    struct small_net small;
    float *values, *rounded;
    struct arena arena;
    elem *weights; /* those of the quantised network */
} w;

static const char *in_folder(const char *name) {
    static char path[FILE_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static struct dit_config config_of(enum quantised_type type) {
    struct dit_config c = small_config(LAYERS);
    c.weights = type;
    return c;
}

static void save(enum quantised_type type, enum weights_naming naming) {
    struct weights_host host = {.table = &w.full.table, .values = w.values};
    const struct weights_source source = weights_from_host(&host);
    const struct weights_format format = {.naming = naming, .type = ST_F32, .quantised = type};
    CHECK(weights_save(folder, "m", &w.full.table, &source, WEIGHTS_ALL, &format));
}

static int load_from(const struct param_table *table, elem *weights, const char *path) {
    struct weights_arena arena = {.table = table, .weights = weights};
    const struct weights_sink sink = weights_to_arena(&arena);
    struct checkpoint c;
    TRY(checkpoint_open(&c, path));
    int code = weights_load(&sink, table, &c, WEIGHTS_ALL);
    checkpoint_close(&c);
    return code;
}

static void open_world(enum quantised_type type) {
    const struct dit_config full = config_of(QUANTISED_NONE), quantised = config_of(type);
    memset(&w, 0, sizeof w);
    CHECK(dit_create(&w.full, &full, 0));
    CHECK(dit_create(&w.net, &quantised, 0));
    small_open(&w.small, &w.full.table, 0.15);
    real *master = small_host(w.small.master, (long)w.small.total);
    w.values = malloc(sizeof(float) * w.small.total);
    w.rounded = malloc(sizeof(float) * w.small.total);
    for (size_t i = 0; i < w.small.total; i++) w.values[i] = w.rounded[i] = (float)master[i];
    free(master);
    w.weights = small_alloc(&w.small, sizeof(elem) * w.net.table.total);
    mem_zero(w.weights, sizeof(elem) * w.net.table.total);
}

static void close_world(void) {
    small_close(&w.small);
    dit_destroy(&w.net);
    dit_destroy(&w.full);
    free(w.values);
    free(w.rounded);
    folder_empty(folder);
}

/* Rounds the values of a weight by the definition, in double, and compares with codes and scales. */
static void check_weight(const struct param *p, enum quantised_type type, const uint8_t *codes, const real *scales) {
    const long dout = p->shape[0], din = p->shape[1];
    float *values = w.rounded + param_position(&w.full.table, param_find(&w.full.table, p->name));
    const double largest = (double)quantised_largest(type);
    for (long o = 0; o < dout; o++) {
        double most = 0, scale = (double)scales[o];
        for (long i = 0; i < din; i++) most = fmax(most, fabs((double)values[o * din + i]));
        assert_true(fabs(scale - most / largest) <= 2e-7 * scale);
        for (long i = 0; i < din; i++) {
            const double code = (double)quantised_value(codes[o * din + i], type), v = (double)values[o * din + i];
            /* int8: within half a step. fp8: within 2^-4 of the value, or half a step of the smallest */
            const double half = type == QUANTISED_INT8 ? 0.5 * scale : fmax(fabs(v) / 16, 0x1p-10 * scale);
            assert_true(fabs(v - code * scale) <= half * (1 + 1e-5));
            values[o * din + i] = (float)(code * scale);
        }
    }
}

/* Compares all that the quantised network has read with the definition; w.rounded becomes its values. */
static void check_weights(enum quantised_type type) {
    unsigned char *read = small_download(w.weights, sizeof(elem) * w.net.table.total);
    int quantised = 0;
    for (int i = 0; i < w.net.table.count; i++) {
        const struct param *p = &w.net.table.list[i];
        const elem *at = (const elem *)read + param_position(&w.net.table, p);
        const float *values = w.values + param_position(&w.full.table, &w.full.table.list[i]);
        assert_int_equal(p->type, dit_param_quantises(p) ? type : QUANTISED_NONE);
        quantised += p->type != QUANTISED_NONE;
        if (p->type) {
            struct quantised_weight q = quantised_weight(at, p->shape[0], p->shape[1]);
            check_weight(p, type, q.codes, q.scale);
        } else {
            for (size_t k = 0; k < p->count; k++)
                assert_true(elem_load(at[k]) == elem_load(elem_store((real)values[k])));
        }
    }
    assert_int_equal(quantised, LAYERS * (4 * 4 + 2)); /* four attentions of four weights, and the FFN's two */
    free(read);
}

/* ---- what the network computes ---- */

struct input {
    struct dit_input in;
    real *velocity;
    long size;
};

static struct input input_of(void) {
    static const int positions[F] = {0, 1};
    const struct dit_config *c = &w.full.config;
    const long size = (long)F * C * c->height * c->width, window = (long)F * AUDIO_WINDOW * c->audio_dim;
    real *t = small_alloc(&w.small, sizeof(real) * F);
    for (int f = 0; f < F; f++) real_fill(t + f, (real)(f ? 700 : 0), 1);
    struct input i = {.size = size, .velocity = small_alloc(&w.small, sizeof(real) * (size_t)size)};
    i.in = (struct dit_input){.batch = 1,
                              .frames = F,
                              .positions = positions,
                              .latents = small_reals(&w.small, size, 1),
                              .latent_stride = size,
                              .t = t,
                              .text = small_elems(&w.small, (long)c->text_len * c->text_dim, 1),
                              .audio = {small_elems(&w.small, window, 1), small_elems(&w.small, window, 1)},
                              .audio_stride = window};
    return i;
}

/* The velocity of one pass; host [size]. */
static real *velocity_of(const struct dit *net, elem *weights, const struct input *input) {
    const struct params params = {.table = &net->table, .weights = weights};
    struct dit_acts *acts;
    struct arena arena;
    arena_begin(&arena, "activations");
    CHECK(dit_acts_layout(&acts, net, 1, F, DIT_FORWARD_ONLY, &arena));
    dit_acts_free(acts);
    CHECK(arena_commit(&arena));
    CHECK(dit_acts_layout(&acts, net, 1, F, DIT_FORWARD_ONLY, &arena));
    CHECK(dit_forward(net, &params, acts, &input->in, input->velocity, input->size));
    CHECK(device_sync());
    dit_acts_free(acts);
    arena_free(&arena);
    return small_host(input->velocity, input->size);
}

static double distance(const real *a, const real *b, long n) {
    double gap = 0, size = 0;
    for (long i = 0; i < n; i++) {
        gap += pow((double)a[i] - (double)b[i], 2);
        size += pow((double)b[i], 2);
    }
    return sqrt(gap / size);
}

/* How far the velocities of a quantised network and of one with rounded weights may be apart, relative, in root mean
   square. They differ by the rounding of operands alone. An operand in int8 is off by at most half a step, on average
   by a step / sqrt(12), where a step is max / 127; max of rows as wide as these, 6 to 24, is at most about 3 times
   their root mean square: 0.7 %. In fp8 it is off by at most 2^-4 of each number, on average by 2^-4 / sqrt(3) times
   3/4, as numbers lie anywhere between powers of two: 2.7 %. A product passes the relative error on. A block has 18 of
   them, one after the other or side by side, whose errors are independent and add in squares. */
static double allowed(enum quantised_type type) {
    const double each = type == QUANTISED_INT8 ? 3.0 / 127 / sqrt(12) : 0.75 * 0x1p-4 / sqrt(3);
    return each * sqrt(18.0 * LAYERS);
}

static void check_network(enum quantised_type type) {
    struct input input = input_of();
    transfer_to_elem(w.small.params.weights, w.rounded, (long)w.small.total);
    real *full = velocity_of(&w.full, w.small.params.weights, &input), *got = velocity_of(&w.net, w.weights, &input);
    const double off = distance(got, full, input.size);
    print_message("type %d: %.4f from rounded weights, allowed %.4f\n", (int)type, off, allowed(type));
    assert_true(off < allowed(type));
    assert_true(off > 1e-5); /* operands are quantised indeed */
    /* Scales that are wrong are not within that bound. */
    const struct param *p = param_find(&w.net.table, "blocks.1.ffn.2.weight");
    real *scales = (real *)(void *)((uint8_t *)(w.weights + param_position(&w.net.table, p)) +
                                    quantised_scales_at(p->shape[0], p->shape[1]));
    real_axpby(scales, 10, scales, 0, p->shape[0]);
    real *wrong = velocity_of(&w.net, w.weights, &input);
    assert_true(distance(wrong, full, input.size) > allowed(type));
    free(full), free(got), free(wrong);
}

static void check_type(enum quantised_type type) {
    for (int naming = 0; naming < 2; naming++) {
        open_world(type);
        save(type, naming ? NAMING_DIFFUSERS : NAMING_ORIGINAL);
        CHECK(load_from(&w.net.table, w.weights, in_folder("m.safetensors")));
        check_weights(type);
        if (naming) check_network(type);
        close_world();
    }
}

static void int8(void **state) { (void)state, check_type(QUANTISED_INT8); }
static void fp8(void **state) { (void)state, check_type(QUANTISED_FP8); }

static void runs_forward_only(void **state) {
    (void)state;
    struct dit_acts *acts;
    struct arena arena;
    open_world(QUANTISED_INT8);
    arena_begin(&arena, "activations");
    assert_int_equal(dit_acts_layout(&acts, &w.net, 1, F, DIT_SAVE_ALL, &arena), ERR_USAGE);
    assert_non_null(strstr(error_text(), "not trained"));
    close_world();
}

/* ---- what is refused ---- */

/* Writes the file again, changed by `change`, which may drop an entry by returning 0; the quantised network must refuse
   it with these words. */
static void refuses(int (*change)(struct safetensors_entry *e), const char *words) {
    struct safetensors file;
    struct safetensors_entry entries[256];
    int count = 0;
    CHECK(safetensors_open(&file, in_folder("m.safetensors")));
    assert_true(file.count <= 256);
    for (int i = 0; i < file.count; i++) {
        entries[count] = file.entries[i];
        count += change(&entries[count]);
    }
    CHECK(safetensors_write(in_folder("changed.safetensors"), entries, count, NULL));
    safetensors_close(&file);
    assert_int_equal(load_from(&w.net.table, w.weights, in_folder("changed.safetensors")), ERR_INPUT);
    if (!strstr(error_text(), words)) fail_msg("\"%s\" lacks \"%s\"", error_text(), words);
    assert_null(strchr(error_text(), '\n'));
}

#define FFN "blocks.1.ffn.2.weight"
static int drop_scales(struct safetensors_entry *e) { return strcmp(e->name, FFN ".scale") != 0; }
static int nan_scale(struct safetensors_entry *e) {
    static float scales[64];
    if (strcmp(e->name, FFN ".scale") != 0) return 1;
    memcpy(scales, e->data, e->bytes);
    scales[3] = NAN;
    e->data = scales;
    return 1;
}
static int nan_code(struct safetensors_entry *e) {
    static uint8_t codes[1 << 12];
    if (strcmp(e->name, FFN) != 0) return 1;
    memcpy(codes, e->data, e->bytes);
    codes[5] = 0xff;
    e->data = codes;
    return 1;
}
static int other_type(struct safetensors_entry *e) {
    if (strcmp(e->name, FFN) == 0) e->type = ST_U8;
    return 1;
}

static void refuses_what_cannot_be_used(void **state) {
    (void)state;
    open_world(QUANTISED_FP8);
    save(QUANTISED_FP8, NAMING_ORIGINAL);
    refuses(drop_scales, "missing " FFN ".scale [24]");
    refuses(nan_scale, FFN ".scale: holds a value that is not finite (element 3");
    refuses(nan_code, FFN ": holds a value that is not finite (element 5");
    refuses(other_type, FFN " is of type U8, expected F8_E4M3");
    assert_int_equal(load_from(&w.full.table, w.small.params.weights, in_folder("m.safetensors")), ERR_INPUT);
    assert_non_null(strstr(error_text(), "F8_E4M3, expected F32, BF16 or F16"));
    w.values[param_position(&w.full.table, param_find(&w.full.table, FFN)) + 7] = NAN;
    struct weights_host host = {.table = &w.full.table, .values = w.values};
    const struct weights_source source = weights_from_host(&host);
    const struct weights_format format = {.type = ST_F32, .quantised = QUANTISED_FP8};
    assert_int_equal(weights_save(folder, "m", &w.full.table, &source, WEIGHTS_ALL, &format), ERR_NUMERIC);
    close_world();
}

static int prepare(void **state) {
    (void)state;
    return folder_make(folder, "test_quantised") || device_init(2);
}
static int clean(void **state) {
    (void)state;
    return folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(int8), cmocka_unit_test(fp8),
                                       cmocka_unit_test(runs_forward_only),
                                       cmocka_unit_test(refuses_what_cannot_be_used)};
    return cmocka_run_group_tests(tests, prepare, clean);
}
