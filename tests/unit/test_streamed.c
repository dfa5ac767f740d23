/* test_streamed.c: weights that are streamed (model/params/streamed.h) give the bits of weights that all stay, whatever
   the memory; copies are started ahead of use, on a stream of their own where the device has such; the plan keeps the
   memory that was granted, and too little is refused with the least that works. */
#include "tests/small_rollout.h"

#include "base/philox.h"
#include "model/params/streamed.h"

enum { LAYERS = 7, C = 2, STEPS = 2, CHUNKS = 3, LOG = 4096 };

static int start(void **state) {
    (void)state;
    return device_init(2);
}

/* ---- a store that notes who asked for what ---- */

enum event { READ, ACQUIRE, RELEASE };
struct noted {
    enum event event;
    int slice;
    struct device_stream *stream;
};
struct world {
    struct small_rollout rollout;
    struct streamed streamed;
    struct arena arena, host_arena;
    elem *values;                /* host, pinned by the arena: the network's weights */
    struct params inner, params; /* the streamed ones; the same, noted */
    struct noted log[LOG];
    int count;
};

static void note(struct world *w, enum event event, int slice) {
    assert_true(w->count < LOG);
    w->log[w->count++] = (struct noted){event, slice, device_stream_current()};
}

static int read_noted(void *self, int slice, elem *device_to) {
    struct world *w = self;
    const struct param_table *t = &w->rollout.net.table;
    note(w, READ, slice);
    mem_upload_pinned(device_to, w->values + t->slice_offset[slice], param_slice_size(t, slice) * sizeof(elem));
    return OK;
}

static const elem *acquire_noted(void *of, int slice) {
    struct world *w = of;
    note(w, ACQUIRE, slice);
    return params_acquire(&w->inner, slice);
}

static void release_noted(void *of, int slice) {
    struct world *w = of;
    note(w, RELEASE, slice);
    params_release(&w->inner, slice);
}

static int status_noted(void *of) { return params_status(&((struct world *)of)->inner); }

/* Lays out the weights in `bytes`, and fills in those that stay. */
static void open_streamed(struct world *w, size_t bytes) {
    static const struct params_source source = {
        .acquire = acquire_noted, .release = release_noted, .status = status_noted};
    const struct param_table *t = &w->rollout.net.table;
    struct streamed *s = &w->streamed;
    CHECK(streamed_plan(s, t, bytes));
    arena_begin(&w->arena, "test");
    streamed_layout(s, &w->arena);
    assert_true(!bytes || w->arena.used <= bytes + 64 * 3); /* an arena rounds every piece up */
    CHECK(arena_commit(&w->arena));
    streamed_layout(s, &w->arena);
    CHECK(streamed_open(s));
    for (int i = 0; i < t->slices; i++) {
        elem *host, *device = streamed_home(s, i, &host);
        assert_true(!device == (s->away[i] != 0) && !host);
        if (device) mem_upload(device, w->values + t->slice_offset[i], param_slice_size(t, i) * sizeof(elem));
    }
    s->store = (struct slice_store){.read = read_noted, .self = w};
    w->inner = streamed_params(s);
    w->params = (struct params){.table = t, .weights = w->inner.weights, .source = &source, .of = w};
    w->count = 0;
    CHECK(device_sync());
}

static void close_streamed(struct world *w) {
    CHECK(device_sync());
    streamed_close(&w->streamed);
    arena_free(&w->arena);
}

static void open_world(struct world *w) {
    static const struct rollout_config config = {
        .causal = {C, 3, 4, RAPR_END, 7, SINK_NATIVE, AUDIO_MARGIN, 0}, .steps = STEPS, .sigma = {1, 0.6}};
    memset(w, 0, sizeof *w);
    small_rollout_open(&w->rollout, &config, LAYERS, 1, CHUNKS, KV_STREAM, DIT_FORWARD_ONLY);
    arena_begin_host(&w->host_arena, "test (host)");
    arena_take(&w->host_arena, "weights", w->rollout.small.total * sizeof(elem));
    CHECK(arena_commit(&w->host_arena));
    w->values = arena_take(&w->host_arena, "weights", w->rollout.small.total * sizeof(elem));
    mem_download(w->values, w->rollout.small.params.weights, w->rollout.small.total * sizeof(elem));
}

static void close_world(struct world *w) {
    arena_free(&w->host_arena);
    small_rollout_close(&w->rollout);
}

/* A clip with these weights; its chunks into w->out. */
static void roll(struct small_rollout *w, const struct params *params) {
    struct rollout_noise noise = {.seed = 3, .purpose = RANDOM_TEST};
    CHECK(rollout_begin(&w->rollout, params, w->reference, w->frame, &w->condition));
    for (int i = 0; i < w->chunks; i++)
        CHECK(rollout_chunk(&w->rollout, params, &w->condition, &noise, STEPS - 1, w->out + (1 + i * C) * w->frame,
                            w->clip, NULL, 0));
}

static size_t all_bytes(const struct world *w) { return w->rollout.small.total * sizeof(elem); }

/* The least memory that is accepted, found from the outside. */
static size_t least_bytes(const struct param_table *t) {
    size_t low = 1, high = t->total * sizeof(elem); /* low is refused, high is enough */
    while (high - low > 1) {
        struct streamed s;
        size_t middle = (low + high) / 2;
        int code = streamed_plan(&s, t, middle);
        streamed_close(&s);
        *(code ? &low : &high) = middle;
    }
    return high;
}

/* ---- tests ---- */

static void same_bits(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    size_t clip = sizeof(real) * (size_t)w.rollout.clip, least = least_bytes(&w.rollout.net.table);
    mem_zero(w.rollout.out, clip);
    roll(&w.rollout, &w.rollout.small.params);
    real *resident = small_reals(&w.rollout.small, w.rollout.clip, 0);
    mem_copy(resident, w.rollout.out, clip);
    const size_t budgets[] = {least, (least + all_bytes(&w)) / 2, all_bytes(&w) - 1, all_bytes(&w), 0};
    for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++) {
        open_streamed(&w, budgets[i]);
        assert_int_equal(!w.streamed.streamed, !budgets[i] || budgets[i] >= all_bytes(&w));
        mem_zero(w.rollout.out, clip);
        roll(&w.rollout, &w.params);
        assert_same_bits(w.rollout.out, resident, clip);
        close_streamed(&w);
    }
    close_world(&w);
}

/* With two buffers each streamed block but the very first is read while the streamed block before it is held, behind
   the other buffer's last user, on another stream than the work's. Each block is read once a pass. */
static void copies_ahead_of_use(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    open_streamed(&w, least_bytes(&w.rollout.net.table));
    assert_int_equal(w.streamed.streamed, LAYERS); /* the least: every block */
    roll(&w.rollout, &w.params);
    int reads = 0, passes = 0, held = -1;
    for (int i = 0; i < w.count; i++) {
        const struct noted *n = &w.log[i];
        if (n->event == ACQUIRE) held = n->slice;
        if (n->event == RELEASE) held = -1;
        passes += n->event == ACQUIRE && n->slice == 0;
        if (n->event != READ) continue;
        int after = n->slice == 1 ? LAYERS : n->slice - 1;
        assert_int_equal(held, w.streamed.buffers > 1 && reads ? after : n->slice);
        assert_true(device_overlaps() ? n->stream == w.streamed.copies : n->stream == device_stream_current());
        reads++;
    }
    assert_int_equal(passes, 1 + CHUNKS * STEPS);
    assert_int_equal(reads, passes * LAYERS + (w.streamed.buffers > 1)); /* the last one is for a pass to come */
    close_streamed(&w);
    close_world(&w);
}

/* Half of the blocks stay: no two streamed ones are neighbours. */
static void streamed_blocks_are_spread(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    size_t block = param_slice_size(&w.rollout.net.table, 1) * sizeof(elem), taken = all_bytes(&w);
    struct streamed s;
    CHECK(streamed_plan(&s, &w.rollout.net.table, taken - block));
    int buffers = s.buffers;
    streamed_close(&s);
    CHECK(streamed_plan(&s, &w.rollout.net.table, taken - (3 - (size_t)buffers) * block)); /* 3 blocks leave */
    assert_int_equal(s.streamed, 3);
    for (int i = 1; i < LAYERS; i++) assert_false(s.away[i] && s.away[i + 1]);
    assert_false(s.away[0] || s.away[LAYERS + 1]);
    streamed_close(&s);
    close_world(&w);
}

static void too_little(void **state) {
    (void)state;
    struct world w;
    struct streamed s;
    open_world(&w);
    size_t least = least_bytes(&w.rollout.net.table);
    assert_int_equal(streamed_plan(&s, &w.rollout.net.table, least - 1), ERR_USAGE);
    assert_non_null(strstr(error_text(), "at least 1, of 0 in all")); /* MiB: this network has a few kilobytes */
    streamed_close(&s);
    assert_true(least < all_bytes(&w));
    close_world(&w);
}

static int read_failing(void *self, int slice, elem *device_to) {
    (void)self, (void)device_to;
    return slice == 4 ? error_set(ERR_INPUT, "slice 4 cannot be read") : OK;
}

static void a_failure_is_reported(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    open_streamed(&w, least_bytes(&w.rollout.net.table));
    w.streamed.store = (struct slice_store){.read = read_failing};
    assert_int_equal(
        rollout_begin(&w.rollout.rollout, &w.params, w.rollout.reference, w.rollout.frame, &w.rollout.condition),
        ERR_INPUT);
    assert_string_equal(error_text(), "slice 4 cannot be read");
    close_streamed(&w);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits), cmocka_unit_test(copies_ahead_of_use),
                                       cmocka_unit_test(streamed_blocks_are_spread), cmocka_unit_test(too_little),
                                       cmocka_unit_test(a_failure_is_reported)};
    return cmocka_run_group_tests(tests, start, NULL);
}
