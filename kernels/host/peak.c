/* peak.c: see peak.h. Compiled with the flags of kernels/cpu, so that it has the same instructions. A loop keeps SUMS
   independent sums, enough to hide the four to six cycles that one multiply-add takes before the next can use its
   result; operands are opaque to the compiler, so that it leaves none out. */
#include <math.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>
#if defined(__AVX512BF16__) || defined(__AMX_BF16__)
#include <immintrin.h>
#include <sys/syscall.h>
#endif
#include "kernels/device.h"
#include "kernels/peak.h"
#include "kernels/types.h"

enum { SUMS = 12, RUNS = 100, ROUNDS = 1 << 16 };

#if defined(__AVX512F__)
enum { VECTOR_BYTES = 64 };
#elif defined(__AVX__)
enum { VECTOR_BYTES = 32 };
#else
enum { VECTOR_BYTES = 16 };
#endif
typedef real vec __attribute__((vector_size(VECTOR_BYTES)));

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Operations a second of all threads in a loop whose run has `work` operations. Every thread times its own runs, and
   its shortest counts: beside other work a thread rarely has its core for long, let alone all threads at once. */
static double rate(void (*loop)(void), double work) {
    double sum = 0;
    int threads = device_threads();
#pragma omp parallel num_threads(threads) reduction(+ : sum)
    {
        double least = INFINITY;
        for (int run = 0; run < RUNS; run++) {
            double start = now();
            loop();
            least = fmin(least, now() - start);
        }
        sum += work / least;
    }
    return sum;
}

/* Hides where a value comes from, so that the compiler neither merges equal sums nor leaves any out. */
#define OPAQUE(value) __asm__ volatile("" : "+x"(value))

static void loop_real(void) {
    vec sum[SUMS] = {0}, x = {0}, y = {0};
    x += (real)0.5;
    y += (real)0.5;
    OPAQUE(x);
    OPAQUE(y);
    for (long i = 0; i < ROUNDS; i++)
#pragma GCC unroll 12
        for (int s = 0; s < SUMS; s++) {
            sum[s] = sum[s] * x + y;
            OPAQUE(sum[s]);
        }
}

static double rate_real(void) { return rate(loop_real, 2.0 * SUMS * ROUNDS * (double)(VECTOR_BYTES / sizeof(real))); }

#if defined(TYPE_BF16) && defined(__AVX512BF16__)
static void loop_bf16(void) {
    __m512 sum[SUMS];
    __m512i bits = _mm512_set1_epi16(0x3f00); /* 0.5 */
    OPAQUE(bits);
#pragma GCC unroll 12
    for (int s = 0; s < SUMS; s++) sum[s] = _mm512_setzero_ps();
    for (long i = 0; i < ROUNDS; i++)
#pragma GCC unroll 12
        for (int s = 0; s < SUMS; s++) {
            sum[s] = _mm512_dpbf16_ps(sum[s], (__m512bh)bits, (__m512bh)bits);
            OPAQUE(sum[s]);
        }
}
static double rate_bf16(void) { return rate(loop_bf16, 2.0 * SUMS * ROUNDS * 32); }
#endif

#if defined(TYPE_BF16) && defined(__AMX_BF16__)
/* Asks the system for the tile registers (AMX), which a process must do before it uses them; 1: allowed. */
static int tiles_allowed(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

enum { TILES_SUMMED = 4, TILE_ROUNDS = ROUNDS / 64, TILE_WORK = 2 * 16 * 16 * 32 };
static void loop_tiles(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } layout = {.palette = 1};
    for (int t = 0; t < TILES_SUMMED + 2; t++) layout.row_bytes[t] = 64, layout.rows[t] = 16;
    _tile_loadconfig(&layout);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    for (long i = 0; i < TILE_ROUNDS; i++) {
        _tile_dpbf16ps(0, 4, 5);
        _tile_dpbf16ps(1, 4, 5);
        _tile_dpbf16ps(2, 4, 5);
        _tile_dpbf16ps(3, 4, 5);
    }
    _tile_release();
}
static double rate_tiles(void) {
    return tiles_allowed() ? rate(loop_tiles, (double)TILE_WORK * TILES_SUMMED * TILE_ROUNDS) : 0;
}
#endif

struct peak device_peak(void) {
    struct peak peak = {.real = rate_real()};
    peak.elem = peak.real;
#if defined(TYPE_BF16) && defined(__AVX512BF16__)
    peak.elem = fmax(peak.elem, rate_bf16());
#endif
#if defined(TYPE_BF16) && defined(__AMX_BF16__)
    peak.elem = fmax(peak.elem, rate_tiles());
#endif
    return peak;
}
