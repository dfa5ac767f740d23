/* test_rapr.c: which frames a chunk sees and at which positions: the tables of docs/model.md, by hand, and what must
   hold for every chunk. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/error.h"
#include "model/dit/rapr.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static const struct causal_config standard = {
    .chunk = 3, .sink = 4, .ring = 6, .rapr = RAPR_END, .rapr_cap = 9, .audio_lookahead = AUDIO_MARGIN};

/* A row of the table. */
struct row {
    int chunk;
    int sink;                      /* frames 0 .. sink-1 at 0 .. sink-1 */
    int ring_first, ring, ring_at; /* `ring` frames from ring_first, at ring_at .. */
    int current_at;                /* the chunk's first frame */
};

static void expect_row(const struct causal_config *config, const struct row *row) {
    struct causal_view v;
    causal_view(&v, config, row->chunk);
    assert_int_equal(v.pinned, row->sink);
    assert_int_equal(v.count, row->sink + row->ring);
    for (int i = 0; i < row->sink; i++) {
        assert_int_equal(v.frame[i], i);
        assert_int_equal(v.position[i], i);
    }
    for (int i = 0; i < row->ring; i++) {
        assert_int_equal(v.frame[row->sink + i], row->ring_first + i);
        assert_int_equal(v.position[row->sink + i], row->ring_at + i);
    }
    assert_int_equal(v.own, row->chunk == 1 && config->first_chunk ? config->first_chunk : config->chunk);
    for (int i = 0; i < v.own; i++) assert_int_equal(v.current[i], row->current_at + i);
}

static void expect_table(const struct causal_config *config, const struct row *rows, int count) {
    assert_int_equal(causal_check(config), OK);
    for (int i = 0; i < count; i++) expect_row(config, rows + i);
}

static void reading_1(void **state) {
    (void)state;
    static const struct row rows[] = {{1, 1, 0, 0, 0, 1},    {2, 4, 0, 0, 0, 4}, {3, 4, 4, 3, 4, 7},
                                      {4, 4, 4, 6, 1, 7},    {5, 4, 7, 6, 1, 7}, {6, 4, 10, 6, 1, 7},
                                      {100, 4, 292, 6, 1, 7}};
    expect_table(&standard, rows, COUNT(rows));
}

static void reading_2(void **state) {
    (void)state;
    struct causal_config config = standard;
    config.rapr = RAPR_START;
    static const struct row rows[] = {{1, 1, 0, 0, 0, 1}, {2, 4, 0, 0, 0, 4}, {3, 4, 4, 3, 4, 7},
                                      {4, 4, 4, 6, 3, 9}, {5, 4, 7, 6, 3, 9}, {100, 4, 292, 6, 3, 9}};
    expect_table(&config, rows, COUNT(rows));
}

static void reading_3(void **state) {
    (void)state;
    struct causal_config config = standard;
    config.rapr = RAPR_CONTEXT;
    static const struct row rows[] = {{1, 1, 0, 0, 0, 1},  {2, 4, 0, 0, 0, 4},  {3, 4, 4, 3, 4, 7},
                                      {4, 4, 4, 6, 4, 10}, {5, 4, 7, 6, 4, 10}, {100, 4, 292, 6, 4, 10}};
    expect_table(&config, rows, COUNT(rows));
}

/* The sink in one piece with what the chunk sees after it: below 0 once ring and chunk have moved back. */
static void sink_shifted(void **state) {
    (void)state;
    static const struct {
        int chunk, cap, ring, at; /* position of frame 0 */
    } rows[] = {{1, 9, 6, 0},    {2, 9, 6, 0},    {3, 9, 6, 0}, {4, 9, 6, -3}, {5, 9, 6, -3},
                {100, 9, 6, -3}, {100, 12, 6, 0}, {2, 9, 0, 0}, {9, 9, 0, 3}};
    for (int r = 0; r < COUNT(rows); r++) {
        struct causal_config config = standard, native = standard;
        struct causal_view v, w;
        config.ring = native.ring = rows[r].ring;
        config.rapr_cap = native.rapr_cap = rows[r].cap;
        config.sink_pos = SINK_SHIFTED;
        assert_int_equal(causal_check(&config), OK);
        causal_view(&v, &config, rows[r].chunk);
        causal_view(&w, &native, rows[r].chunk);
        for (int i = 0; i < v.count; i++) assert_int_equal(v.position[i], rows[r].at + i); /* no gap, none shared */
        assert_int_equal(v.current[0], rows[r].at + v.count);
        assert_int_equal(v.count, w.count);
        for (int i = 0; i < v.count; i++) assert_int_equal(v.frame[i], w.frame[i]);
        for (int i = v.pinned; i < v.count; i++) assert_int_equal(v.position[i], w.position[i]);
        for (int i = 0; i < config.chunk; i++) assert_int_equal(v.current[i], w.current[i]);
    }
}

static void off_is_absolute(void **state) {
    (void)state;
    struct causal_config config = standard;
    config.rapr = RAPR_OFF;
    static const struct row rows[] = {{1, 1, 0, 0, 0, 1},  {2, 4, 0, 0, 0, 4},  {3, 4, 4, 3, 4, 7},
                                      {4, 4, 4, 6, 4, 10}, {5, 4, 7, 6, 7, 13}, {100, 4, 292, 6, 292, 298}};
    expect_table(&config, rows, COUNT(rows));
}

static void reference_alone_in_the_sink(void **state) {
    (void)state;
    struct causal_config config = standard;
    config.sink = 1;
    static const struct row rows[] = {
        {1, 1, 0, 0, 0, 1}, {2, 1, 1, 3, 1, 4}, {3, 1, 1, 6, 1, 7}, {4, 1, 4, 6, 1, 7}, {50, 1, 142, 6, 1, 7}};
    expect_table(&config, rows, COUNT(rows));
}

static void no_sink_lets_the_reference_go(void **state) {
    (void)state;
    struct causal_config config = standard;
    config.sink = 0;
    static const struct row rows[] = {
        {1, 0, 0, 1, 0, 1}, {2, 0, 0, 4, 0, 4}, {3, 0, 1, 6, 1, 7}, {4, 0, 4, 6, 1, 7}, {50, 0, 142, 6, 1, 7}};
    expect_table(&config, rows, COUNT(rows));
}

static void frame_wise_chunks(void **state) {
    (void)state;
    struct causal_config config = {
        .chunk = 1, .sink = 2, .ring = 4, .rapr = RAPR_END, .rapr_cap = 5, .audio_lookahead = AUDIO_MARGIN};
    static const struct row rows[] = {{1, 1, 0, 0, 0, 1}, {2, 2, 0, 0, 0, 2}, {3, 2, 2, 1, 2, 3},  {5, 2, 2, 3, 2, 5},
                                      {6, 2, 2, 4, 1, 5}, {7, 2, 3, 4, 1, 5}, {90, 2, 86, 4, 1, 5}};
    expect_table(&config, rows, COUNT(rows));
}

/* Chunks of three behind a first one of one: frame 1, then 2 .. 4, 5 .. 7, and so on. */
static void a_short_first_chunk(void **state) {
    (void)state;
    struct causal_config config = standard;
    config.first_chunk = 1;
    config.sink = 2; /* the reference and the first chunk */
    static const struct row rows[] = {{1, 1, 0, 0, 0, 1}, {2, 2, 0, 0, 0, 2}, {3, 2, 2, 3, 2, 5},
                                      {4, 2, 2, 6, 1, 7}, {5, 2, 5, 6, 1, 7}, {100, 2, 290, 6, 1, 7}};
    expect_table(&config, rows, COUNT(rows));
    config.sink = 5; /* and the first whole chunk */
    static const struct row more[] = {{1, 1, 0, 0, 0, 1}, {2, 2, 0, 0, 0, 2}, {3, 5, 0, 0, 0, 5},
                                      {4, 5, 5, 3, 4, 7}, {5, 5, 5, 6, 1, 7}, {6, 5, 8, 6, 1, 7}};
    expect_table(&config, more, COUNT(more));
    config.sink = 1;
    config.rapr = RAPR_CONTEXT;
    static const struct row alone[] = {{1, 1, 0, 0, 0, 1}, {2, 1, 1, 1, 1, 2},  {3, 1, 1, 4, 1, 5},
                                       {4, 1, 2, 6, 2, 8}, {5, 1, 5, 6, 4, 10}, {6, 1, 8, 6, 4, 10}};
    expect_table(&config, alone, COUNT(alone));
    static const int clips[][2] = {{2, 1}, {5, 2}, {14, 5}, {1, 0}, {4, 0}, {13, 0}}; /* frames, chunks */
    for (int i = 0; i < COUNT(clips); i++) assert_int_equal(causal_chunks(&config, clips[i][0]), clips[i][1]);
}

/* What must hold of one view; returns its largest position. */
static int check_view(const struct causal_config *config, int chunk) {
    struct causal_view v;
    causal_view(&v, config, chunk);
    int first = chunk == 1 || !config->first_chunk ? (chunk - 1) * config->chunk + 1
                                                   : 1 + config->first_chunk + (chunk - 2) * config->chunk;
    int largest = 0;
    for (int h = 0; h < v.count; h++) {
        assert_true(v.frame[h] < first && (h == 0 || v.frame[h] > v.frame[h - 1])); /* each frame once */
        assert_int_equal(v.frame[h] < config->sink, h < v.pinned); /* in the sink or in the ring, never both */
        assert_true(v.position[h] >= 0 && v.position[h] <= v.frame[h]);
        if (v.position[h] > largest) largest = v.position[h];
    }
    assert_int_equal(v.pinned, config->sink < first ? config->sink : first); /* the sink is never evicted */
    int rest = first - v.pinned; /* the ring takes as many of the others as it can */
    assert_int_equal(v.count - v.pinned, rest < config->ring ? rest : config->ring);
    if (v.count > v.pinned) assert_int_equal(v.frame[v.count - 1], first - 1);
    assert_int_equal(v.first, first);
    for (int k = 0; k < v.own; k++)
        if (v.current[k] > largest) largest = v.current[k];
    return largest;
}

/* The bounds of rapr.h, reached and never passed. */
static void bounds_hold_for_every_chunk(void **state) {
    (void)state;
    static const int sinks[] = {4, 1, 0, 7, 2, 5}, chunks[] = {3, 6, 2, 1};
    int tried = 0;
    for (int mode = RAPR_END; mode <= RAPR_CONTEXT; mode++)
        for (int s = 0; s < COUNT(sinks); s++)
            for (int c = 0; c < COUNT(chunks); c++)
                for (int cap = 4; cap <= 36; cap++) { /* 4 to 14, with a first chunk of 0 (whole), 1 and 2 frames */
                    struct causal_config config = {chunks[c],   sinks[s],     6, (enum rapr_mode)mode, cap,
                                                   SINK_NATIVE, AUDIO_MARGIN, 0};
                    if (causal_check(&config)) continue;
                    tried++;
                    int C = config.chunk, largest = 0;
                    int D = config.rapr_cap, bound = mode == RAPR_END ? D : mode == RAPR_START ? D + C - 1 : D + C;
                    for (int i = 1; i <= 200; i++) {
                        int here = check_view(&config, i);
                        if (here > largest) largest = here;
                    }
                    assert_int_equal(largest, bound);
                }
    assert_true(tried > 100);
    for (int i = 1; i <= 200; i++)
        check_view(&(struct causal_config){3, 4, 6, RAPR_OFF, 0, SINK_NATIVE, AUDIO_MARGIN, 0}, i);
}

static void expect_refused(struct causal_config config) { assert_int_equal(causal_check(&config), ERR_USAGE); }

static void bad_configs_are_refused(void **state) {
    (void)state;
    expect_refused((struct causal_config){3, 3, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN,
                                          0}); /* the sink's end cuts the first chunk in two */
    expect_refused((struct causal_config){3, 4, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 1}); /* the same */
    expect_refused((struct causal_config){3, 1, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 4});
    expect_refused((struct causal_config){3, 1, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, -1});
    expect_refused((struct causal_config){3, 1, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN + 1, 0});
    expect_refused((struct causal_config){3, 1, 6, RAPR_END, 9, SINK_NATIVE, -1, 0});
    expect_refused((struct causal_config){3, -2, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0});
    expect_refused((struct causal_config){3, INT_MAX - 3, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0});
    expect_refused((struct causal_config){3, 4, HISTORY_MAX, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0});
    expect_refused((struct causal_config){3, 4, -1, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0});
    expect_refused((struct causal_config){3, 0, 0, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0});
    expect_refused((struct causal_config){0, 1, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0});
    expect_refused((struct causal_config){3, 4, 6, RAPR_END, 7, SINK_NATIVE, AUDIO_MARGIN,
                                          0}); /* the ring's oldest frame would stand at -1 */
    expect_refused((struct causal_config){3, 4, 6, RAPR_START, 5, SINK_NATIVE, AUDIO_MARGIN, 0});
    expect_refused((struct causal_config){3, 4, 6, RAPR_CONTEXT, INT_MIN, SINK_NATIVE, AUDIO_MARGIN, 0});
    struct causal_config off = {3, 4, 6, RAPR_OFF, INT_MIN, SINK_NATIVE, AUDIO_MARGIN, 0};
    assert_int_equal(causal_check(&off), OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_1),
        cmocka_unit_test(reading_2),
        cmocka_unit_test(reading_3),
        cmocka_unit_test(sink_shifted),
        cmocka_unit_test(off_is_absolute),
        cmocka_unit_test(reference_alone_in_the_sink),
        cmocka_unit_test(no_sink_lets_the_reference_go),
        cmocka_unit_test(frame_wise_chunks),
        cmocka_unit_test(a_short_first_chunk),
        cmocka_unit_test(bounds_hold_for_every_chunk),
        cmocka_unit_test(bad_configs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
