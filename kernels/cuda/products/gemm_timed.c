/* gemm_timed.c: see gemm_timed.h. */
#include "kernels/cuda/products/gemm_timed.h"
#include "kernels/cuda/cuda.h"
#include "kernels/device.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 512, RUNS = 5, WORDS = sizeof(cublasLtMatmulAlgo_t) / sizeof(uint64_t) };

/* Name of the file of timed choices; NULL: none is named. */
static const char *file_name(void) {
    const char *name = getenv("STREAMAVATAR_PRODUCTS");
    return name && *name ? name : NULL;
}

/* Writes the beginning of the product's line. */
static void describe(char line[LINE], const struct gemm_key *k) {
    snprintf(line, LINE,
             "cublasLt %zu sm_%d %s: %ld x %ld x %ld, %ld parts %ld %ld %ld %ld, %d%d %d%d%d%d%s, aligned %d %d %d, "
             "workspace %zu:",
             cublasLtGetVersion(), cuda_capability(), sizeof(elem) == 2 ? "bf16" : "float", k->rows, k->columns,
             k->inner, k->parts, k->a_step, k->b_step, k->d_step, k->bias_step, k->a_transposed, k->b_transposed, k->in,
             k->out, k->extra, k->accumulates, k->scaled ? " scaled" : "", k->a_align, k->b_align, k->d_align,
             k->workspace);
}

/* Reads an algorithm; 1: the text is the algorithm's words and no more. */
static int read_words(const char *text, cublasLtMatmulAlgo_t *algo) {
    int used = 0;
    for (int i = 0; i < WORDS; i++, text += used) {
        uint64_t word;
        if (sscanf(text, " %16" SCNx64 "%n", &word, &used) != 1) return 0;
        memcpy((char *)algo + sizeof word * (size_t)i, &word, sizeof word);
    }
    return !strcmp(text, "\n");
}

/* Looks for the product in the file; 1: there is a line whose algorithm the library
   takes. Other lines, and torn ones, are skipped. */
static int find_kept(struct gemm_plan *plan, cublasLtHandle_t handle, const char *name, const char *begins) {
    FILE *file = fopen(name, "r");
    char line[2 * LINE];
    int found = 0;
    while (file && !found && fgets(line, sizeof line, file)) {
        struct gemm_algorithm kept;
        found = !strncmp(line, begins, strlen(begins)) && read_words(line + strlen(begins), &kept.algo) &&
                gemm_plan_takes(plan, handle, &kept);
        if (found) plan->algorithm = kept;
    }
    if (file) fclose(file);
    return found;
}

/* Appends the choice to the file by one write, so that processes that share the file do not tear each other's lines. */
static void keep(const struct gemm_plan *plan, const char *name, const char *begins) {
    char line[2 * LINE];
    size_t length = (size_t)snprintf(line, sizeof line, "%s", begins);
    for (int i = 0; i < WORDS; i++) {
        uint64_t word;
        memcpy(&word, (const char *)&plan->algorithm.algo + sizeof word * (size_t)i, sizeof word);
        length += (size_t)snprintf(line + length, sizeof line - length, " %" PRIx64, word);
    }
    line[length++] = '\n';
    int file = open(name, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (file < 0 || write(file, line, length) != (ssize_t)length)
        log_line("cublasLt: the timed choice cannot be written, the next run will time it again: %s: %s", name,
                 strerror(errno));
    if (file >= 0) close(file);
}

/* Milliseconds of the fastest of some runs after a first one, which loads the kernel; negative: it does not run. */
static float time_of(struct gemm_plan *plan, cublasLtHandle_t handle, const struct gemm *g,
                     const struct gemm_algorithm *algorithm, void *workspace, cudaEvent_t event[2]) {
    float least = -1;
    for (int i = 0; i <= RUNS; i++) {
        float passed;
        if (cudaEventRecord(event[0], cuda_stream()) ||
            gemm_plan_run(plan, handle, g, algorithm, workspace, cuda_stream()) ||
            cudaEventRecord(event[1], cuda_stream()) || cudaEventSynchronize(event[1]) ||
            cudaEventElapsedTime(&passed, event[0], event[1]))
            return -1;
        if (i && (least < 0 || passed < least)) least = passed;
    }
    return least;
}

/* Times the candidates; the first stays unless another is clearly faster. 0: they could not be timed. */
static int take_fastest(struct gemm_plan *plan, cublasLtHandle_t handle, const struct gemm *g,
                        const struct gemm_algorithm *candidate, int count, void *workspace) {
    cudaEvent_t event[2] = {NULL, NULL};
    float first = -1, least = -1;
    if (cudaEventCreateWithFlags(&event[0], 0) || cudaEventCreateWithFlags(&event[1], 0)) count = 0;
    for (int i = 0; i < count; i++) {
        float passed = time_of(plan, handle, g, &candidate[i], workspace, event);
        if (!i) first = least = passed;
        if (passed < 0 || first < 0 || passed > 0.98f * first || passed >= least) continue;
        least = passed;
        plan->algorithm = candidate[i];
    }
    for (int i = 0; i < 2; i++)
        if (event[i]) cudaEventDestroy(event[i]);
    cudaGetLastError(); /* clears the errors of algorithms that do not run */
    log_line("cublasLt: %s %ld x %ld x %ld: %d algorithms timed, %.3f ms; the library's first choice %.3f ms",
             gemm_operation(g->in, g->out, g->extra), g->rows, g->columns, g->inner, count, (double)least,
             (double)first);
    return first >= 0;
}

void gemm_timed_choice(struct gemm_plan *plan, cublasLtHandle_t handle, const struct gemm *g) {
    struct gemm_algorithm candidate[GEMM_CANDIDATES];
    char begins[LINE];
    const char *name = file_name();
    if (!name || cuda_deterministic() || plan->key.accumulates) return;
    describe(begins, &plan->key);
    if (find_kept(plan, handle, name, begins) || cuda_recording()) return;
    int count = gemm_plan_candidates(plan, handle, candidate, GEMM_CANDIDATES);
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        if (candidate[i].workspace > bytes) bytes = candidate[i].workspace;
    void *workspace = bytes ? workspace_push(bytes) : NULL;
    if (bytes && !workspace) return;
    int timed = take_fastest(plan, handle, g, candidate, count, workspace);
    workspace_pop(workspace);
    if (timed) keep(plan, name, begins);
}
