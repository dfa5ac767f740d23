/* stage_trace.c: what every stage's first updates make of a tiny network, for holding one build against another:
   another backend, another type, another machine.
     stage_trace write FILE             runs teacher, ode_init, distill (SiD, DMD) and refine, small and wide, and a
     longer
                                        run of the wide teacher
     stage_trace compare A B ALLOWED    one line a stage and network: relative difference of the first update's
     gradients
                                        and of the weights' change over all updates (root of the sums of
                                        squares, and the worst tensor's gradient), and of the loss; of the longer
                                        run every loss. Exit 1 when one is above ALLOWED, or not finite
   Batches and weights are random numbers by address, so that every build has the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/stage_ranks.h"

enum { UPDATES = 3, WIDTHS = 2, RUN = 20 };
static const char magic[16] = "stage trace 2\n";

/* ---- write ---- */

static int put(FILE *file, const void *from, size_t bytes) { return fwrite(from, 1, bytes, file) == bytes; }

/* A result without the room that it does not use. */
static int put_result(FILE *file, const struct job_result *r) {
    int ok = put(file, &r->networks, sizeof r->networks) && put(file, &r->losses[UPDATES - 1], sizeof r->losses[0]);
    for (int n = 0; n < r->networks && ok; n++)
        ok = put(file, &r->count[n], sizeof r->count[n]) && put(file, &r->tensors[n], sizeof r->tensors[n]) &&
             put(file, r->end[n], (size_t)r->tensors[n] * sizeof *r->end[n]) &&
             put(file, r->first[n], r->count[n] * sizeof *r->first[n]) &&
             put(file, r->last[n], r->count[n] * sizeof *r->last[n]);
    return ok;
}

/* The wide teacher's first RUN updates: their losses. */
static int put_run(FILE *file) {
    struct job job = {
        .stage = JOB_TEACHER, .cut = job_whole, .batch = 8, .updates = RUN, .wide = 1, .result = job_result_new()};
    job_rank(0, 1, &job);
    int ok = put(file, job.result->losses, RUN * sizeof job.result->losses[0]);
    job_result_free(job.result);
    return ok;
}

static int write_trace(const char *path) {
    FILE *file = fopen(path, "wb");
    if (!file) return fprintf(stderr, "stage_trace: %s cannot be written\n", path), 3;
    int ok = put(file, magic, sizeof magic);
    for (int wide = 0; wide < WIDTHS; wide++)
        for (int s = 0; s < JOB_STAGES && ok; s++) {
            struct job job = {
                .stage = s, .cut = job_whole, .batch = 3, .updates = UPDATES, .wide = wide, .result = job_result_new()};
            job_rank(0, 1, &job);
            ok = put_result(file, job.result);
            job_result_free(job.result);
        }
    ok = ok && put_run(file);
    if (fclose(file)) ok = 0;
    if (!ok) fprintf(stderr, "stage_trace: %s: the write failed\n", path);
    return ok ? 0 : 3;
}

/* ---- compare ---- */

static int get(FILE *file, void *to, size_t bytes) { return fread(to, 1, bytes, file) == bytes; }

static int get_result(FILE *file, struct job_result *r) {
    memset(r, 0, sizeof *r);
    int ok = get(file, &r->networks, sizeof r->networks) && get(file, &r->losses[UPDATES - 1], sizeof r->losses[0]) &&
             r->networks >= 0 && r->networks <= JOB_NETWORKS;
    for (int n = 0; n < r->networks && ok; n++) {
        ok = get(file, &r->count[n], sizeof r->count[n]) && get(file, &r->tensors[n], sizeof r->tensors[n]) &&
             r->count[n] <= JOB_VALUES && r->tensors[n] >= 0 && r->tensors[n] <= JOB_TENSORS &&
             get(file, r->end[n], (size_t)r->tensors[n] * sizeof *r->end[n]) &&
             get(file, r->first[n], r->count[n] * sizeof *r->first[n]) &&
             get(file, r->last[n], r->count[n] * sizeof *r->last[n]);
        for (int t = 0; t < r->tensors[n] && ok; t++) ok = r->end[n][t] <= r->count[n];
    }
    return ok;
}

/* |a - b| / |b| over values [from, to) */
static double apart(const double *a, const double *b, size_t from, size_t to) {
    double off = job_norm(a, b, from, to), size = job_norm(b, NULL, from, to);
    return size > 0 ? off / size : off;
}

/* Tensors whose gradient is under a thousandth of the network's are rounding: they count in the sum alone. */
static double worst_tensor(const struct job_result *a, const struct job_result *b, int n, int *which) {
    double worst = 0, whole = job_norm(b->first[n], NULL, 0, b->count[n]);
    for (int t = 0; t < b->tensors[n]; t++) {
        size_t from = job_start(b, n, t), to = b->end[n][t];
        int counts = job_norm(b->first[n], NULL, from, to) > 1e-3 * whole;
        double off = counts ? apart(a->first[n], b->first[n], from, to) : 0;
        if (off > worst || isnan(off)) worst = off, *which = t; /* nothing is above NaN */
    }
    return worst;
}

/* 1: within what is allowed. The discriminator's penalties divide differences of logits by their step of 0.1, and so
   the rounding of the logits: it is allowed ten times as much. */
static int compare_results(const struct job_result *a, const struct job_result *b, enum job_stage kind, int wide,
                           double base) {
    const char *stage = job_stage_names[kind];
    if (a->networks != b->networks || a->count[0] != b->count[0])
        return printf("FAIL  %-12s the two are of different networks\n", stage), 0;
    int good = 1;
    for (int n = 0; n < b->networks; n++) {
        int which = 0;
        double allowed = kind == JOB_REFINE && n == 1 ? 10 * base : base;
        double gradient = apart(a->first[n], b->first[n], 0, b->count[n]), worst = worst_tensor(a, b, n, &which);
        double weights = apart(a->last[n], b->last[n], 0, b->count[n]);
        double loss = fabs(a->losses[UPDATES - 1] - b->losses[UPDATES - 1]) / fabs(b->losses[UPDATES - 1]);
        int ok = gradient <= allowed && worst <= 4 * allowed && weights <= allowed && loss <= allowed;
        printf("%s  %-12s %-5s network %d: gradients %.2e (tensor %d: %.2e), weights %.2e, loss %.2e\n",
               ok ? "ok  " : "FAIL", stage, wide ? "wide" : "small", n, gradient, which, worst, weights, loss);
        good &= ok;
    }
    return good;
}

/* Losses of a training run, each against the other's of the same update. In bf16 either may be 2^-8 from what exact
   arithmetic gives (half a unit in weights, as much in activations; measured against float: 2.5e-3). They fall by a
   quarter, which a run that does not learn would miss by far more. */
static int compare_runs(const double *a, const double *b, double most) {
    double allowed = fmin(most, 1.0 / 128), worst = 0, first = 0, last = 0;
    int which = 0;
    for (int i = 0; i < RUN; i++) {
        double off = fabs(a[i] - b[i]) / fabs(b[i]);
        if (off > worst || isnan(off)) worst = off, which = i; /* nothing is above NaN */
        *(i < RUN / 2 ? &first : &last) += b[i] / (RUN / 2);
    }
    int ok = worst <= allowed && last < 0.9 * first;
    printf("%s  %d updates of the teacher: losses differ by %.2e at most (update %d); they fall from %.4f to %.4f "
           "(halves)\n",
           ok ? "ok  " : "FAIL", RUN, worst, which, first, last);
    return ok;
}

static int compare_traces(const char *path_a, const char *path_b, double allowed) {
    static struct job_result a, b;
    char head[sizeof magic];
    FILE *file_a = fopen(path_a, "rb"), *file_b = fopen(path_b, "rb");
    int readable = file_a && file_b && get(file_a, head, sizeof head) && !memcmp(head, magic, sizeof magic) &&
                   get(file_b, head, sizeof head) && !memcmp(head, magic, sizeof magic);
    int good = 1;
    for (int i = 0; i < WIDTHS * JOB_STAGES && readable; i++) {
        readable = get_result(file_a, &a) && get_result(file_b, &b);
        if (readable) good &= compare_results(&a, &b, i % JOB_STAGES, i / JOB_STAGES, allowed);
    }
    double run_a[RUN], run_b[RUN];
    readable = readable && get(file_a, run_a, sizeof run_a) && get(file_b, run_b, sizeof run_b);
    if (readable) good &= compare_runs(run_a, run_b, allowed);
    if (file_a) fclose(file_a);
    if (file_b) fclose(file_b);
    if (!readable) return fprintf(stderr, "stage_trace: %s or %s is not a whole trace\n", path_a, path_b), 3;
    return !good;
}

int main(int argc, char **argv) {
    device_deterministic(argc == 4 && !strcmp(argv[3], "deterministic"));
    if ((argc == 3 || argc == 4) && !strcmp(argv[1], "write")) return write_trace(argv[2]);
    if (argc == 5 && !strcmp(argv[1], "compare")) return compare_traces(argv[2], argv[3], atof(argv[4]));
    fprintf(stderr, "usage: stage_trace write FILE [deterministic] | compare A B ALLOWED\n");
    return 2;
}
