/* test_lora.c: adapters over a frozen network, in double: at first they change nothing; the gradients of adapters and
   of parameters trained whole are exact; merged weights give the same velocity as the network that is merged as it
   runs. */
#include "tests/small_net.h"

#include "kernels/arena.h"
#include "model/params/lora.h"

#define TOLERANCE 1e-6
enum { BATCH = 2, FRAMES = 2, LAYERS = 2 };

static const struct lora_config rank3 = {3, 6, "self_attn,ffn.2,talk_attn.o", "time_projection, listen_attn", 0, 0};

struct world {
    struct dit net;
    struct small_net small;
    struct lora lora;
    struct lora_buffers buffers;
    struct params full, adapted, own;
    struct arena acts_arena, lora_arena;
    struct dit_acts *acts;
    struct dit_input in;
    struct dit_gradients gradients;
    long latents;
    int positions[FRAMES];
    real *velocity, *projection, *master;
};

static void layout(struct world *w) {
    for (int pass = 0; pass < 2; pass++) {
        if (!pass) arena_begin(&w->acts_arena, "activations"), arena_begin(&w->lora_arena, "lora");
        CHECK(dit_acts_layout(&w->acts, &w->net, BATCH, FRAMES, DIT_SAVE_ALL, &w->acts_arena));
        lora_buffers_layout(&w->buffers, &w->lora_arena);
        if (pass) break;
        dit_acts_free(w->acts);
        CHECK(arena_commit(&w->acts_arena));
        CHECK(arena_commit(&w->lora_arena));
    }
}

/* rough: deviation that is put on the adapters' initial values. */
static void open_world(struct world *w, const struct lora_config *config, double rough) {
    memset(w, 0, sizeof *w);
    struct dit_config net = small_config(LAYERS);
    CHECK(dit_create(&w->net, &net, 0));
    small_open(&w->small, &w->net.table, 0.2);
    w->full = w->small.params;
    CHECK(lora_create(&w->lora, &w->net.table, config));
    lora_buffers_need(&w->buffers, &w->lora);
    layout(w);
    w->lora.buffers = &w->buffers;
    w->lora.base = w->full;
    w->lora.base.grads = NULL;
    size_t n = w->lora.adapters.total;
    w->master = small_alloc(&w->small, n * sizeof(real));
    params_initialise(w->master, &w->lora.adapters, SMALL_SEED + 1);
    for (int i = 0; i < w->lora.adapters.count; i++) { /* whole parameters start from the frozen ones */
        const struct param *p = &w->lora.adapters.list[i], *base = &w->net.table.list[w->lora.target[i]];
        if (!strstr(p->name, "lora_"))
            mem_copy(w->master + param_position(&w->lora.adapters, p),
                     w->full.weights + param_position(&w->net.table, base), p->count * sizeof(real));
    }
    if (rough > 0) real_axpby(w->master, 1, small_reals(&w->small, (long)n, rough), 1, (long)n);
    w->lora.own = (struct params){
        .table = &w->lora.adapters, .weights = w->master, .grads = small_alloc(&w->small, n * sizeof(real))};
    mem_zero(w->lora.own.grads, n * sizeof(real));
    w->adapted = lora_params(&w->lora);
    w->adapted.grads = w->lora.own.grads;

    const struct dit_config *c = &w->net.config;
    w->latents = (long)BATCH * FRAMES * c->in_channels * c->height * c->width;
    real t[BATCH * FRAMES] = {0, 0.5, 0, 0.8};
    real *levels = small_alloc(&w->small, sizeof t);
    mem_upload(levels, t, sizeof t);
    w->positions[1] = 1;
    long windows = (long)BATCH * FRAMES * AUDIO_WINDOW * c->audio_dim;
    w->in = (struct dit_input){.batch = BATCH,
                               .frames = FRAMES,
                               .positions = w->positions,
                               .latents = small_reals(&w->small, w->latents, 1),
                               .latent_stride = w->latents / BATCH,
                               .t = levels,
                               .text = small_elems(&w->small, (long)BATCH * c->text_len * c->text_dim, 1),
                               .audio = {small_elems(&w->small, windows, 1), small_elems(&w->small, windows, 1)},
                               .audio_stride = windows / BATCH};
    w->velocity = small_reals(&w->small, w->latents, 1);
    w->projection = small_reals(&w->small, w->latents, 1);
    w->gradients = (struct dit_gradients){.dvelocity = w->projection, .dvelocity_stride = w->latents / BATCH};
}

static void close_world(struct world *w) {
    dit_acts_free(w->acts);
    arena_free(&w->acts_arena);
    arena_free(&w->lora_arena);
    lora_destroy(&w->lora);
    small_close(&w->small);
    dit_destroy(&w->net);
}

/* Sum of velocity times projection. */
static double loss(struct world *w, const struct params *params) {
    dit_condition_reset(w->acts, 1, 1);
    CHECK(dit_forward(&w->net, params, w->acts, &w->in, w->velocity, w->latents / BATCH));
    double *v = malloc(sizeof *v * (size_t)w->latents), *p = malloc(sizeof *p * (size_t)w->latents), sum = 0;
    assert_true(v && p);
    mem_download(v, w->velocity, sizeof *v * (size_t)w->latents);
    mem_download(p, w->projection, sizeof *p * (size_t)w->latents);
    CHECK(device_sync());
    for (long i = 0; i < w->latents; i++) sum += v[i] * p[i];
    free(v);
    free(p);
    return sum;
}

static void adapters_start_as_nothing(void **state) {
    (void)state;
    struct world w;
    open_world(&w, &rank3, 0);
    double plain = loss(&w, &w.full);
    assert_true(plain == loss(&w, &w.adapted));
    close_world(&w);
}

static void merged_is_the_same(void **state) {
    (void)state;
    struct world w;
    open_world(&w, &rank3, 0.1);
    double plain = loss(&w, &w.full), adapted = loss(&w, &w.adapted);
    assert_true(fabs(plain - adapted) > 1e-3 * fabs(plain)); /* the adapters do something */
    struct params merged = {.table = &w.net.table, .weights = small_alloc(&w.small, w.net.table.total * sizeof(elem))};
    for (int s = 0; s < w.net.table.slices; s++) lora_merge(&w.lora, s, merged.weights + w.net.table.slice_offset[s]);
    assert_true(adapted == loss(&w, &merged));
    close_world(&w);
}

/* Along one random direction a tensor: its part of the gradient against central differences. */
static void check_tensor(struct world *w, const struct param *p) {
    size_t bytes = p->count * sizeof(real);
    real *at = w->master + param_position(&w->lora.adapters, p);
    double *x = malloc(bytes), *u = malloc(bytes), *g = malloc(bytes), *moved = malloc(bytes), slope = 0;
    assert_true(x && u && g && moved);
    mem_download(x, at, bytes);
    mem_download(g, w->lora.own.grads + param_position(&w->lora.adapters, p), bytes);
    for (size_t i = 0; i < p->count; i++) {
        u[i] = sin(1.7 * (double)i + (double)p->count);
        slope += g[i] * u[i];
    }
    double difference[2];
    for (int half = 0; half < 2; half++) {
        double h = half ? 5e-5 : 1e-4, side[2];
        for (int s = 0; s < 2; s++) {
            for (size_t i = 0; i < p->count; i++) moved[i] = x[i] + (s ? -h : h) * u[i];
            mem_upload(at, moved, bytes);
            side[s] = loss(w, &w->adapted);
        }
        difference[half] = (side[0] - side[1]) / (2 * h);
    }
    mem_upload(at, x, bytes);
    double numeric = (4 * difference[1] - difference[0]) / 3; /* Richardson */
    double error = fabs(slope - numeric) / fmax(fabs(numeric), 1e-3);
    if (!(error < TOLERANCE)) fail_msg("%s: gradient %g, difference %g", p->name, slope, numeric);
    if (slope == 0) fail_msg("%s: no gradient", p->name);
    free(x);
    free(u);
    free(g);
    free(moved);
}

static void gradients_are_exact(void **state) {
    const struct lora_config *config = *state;
    struct world w;
    open_world(&w, config, 0.1);
    small_without_kinks(&w.small);
    loss(&w, &w.adapted);
    CHECK(dit_backward(&w.net, &w.adapted, w.acts, &w.in, &w.gradients));
    for (int i = 0; i < w.lora.adapters.count; i++) check_tensor(&w, &w.lora.adapters.list[i]);
    close_world(&w);
}

static void refusals(void **state) {
    (void)state;
    struct dit net;
    struct dit_config config = small_config(1);
    struct lora lora;
    CHECK(dit_create(&net, &config, 0));
    struct lora_config bad = {4, 4, "no_such_part", "", 0, 0};
    assert_int_equal(lora_create(&lora, &net.table, &bad), ERR_USAGE);
    assert_non_null(strstr(error_text(), "no_such_part"));
    bad = (struct lora_config){.rank = 4, .targets = "self_attn"};
    assert_int_equal(lora_create(&lora, &net.table, &bad), ERR_USAGE);
    dit_destroy(&net);
}

static int start(void **state) {
    (void)state;
    device_poison(1);
    return device_init(1);
}

int main(void) {
    /* Adapters in block 1 alone: the slices above them pass gradients on, those below are left out. */
    static const struct lora_config upper = {2, 2, "blocks.1.cross_attn", "", 0, 0};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adapters_start_as_nothing),
        cmocka_unit_test(merged_is_the_same),
        {"gradients_are_exact", gradients_are_exact, NULL, NULL, (void *)&rank3},
        {"gradients_are_exact, upper block", gradients_are_exact, NULL, NULL, (void *)&upper},
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
