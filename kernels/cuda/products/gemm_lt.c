/* gemm_lt.c: see gemm_lt.h. cuBLASLt thinks in columns: a row-major matrix [r, c] is its column-major one of c rows, r
   columns. So d^T = b^T a^T is what is asked for: the library's A is our b, its B our a, its m our columns, its n our
   rows. Its bias runs along its rows, our columns; its sums "of B" run over our a. */
#include "kernels/cuda/products/gemm_lt.h"
#include "kernels/cuda/products/gemm_plan.h"
#include "kernels/cuda/products/gemm_timed.h"
#include "kernels/cuda/cuda.h"
#include "kernels/device.h"
#include "kernels/served.h"
#include "base/log.h"

#include <pthread.h>
#include <string.h>

/* Plans in the table; a network has some dozens of shapes. A full table starts over. */
enum { PLANS = 512 };
static struct {
    pthread_mutex_t lock;
    cublasLtHandle_t handle;
    int count;
    struct gemm_plan plan[PLANS];
} lt = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int failed(cublasStatus_t status, const char *what) {
    if (status != CUBLAS_STATUS_SUCCESS) device_fail("cublasLt: %s: %s", what, cublasLtGetStatusName(status));
    return status != CUBLAS_STATUS_SUCCESS;
}

static void forget_plans(void) {
    for (int i = 0; i < lt.count; i++) gemm_plan_close(&lt.plan[i]);
    lt.count = 0;
}

void gemm_lt_close(void) {
    pthread_mutex_lock(&lt.lock);
    forget_plans();
    if (lt.handle) cublasLtDestroy(lt.handle);
    lt.handle = NULL;
    pthread_mutex_unlock(&lt.lock);
}

static const char *operation(const struct gemm *g) { return gemm_operation(g->in, g->out, g->extra); }

/* Finds the plan for this problem in the table, or makes it; NULL: a failure is kept. */
static struct gemm_plan *find_plan(const struct gemm *g) {
    struct gemm_key key = gemm_key(g, cuda_workspace_left());
    for (int i = 0; i < lt.count; i++)
        if (!memcmp(&lt.plan[i].key, &key, sizeof key)) return &lt.plan[i];
    if (!lt.handle && failed(cublasLtCreate(&lt.handle), "start")) return NULL;
    if (lt.count == PLANS) forget_plans();
    struct gemm_plan *plan = &lt.plan[lt.count];
    if (failed(gemm_plan_open(plan, &key), "descriptors")) return gemm_plan_close(plan), NULL;
    gemm_plan_choose(plan, lt.handle);
    if (plan->chosen) gemm_timed_choice(plan, lt.handle, g);
    if (!plan->chosen)
        log_line("cublasLt: %s %ld x %ld x %ld: %s", operation(g), g->rows, g->columns, g->inner, plan->reason);
    lt.count++;
    return plan;
}

static void run(struct gemm_plan *plan, const struct gemm *g) {
    size_t bytes = plan->algorithm.workspace;
    void *workspace = bytes ? workspace_push(bytes) : NULL;
    if (bytes && !workspace) return;
    failed(gemm_plan_run(plan, lt.handle, g, &plan->algorithm, workspace, cuda_stream()), "product");
    workspace_pop(workspace);
}

int gemm_lt(const struct gemm *g) {
    if (g->rows <= 0 || g->columns <= 0) return 1;
    if (g->inner <= 0) return 0;
    /* the library wants side buffers so, and the algorithm was chosen for an aligned bias */
    if ((g->side && (!aligned16(g->side) || g->columns % 8)) || !aligned16(g->bias))
        return served_refuse("cublasLt: %s: bias or side buffer not aligned to 16 bytes", operation(g)), 0;
    pthread_mutex_lock(&lt.lock);
    struct gemm_plan *plan = find_plan(g);
    int done = !plan || plan->chosen; /* no plan means a kept failure, so another way is of no use */
    if (plan && plan->chosen) {
        const long size[] = {g->rows, g->columns, g->inner};
        run(plan, g);
        served_by(operation(g), "cuBLASLt", 3, size);
    } else if (plan) {
        served_refuse("cublasLt: %s: %s", operation(g), plan->reason);
    }
    pthread_mutex_unlock(&lt.lock);
    return done;
}
