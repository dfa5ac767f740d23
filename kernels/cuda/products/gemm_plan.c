/* gemm_plan.c: see gemm_plan.h. */
#include "kernels/cuda/products/gemm_plan.h"

#include <stdint.h>
#include <string.h>

static cudaDataType_t number_type(int number) {
    switch (number) {
    case GEMM_INT8:
        return CUDA_R_8I;
    case GEMM_INT32:
        return CUDA_R_32I;
    case GEMM_FP8:
        return CUDA_R_8F_E4M3;
#ifdef TYPE_BF16
    case GEMM_ELEM:
        return CUDA_R_16BF;
#endif
    default:
        return CUDA_R_32F;
    }
}

static int alignment(const void *pointer) {
    uintptr_t p = (uintptr_t)pointer;
    for (int bytes = 16; bytes > 2; bytes /= 2)
        if (p % (uintptr_t)bytes == 0) return bytes;
    return 2;
}

struct gemm_key gemm_key(const struct gemm *g, size_t workspace) {
    struct gemm_key key;
    memset(&key, 0, sizeof key);
    key.rows = g->rows, key.columns = g->columns, key.inner = g->inner;
    key.parts = g->parts > 1 ? g->parts : 1;
    if (key.parts > 1)
        key.a_step = g->a_step, key.b_step = g->b_step, key.d_step = g->d_step, key.bias_step = g->bias_step;
    key.a_transposed = g->a_transposed, key.b_transposed = g->b_transposed;
    key.in = g->in, key.out = g->out, key.extra = g->extra;
    key.accumulates = g->beta != 0;
    key.scaled = g->a_scale != NULL;
    key.workspace = workspace < GEMM_WORKSPACE ? workspace : GEMM_WORKSPACE;
    key.a_align = alignment(g->a), key.b_align = alignment(g->b), key.d_align = alignment(g->d);
    return key;
}

static cublasLtEpilogue_t epilogue(int extra) {
    switch (extra) {
    case GEMM_BIAS:
        return CUBLASLT_EPILOGUE_BIAS;
    case GEMM_GELU:
        return CUBLASLT_EPILOGUE_GELU_AUX;
    case GEMM_GELU_BIAS:
        return CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
    case GEMM_GELU_SLOPE:
        return CUBLASLT_EPILOGUE_DGELU;
    case GEMM_GELU_ALONE:
        return CUBLASLT_EPILOGUE_GELU;
    case GEMM_GELU_ALONE_BIAS:
        return CUBLASLT_EPILOGUE_GELU_BIAS;
    case GEMM_COLUMN_SUMS_A:
        return CUBLASLT_EPILOGUE_BGRADB;
    default:
        return CUBLASLT_EPILOGUE_DEFAULT;
    }
}

static int has_bias(int extra) {
    return extra == GEMM_BIAS || extra == GEMM_GELU_BIAS || extra == GEMM_GELU_ALONE_BIAS ||
           extra == GEMM_COLUMN_SUMS_A;
}
static int has_side(int extra) { return extra == GEMM_GELU || extra == GEMM_GELU_BIAS || extra == GEMM_GELU_SLOPE; }

#define SET(plan, name, value)                                                                                         \
    cublasLtMatmulDescSetAttribute((plan)->product, CUBLASLT_MATMUL_DESC_##name, &(value), sizeof(value))

static cublasStatus_t set_product(struct gemm_plan *plan) {
    const struct gemm_key *k = &plan->key;
    cublasOperation_t a = k->b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, b = k->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasLtEpilogue_t extra = epilogue(k->extra);
    int32_t bias = (int32_t)number_type(k->extra == GEMM_COLUMN_SUMS_A ? GEMM_REAL : GEMM_ELEM);
    int32_t side = (int32_t)number_type(GEMM_ELEM);
    int64_t pitch = k->columns;
    cublasStatus_t status = SET(plan, TRANSA, a);
    if (!status) status = SET(plan, TRANSB, b);
    if (!status) status = SET(plan, EPILOGUE, extra);
    if (!status && has_bias(k->extra)) status = SET(plan, BIAS_DATA_TYPE, bias);
    int64_t bias_step = k->bias_step;
    if (!status && k->parts > 1) status = SET(plan, BIAS_BATCH_STRIDE, bias_step);
    if (!status && has_side(k->extra)) status = SET(plan, EPILOGUE_AUX_LD, pitch);
    if (!status && has_side(k->extra)) status = SET(plan, EPILOGUE_AUX_DATA_TYPE, side);
    int32_t by_row = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    if (!status && k->scaled) status = SET(plan, A_SCALE_MODE, by_row);
    if (!status && k->scaled) status = SET(plan, B_SCALE_MODE, by_row);
    return status;
}

/* Describes `number` packed row-major matrices [rows, columns], `step` numbers apart. */
static cublasStatus_t layout(cublasLtMatrixLayout_t *l, int number, long rows, long columns, long parts, long step) {
    int32_t count = (int32_t)parts;
    int64_t distance = step;
    cublasStatus_t status =
        cublasLtMatrixLayoutCreate(l, number_type(number), (uint64_t)columns, (uint64_t)rows, columns);
    if (!status && parts > 1)
        status = cublasLtMatrixLayoutSetAttribute(*l, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count);
    if (!status && parts > 1)
        status = cublasLtMatrixLayoutSetAttribute(*l, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &distance,
                                                  sizeof distance);
    return status;
}

cublasStatus_t gemm_plan_open(struct gemm_plan *plan, const struct gemm_key *key) {
    memset(plan, 0, sizeof *plan);
    plan->key = *key;
    const int whole = key->in == GEMM_INT8;
    cublasStatus_t status = cublasLtMatmulDescCreate(&plan->product, whole ? CUBLAS_COMPUTE_32I : CUBLAS_COMPUTE_32F,
                                                     whole ? CUDA_R_32I : CUDA_R_32F);
    if (!status) status = set_product(plan);
    if (!status)
        status = layout(&plan->a, key->in, key->b_transposed ? key->columns : key->inner,
                        key->b_transposed ? key->inner : key->columns, key->parts, key->b_step);
    if (!status)
        status = layout(&plan->b, key->in, key->a_transposed ? key->inner : key->rows,
                        key->a_transposed ? key->rows : key->inner, key->parts, key->a_step);
    if (!status) status = layout(&plan->d, key->out, key->rows, key->columns, key->parts, key->d_step);
    return status;
}

/* Sets what the heuristic may propose. Sums that are split over the inner index must be
   added in a fixed order, so not "in place". */
static cublasStatus_t set_preference(cublasLtMatmulPreference_t preference, const struct gemm_key *k) {
    uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    uint32_t a = (uint32_t)k->b_align, b = (uint32_t)k->a_align, d = (uint32_t)k->d_align;
    uint64_t workspace = k->workspace;
    const struct {
        cublasLtMatmulPreferenceAttributes_t name;
        const void *value;
        size_t size;
    } all[] = {{CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace},
               {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes},
               {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &a, sizeof a},
               {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &b, sizeof b},
               {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &d, sizeof d},
               {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &d, sizeof d}};
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    for (size_t i = 0; i < sizeof all / sizeof *all && !status; i++)
        status = cublasLtMatmulPreferenceSetAttribute(preference, all[i].name, all[i].value, all[i].size);
    return status;
}

/* Sets any aligned pointers in place of bias and side, because the heuristic looks at those pointers too. */
static cublasStatus_t set_stand_ins(struct gemm_plan *plan) {
    const void *pointer = (const void *)4096;
    cublasStatus_t status = SET(plan, BIAS_POINTER, pointer);
    if (!status && has_side(plan->key.extra)) status = SET(plan, EPILOGUE_AUX_POINTER, pointer);
    if (!status && plan->key.scaled) status = SET(plan, A_SCALE_POINTER, pointer);
    if (!status && plan->key.scaled) status = SET(plan, B_SCALE_POINTER, pointer);
    return status;
}

/* 1: the algorithm adds split sums in a fixed order. The preference asks for that already, but an algorithm from a file
   (gemm_timed.h) has to be checked. */
static int keeps_order(const cublasLtMatmulAlgo_t *algo) {
    uint32_t scheme = 0;
    size_t written;
    return !cublasLtMatmulAlgoConfigGetAttribute(algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &scheme, sizeof scheme,
                                                 &written) &&
           (scheme == CUBLASLT_REDUCTION_SCHEME_NONE || scheme == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
}

static cublasStatus_t ask(struct gemm_plan *plan, cublasLtHandle_t handle, cublasLtMatmulHeuristicResult_t *results,
                          int most, int *found) {
    cublasLtMatmulPreference_t preference = NULL;
    cublasStatus_t status = cublasLtMatmulPreferenceCreate(&preference);
    if (!status) status = set_preference(preference, &plan->key);
    if (!status && (plan->key.extra != GEMM_PLAIN || plan->key.scaled)) status = set_stand_ins(plan);
    if (!status)
        status = cublasLtMatmulAlgoGetHeuristic(handle, plan->product, plan->a, plan->b, plan->d, plan->d, preference,
                                                most, results, found);
    if (preference) cublasLtMatmulPreferenceDestroy(preference);
    return status;
}

int gemm_plan_candidates(struct gemm_plan *plan, cublasLtHandle_t handle, struct gemm_algorithm *to, int most) {
    cublasLtMatmulHeuristicResult_t results[GEMM_CANDIDATES];
    int found = 0, kept = 0;
    cublasStatus_t status = ask(plan, handle, results, most < GEMM_CANDIDATES ? most : GEMM_CANDIDATES, &found);
    for (int i = 0; !status && i < found; i++)
        if (!results[i].state && keeps_order(&results[i].algo))
            to[kept++] = (struct gemm_algorithm){results[i].algo, results[i].workspaceSize};
    if (!kept) plan->reason = status ? cublasLtGetStatusName(status) : "the heuristic has no algorithm for it";
    return kept;
}

void gemm_plan_choose(struct gemm_plan *plan, cublasLtHandle_t handle) {
    plan->chosen = gemm_plan_candidates(plan, handle, &plan->algorithm, 1) == 1;
}

int gemm_plan_takes(const struct gemm_plan *plan, cublasLtHandle_t handle, struct gemm_algorithm *algorithm) {
    cublasLtMatmulHeuristicResult_t result;
    if (cublasLtMatmulAlgoCheck(handle, plan->product, plan->a, plan->b, plan->d, plan->d, &algorithm->algo, &result))
        return 0;
    algorithm->workspace = result.workspaceSize;
    return !result.state && result.workspaceSize <= plan->key.workspace && keeps_order(&algorithm->algo);
}

/* Sets bias, side buffer and scales, which are part of the library's descriptor, before each call. */
static cublasStatus_t set_pointers(struct gemm_plan *plan, const struct gemm *g) {
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    if (g->bias) status = SET(plan, BIAS_POINTER, g->bias);
    if (!status && g->side) status = SET(plan, EPILOGUE_AUX_POINTER, g->side);
    if (!status && g->b_scale) status = SET(plan, A_SCALE_POINTER, g->b_scale); /* its A is our b */
    if (!status && g->a_scale) status = SET(plan, B_SCALE_POINTER, g->a_scale);
    return status;
}

cublasStatus_t gemm_plan_run(struct gemm_plan *plan, cublasLtHandle_t handle, const struct gemm *g,
                             const struct gemm_algorithm *algorithm, void *workspace, cudaStream_t stream) {
    const float one = 1;
    const int32_t whole_one = 1, whole_zero = 0; /* factors are of the sums' type */
    const int whole = g->in == GEMM_INT8;
    const void *alpha = whole ? (const void *)&whole_one : &one, *beta = whole ? (const void *)&whole_zero : &g->beta;
    cublasStatus_t status = set_pointers(plan, g);
    if (status) return status;
    return cublasLtMatmul(handle, plan->product, alpha, g->b, plan->a, g->a, plan->b, beta, g->d, plan->d, g->d,
                          plan->d, &algorithm->algo, workspace, algorithm->workspace, stream);
}

void gemm_plan_close(struct gemm_plan *plan) {
    if (plan->a) cublasLtMatrixLayoutDestroy(plan->a);
    if (plan->b) cublasLtMatrixLayoutDestroy(plan->b);
    if (plan->d) cublasLtMatrixLayoutDestroy(plan->d);
    if (plan->product) cublasLtMatmulDescDestroy(plan->product);
    memset(plan, 0, sizeof *plan);
}
