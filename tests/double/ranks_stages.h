/* ranks_stages.h: data parallelism and sharding change nothing but the order of sums: a stage on 1, 2, 3 and 4 ranks, with
   ZeRO 0 to 3, in 1 part and in 4, over processes joined by tcp, against one process; batches that the ranks do not divide;
   block recompute on 2 ranks, offloaded optimisers on 3. And the tokens of every clip divided by 2, 3 and 4 (sequence.h), with
   as many ranks and with more: seven tokens a frame and five heads, which none of them divides. Gradients of the first update and, after five updates, every
   master weight of every network: within 1e-12 of each tensor's norm. */
#ifndef TESTS_DOUBLE_RANKS_STAGES_H
#define TESTS_DOUBLE_RANKS_STAGES_H

#include "tests/stage_ranks.h"

enum { UPDATES = 5 };

static inline double norm(const double *x, const double *y, size_t from, size_t to) {
    double sum = 0;
    for (size_t i = from; i < to; i++) sum += (x[i] - (y ? y[i] : 0)) * (x[i] - (y ? y[i] : 0));
    return sqrt(sum);
}

/* Tensor by tensor; those whose values are all but nothing beside the network's are held to its norm. */
static inline void compare(const struct job *job, const double *x, const double *y, const struct job_result *r,
                           int network, const char *what) {
    double whole = norm(y, NULL, 0, r->count[network]);
    assert_true(whole > 0);
    for (int i = 0; i < r->tensors[network]; i++) {
        size_t from = i ? r->end[network][i - 1] : 0, to = r->end[network][i];
        double gap = norm(x, y, from, to), scale = norm(y, NULL, from, to);
        if (scale < 1e-3 * whole) scale = 1e-3 * whole;
        if (!(gap <= 1e-12 * scale))
            fail_msg(
                "%s, %d ranks, tokens by %d, zero %d, %d parts%s, network %d, tensor %d: %s differ by %.3g of %.3g",
                job_stage_names[job->stage], job->ranks, job->sequence, job->zero, job->accumulate,
                job->offload ? ", offloaded" : "", network, i, what, gap, scale);
    }
}

static inline void same(const struct job *job, const struct job_result *want) {
    const struct job_result *have = job->result;
    assert_int_equal(have->networks, want->networks);
    assert_true(fabs(have->loss - want->loss) <= 1e-11 * fabs(want->loss));
    for (int n = 0; n < want->networks; n++) {
        assert_int_equal(have->count[n], want->count[n]);
        compare(job, have->first[n], want->first[n], want, n, "gradients of the first update");
        compare(job, have->last[n], want->last[n], want, n, "weights after five updates");
    }
}

static inline void check_stage(enum job_stage stage) {
    struct job_result *want = job_result_new(), *have = job_result_new();
    static const struct { int accumulate, batch; } cuts[] = {{1, 5}, {4, 17}};
    for (int c = 0; c < 2; c++) {
        struct job one = {
            .stage = stage, .ranks = 1, .accumulate = 1, .batch = cuts[c].batch, .updates = UPDATES, .result = want};
        job_run(&one);
        for (int ranks = 1; ranks <= 4; ranks++)
            for (int zero = 0; zero <= (ranks > 1 ? 3 : 0); zero++) {
                struct job job = one;
                job.ranks = ranks;
                job.zero = zero;
                job.accumulate = cuts[c].accumulate;
                job.offload = ranks == 3;
                job.recompute = ranks == 2 ? RECOMPUTE_BLOCK : RECOMPUTE_NONE;
                job.result = have;
                job_run(&job);
                same(&job, want);
            }
    }
    job_result_free(want);
    job_result_free(have);
}

/* Which ZeRO goes with which division turns with the stage; `all` of them with every one, whole batch and in four parts. */
static inline void check_sequence(enum job_stage stage, int all) {
    static const struct { int ranks, sequence, accumulate; } cuts[] = {{2, 2, 4}, {3, 3, 1}, {4, 4, 1}, {4, 2, 2}};
    struct job_result *want = job_result_new(), *have = job_result_new();
    struct job one = {
        .stage = stage, .ranks = 1, .accumulate = 1, .batch = 5, .updates = UPDATES, .heads = 5, .result = want};
    job_run(&one);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < (all ? 8 : 1); k++) {
            struct job job = one;
            job.ranks = cuts[i].ranks;
            job.sequence = cuts[i].sequence;
            job.zero = all ? k / 2 : ((int)stage + i) % 4;
            job.accumulate = !all ? cuts[i].accumulate : k % 2 == 0 ? 1 : cuts[i].ranks > cuts[i].sequence ? 2 : 4;
            job.offload = job.ranks == 3;
            job.recompute = (i + k) % 2 ? RECOMPUTE_BLOCK : RECOMPUTE_NONE;
            job.result = have;
            job_run(&job);
            same(&job, want);
        }
    job_result_free(want);
    job_result_free(have);
}

#endif
