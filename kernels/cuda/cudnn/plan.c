/* plan.c: see plan.h. */
#include "kernels/cuda/cudnn/plan.h"
#include "kernels/cuda/cudnn/engines.h"
#include "kernels/cuda/cuda.h"
#include "kernels/device.h"
#include "kernels/served.h"
#include "base/log.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

/* The plan for one graph and one setting of determinism. It holds for every workspace from `least` bytes to below
   `most`, so that a stream with little workspace and one with much have plans of their own, and a graph that was
   refused for want of workspace is asked for again where there is more. */
struct cudnn_plan {
    struct cudnn_key key;
    cudnn_builder *build;
    int deterministic;
    size_t least, most;
    struct cudnn_choice choice;
};

/* Plans in the table; a network and a codec have some dozens of shapes. Plans stay until the end,
   because a recording (device.h) may hold their kernels. A full table takes no more, and the backend's
   own kernels do what finds no plan. */
enum { PLANS = 512 };
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

void cudnn_close(void) {
    pthread_mutex_lock(&dnn.lock);
    for (int i = 0; i < dnn.count; i++) cudnn_choice_free(&dnn.plan[i].choice);
    dnn.count = 0;
    if (dnn.handle) cudnnDestroy(dnn.handle);
    dnn.handle = NULL;
    pthread_mutex_unlock(&dnn.lock);
}

static int answers(const struct cudnn_plan *plan, const struct cudnn_key *key, cudnn_builder *build, size_t workspace) {
    return plan->build == build && plan->deterministic == cuda_deterministic() && workspace >= plan->least &&
           workspace < plan->most && !memcmp(&plan->key, key, sizeof *key);
}

/* Chooses the plan and sets the workspaces that it holds for: with less than the plan wants, or with enough for a
   better engine that was refused, another has to be chosen. */
static void choose(struct cudnn_plan *plan, size_t workspace) {
    struct cudnn_target target = {.handle = dnn.handle, .workspace = workspace, .deterministic = plan->deterministic};
    struct cudnn_graph graph = {.nodes = 0};
    plan->build(&graph, &plan->key);
    cudnn_choose(&plan->choice, &graph, &target);
    plan->least = plan->choice.workspace;
    plan->most = plan->choice.refused ? plan->choice.refused : SIZE_MAX;
    if (!plan->choice.plan) log_line("cudnn: %s: %s", graph.name, plan->choice.reason);
}

/* Finds the plan in the table, or makes it; NULL: the table is full, or a failure is kept. */
static const struct cudnn_plan *find_plan(const struct cudnn_key *key, cudnn_builder *build, size_t workspace) {
    for (int i = 0; i < dnn.count; i++)
        if (answers(&dnn.plan[i], key, build, workspace)) return &dnn.plan[i];
    if (!dnn.handle && failed(cudnnCreate(&dnn.handle), "start")) return NULL;
    if (dnn.count == PLANS) return NULL;
    struct cudnn_plan *plan = &dnn.plan[dnn.count++];
    memset(plan, 0, sizeof *plan);
    plan->key = *key;
    plan->build = build;
    plan->deterministic = cuda_deterministic();
    choose(plan, workspace);
    return plan;
}

const struct cudnn_plan *cudnn_plan(const struct cudnn_key *key, cudnn_builder *build, size_t beside) {
    size_t left = cuda_workspace_left();
    if (left < beside) return served_refuse("cudnn: %.1f MiB of workspace are wanted", (double)beside / 1048576), NULL;
    pthread_mutex_lock(&dnn.lock);
    const struct cudnn_plan *plan = find_plan(key, build, left - beside);
    int found = plan && plan->choice.plan;
    if (!found) served_refuse("cudnn: %s", plan ? plan->choice.reason : "no plan, or the table of plans is full");
    pthread_mutex_unlock(&dnn.lock);
    return found ? plan : NULL;
}

void cudnn_bind(struct cudnn_bindings *bindings, int64_t uid, const void *pointer) {
    if (bindings->count == CUDNN_BINDINGS) return device_fail("cudnn: too many tensors");
    bindings->uid[bindings->count] = uid;
    bindings->pointer[bindings->count++] = (void *)(uintptr_t)pointer;
}

void cudnn_run(const struct cudnn_plan *plan, const struct cudnn_bindings *b) {
    struct cudnn_parts pack = {.count = 0};
    size_t bytes = plan->choice.workspace;
    void *workspace = bytes ? workspace_push(bytes) : NULL;
    if (bytes && !workspace) return;
    pthread_mutex_lock(&dnn.lock);
    cudnnBackendDescriptor_t variant = cudnn_begin(&pack, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    cudnn_set(&pack, variant, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, b->count, b->uid);
    cudnn_set(&pack, variant, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, b->count, b->pointer);
    cudnn_set(&pack, variant, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    cudnn_end(&pack, variant);
    if (!failed(pack.status, "binding") && !failed(cudnnSetStream(dnn.handle, cuda_stream()), "stream"))
        failed(cudnnBackendExecute(dnn.handle, plan->choice.plan, variant), "execution");
    cudnn_parts_free(&pack);
    pthread_mutex_unlock(&dnn.lock);
    workspace_pop(workspace);
}
