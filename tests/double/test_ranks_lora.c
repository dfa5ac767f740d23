/* test_ranks_lora.c: every stage through adapters, on several ranks and with every way to divide networks, and with
   clips' tokens divided, against one process (ranks_stages.h): adapters, parameters trained whole, discriminator's
   heads; critic and discriminator over the one frozen teacher. Also: it is the adapters that train, and an averaged
   student is what merging by hand gives. */
#include "tests/double/ranks_stages.h"

static void check_adapters(enum job_stage stage) {
    static const struct job_cut cuts[] = {
        {.ranks = 2, .zero = 0, .accumulate = 1},
        {.ranks = 2, .zero = 1, .accumulate = 2, .recompute = RECOMPUTE_BLOCK},
        {.ranks = 2, .zero = 2, .accumulate = 2},
        {.ranks = 2, .zero = 3, .accumulate = 1, .recompute = RECOMPUTE_BLOCK},
        {.ranks = 3, .zero = 3, .accumulate = 1, .offload = 1},
    };
    static const struct job_cut divided = {
        .ranks = 2, .zero = 3, .accumulate = 2, .sequence = 2, .recompute = RECOMPUTE_BLOCK};
    struct job one = {.stage = stage, .cut = job_whole, .batch = 7, .updates = UPDATES, .lora = 2};
    struct job_result *want = one.result = job_result_new(), *have = job_result_new();
    job_run(&one);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) check_cut(&one, cuts[i], have);
    struct job whole = one;
    whole.lora = 0;
    whole.result = have;
    job_run(&whole);
    assert_true(want->count[0] < have->count[0]);
    one.heads = 3;
    one.batch = 2;
    job_run(&one);
    check_cut(&one, divided, have);
    job_result_free(want);
    job_result_free(have);
}

static void teacher(void **state) {
    (void)state;
    check_adapters(JOB_TEACHER);
}
static void ode_init(void **state) {
    (void)state;
    check_adapters(JOB_ODE);
}
static void distill(void **state) {
    (void)state;
    check_adapters(JOB_DISTILL_SID);
}
static void distill_dmd(void **state) {
    (void)state;
    check_adapters(JOB_DISTILL_DMD);
}
static void refine(void **state) {
    (void)state;
    check_adapters(JOB_REFINE);
}

/* The average as a network's weights: the frozen ones and scale B A of the averaged factors, summed on the host. */
static int average_rank(int rank, int size, void *context) {
    static struct job_world w;
    struct sharded shown = {.all = NULL};
    struct arena arena;
    (void)rank, (void)size;
    job_open(&w, context);
    for (int step = 0; step < 3; step++) job_update(&w, step);
    struct optimiser *o = &w.teacher.optimiser;
    arena_begin(&arena, "average");
    CHECK(!shard_layout_frozen(&shown, "average", o->net, &w.shards, &arena) && !arena_commit(&arena));
    CHECK(!shard_layout_frozen(&shown, "average", o->net, &w.shards, &arena));
    optimiser_average(o, &shown);
    float *own = calloc(o->table->total, sizeof *own), *made = calloc(o->net->total, sizeof *made);
    CHECK(own && made);
    for (int s = 0; s < o->table->slices; s++)
        CHECK(!optimiser_read(o, OPTIMISER_EMA, s, own + o->table->slice_offset[s]));
    transfer_from_elem(made, shown.weights, (long)o->net->total);
    int changed = 0;
    for (int s = 0; s < o->net->slices; s++) {
        float *base = job_weights(o->net, s, 20);
        for (int i = 0; i < o->net->count; i++) {
            const struct param *p = &o->net->list[i];
            if (p->slice != s) continue;
            double frozen = base[p->offset];
            lora_merge_values(&o->lora, i, 0, p->count, own, base + p->offset);
            changed += frozen != (double)base[p->offset];
            for (size_t k = 0; k < p->count; k++) /* a few roundings to float */
                CHECK(fabs((double)base[p->offset + k] - (double)made[param_position(o->net, p) + k]) < 2e-6);
        }
        free(base);
    }
    CHECK(changed > 10);
    size_t n = o->net->slice_offset[2] - o->net->slice_offset[1], moved = 0;
    elem *now = malloc(n * sizeof *now);
    CHECK(now);
    const struct params merged = lora_params(&o->lora);
    mem_download(now, params_acquire(&merged, 1), n * sizeof *now);
    params_release(&merged, 1);
    for (size_t i = 0; i < n; i++) moved += fabs(now[i] - (double)made[o->net->slice_offset[1] + i]) > 1e-5;
    CHECK(moved > n / 4); /* the network runs on the raw weights again */
    free(now);
    free(own);
    free(made);
    shard_free(&shown);
    arena_free(&arena);
    job_close(&w);
    return 0;
}

static void average_is_merged(void **state) {
    (void)state;
    struct job job = {.stage = JOB_TEACHER, .cut = job_whole, .batch = 2, .updates = 3, .lora = 2};
    assert_int_equal(ranks_run(1, average_rank, &job), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(teacher), cmocka_unit_test(ode_init),
                                       cmocka_unit_test(distill), cmocka_unit_test(distill_dmd),
                                       cmocka_unit_test(refine),  cmocka_unit_test(average_is_merged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
