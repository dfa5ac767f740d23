/* test_ranks.c: in this build's number type, the gradients that the first update of every stage leaves on 2 and 3 ranks
   against those of one process: with samples of their own, and with the tokens of every clip divided (seven a frame,
   five heads). What may differ: the order of the sums over samples and tokens, and the roundings of a sample's own
   pass, whose matrix products are cut otherwise in smaller batches. Both are roundings on a value's way through the
   network, of which there are fewer than 64 in these three blocks forward and backward: 64 units of elem, tensor by
   tensor, where a tensor that is all but nothing beside the network's gradient is held to a hundredth of that one.
   Where CUDA's kernels run on the host, which takes long, the teacher stands for all: there the collectives, over a
   fake of NCCL, are under way beside streams that begin as late as they may. */
#include "tests/stage_ranks.h"

static int stages(void) { return strncmp(device_name(), "cuda", 4) ? JOB_STAGES : 1; }

static double unit(void) {
    elem one = elem_store(1);
    for (double u = 0.5;; u /= 2)
        if (elem_load(elem_store((real)(1 + u))) == elem_load(one)) return u;
}

/* A discriminator's penalties are differences of logits by the step h of 0.1 (job_config): their roundings come out 1 /
   h times as large (but never more than a quarter is allowed, which is 64 units of bf16). */
static double allowance(const struct job *job, int network) {
    double plain = 64 * unit();
    return job->stage == JOB_REFINE && network == 1 ? fmin(10 * plain, 0.25) : plain;
}

/* A tensor's distance, as a share of what is allowed. */
static double distance(const struct job *job, const struct job_result *want, int n, int i) {
    const double *x = job->result->first[n], *y = want->first[n];
    double whole = job_norm(y, NULL, 0, want->count[n]);
    size_t from = job_start(want, n, i), to = want->end[n][i];
    double gap = job_norm(x, y, from, to), scale = job_norm(y, NULL, from, to);
    if (scale < 1e-2 * whole) scale = 1e-2 * whole;
    return gap / (allowance(job, n) * scale); /* NaN, and never below 1, when the network has no gradient at all */
}

static double worst(const struct job *job, const struct job_result *want) {
    double worst = 0;
    for (int n = 0; n < want->networks; n++)
        for (int i = 0; i < want->tensors[n]; i++) worst = fmax(worst, distance(job, want, n, i));
    return worst;
}

static void compare(const struct job *job, const struct job_result *want) {
    for (int n = 0; n < want->networks; n++)
        for (int i = 0; i < want->tensors[n]; i++) {
            double d = distance(job, want, n, i);
            if (!(d <= 1)) fail_msg("%s, network %d, tensor %d: %.3g of what is allowed", job_text(job), n, i, d);
        }
}

/* One stage in one process, then cut. Returns the last of those jobs, whose result is `have`. */
static struct job check_cuts(const struct job *one, const struct job_cut *cuts, int count, struct job_result *have) {
    struct job job = *one;
    job_run(&job);
    job.result = have;
    for (int c = 0; c < count; c++) {
        job.cut = cuts[c];
        job_run(&job);
        compare(&job, one->result);
    }
    return job;
}

static void first_gradients(void **state) {
    (void)state;
    static const struct job_cut cuts[] = {{.ranks = 2, .zero = 0, .accumulate = 1},
                                          {.ranks = 2, .zero = 3, .accumulate = 4},
                                          {.ranks = 3, .zero = 1, .accumulate = 1},
                                          {.ranks = 3, .zero = 2, .accumulate = 4}};
    struct job_result *want = job_result_new(), *have = job_result_new();
    for (int stage = 0; stage < stages(); stage++) {
        struct job one = {.stage = (enum job_stage)stage, .cut = job_whole, .batch = 13, .updates = 1, .result = want};
        check_cuts(&one, cuts, sizeof cuts / sizeof *cuts, have);
    }
    job_result_free(want);
    job_result_free(have);
}

/* A control: twice the gradients, as if they were counted on both ranks. */
static void first_gradients_divided(void **state) {
    (void)state;
    static const struct job_cut cuts[] = {{.ranks = 2, .sequence = 2, .zero = 1, .accumulate = 4},
                                          {.ranks = 3, .sequence = 3, .zero = 3, .accumulate = 1},
                                          {.ranks = 4, .sequence = 2, .zero = 2, .accumulate = 2}};
    struct job_result *want = job_result_new(), *have = job_result_new();
    for (int stage = 0; stage < stages(); stage++) {
        struct job one = {
            .stage = (enum job_stage)stage, .cut = job_whole, .batch = 5, .updates = 1, .heads = 5, .result = want};
        struct job last = check_cuts(&one, cuts, sizeof cuts / sizeof *cuts, have);
        for (int n = 0; n < have->networks; n++)
            for (size_t i = 0; i < have->count[n]; i++) have->first[n][i] *= 2;
        assert_true(worst(&last, want) > 1);
    }
    job_result_free(want);
    job_result_free(have);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(first_gradients), cmocka_unit_test(first_gradients_divided)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
