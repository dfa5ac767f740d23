/* test_friends.c: students in the files of Self-Forcing, CausVid, LongLive and minWM, converted from .pt as
   docs/checkpoints.md says (tests/golden/friend_*.safetensors, made by friends.py there), through the loader of
   pretrained checkpoints: sizes without a config.json, names, and velocities against each toolkit's own network, with
   all frames at once and with chunks that see the ones before them. */
#include "base/fileio.h"
#include "checkpoints/pretrained.h"
#include "tests/golden_dit.h"
#include "tests/golden_file.h"
#include "tests/golden_weights.h"

enum { FRAMES = 4, CHUNK = 2, HEIGHT = 6, WIDTH = 8, CHANNELS = 4, TEXT = 5, TEXT_DIM = 12 };
enum { FRAME = CHANNELS * HEIGHT * WIDTH, LAYERS_MAX = 2 };

struct friend {
    const char *name, *beginning; /* the tensors' names begin so, below `model.`, in the file */
    int layers;
};
static struct friend friends[] = {{"self_forcing", "model._fsdp_wrapped_module.blocks.1._fsdp_wrapped_module.", 2},
                                  {"causvid", "model.blocks.0.", 1},
                                  {"longlive", "model.blocks.0.", 1},
                                  {"minwm", "model._fsdp_wrapped_module.blocks.0._fsdp_wrapped_module.", 1}};
enum { FRIENDS = sizeof friends / sizeof *friends };

static elem *weights; /* device, of the network that was loaded last */

/* The toolkit's names are really in the file. (The reader of safetensors takes the parts of wrappers off them.) */
static void check_layout(const char *path, const struct friend *f) {
    char name[128], *text;
    size_t bytes;
    assert_int_equal(file_read(path, 1 << 20, &text, &bytes), OK);
    snprintf(name, sizeof name, "\"%sself_attn.q.weight\"", f->beginning);
    if (!memmem(text, bytes, name, strlen(name))) fail_msg("%s: no tensor %s", path, name);
    free(text);
}

static void load(struct golden_net *g, const struct friend *f) {
    char path[96];
    snprintf(path, sizeof path, "tests/golden/friend_%s.safetensors", f->name);
    check_layout(path, f);
    struct dit_config config = {.height = HEIGHT,
                                .width = WIDTH,
                                .text_len = TEXT,
                                .rope_theta_t = 10000,
                                .rope_theta_hw = 10000,
                                .eps = 1e-6},
                      found;
    assert_int_equal(pretrained_config(path, &found), OK);
    assert_int_equal(found.layers, f->layers);
    assert_int_equal(found.heads, 1);
    config.dim = found.dim, config.ffn_dim = found.ffn_dim, config.heads = found.heads, config.layers = found.layers;
    config.in_channels = found.in_channels, config.out_channels = found.out_channels;
    config.freq_dim = found.freq_dim, config.text_dim = found.text_dim;
    assert_int_equal(dit_create(&g->net, &config, 0), OK);
    weights = device_alloc(g->net.table.total * sizeof *weights);
    assert_non_null(weights);
    mem_zero(weights, g->net.table.total * sizeof *weights);
    struct weights_arena arena = {.table = &g->net.table, .weights = weights};
    struct weights_sink sink = weights_to_arena(&arena);
    int audio;
    if (pretrained_load(&sink, &g->net.table, path, &audio)) fail_msg("%s", error_text());
    g->params = (struct params){.table = &g->net.table, .weights = weights};
}

static float *made(const char *name, size_t count) {
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    golden_values(values, name, (long)count, 1, 0);
    return values;
}

/* One pass of `frames` frames from `first` on, over the keys and values of the ones before, if any. */
static void pass(struct golden_net *g, struct dit_acts *acts, int first, int frames, const struct dit_history *history,
                 const struct dit_kv_output *output, real *velocity) {
    int positions[FRAMES];
    for (int f = 0; f < frames; f++) positions[f] = first + f;
    struct dit_input in = {.batch = 1,
                           .frames = frames,
                           .first_frame = first,
                           .positions = positions,
                           .latents = g->latents + first * FRAME,
                           .latent_stride = frames * FRAME,
                           .t = g->t + first,
                           .text = g->text,
                           .history = history,
                           .kv_output = output};
    dit_condition_reset(acts, 1, 1);
    assert_int_equal(dit_forward(&g->net, &g->params, acts, &in, velocity + first * FRAME, frames * FRAME), OK);
}

/* Keys and values of the first chunk, where its pass leaves them rotated, as a history wants them. */
struct past {
    elem *k[LAYERS_MAX], *v[LAYERS_MAX];
    struct attention_range ranges[LAYERS_MAX];
};

static void run(struct golden_net *g, real *velocity, int chunk) {
    struct arena arena;
    struct dit_acts *acts;
    arena_begin(&arena, "test activations");
    assert_int_equal(dit_acts_layout(&acts, &g->net, 1, chunk, DIT_FORWARD_ONLY, &arena), OK);
    dit_acts_free(acts);
    assert_int_equal(arena_commit(&arena), OK);
    assert_int_equal(dit_acts_layout(&acts, &g->net, 1, chunk, DIT_FORWARD_ONLY, &arena), OK);
    long tokens = (long)chunk * dit_tokens(&g->net.config) * g->net.config.dim;
    struct past past;
    for (int l = 0; l < g->net.config.layers; l++) {
        past.k[l] = device_alloc((size_t)tokens * sizeof(elem));
        past.v[l] = device_alloc((size_t)tokens * sizeof(elem));
        assert_true(past.k[l] && past.v[l]);
        past.ranges[l] = (struct attention_range){.k = past.k[l],
                                                  .v = past.v[l],
                                                  .length = tokens / g->net.config.dim,
                                                  .k_stride = tokens,
                                                  .v_stride = tokens};
    }
    const struct dit_kv_output own = {.k = past.k, .v = past.v, .stride = tokens};
    const struct dit_history leaves = {.ranges = past.ranges, .count = 0, .own = &own},
                             sees = {.ranges = past.ranges, .count = 1};
    pass(g, acts, 0, chunk, chunk < FRAMES ? &leaves : NULL, NULL, velocity);
    if (chunk < FRAMES) pass(g, acts, chunk, chunk, &sees, NULL, velocity);
    assert_int_equal(device_sync(), OK);
    for (int l = 0; l < g->net.config.layers; l++) {
        device_free(past.k[l]);
        device_free(past.v[l]);
    }
    dit_acts_free(acts);
    arena_free(&arena);
}

static void check(struct golden_net *g, const struct safetensors *file, const char *name, int chunk) {
    float *expected = golden_tensor_of(file, "", name, FRAMES * FRAME);
    real *velocity = device_alloc(FRAMES * FRAME * sizeof *velocity), *got = malloc(FRAMES * FRAME * sizeof *got);
    assert_true(expected && velocity && got);
    run(g, velocity, chunk);
    mem_download(got, velocity, FRAMES * FRAME * sizeof *got);
    print_message("%s: off by %.3g\n", name, golden_error(got, expected, FRAMES * FRAME));
    golden_check(name, got, expected, FRAMES * FRAME, golden_bound(g->net.config.layers, 0));
    free(got);
    free(expected);
    device_free(velocity);
}

static void friend_parity(void **state) {
    const struct friend *f = *state;
    struct golden_net g = {.batch = 1, .frames = FRAMES, .count = FRAMES * FRAME};
    struct safetensors file;
    char path[96];
    load(&g, f);
    snprintf(path, sizeof path, "tests/golden/friend_%s_velocity.safetensors", f->name);
    assert_int_equal(safetensors_open(&file, path), OK);
    float *latents = made("latents", FRAMES * FRAME), *text = made("text", TEXT * TEXT_DIM),
          *t = golden_tensor_of(&file, "", "t", FRAMES);
    g.latents = golden_upload(latents, FRAMES * FRAME);
    g.t = golden_upload(t, FRAMES);
    g.text = device_alloc(TEXT * TEXT_DIM * sizeof *g.text);
    assert_non_null(g.text);
    transfer_to_elem(g.text, text, TEXT * TEXT_DIM);
    check(&g, &file, "whole", FRAMES);
    check(&g, &file, "causal", CHUNK);
    free(latents);
    free(text);
    free(t);
    safetensors_close(&file);
    golden_net_close(&g);
}

static int start(void **state) {
    (void)state;
    device_poison(1);
    return device_init(2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        {"self_forcing", friend_parity, NULL, NULL, &friends[0]},
        {"causvid", friend_parity, NULL, NULL, &friends[1]},
        {"longlive", friend_parity, NULL, NULL, &friends[2]},
        {"minwm", friend_parity, NULL, NULL, &friends[3]},
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
