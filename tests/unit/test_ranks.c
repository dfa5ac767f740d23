/* test_ranks.c: in this build's number type, the gradients that the first update of every stage leaves on 2 and 3 ranks against
   those of one process: with samples of their own, and with the tokens of every clip divided (seven a frame, five heads). What
   may differ: the order of the sums over samples and tokens, and the roundings of a sample's own pass, whose matrix products
   are cut otherwise in smaller batches. Both are roundings on a value's way through the network, of which there are fewer
   than 64 in these three blocks forward and backward: 64 units of elem, tensor by tensor, where a tensor that is all but
   nothing beside the network's gradient is held to a hundredth of that one. */
#include "tests/stage_ranks.h"

static double unit(void) {
    elem one = elem_store(1);
    for (double u = 0.5;; u /= 2)
        if (elem_load(elem_store((real)(1 + u))) == elem_load(one)) return u;
}

static double norm(const double *x, const double *y, size_t from, size_t to) {
    double sum = 0;
    for (size_t i = from; i < to; i++) sum += (x[i] - (y ? y[i] : 0)) * (x[i] - (y ? y[i] : 0));
    return sqrt(sum);
}

/* A discriminator's penalties are differences of logits by the step h of 0.1 (job_config): their roundings come out 1 / h
   times as large (but never more than a quarter is allowed, which is 64 units of bf16). */
static double allowance(const struct job *job, int network) {
    double plain = 64 * unit();
    return job->stage == JOB_REFINE && network == 1 ? fmin(10 * plain, 0.25) : plain;
}

/* A tensor's distance, as a share of what is allowed. */
static double distance(const struct job *job, const struct job_result *want, int n, int i) {
    const double *x = job->result->first[n], *y = want->first[n];
    double whole = norm(y, NULL, 0, want->count[n]);
    size_t from = i ? want->end[n][i - 1] : 0, to = want->end[n][i];
    double gap = norm(x, y, from, to), scale = norm(y, NULL, from, to);
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
            if (!(d <= 1))
                fail_msg(
                    "%s, %d ranks, tokens by %d, zero %d, %d parts, network %d, tensor %d: %.3g of what is allowed",
                    job_stage_names[job->stage], job->ranks, job->sequence, job->zero, job->accumulate, n, i, d);
        }
}

/* One stage in one process, then divided. A control: twice the gradients, as if they were counted on both ranks. */
static void check_divided(enum job_stage stage, struct job_result *want, struct job_result *have) {
    static const struct { int ranks, sequence, zero, accumulate; } cuts[] = {{2, 2, 1, 4}, {3, 3, 3, 1}, {4, 2, 2, 2}};
    struct job one = {
        .stage = stage, .ranks = 1, .accumulate = 1, .batch = 5, .updates = 1, .heads = 5, .result = want};
    job_run(&one);
    struct job job = one;
    for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
        job.ranks = cuts[c].ranks;
        job.sequence = cuts[c].sequence;
        job.zero = cuts[c].zero;
        job.accumulate = cuts[c].accumulate;
        job.result = have;
        job_run(&job);
        compare(&job, want);
    }
    for (int n = 0; n < have->networks; n++)
        for (size_t i = 0; i < have->count[n]; i++) have->first[n][i] *= 2;
    assert_true(worst(&job, want) > 1);
}

static void first_gradients_divided(void **state) {
    (void)state;
    struct job_result *want = job_result_new(), *have = job_result_new();
    for (int stage = 0; stage < JOB_STAGES; stage++) check_divided((enum job_stage)stage, want, have);
    job_result_free(want);
    job_result_free(have);
}

static void first_gradients(void **state) {
    (void)state;
    static const struct { int ranks, zero, accumulate; } cuts[] = {{2, 0, 1}, {2, 3, 4}, {3, 1, 1}, {3, 2, 4}};
    struct job_result *want = job_result_new(), *have = job_result_new();
    for (int stage = 0; stage < JOB_STAGES; stage++) {
        struct job one = {
            .stage = (enum job_stage)stage, .ranks = 1, .accumulate = 1, .batch = 13, .updates = 1, .result = want};
        job_run(&one);
        for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
            struct job job = one;
            job.ranks = cuts[c].ranks;
            job.zero = cuts[c].zero;
            job.accumulate = cuts[c].accumulate;
            job.result = have;
            job_run(&job);
            compare(&job, want);
        }
    }
    job_result_free(want);
    job_result_free(have);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(first_gradients), cmocka_unit_test(first_gradients_divided)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
