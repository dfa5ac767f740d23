/* instructions.h: compares the instruction sets that the cpu backend was compiled for (CPU_FLAGS) with those that this
   processor has. The compiler may use any of them anywhere; oneDNN asks the processor by itself. */
#ifndef KERNELS_HOST_INSTRUCTIONS_H
#define KERNELS_HOST_INSTRUCTIONS_H

/* List of X(name for __builtin_cpu_supports, macro that the compiler defines as 1 when it may use the set). */
#define INSTRUCTION_SETS(X)                                                                                            \
    X("sse4.2", __SSE4_2__)                                                                                            \
    X("popcnt", __POPCNT__)                                                                                            \
    X("avx", __AVX__)                                                                                                  \
    X("avx2", __AVX2__)                                                                                                \
    X("fma", __FMA__)                                                                                                  \
    X("bmi", __BMI__)                                                                                                  \
    X("bmi2", __BMI2__)                                                                                                \
    X("avx512f", __AVX512F__)                                                                                          \
    X("avx512bw", __AVX512BW__)                                                                                        \
    X("avx512cd", __AVX512CD__)                                                                                        \
    X("avx512dq", __AVX512DQ__)                                                                                        \
    X("avx512vl", __AVX512VL__)                                                                                        \
    X("avx512vbmi", __AVX512VBMI__)                                                                                    \
    X("avx512vbmi2", __AVX512VBMI2__)                                                                                  \
    X("avx512vnni", __AVX512VNNI__)                                                                                    \
    X("avx512bf16", __AVX512BF16__)

/* One text for each set: "1" where the kernels were compiled for it. */
extern const char *const instructions_built[];
/* Name of the first set in `built` (a list like instructions_built) that this processor
   lacks; NULL: it has them all. */
const char *instructions_missing(const char *const *built);

#endif
