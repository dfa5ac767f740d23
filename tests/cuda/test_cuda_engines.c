/* test_cuda_engines.c: who computes what on a GPU, asked without one. The graphs that the backend builds for our
   networks at full size (shapes.h) are put to cuDNN for devices that are described to it (devices.h): the operation
   graph finalises, an engine on tensor cores takes it, and its workspace fits what kernels/cuda/workspace.c plans. The
   choice is the backend's own (kernels/cuda/cudnn/engines.h) up to the making of plans, each of which is a compilation
   of seconds. So that a minute suffices each graph is asked about for one of the devices, and attention for all
   (is_asked). ENGINES in the environment has a longer mode: all (everything for all devices, some minutes), table
   (that, and a line a graph), plans (the plans too, an hour). LD_LIBRARY_PATH leads to another version of the
   library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kernels/arena.h"
#include "kernels/cuda/attention/attention_cudnn.h"
#include "kernels/cuda/convolution/conv_cudnn.h"
#include "kernels/cuda/cudnn/engines.h"
#include "kernels/workspace.h"
#include "tests/cuda/devices.h"
#include "tests/cuda/shapes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One question to the library: graphs that may serve, best first. */
struct question {
    const struct asked *asked;
    struct cudnn_key key;
    cudnn_builder *form[3];
    int forms;
    size_t beside[3], plan; /* bytes that the caller takes beside each; bytes that are planned for the call */
    int kept_whole;         /* attention's backward with determinism: in one piece; 0: by pieces of `key`, of which */
    struct cudnn_key last;  /* the last may be smaller */
};

/* What became of it. */
struct answer {
    int form;                   /* -1: none serves */
    struct cudnn_engine engine; /* that serves, config not valid any more */
    char name[96], reason[256];
};

static const char *mode(void) { return getenv("ENGINES") ? getenv("ENGINES") : ""; }

/* ---- questions ---- */

static size_t planned(const struct asked *a, int backward) {
    struct attention_sizes sizes = {a->B, a->S, a->H, a->D, a->K, a->K, a->ranges};
    size_t bytes = attention_workspace(&sizes, backward);
    return bytes > WORKSPACE_LEAST ? bytes : WORKSPACE_LEAST;
}

static struct cudnn_key attention_key(const struct asked *a) {
    long packed = a->K * a->H * a->D;
    struct attention call = {.B = a->B, .S = a->S, .H = a->H, .D = a->D};
    struct attention_range range = {.length = a->K, .k_stride = packed, .v_stride = packed};
    return cudnn_attention_key(&call, &range);
}

static void ask_attention(struct question *q) {
    size_t rows = (size_t)(q->asked->B * q->asked->S * q->asked->H), n = (size_t)q->asked->ranges;
    q->key = attention_key(q->asked);
    q->form[q->forms++] = cudnn_attention_forward_graph;
    q->plan = planned(q->asked, 0);
    if (n > 1)
        q->beside[0] =
            arena_aligned(n * rows * (size_t)q->asked->D * sizeof(uint16_t)) + arena_aligned(4 * n * (rows + 4));
}

/* With determinism asked for: whole where that fits, else piece by piece. */
static void ask_ordered(struct question *q) {
    const struct asked *a = q->asked;
    size_t kept = cudnn_attention_kept(a->B, a->S, a->H, a->K);
    q->kept_whole = q->beside[0] + kept <= q->plan;
    if (q->kept_whole) return;
    struct asked piece = *a;
    piece.B = 1, piece.K = cudnn_attention_piece(a->S, a->H, a->D, a->K, q->plan);
    assert_true(piece.K > 0);
    q->key = attention_key(&piece);
    q->beside[0] = cudnn_attention_piece_beside(a->S, a->H, a->D, piece.K);
    piece.K = a->K - (a->K - 1) / piece.K * piece.K;
    q->last = attention_key(&piece);
}

static void ask_backward(struct question *q) {
    size_t rows = (size_t)(q->asked->B * q->asked->S * q->asked->H), D = (size_t)q->asked->D;
    size_t keys = (size_t)(q->asked->B * q->asked->K * q->asked->H) * D * sizeof(uint16_t);
    size_t history = q->asked->ranges > 1 ? 2 * arena_aligned(keys) + arena_aligned(rows * D * sizeof(uint16_t)) : 0;
    q->key = attention_key(q->asked);
    q->forms = cudnn_attention_backward_forms(q->form, cudnnGetVersion(), asked_deterministic);
    q->plan = planned(q->asked, 1);
    for (int f = 0; f < q->forms; f++) {
        q->beside[f] = history;
        if (q->form[f] != cudnn_attention_backward_whole) q->beside[f] += arena_aligned(4 * rows);
        if (q->form[f] == cudnn_attention_backward_parts) q->beside[f] += arena_aligned(4 * rows * D);
    }
    if (asked_deterministic) ask_ordered(q);
}

/* What a stage plans that trains; streams go with the least. */
static size_t convolution_plan(const struct asked *a) {
    const struct conv_shape *s = &a->shape;
    size_t bytes = conv_workspace(s->samples * s->in[0] * s->in[1] * s->in[2], s->ci, s->co);
    return a->what >= ASK_CONV_INPUT && bytes > WORKSPACE_LEAST ? bytes : WORKSPACE_LEAST;
}

/* A bias is added on the way or put there before. */
static void ask_convolution(struct question *q) {
    const struct asked *a = q->asked;
    q->key = cudnn_conv_key(&a->shape, (real)a->beta, a->what == ASK_CONV_REAL);
    q->plan = convolution_plan(a);
    if (a->bias) q->form[q->forms++] = cudnn_conv_bias_graph;
    if (a->what == ASK_CONV_INPUT)
        q->form[q->forms++] = cudnn_conv_input_graph;
    else if (a->what == ASK_CONV_WEIGHT)
        q->key = cudnn_conv_key(&a->shape, 0, 0), q->forms = cudnn_conv_weight_forms(q->form, asked_deterministic);
    else
        q->form[q->forms++] = cudnn_conv_forward_graph;
}

static struct question question(const struct asked *asked) {
    struct question q;
    memset(&q, 0, sizeof q);
    q.asked = asked;
    if (asked->what == ASK_ATTENTION)
        ask_attention(&q);
    else if (asked->what == ASK_ATTENTION_BACKWARD)
        ask_backward(&q);
    else
        ask_convolution(&q);
    return q;
}

/* ---- answers ---- */

/* The first proposed engine that serves. 0: none. */
static int first_engine(struct answer *answer, cudnnBackendDescriptor_t operations, const struct cudnn_target *target) {
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    int found = 0, count = 0;
    for (int m = 0; m < 2 && !found; m++) {
        struct cudnn_engine engine[CUDNN_PROPOSED];
        struct cudnn_parts parts = {.count = 0};
        int proposed = cudnn_propose(engine, &parts, operations, modes[m], target);
        count += proposed;
        for (int i = 0; i < proposed && !found; i++)
            if (cudnn_serves(&engine[i], target)) answer->engine = engine[i], found = 1;
        cudnn_parts_free(&parts);
    }
    snprintf(answer->reason, sizeof answer->reason, "%d engines", count);
    return found;
}

/* ENGINES=plans: as on a device. */
static int plan_made(struct answer *answer, const struct cudnn_graph *graph, const struct cudnn_target *target) {
    struct cudnn_choice choice;
    cudnn_choose(&choice, graph, target);
    int made = choice.plan != NULL;
    answer->engine = choice.engine;
    memcpy(answer->reason, choice.reason, sizeof choice.reason);
    cudnn_choice_free(&choice);
    return made;
}

static int form_serves(struct answer *answer, const struct question *q, int form, struct cudnn_target target) {
    struct cudnn_graph graph = {.nodes = 0};
    struct cudnn_parts parts = {.count = 0};
    q->form[form](&graph, &q->key);
    snprintf(answer->name, sizeof answer->name, "%s", graph.name);
    if (q->beside[form] > q->plan) return 0;
    target.workspace = q->plan - q->beside[form];
    target.kept = graph.kept;
    cudnnBackendDescriptor_t operations = cudnn_operations(&parts, &graph, &target);
    int served = operations && (strcmp(mode(), "plans") ? first_engine(answer, operations, &target)
                                                        : plan_made(answer, &graph, &target));
    if (!operations) memcpy(answer->reason, parts.failed, sizeof parts.failed);
    cudnn_parts_free(&parts);
    return served;
}

static int in_pieces(const struct question *q) {
    return asked_deterministic && q->asked->what == ASK_ATTENTION_BACKWARD && !q->kept_whole;
}

/* The first form that serves. Of pieces the last is asked about too. */
static struct answer answer_to(const struct question *q, cudnnBackendDescriptor_t described) {
    struct answer a = {.form = -1};
    struct cudnn_target target = {.described = described, .deterministic = asked_deterministic};
    for (int f = 0; f < q->forms && a.form < 0; f++)
        if (form_serves(&a, q, f, target)) a.form = f;
    if (a.form >= 0 && in_pieces(q)) {
        struct question last = *q;
        last.key = q->last;
        if (!form_serves(&a, &last, a.form, target)) a.form = -1;
    }
    return a;
}

/* ---- the table ---- */

static const char *const kinds[] = {"convolution", "convolution to float", "convolution, input", "convolution, weights",
                                    "attention",   "attention backward"};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct counts {
    int asked, served, tensor_cores, first_form, fallback, in_pieces;
    size_t workspace; /* most of the library's own */
};

static void count(struct counts *c, const struct question *q, const struct answer *a) {
    c->asked++;
    c->in_pieces += in_pieces(q);
    if (a->form < 0) return;
    c->served++, c->first_form += !a->form, c->fallback += a->engine.fallback;
    c->tensor_cores += a->engine.tensor_cores;
    if (a->engine.workspace > 0 && (size_t)a->engine.workspace > c->workspace)
        c->workspace = (size_t)a->engine.workspace;
}

static void print_counts(const struct device *device, const struct counts *c) {
    for (int k = 0; k < KINDS; k++)
        if (c[k].asked)
            printf("  sm_%d %-22s %3d asked, %3d served, %3d on tensor cores, %3d by the first form, %2d by mode "
                   "FALLBACK, %2d in pieces, %6.1f MiB at most\n",
                   device->capability, kinds[k], c[k].asked, c[k].served, c[k].tensor_cores, c[k].first_form,
                   c[k].fallback, c[k].in_pieces, (double)c[k].workspace / 1048576);
}

static void print_answer(const struct device *device, const struct question *q, const struct answer *a) {
    printf("    sm_%d %s: %s: ", device->capability, q->asked->of, a->name);
    if (a->form < 0)
        printf("NOT SERVED: %s\n", q->forms ? a->reason : "no form");
    else
        printf("form %d, engine %ld%s%s%s, %.1f of %.1f MiB\n", a->form, (long)a->engine.index,
               a->engine.tensor_cores ? ", tensor cores" : "", a->engine.splits ? ", split sums" : "",
               a->engine.fallback ? ", FALLBACK" : "", (double)a->engine.workspace / 1048576,
               (double)q->plan / 1048576);
}

/* Tensor cores take channels eight by eight. With a few the heuristics prefer another engine, and those that keep float
   sums of a weight's gradient refuse what is no multiple of eight. */
static int few_channels(const struct asked *a) {
    long in = a->shape.ci / (a->shape.groups ? a->shape.groups : 1), out = a->shape.co;
    return a->what < ASK_ATTENTION && (in <= 16 || out <= 16);
}

/* Attention for all devices, with determinism its backward for two; the rest for one. The library is slow to say who
   adds weight gradients: with determinism a quarter of them is asked about. */
static int is_asked(const struct asked *a, int i, int d) {
    int everywhere = !asked_deterministic && a->what >= ASK_ATTENTION;
    int half = a->what == ASK_ATTENTION_BACKWARD && (i + d) % 2;
    int again = !asked_deterministic || a->what != ASK_CONV_WEIGHT || i / DEVICES % 4 == 0;
    return *mode() || everywhere || half || (again && i % DEVICES == d);
}

/* What must be true of an answer. With determinism asked for every backward of attention goes by the ordered form, and
   all has an engine that divides no sum, but for weight gradients of a few channels. */
static int as_wanted(const struct question *q, const struct answer *a) {
    const struct asked *asked = q->asked;
    int backward = asked->what == ASK_ATTENTION_BACKWARD;
    if (!asked_deterministic)
        return a->form >= 0 && (a->engine.tensor_cores || (few_channels(asked) && !a->engine.fallback));
    if (a->form < 0) return asked->what == ASK_CONV_WEIGHT && few_channels(asked);
    return !a->engine.splits && (!backward || q->form[a->form] == cudnn_attention_backward_ordered);
}

/* Asks for a device; returns how many answers are not as they should be. */
static int ask_all(int d, struct counts *counts) {
    const struct device *device = &devices[d];
    const struct asked *list;
    int n = shapes_ask(&list), wrong = 0;
    cudnnBackendDescriptor_t described = device_described(device);
    assert_non_null(described);
    assert_true(n > 100);
    memset(counts, 0, sizeof *counts * KINDS);
    for (int i = 0; i < n; i++) {
        if (!is_asked(&list[i], i, d)) continue;
        struct question q = question(&list[i]);
        struct answer a = answer_to(&q, described);
        int right = as_wanted(&q, &a);
        count(&counts[q.asked->what], &q, &a);
        wrong += !right;
        if (!right || !strcmp(mode(), "table") || !strcmp(mode(), "plans")) print_answer(device, &q, &a);
    }
    print_counts(device, counts);
    cudnnBackendDestroyDescriptor(described);
    return wrong;
}

/* ---- tests ---- */

static void everything_has_an_engine(void **state) {
    (void)state;
    struct counts counts[KINDS];
    printf("cuDNN %zu\n", cudnnGetVersion());
    asked_deterministic = 0;
    for (int d = 0; d < DEVICES; d++) assert_int_equal(ask_all(d, counts), 0);
}

static void deterministic_forms(void **state) {
    (void)state;
    struct counts counts[KINDS];
    printf("deterministic\n");
    asked_deterministic = 1;
    for (int d = 0; d < DEVICES; d++) assert_int_equal(ask_all(d, counts), 0);
    asked_deterministic = 0;
}

/* Tests that cannot fail show nothing: a workspace of nothing leaves the ordered form without an engine, and a graph
   that no engine knows has none. */
static void refusals_are_seen(void **state) {
    (void)state;
    struct asked asked = {
        .what = ASK_ATTENTION_BACKWARD, .of = "none", .B = 1, .S = 640, .K = 640, .H = 4, .D = 128, .ranges = 1};
    cudnnBackendDescriptor_t described = device_described(&devices[1]);
    asked_deterministic = 1;
    struct question q = question(&asked);
    struct answer a = answer_to(&q, described);
    assert_true(a.form == 0 && a.engine.workspace > 0);
    q.plan = q.beside[0];
    assert_int_equal(answer_to(&q, described).form, -1);
    /* nor does an engine serve that keeps less than all gradients of scores */
    struct cudnn_engine one = {.workspace = 100, .accepted = 1};
    assert_true(cudnn_serves(&one, &(struct cudnn_target){.workspace = 200, .kept = 100}));
    assert_false(cudnn_serves(&one, &(struct cudnn_target){.workspace = 200, .kept = 101}));
    asked_deterministic = 0;
    struct conv_shape shape = {1, 64, 64, 1, {4, 32, 32}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}};
    struct question direct = {.asked = &asked, .key = cudnn_conv_key(&shape, 0, 0), .plan = WORKSPACE_LEAST};
    direct.form[0] = cudnn_conv_weight_direct, direct.forms = 1;
    assert_int_equal(answer_to(&direct, described).form, -1);
    cudnnBackendDestroyDescriptor(described);
}

/* For LeakSanitizer: the compiler that the library loads and unloads leaves memory behind, in modules without a
   name. */
const char *__lsan_default_options(void);
const char *__lsan_default_options(void) { return "detect_leaks=0"; }

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(everything_has_an_engine),
                                       cmocka_unit_test(deterministic_forms), cmocka_unit_test(refusals_are_seen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
