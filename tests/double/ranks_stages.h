/* ranks_stages.h: data parallelism and sharding change nothing but the order of sums: a stage on 1, 2, 3 and 4 ranks,
   with ZeRO 0 to 3, in 1 part and in 4, over processes joined by tcp, against one process; batches that the ranks do
   not divide; block recompute on 2 ranks, offloaded optimisers on 3. And the tokens of every clip divided by 2, 3 and 4
   (sequence.h), with as many ranks and with more: seven tokens a frame and five heads, which none of them divides.
   Gradients of the first update and, after five updates, every master weight of every network: within 1e-12 of each
   tensor's norm. */
#ifndef TESTS_DOUBLE_RANKS_STAGES_H
#define TESTS_DOUBLE_RANKS_STAGES_H

#include "tests/stage_ranks.h"

enum { UPDATES = 5 };

/* Tensor by tensor; those whose values are all but nothing beside the network's are held to its norm. */
static inline void compare(const struct job *job, const double *x, const double *y, const struct job_result *r,
                           int network, const char *what) {
    double whole = job_norm(y, NULL, 0, r->count[network]);
    assert_true(whole > 0);
    for (int i = 0; i < r->tensors[network]; i++) {
        size_t from = job_start(r, network, i), to = r->end[network][i];
        double gap = job_norm(x, y, from, to), scale = job_norm(y, NULL, from, to);
        if (scale < 1e-3 * whole) scale = 1e-3 * whole;
        if (!(gap <= 1e-12 * scale))
            fail_msg("%s, network %d, tensor %d: %s differ by %.3g of %.3g", job_text(job), network, i, what, gap,
                     scale);
    }
}

static inline void same(const struct job *job, const struct job_result *want) {
    const struct job_result *have = job->result;
    double wanted = want->losses[job->updates - 1];
    assert_int_equal(have->networks, want->networks);
    assert_true(fabs(have->losses[job->updates - 1] - wanted) <= 1e-11 * fabs(wanted));
    for (int n = 0; n < want->networks; n++) {
        assert_int_equal(have->count[n], want->count[n]);
        compare(job, have->first[n], want->first[n], want, n, "gradients of the first update");
        compare(job, have->last[n], want->last[n], want, n, "weights after five updates");
    }
}

/* The job that left one->result, cut otherwise. */
static inline void check_cut(const struct job *one, struct job_cut cut, struct job_result *have) {
    struct job job = *one;
    job.cut = cut;
    job.result = have;
    job_run(&job);
    same(&job, one->result);
}

static inline void check_stage(enum job_stage stage) {
    struct job_result *want = job_result_new(), *have = job_result_new();
    static const struct { int accumulate, batch; } parts[] = {{1, 5}, {4, 17}};
    for (int p = 0; p < 2; p++) {
        struct job one = {
            .stage = stage, .cut = job_whole, .batch = parts[p].batch, .updates = UPDATES, .result = want};
        job_run(&one);
        for (int ranks = 1; ranks <= 4; ranks++)
            for (int zero = 0; zero <= (ranks > 1 ? 3 : 0); zero++)
                check_cut(&one,
                          (struct job_cut){.ranks = ranks,
                                           .zero = zero,
                                           .accumulate = parts[p].accumulate,
                                           .offload = ranks == 3,
                                           .recompute = ranks == 2 ? RECOMPUTE_BLOCK : RECOMPUTE_NONE},
                          have);
    }
    job_result_free(want);
    job_result_free(have);
}

/* Which ZeRO goes with which division turns with the stage; `all` of them with every one, whole batch and in four
   parts. */
static inline void check_sequence(enum job_stage stage, int all) {
    static const struct job_cut cuts[] = {{.ranks = 2, .sequence = 2, .accumulate = 4},
                                          {.ranks = 3, .sequence = 3, .accumulate = 1, .offload = 1},
                                          {.ranks = 4, .sequence = 4, .accumulate = 1},
                                          {.ranks = 4, .sequence = 2, .accumulate = 2}};
    struct job_result *want = job_result_new(), *have = job_result_new();
    struct job one = {.stage = stage, .cut = job_whole, .batch = 5, .updates = UPDATES, .heads = 5, .result = want};
    job_run(&one);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < (all ? 8 : 1); k++) {
            struct job_cut cut = cuts[i];
            cut.zero = all ? k / 2 : ((int)stage + i) % 4;
            if (all) cut.accumulate = k % 2 == 0 ? 1 : cut.ranks > cut.sequence ? 2 : 4;
            cut.recompute = (i + k) % 2 ? RECOMPUTE_BLOCK : RECOMPUTE_NONE;
            check_cut(&one, cut, have);
        }
    job_result_free(want);
    job_result_free(have);
}

#endif
