/* test_sequence.c: exchanges of tokens for heads and for frames (model/params/sequence.h) on 2 to 4 ranks, value by
   value: frames of a full-size clip (638 tokens, a chunk's 1914), counts that nothing divides, more ranks than frames;
   three exchanges at once; groups that are parts of a job. Who may be in which group, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/dit/dit.h"
#include "model/params/sequence.h"
#include "model/params/transfer.h"
#include "tests/unit/ranks.h"

static const struct shape {
    long groups, tokens, heads, D;
} shapes[] = {{3, 638, 24, 2}, {1, 1914, 5, 3}, {4, 7, 5, 6}, {2, 4, 4, 1}, {1, 9, 7, 4}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static struct comm world;
static struct sequence seq;
static struct arena arena;
static struct sequence_slot slots[3];

/* A value that tells where it belongs; below 256 so that every number type holds it. */
static float value(long group, long token, long head, long i, int tensor) {
    return (float)((group * 131 + token * 17 + head * 5 + i * 3 + tensor * 29) % 251);
}

/* [G, tokens t0 .. t0 + T, heads h0 .. h0 + H, D] */
static float *part(const struct shape *s, long t0, long T, long h0, long H, int tensor) {
    float *x = malloc((size_t)(s->groups * T * H * s->D) * sizeof *x + 1);
    for (long g = 0, n = 0; g < s->groups; g++)
        for (long t = 0; t < T; t++)
            for (long h = 0; h < H; h++)
                for (long i = 0; i < s->D; i++) x[n++] = value(g, t0 + t, h0 + h, i, tensor);
    return x;
}
static void check(const elem *device, const float *want, long n) {
    float *have = malloc((size_t)n * sizeof *have + 1);
    transfer_from_elem(have, device, n);
    for (long i = 0; i < n; i++) CHECK(have[i] == want[i]);
    free(have);
}

static void join(int size, int ranks) {
    CHECK(!device_init(1));
    device_poison(1);
    CHECK(!comm_open(&world, &(struct comm_options){.timeout = 20}));
    CHECK(world.size == size);
    CHECK(!sequence_open(&seq, size, world.rank, ranks));
    CHECK(!sequence_join(&seq, &world));
    CHECK(ranks == 1 || (seq.comm.size == ranks && seq.comm.rank == world.rank % ranks && seq.rank == seq.comm.rank));
    arena_begin(&arena, "exchanges");
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 3; i++) sequence_slot_layout(&slots[i], 1 << 20, &arena);
        if (!pass) CHECK(!arena_commit(&arena));
    }
}
static int leave(void) {
    CHECK(!device_sync());
    arena_free(&arena);
    sequence_close(&seq);
    comm_close(&world);
    return 0;
}

/* To heads and back, in place, three tensors at once. */
static void heads(const struct shape *s) {
    long own = sequence_own(&seq, s->tokens), first = sequence_own_first(&seq, s->tokens);
    long heads = sequence_own(&seq, s->heads), head = sequence_own_first(&seq, s->heads);
    long rows = s->groups * own * s->heads * s->D, by_heads = s->groups * s->tokens * heads * s->D;
    elem *x[3];
    for (int k = 0; k < 3; k++) {
        float *host = part(s, first, own, 0, s->heads, k);
        x[k] = device_alloc((size_t)(rows > by_heads ? rows : by_heads) * sizeof(elem));
        transfer_to_elem(x[k], host, rows);
        CHECK(!sequence_start_heads(&seq, &slots[k], x[k], s->groups, s->tokens, s->heads, s->D));
        free(host);
    }
    for (int k = 0; k < 3; k++) {
        float *want = part(s, 0, s->tokens, head, heads, k);
        CHECK(!sequence_finish_heads(&seq, &slots[k], x[k]));
        check(x[k], want, by_heads);
        free(want);
    }
    for (int k = 0; k < 3; k++)
        CHECK(!sequence_start_tokens(&seq, &slots[k], x[k], s->groups, s->tokens, s->heads, s->D));
    for (int k = 0; k < 3; k++) {
        float *want = part(s, first, own, 0, s->heads, k);
        CHECK(!sequence_finish_tokens(&seq, &slots[k], x[k]));
        check(x[k], want, rows);
        free(want);
        device_free(x[k]);
    }
}

/* Rows to whole frames on every rank and back; to the rank's share of the frames and back. */
static void rows(const struct shape *s) {
    size_t width = (size_t)(s->heads * s->D) * sizeof(elem);
    long own = sequence_own(&seq, s->tokens), first = sequence_own_first(&seq, s->tokens);
    long n = s->groups * own * s->heads * s->D, all = s->groups * s->tokens * s->heads * s->D;
    long share = all / s->groups * sequence_own(&seq, s->groups), frame = sequence_own_first(&seq, s->groups);
    elem *x = device_alloc((size_t)n * sizeof(elem)), *whole = device_alloc((size_t)all * sizeof(elem));
    elem *frames = device_alloc((size_t)share * sizeof(elem) + 1);
    float *mine = part(s, first, own, 0, s->heads, 0), *want = part(s, 0, s->tokens, 0, s->heads, 0);
    transfer_to_elem(x, mine, n);
    CHECK(!sequence_gather(&seq, &slots[0], whole, x, s->groups, s->tokens, width));
    check(whole, want, all);
    mem_zero(x, (size_t)n * sizeof(elem));
    sequence_take(&seq, x, whole, s->groups, s->tokens, width);
    check(x, mine, n);
    CHECK(!sequence_to_frames(&seq, &slots[1], frames, x, s->groups, s->tokens, width));
    check(frames, want + all / s->groups * frame, share);
    mem_zero(x, (size_t)n * sizeof(elem));
    CHECK(!sequence_from_frames(&seq, &slots[2], x, frames, s->groups, s->tokens, width));
    check(x, mine, n);
    free(mine);
    free(want);
    device_free(x);
    device_free(whole);
    device_free(frames);
}

static int all_shapes(int rank, int size, void *context) {
    (void)rank;
    join(size, *(const int *)context);
    for (int i = 0; i < SHAPES; i++) {
        heads(&shapes[i]);
        rows(&shapes[i]);
    }
    return leave();
}

static void exchanges(void **state) {
    (void)state;
    static const int groups[][2] = {{2, 2}, {3, 3}, {4, 4}, {4, 2}, {6, 3}};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        int ranks = groups[i][1];
        assert_int_equal(ranks_run(groups[i][0], all_shapes, &ranks), 0);
    }
}

static void cut(void **state) {
    (void)state;
    static const long want[] = {160, 160, 159, 159};
    long sum = 0;
    for (int r = 0; r < 4; r++) {
        struct sequence s = {.ranks = 4, .rank = r};
        assert_int_equal(sequence_own(&s, 638), want[r]);
        assert_int_equal(sequence_own_first(&s, 638), sum);
        sum += want[r];
    }
    assert_int_equal(sequence_own(NULL, 638), 638);
    assert_int_equal(sequence_own_first(NULL, 638), 0);
}

static void refusals(void **state) {
    (void)state;
    struct sequence s;
    struct dit net = {.config = {.heads = 5, .height = 2, .width = 8}};
    assert_int_equal(sequence_open(&s, 6, 0, 4), ERR_USAGE);
    assert_non_null(strstr(error_text(), "6 processes cannot make groups of 4"));
    assert_int_equal(sequence_open(&s, 6, 4, 3), OK);
    assert_int_equal(s.rank, 1);
    assert_int_equal(dit_divide(&net, &s), OK);
    sequence_close(&s);
    assert_int_equal(sequence_open(&s, 6, 0, 6), OK);
    assert_int_equal(dit_divide(&net, &s), ERR_USAGE); /* five heads, four tokens */
    assert_non_null(strstr(error_text(), "6 ranks cannot divide 5 heads and 4 tokens"));
    sequence_close(&s);
    assert_int_equal(sequence_open(&s, 5, 0, 5), OK);
    assert_int_equal(dit_divide(&net, &s), ERR_USAGE);
    sequence_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(cut), cmocka_unit_test(refusals), cmocka_unit_test(exchanges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
