/* gpu_smoke.c: the first thing to run on a machine with a GPU.
     gpu_smoke            small calls of what everything else stands on, by whatever way this build takes, against the
                          double oracle: an own kernel, a product, attention, a convolution; then who served them.
                          Exit 1: one is wrong
     gpu_smoke versions   the device, the versions of driver and libraries, and the files that the loader found for them
     gpu_smoke hold       keeps the device awake until its standard input ends: no other program waits for the driver
   Only with BACKEND=cuda. */
#include "tests/unit/kernel_harness.h"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "kernels/served.h"

/* ---- versions ---- */

/* cuDNN loads the compiler of its engines by name when it first wants one; without it they do not exist. */
static void print_compiler(void) {
    static const char *const names[] = {"libnvrtc.so.13", "libnvrtc.so"};
    int major = 0, minor = 0;
    void *library = NULL;
    for (int i = 0; i < 2 && !library; i++) library = dlopen(names[i], RTLD_NOW);
    if (!library) {
        printf("NVRTC: not found (%s): cuDNN has none of the engines that it compiles\n", dlerror());
        return;
    }
    int (*version)(int *, int *) = (int (*)(int *, int *))dlsym(library, "nvrtcVersion");
    if (version) version(&major, &minor);
    printf("NVRTC: %d.%d\n", major, minor);
}

static int print_file(struct dl_phdr_info *info, size_t size, void *user) {
    static const char *const wanted[] = {"libcuda", "libcublas", "libcudnn", "libnvrtc", "libgomp", "libstdc++"};
    const char *base = strrchr(info->dlpi_name, '/');
    (void)size, (void)user;
    for (size_t i = 0; base && i < sizeof wanted / sizeof *wanted; i++)
        if (!strncmp(base + 1, wanted[i], strlen(wanted[i]))) printf("library: %s\n", info->dlpi_name);
    return 0;
}

static int print_versions(void) {
    struct cudaDeviceProp p;
    cudnnHandle_t handle = NULL;
    int driver = 0, runtime = 0, clock = 0;
    if (device_init(0)) return fprintf(stderr, "gpu_smoke: %s\n", error_text()), 5;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    cudaDeviceGetAttribute(&clock, cudaDevAttrClockRate, 0);
    if (cudaGetDeviceProperties(&p, 0)) return fprintf(stderr, "gpu_smoke: no properties of the device\n"), 5;
    printf("device: %s, compute capability %d.%d, %d multiprocessors at %d MHz, %.1f GiB, L2 %.0f MiB\n", p.name,
           p.major, p.minor, p.multiProcessorCount, clock / 1000, (double)p.totalGlobalMem / 1073741824,
           (double)p.l2CacheSize / 1048576);
    printf("CUDA: driver's %d.%d, runtime %d.%d, this build's %d.%d\n", driver / 1000, driver % 1000 / 10,
           runtime / 1000, runtime % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    printf("cuBLASLt: %zu, this build's %d\n", cublasLtGetVersion(), CUBLAS_VERSION);
    printf("cuDNN: %zu for CUDA %zu, this build's %d\n", cudnnGetVersion(), cudnnGetCudartVersion(), CUDNN_VERSION);
    cudnnStatus_t status = cudnnCreate(&handle);
    if (status) printf("cuDNN: no handle: %s\n", cudnnGetErrorString(status));
    print_compiler();
    dl_iterate_phdr(print_file, NULL);
    if (handle) cudnnDestroy(handle);
    device_shutdown();
    return 0;
}

/* ---- the keeper ---- */

static int hold(void) {
    char byte;
    if (device_init(1)) return fprintf(stderr, "gpu_smoke: %s\n", error_text()), 5;
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
    device_shutdown();
    return 0;
}

/* ---- the test ---- */

static void own_kernel(struct trial *t, const long *s) {
    struct buffer *x = make(t, ELEM, INPUT, s[0]), *y = make(t, ELEM, OUTPUT, s[0]);
    load(t);
    gelu_forward(dev(y), dev(x), s[0]);
    ref_gelu_forward(val(y), val(x), s[0]);
    for (long i = 0; i < y->n; i++) y->noise[i] = slack(1) * x->magnitude[i];
}

/* n, din, dout */
static void product(struct trial *t, const long *s) {
    struct buffer *x = make(t, ELEM, INPUT, s[0] * s[1]), *w = make(t, ELEM, INPUT, s[2] * s[1]);
    struct buffer *b = make(t, ELEM, INPUT, s[2]), *y = make(t, ELEM, OUTPUT, s[0] * s[2]);
    load(t);
    linear_forward(dev(y), dev(x), dev(w), dev(b), s[0], s[1], s[2], 0);
    ref_linear_forward(val(y), val(x), val(w), val(b), s[0], s[1], s[2], 0);
    ref_linear_forward(mag(y), mag(x), mag(w), mag(b), s[0], s[1], s[2], 0);
    allow(y, s[1]);
}

/* Queries and keys, heads, width of a head. Values are at most 1, so an output is off by at most what the probabilities
   are: by the rounding of themselves and by twice the error of a score, here of magnitude sqrt(width). The sums of
   exponentials, which cuDNN only writes when it is asked, are close to the logarithm of the number of keys. */
static void attention(struct trial *t, const long *s) {
    long n = s[0] * s[1] * s[2];
    double scale = 1 / sqrt((double)s[2]), score = sqrt((double)s[2]);
    struct buffer *q = make(t, ELEM, INPUT, n), *k = make(t, ELEM, INPUT, n), *v = make(t, ELEM, INPUT, n);
    struct buffer *o = make(t, ELEM, OUTPUT, n), *lse = make(t, REAL, OUTPUT, s[0] * s[1]);
    load(t);
    struct attention_range range = {.k = dev(k), .v = dev(v), .length = s[0], .k_stride = n, .v_stride = n};
    struct ref_attention_range oracle = {.k = val(k), .v = val(v), .length = s[0], .k_stride = n, .v_stride = n};
    attention_forward(dev(o), dev(lse), dev(q), &range, 1, 1, s[0], s[1], s[2], (real)scale);
    ref_attention_forward(val(o), val(lse), val(q), &oracle, 1, 1, s[0], s[1], s[2], scale);
    for (long i = 0; i < o->n; i++) o->noise[i] = 2 * unit(ELEM) + 2 * slack(s[2]) * score + slack(s[0]);
    for (long i = 0; i < lse->n; i++) lse->noise[i] = slack(s[2]) * score + slack(s[0]);
}

/* rows and columns, channels in, channels out */
static void convolution(struct trial *t, const long *s) {
    const struct conv_shape shape = {1, s[1], s[2], 1, {2, s[0], s[0]}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}};
    struct buffer *x = make(t, ELEM, INPUT, 2 * s[0] * s[0] * s[1]), *w = make(t, ELEM, INPUT, 9 * s[1] * s[2]);
    struct buffer *b = make(t, ELEM, INPUT, s[2]), *y = make(t, ELEM, OUTPUT, 2 * s[0] * s[0] * s[2]);
    load(t);
    conv_forward(dev(y), dev(x), dev(w), dev(b), &shape, 0);
    ref_conv_forward(val(y), val(x), val(w), val(b), &shape, 0);
    ref_conv_forward(mag(y), mag(x), mag(w), mag(b), &shape, 0);
    allow(y, 9 * s[1]);
}

static const long numbers[][CASE_SIZES] = {{4096}, {0}}, products[][CASE_SIZES] = {{128, 256, 192}, {0}};
static const long heads[][CASE_SIZES] = {{128, 2, 64}, {0}}, pictures[][CASE_SIZES] = {{16, 64, 64}, {0}};
static const struct kernel_case cases[] = {{"own_kernel", own_kernel, 1, numbers},
                                           {"product", product, 1, products},
                                           {"attention", attention, 1, heads},
                                           {"convolution", convolution, 1, pictures}};

static void print_served(void) {
    struct served s;
    char text[512];
    for (int i = 0; served_sum(i, &s); i++) {
        s.sizes = 0;
        served_text(text, sizeof text, &s);
        printf("served: %s\n", text);
    }
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 && !strcmp(argv[1], "versions")) return print_versions();
    if (argc > 1 && !strcmp(argv[1], "hold")) return hold();
    if (argc > 1) return fprintf(stderr, "gpu_smoke: usage: gpu_smoke [versions | hold]\n"), 2;
    int failed = RUN_CASES(cases);
    print_served();
    return failed != 0;
}
