/* kernel_harness.h: holds this backend's kernels against the double oracle (kernels/oracle.h), for test_kernels_*.c.
   A test program is a table of cases; a case is a body that makes buffers, calls the kernel and its oracle, and says
   how far apart the results may be. Every case runs at all its sizes and variants, with aligned and unaligned pointers
   and with 1, 2, 3 and 5 threads, each twice: the second run must give the same bits. Where the kernels of CUDA run on
   the host (tests/shim) the number picks the order of threads, and all must give the same. On a device it means
   nothing, so there everything runs once, in one block of memory that all trials share: the time there is short, and
   what two runs give is compared by tests/gpu/stage_trace.c. Outputs and all between the buffers start as NaN; outputs
   must be written wholly and not beyond; inputs must stay as they are.
   Tolerances. An output of type T may be off by unit(T) |want|, the rounding of the output itself, plus `noise`. A sum
   of L terms, in any order, carries at most about c sqrt(L) unit(real) sum |terms|, where c = 4 makes failure by chance
   practically impossible (Higham & Mary 2019); slack() adds 8 for the few operations around the sum. Sums of magnitudes
   come from the oracle itself, run on the magnitudes of the inputs: that is exact for what is linear in each input. */
#ifndef TESTS_KERNEL_HARNESS_H
#define TESTS_KERNEL_HARNESS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/philox.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/oracle.h"

enum number { ELEM, RESID, REAL, BYTE };
enum role {
    INPUT,  /* must stay as it is */
    OUTPUT, /* starts as NaN */
    UPDATED /* starts with values: "+=" and in-place operations */
};
enum { BUFFERS_MAX = 48, GUARD_BYTES = 128, CASE_SIZES = 8, SIZES_MAX = 24, VARIANTS_MAX = 16 };

struct buffer {
    enum number number;
    enum role role;
    long n;
    double *value;     /* the oracle's side, exactly what the device type can hold; after the call: what is wanted */
    double *magnitude; /* |value| of inputs; for outputs what a body puts there */
    double *noise;     /* allowed beyond the rounding of the output */
    size_t from, at, end, to; /* in the trial's block: from - guard - numbers - guard - to */
    void *device;
};

struct trial {
    int variant; /* 0 .. variants - 1 of the case */
    long offset; /* elements by which pointers are off their alignment */
    uint64_t seed;
    uint32_t drawn;
    int count, failures, quiet;
    uint64_t digest; /* digest of all bytes afterwards */
    struct buffer buffer[BUFFERS_MAX];
    /* One block for all buffers, and what it held at first: a kernel call costs a GUARD=1 build time for every
       block. */
    unsigned char *device, *start;
    size_t bytes;
};

struct kernel_case {
    const char *name;
    void (*body)(struct trial *trial, const long *size);
    int variants;                    /* 0 counts as 1 */
    const long (*sizes)[CASE_SIZES]; /* ended by a row of zeros */
};

static inline size_t number_size(enum number t) {
    return t == BYTE ? 1 : t == ELEM ? sizeof(elem) : t == RESID ? sizeof(resid) : sizeof(real);
}

/* Largest relative error of rounding to the type; bytes must be those that are wanted. */
static inline double unit(enum number t) {
    size_t size = number_size(t);
    return size == 2 ? 0x1p-8 : size == 4 ? 0x1p-24 : 0x1p-53;
}

static inline double slack(long terms) { return (8 + 4 * sqrt((double)terms)) * unit(REAL); }

static inline void encode(unsigned char *to, enum number t, double value) {
    elem e = elem_store((real)value);
    resid r = (resid)value;
    real v = (real)value;
    if (t == BYTE)
        *to = (unsigned char)value;
    else
        memcpy(to, t == ELEM ? (void *)&e : t == RESID ? (void *)&r : (void *)&v, number_size(t));
}

static inline double decode(const unsigned char *from, enum number t) {
    elem e;
    resid r;
    real v;
    if (t == BYTE) return *from;
    if (t == ELEM) return memcpy(&e, from, sizeof e), elem_load(e);
    if (t == RESID) return memcpy(&r, from, sizeof r), r;
    return memcpy(&v, from, sizeof v), v;
}

static inline double rounded(enum number t, double value) {
    unsigned char bytes[8];
    encode(bytes, t, value);
    return decode(bytes, t);
}

/* In [0, 1), the next of the trial. */
static inline double draw(struct trial *trial) {
    struct random_address address = {.seed = trial->seed, .purpose = RANDOM_TEST};
    return random_uniform(&address, trial->drawn++);
}

/* n numbers, in [-1, 1) but for outputs; n = 0 is allowed. */
static inline struct buffer *make(struct trial *trial, enum number t, enum role role, long n) {
    assert_true(trial->count < BUFFERS_MAX);
    struct buffer *b = &trial->buffer[trial->count++];
    *b = (struct buffer){.number = t, .role = role, .n = n};
    b->value = malloc(sizeof(double) * (size_t)(n + 1));
    b->magnitude = malloc(sizeof(double) * (size_t)(n + 1));
    b->noise = calloc((size_t)n + 1, sizeof(double));
    assert_true(b->value && b->magnitude && b->noise);
    for (long i = 0; i < n; i++) {
        b->value[i] = role == OUTPUT ? (double)NAN : rounded(t, 2 * draw(trial) - 1);
        b->magnitude[i] = fabs(b->value[i]);
    }
    return b;
}

/* The numbers become low + (high - low) (v + 1)/2. */
static inline void spread(struct buffer *b, double low, double high) {
    for (long i = 0; i < b->n; i++) {
        b->value[i] = rounded(b->number, low + (high - low) * (b->value[i] + 1) / 2);
        b->magnitude[i] = fabs(b->value[i]);
    }
}

static inline void put(struct buffer *b, long i, double value) {
    b->value[i] = rounded(b->number, value);
    b->magnitude[i] = fabs(b->value[i]);
}

/* Made only when the variant's bit is clear; NULL stands for "not wanted" with all functions here. */
static inline struct buffer *make_unless(struct trial *trial, int bit, enum number t, enum role role, long n) {
    return trial->variant >> bit & 1 ? NULL : make(trial, t, role, n);
}

static inline void *dev(const struct buffer *b) { return b ? b->device : NULL; }
static inline double *val(const struct buffer *b) { return b ? b->value : NULL; }
static inline double *mag(const struct buffer *b) { return b ? b->magnitude : NULL; }

static inline int on_device(void) { return strcmp(device_name(), "cuda") == 0; }

/* The device's memory for all trials, as much as the largest has wanted: to make and free it costs more than most
   kernels. */
static struct {
    unsigned char *device;
    size_t bytes;
} shared_memory;

static inline unsigned char *trial_memory(size_t bytes) {
    if (!on_device()) return device_alloc(bytes); /* an allocation of its own, beyond whose end nothing is mapped */
    if (bytes > shared_memory.bytes) {
        device_free(shared_memory.device);
        shared_memory.device = device_alloc(2 * bytes);
        shared_memory.bytes = shared_memory.device ? 2 * bytes : 0;
    }
    return shared_memory.device;
}

static inline void trial_memory_done(unsigned char *device) {
    if (device != shared_memory.device) device_free(device);
}

/* Puts all buffers on the device. Outputs and everything between the buffers are NaN: who reads there, shows it. */
static inline void load(struct trial *trial) {
    for (int k = 0; k < trial->count; k++) {
        struct buffer *b = &trial->buffer[k];
        size_t size = number_size(b->number);
        b->from = trial->bytes;
        b->at = b->from + GUARD_BYTES + (size_t)trial->offset * size;
        b->end = b->at + (size_t)b->n * size;
        b->to = trial->bytes = (b->end + GUARD_BYTES + 63) / 64 * 64;
    }
    trial->device = trial_memory(trial->bytes);
    trial->start = malloc(trial->bytes + 1);
    assert_true(trial->device && trial->start);
    memset(trial->start, 0xff, trial->bytes);
    for (int k = 0; k < trial->count; k++) {
        struct buffer *b = &trial->buffer[k];
        b->device = trial->device + b->at;
        for (long i = 0; i < b->n && b->role != OUTPUT; i++)
            encode(trial->start + b->at + (size_t)i * number_size(b->number), b->number, b->value[i]);
    }
    mem_upload(trial->device, trial->start, trial->bytes);
}

/* noise = slack(terms) magnitude. */
static inline void allow(struct buffer *b, long terms) {
    for (long i = 0; b && i < b->n; i++) b->noise[i] = slack(terms) * b->magnitude[i];
}

/* noise = factor magnitude */
static inline void allow_factor(struct buffer *b, double factor) {
    for (long i = 0; b && i < b->n; i++) b->noise[i] = factor * b->magnitude[i];
}

static inline void complain(struct trial *trial, int buffer, const char *what, long i, double got, double want,
                            double allowed) {
    if (!trial->quiet && trial->failures < 5)
        print_error("buffer %d: %s at %ld: got %.9g, want %.9g, allowed %.3g\n", buffer, what, i, got, want, allowed);
    trial->failures++;
}

static inline void check_numbers(struct trial *trial, int k, const unsigned char *bytes) {
    struct buffer *b = &trial->buffer[k];
    for (long i = 0; i < b->n; i++) {
        double got = decode(bytes + b->at + (size_t)i * number_size(b->number), b->number);
        double allowed = unit(b->number) * fabs(b->value[i]) + b->noise[i] + 1e-37; /* the last: flushed to zero */
        if (!(fabs(got - b->value[i]) <= allowed)) complain(trial, k, "wrong", i, got, b->value[i], allowed);
    }
}

/* What lies outside the numbers, and inputs as a whole, must be as at first. */
static inline void check_untouched(struct trial *trial, int k, const unsigned char *bytes) {
    const struct buffer *b = &trial->buffer[k];
    for (size_t i = b->from; i < b->to; i++) {
        int outside = i < b->at || i >= b->end;
        if ((outside || b->role == INPUT) && bytes[i] != trial->start[i]) {
            complain(trial, k, outside ? "written outside" : "input changed", (long)i - (long)b->at, bytes[i],
                     trial->start[i], 0);
            return;
        }
    }
}

/* Compares everything and frees the buffers; failures are counted in the trial. */
static inline void finish(struct trial *trial) {
    if (device_sync()) complain(trial, -1, error_text(), 0, 0, 0, 0);
    unsigned char *bytes = malloc(trial->bytes + 1);
    assert_non_null(bytes);
    mem_download(bytes, trial->device, trial->bytes);
    for (int k = 0; k < trial->count; k++) {
        struct buffer *b = &trial->buffer[k];
        check_untouched(trial, k, bytes);
        if (b->role != INPUT) check_numbers(trial, k, bytes);
        free(b->value), free(b->magnitude), free(b->noise);
    }
    for (size_t i = 0; i < trial->bytes; i++) trial->digest = (trial->digest ^ bytes[i]) * 0x100000001b3u; /* FNV-1a */
    free(bytes), free(trial->start);
    trial_memory_done(trial->device);
    trial->count = 0;
}

/* One run of a case; returns the digest, adds to *failures. */
static inline uint64_t run_trial(const struct kernel_case *c, const long *size, int variant, long offset, int threads,
                                 int *failures) {
    struct trial trial = {.variant = variant, .offset = offset, .digest = 0xcbf29ce484222325u};
    for (int i = 0; i < CASE_SIZES; i++) trial.seed = trial.seed * 131 + (uint64_t)size[i] + (uint64_t)variant;
    c->body(&trial, size);
    finish(&trial);
    if (trial.failures) {
        print_error("%s: %d failures; sizes", c->name, trial.failures);
        for (int i = 0; i < CASE_SIZES; i++) print_error(" %ld", size[i]);
        print_error(", variant %d, offset %ld, %d threads\n", variant, offset, threads);
    }
    *failures += trial.failures;
    return trial.digest;
}

/* The cmocka test of one case, which is its initial state. */
static inline void run_case(void **state) {
    static const int threads[] = {1, 2, 3, 5};
    const struct kernel_case *c = *state;
    int failures = 0, one_order = strncmp(device_name(), "cuda", 4) == 0, once_only = on_device();
    uint64_t first[SIZES_MAX * VARIANTS_MAX * 2]; /* digests of 1 thread */
    for (int k = 0; k < (once_only ? 1 : 4); k++) {
        assert_int_equal(device_init(threads[k]), OK);
        for (int s = 0; c->sizes[s][0]; s++)
            for (int variant = 0; variant < (c->variants ? c->variants : 1); variant++)
                for (long offset = 0; offset < 4; offset += 3) {
                    uint64_t once = run_trial(c, c->sizes[s], variant, offset, threads[k], &failures);
                    uint64_t again =
                        once_only ? once : run_trial(c, c->sizes[s], variant, offset, threads[k], &failures);
                    if (once != again) print_error("%s: other bits in a second run\n", c->name), failures++;
                    int trial = (s * VARIANTS_MAX + variant) * 2 + (offset > 0);
                    assert_true(s < SIZES_MAX && variant < VARIANTS_MAX);
                    if (k == 0) first[trial] = once;
                    if (one_order && once != first[trial])
                        print_error("%s: other bits in another order\n", c->name), failures++;
                }
    }
    assert_int_equal(failures, 0);
}

enum { WORKSPACE_BYTES = 2 << 20 };

/* Runs a table of cases. */
static inline int run_cases(const char *group, const struct kernel_case *cases, int count) {
    struct CMUnitTest tests[64];
    assert_true(count <= 64);
    if (device_init(1)) return fprintf(stderr, "%s\n", error_text()), 1;
    device_poison(1);
    void *workspace = device_alloc(WORKSPACE_BYTES);
    device_workspace(workspace, WORKSPACE_BYTES);
    for (int i = 0; i < count; i++)
        tests[i] =
            (struct CMUnitTest){.name = cases[i].name, .test_func = run_case, .initial_state = (void *)&cases[i]};
    int failed = _cmocka_run_group_tests(group, tests, (size_t)count, NULL, NULL);
    device_workspace(NULL, 0);
    device_free(workspace);
    device_free(shared_memory.device);
    device_shutdown();
    return failed;
}
#define RUN_CASES(cases) run_cases(#cases, cases, (int)(sizeof(cases) / sizeof *(cases)))

#endif
