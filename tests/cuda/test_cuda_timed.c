/* test_cuda_timed.c: products by timing (kernels/cuda/products/gemm_timed.h) over a stand-in for cuBLASLt, whose
   algorithms take as long as the test says: the fastest is taken and kept in the file, which decides from then on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/products/gemm_timed.h"
#include "kernels/device.h"
#include "tests/cuda/devices.h"
#include "tests/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the stand-in: algorithm i is the word i + 1; it moves the clock when it runs ---- */

enum { ALGORITHMS = 4, MIB = 1 << 20 };
static struct {
    float milliseconds;
    uint32_t scheme;
    int fails;
} algorithms[ALGORITHMS];
static float now;
static int ran, runs, recording, something; /* ran: the last algorithm */
static _Alignas(16) char memory[MIB], operands[64];

int cuda_recording(void) { return recording; }
int cuda_capability(void) { return 90; }
size_t cuda_workspace_left(void) { return MIB; }
cudaStream_t cuda_stream(void) { return NULL; }
void *__wrap_workspace_push(size_t bytes);
void __wrap_workspace_pop(void *pointer);
void *__wrap_workspace_push(size_t bytes) { return bytes <= sizeof memory ? memory : NULL; }
void __wrap_workspace_pop(void *pointer) { (void)pointer; }

static int index_of(const cublasLtMatmulAlgo_t *algo) { return (int)algo->data[0] - 1; }
cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) { return *handle = (cublasLtHandle_t)&something, 0; }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return (void)handle, 0; }
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int most,
                                              cublasLtMatmulHeuristicResult_t results[], int *found) {
    (void)handle, (void)product, (void)a, (void)b, (void)c, (void)d, (void)preference;
    for (*found = 0; *found < most && *found < ALGORITHMS; ++*found)
        results[*found] =
            (cublasLtMatmulHeuristicResult_t){.algo.data = {(uint64_t)*found + 1, ~(uint64_t)0}, .workspaceSize = 64};
    return 0;
}
cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t a,
                                       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *algo, cublasLtMatmulHeuristicResult_t *result) {
    (void)handle, (void)product, (void)a, (void)b, (void)c, (void)d;
    *result = (cublasLtMatmulHeuristicResult_t){.workspaceSize = 64};
    return index_of(algo) < 0 || index_of(algo) >= ALGORITHMS;
}
cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t name, void *value,
                                                    size_t bytes, size_t *written) {
    assert_int_equal(name, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME);
    memcpy(value, &algorithms[index_of(algo)].scheme, *written = bytes);
    return 0;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t product, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout,
                              const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo, void *workspace,
                              size_t bytes, cudaStream_t stream) {
    (void)handle, (void)product, (void)alpha, (void)a, (void)a_layout, (void)b, (void)b_layout, (void)beta, (void)c;
    (void)c_layout, (void)d, (void)d_layout, (void)stream;
    assert_true(workspace == memory && bytes == 64);
    if (algorithms[index_of(algo)].fails) return CUBLAS_STATUS_NOT_SUPPORTED;
    ran = index_of(algo);
    runs++;
    now += algorithms[ran].milliseconds * (runs % 3 == 1 ? 1.5f : 1); /* noise */
    return 0;
}
static float stamps[2];
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
    static int made;
    assert_int_equal(flags, 0); /* no flags: the events record times */
    return *event = (cudaEvent_t)&stamps[made++ % 2], cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) { return (void)event, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    assert_false(recording);
    return (void)stream, *(float *)event = now, cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) { return (void)event, cudaSuccess; }
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to) {
    return *milliseconds = *(float *)to - *(float *)from, cudaSuccess;
}
cudaError_t cudaGetLastError(void) { return cudaSuccess; }

/* ---- the tests ---- */

static char folder[FOLDER_MAX], name[FILE_PATH_MAX];

/* The algorithm of a product of so many rows by a process that has met none; runs: how often the library was called. */
static int choice(long rows, float beta) {
    struct gemm g = {
        .rows = rows, .columns = 64, .inner = 64, .a = operands, .b = operands, .d = operands, .beta = beta};
    gemm_lt_close();
    ran = -1, runs = 0;
    assert_int_equal(gemm_lt(&g), 1);
    return ran;
}

static void take(float a, float b, float c, float d) {
    const float times[ALGORITHMS] = {a, b, c, d};
    for (int i = 0; i < ALGORITHMS; i++)
        algorithms[i].milliseconds = times[i], algorithms[i].scheme = 0, algorithms[i].fails = 0;
}

static long lines(void) {
    FILE *file = fopen(name, "r");
    long count = 0;
    for (int c; file && (c = getc(file)) != EOF;) count += c == '\n';
    if (file) fclose(file);
    return count;
}

static int fresh(void **state) {
    (void)state;
    if (folder_make(folder, "test_cuda_timed") || file_join(name, sizeof name, folder, "products")) return 1;
    recording = asked_deterministic = 0;
    return setenv("STREAMAVATAR_PRODUCTS", name, 1);
}
static int clean(void **state) {
    (void)state;
    folder_remove(folder);
    return unsetenv("STREAMAVATAR_PRODUCTS");
}

static void the_fastest_is_kept(void **state) {
    (void)state;
    take(4, 3, 1, 2);
    assert_int_equal(choice(16, 0), 2);
    assert_true(runs > ALGORITHMS);
    assert_int_equal(lines(), 1);
    take(1, 2, 9, 3); /* another mood */
    assert_int_equal(choice(16, 0), 2);
    assert_int_equal(runs, 1);
    assert_int_equal(choice(17, 0), 0); /* another product */
    assert_int_equal(lines(), 2);
    take(1, 1, 0.99f, 1); /* not clearly faster */
    assert_int_equal(choice(18, 0), 0);
}

static void without_timing_the_first(void **state) {
    (void)state;
    take(4, 3, 1, 2);
    recording = 1;
    assert_int_equal(choice(16, 0), 0);
    recording = 0;
    asked_deterministic = 1;
    assert_int_equal(choice(16, 0), 0);
    asked_deterministic = 0;
    assert_int_equal(choice(16, 1), 0); /* adds to d: once only */
    assert_int_equal(runs, 1);
    unsetenv("STREAMAVATAR_PRODUCTS");
    assert_int_equal(choice(16, 0), 0);
    assert_int_equal(lines(), 0);
    setenv("STREAMAVATAR_PRODUCTS", name, 1);
    assert_int_equal(choice(16, 0), 2);
    recording = 1; /* what the file has serves there too */
    assert_int_equal(choice(16, 0), 2);
}

static void rules_hold(void **state) {
    (void)state;
    take(4, 3, 1, 2);
    algorithms[2].scheme = CUBLASLT_REDUCTION_SCHEME_INPLACE;
    algorithms[3].fails = 1;
    assert_int_equal(choice(16, 0), 1);
    algorithms[1].scheme = CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE; /* what the file says now breaks them */
    assert_int_equal(choice(16, 0), 0);
}

/* Lines that are torn, or name what the library does not know, count as none. */
static void damaged_lines_are_passed_over(void **state) {
    (void)state;
    take(4, 3, 1, 2);
    assert_int_equal(choice(16, 0), 2);
    char line[1024] = "";
    FILE *file = fopen(name, "r");
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    char *words = strchr(strstr(line, "workspace"), ':') + 1;
    static const char *const damaged[] = {" 3 0\n", " zzz\n", "", "\n", " 77 0 0 0 0 0 0 0\n", " 3 0 0 0 0 0 0 0 0\n"};
    take(1, 2, 3, 4);
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        file = fopen(name, "w");
        fprintf(file, "%.*s%s", (int)(words - line), line, damaged[i]);
        fclose(file);
        assert_int_equal(choice(16, 0), 0);
        assert_true(runs > ALGORITHMS);
    }
    setenv("STREAMAVATAR_PRODUCTS", "/nowhere/at/all", 1);
    assert_int_equal(choice(16, 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(the_fastest_is_kept, fresh, clean),
                                       cmocka_unit_test_setup_teardown(without_timing_the_first, fresh, clean),
                                       cmocka_unit_test_setup_teardown(rules_hold, fresh, clean),
                                       cmocka_unit_test_setup_teardown(damaged_lines_are_passed_over, fresh, clean)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
