/* plan.c: engines and plans of graph.h, and the table of those made so far. */
#include "kernels/cuda/cudnn/graph.h"
#include "kernels/cuda/cuda.h"
#include "kernels/device.h"
#include "kernels/served.h"
#include "base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* A plan of a graph; engine configurations that were tried are parts too. */
struct cudnn_plan {
    struct cudnn_key key;
    cudnn_builder *build;
    struct cudnn_parts parts;
    cudnnBackendDescriptor_t plan; /* NULL: the library has none */
    size_t workspace, refused;     /* refused: the least that an engine wanted which did not fit; 0: none */
    char reason[160];              /* why there is no plan; what is said last counts */
};

/* What a network and a codec have in shapes is some dozens. Plans stay until the end: a recording (device.h) may hold their
   kernels. A full table takes no more, and what finds no plan is left to the own kernels. */
enum { PLANS = 512, ENGINES = 16, NOTES = 16 };
static struct {
    pthread_mutex_t lock;
    cudnnHandle_t handle;
    int count;
    struct cudnn_plan plan[PLANS];
} dnn = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int failed(cudnnStatus_t status, const char *what) {
    if (status != CUDNN_STATUS_SUCCESS) device_fail("cudnn: %s: %s", what, cudnnGetErrorString(status));
    return status != CUDNN_STATUS_SUCCESS;
}

static void plan_free(struct cudnn_plan *plan) {
    if (plan->plan) cudnnBackendDestroyDescriptor(plan->plan);
    cudnn_parts_free(&plan->parts);
    memset(plan, 0, sizeof *plan);
}

static void forget_plans(void) {
    for (int i = 0; i < dnn.count; i++) plan_free(&dnn.plan[i]);
    dnn.count = 0;
}

void cudnn_close(void) {
    pthread_mutex_lock(&dnn.lock);
    forget_plans();
    if (dnn.handle) cudnnDestroy(dnn.handle);
    dnn.handle = NULL;
    pthread_mutex_unlock(&dnn.lock);
}

/* Notes of an engine that this build does not accept. */
static int note_refused(cudnnBackendNumericalNote_t note) {
    switch (note) {
    case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
    case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13:
        return 1;
    case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
        return cuda_deterministic();
    case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
        return CUDNN_ELEM == CUDNN_DATA_FLOAT; /* that would be TF32 */
    default:
        return 0;
    }
}

static int engine_accepted(cudnnBackendDescriptor_t config) {
    cudnnBackendDescriptor_t engine = NULL;
    cudnnBackendNumericalNote_t notes[NOTES];
    int64_t count = 0, one = 0;
    int accepted = 0;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine)) return 0;
    if (!cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &one,
                                  &engine) &&
        !cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, NOTES, &count,
                                  notes)) {
        accepted = 1;
        for (int64_t i = 0; i < count && i < NOTES; i++) accepted &= !note_refused(notes[i]);
    }
    cudnnBackendDestroyDescriptor(engine);
    return accepted;
}

/* Keeps why an engine, or the library as a whole, does not take the graph. */
static void refuse(struct cudnn_plan *plan, const char *what) {
    char words[96] = "";
    cudnnGetLastErrorString(words, sizeof words);
    for (char *c = words; *c; c++)
        if (*c == '\n') *c = ' ';
    snprintf(plan->reason, sizeof plan->reason, "%s%s%s", what, *words ? ": " : "", words);
}

/* The plan of an engine, NULL when it does not take the graph or wants more than the workspace has. */
static cudnnBackendDescriptor_t plan_of(cudnnBackendDescriptor_t config, struct cudnn_plan *to) {
    cudnnBackendDescriptor_t plan = NULL;
    int64_t bytes = 0, one = 0;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan)) return NULL;
    if (!cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                  &config) &&
        !cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &dnn.handle) &&
        !cudnnBackendFinalize(plan) &&
        !cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &one, &bytes)) {
        if ((size_t)bytes <= cuda_workspace_left()) {
            to->workspace = (size_t)bytes;
            return plan;
        }
        if (!to->refused || (size_t)bytes < to->refused) to->refused = (size_t)bytes;
    } else {
        refuse(to, "the plan of an engine");
    }
    cudnnBackendDestroyDescriptor(plan);
    return NULL;
}

/* Engine configurations in the heuristic's order, as parts; returns their number. */
static int engines(struct cudnn_parts *parts, cudnnBackendDescriptor_t graph, cudnnBackendDescriptor_t *config) {
    cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    cudnnBackendDescriptor_t heuristic = cudnn_begin(parts, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    int64_t count = 0;
    cudnn_set_part(parts, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    cudnn_set(parts, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    cudnn_end(parts, heuristic);
    for (int i = 0; i < ENGINES; i++) config[i] = cudnn_begin(parts, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (parts->status || cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                  CUDNN_TYPE_BACKEND_DESCRIPTOR, ENGINES, &count, config))
        return 0;
    return (int)(count < ENGINES ? count : ENGINES);
}

/* Fills a plan whose operations are made; leaves plan->plan NULL where the library has nothing. */
static void plan_choose(struct cudnn_plan *plan) {
    struct cudnn_parts *parts = &plan->parts, extra = {.count = 0};
    cudnnBackendDescriptor_t config[ENGINES], graph = cudnn_begin(parts, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    cudnn_set(parts, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &dnn.handle);
    cudnn_set(parts, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, parts->operations,
              parts->operation);
    cudnn_end(parts, graph);
    int count = parts->status ? 0 : engines(&extra, graph, config), accepted = 0;
    if (parts->status)
        snprintf(plan->reason, sizeof plan->reason, "%s", parts->failed);
    else if (!count)
        refuse(plan, extra.status ? extra.failed : "the library has no engine for it");
    for (int i = 0; i < count && !plan->plan; i++)
        if (engine_accepted(config[i])) accepted++, plan->plan = plan_of(config[i], plan);
    cudnn_parts_free(&extra);
    if (count && !accepted)
        snprintf(plan->reason, sizeof plan->reason, "%d engines, none of which computes as this build wants", count);
    if (!plan->plan && plan->refused)
        snprintf(plan->reason, sizeof plan->reason,
                 "an engine wants %.1f MiB of workspace, there are %.1f (workspace_mib)",
                 (double)plan->refused / 1048576, (double)cuda_workspace_left() / 1048576);
    if (!plan->plan) log_line("cudnn: %s: %s", parts->name, plan->reason);
}

/* The plan of a key, from the table or new; NULL: the table is full, or a failure is kept. */
static struct cudnn_plan *find_plan(const struct cudnn_key *key, cudnn_builder *build) {
    for (int i = 0; i < dnn.count; i++)
        if (dnn.plan[i].build == build && !memcmp(&dnn.plan[i].key, key, sizeof *key)) return &dnn.plan[i];
    if (!dnn.handle && failed(cudnnCreate(&dnn.handle), "start")) return NULL;
    if (dnn.count == PLANS) return NULL;
    struct cudnn_plan *plan = &dnn.plan[dnn.count++];
    memset(plan, 0, sizeof *plan);
    plan->key = *key;
    plan->build = build;
    build(&plan->parts, key);
    plan_choose(plan);
    return plan;
}

int cudnn_supports(const struct cudnn_key *key, cudnn_builder *build) {
    pthread_mutex_lock(&dnn.lock);
    struct cudnn_plan *plan = find_plan(key, build);
    int yes = plan && plan->plan;
    if (!yes) served_refuse("cudnn: %s", plan ? plan->reason : "no plan, or the table of plans is full");
    pthread_mutex_unlock(&dnn.lock);
    return yes;
}

size_t cudnn_workspace(const struct cudnn_key *key, cudnn_builder *build) {
    pthread_mutex_lock(&dnn.lock);
    struct cudnn_plan *plan = find_plan(key, build);
    size_t bytes = plan ? plan->workspace : 0;
    pthread_mutex_unlock(&dnn.lock);
    return bytes;
}

void cudnn_bind(struct cudnn_bindings *bindings, int64_t uid, const void *pointer) {
    if (bindings->count == CUDNN_BINDINGS) return device_fail("cudnn: too many tensors");
    bindings->uid[bindings->count] = uid;
    bindings->pointer[bindings->count++] = (void *)(uintptr_t)pointer;
}

static void execute(const struct cudnn_plan *plan, const struct cudnn_bindings *b) {
    struct cudnn_parts pack = {.count = 0};
    void *workspace = plan->workspace ? workspace_push(plan->workspace) : NULL;
    if (plan->workspace && !workspace) return;
    cudnnBackendDescriptor_t variant = cudnn_begin(&pack, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    cudnn_set(&pack, variant, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, b->count, b->uid);
    cudnn_set(&pack, variant, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, b->count, b->pointer);
    cudnn_set(&pack, variant, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    cudnn_end(&pack, variant);
    if (!failed(pack.status, "binding") && !failed(cudnnSetStream(dnn.handle, cuda_stream()), "stream"))
        failed(cudnnBackendExecute(dnn.handle, plan->plan, variant), "execution");
    cudnn_parts_free(&pack);
    workspace_pop(workspace);
}

void cudnn_run(const struct cudnn_key *key, cudnn_builder *build, const struct cudnn_bindings *bindings) {
    pthread_mutex_lock(&dnn.lock);
    struct cudnn_plan *plan = find_plan(key, build);
    if (plan && plan->plan) execute(plan, bindings);
    pthread_mutex_unlock(&dnn.lock);
}
