/* driver.c: a driver for a machine that has none, as libcuda.so.1 of the tests: every call succeeds and does nothing.
   cuDNN looks for the driver by that name, and for these calls in it; with them it answers for a device that is
   described to it which engines it has, and makes plans of them. Nothing can be run. */
#include <stddef.h>
#include <string.h>

enum { SUCCESS = 0, NO_DEVICE = 100, NOT_FOUND = 500, VERSION = 13000, HANDLE_BYTES = 4096 };

/* What cuDNN 9.19 and 9.28 look for, by what a call writes to its first argument: nothing, the handle of something,
   0. */
#define CALLS(NOTHING, HANDLE, NUMBER)                                                                                 \
    NOTHING(cuInit)                                                                                                    \
    NOTHING(cuCtxGetLimit)                                                                                             \
    NOTHING(cuCtxPopCurrent)                                                                                           \
    NOTHING(cuCtxPushCurrent)                                                                                          \
    NOTHING(cuDeviceGetAttribute)                                                                                      \
    NOTHING(cuDevicePrimaryCtxRelease)                                                                                 \
    NOTHING(cuDevicePrimaryCtxReset)                                                                                   \
    NOTHING(cuFuncSetAttribute)                                                                                        \
    NOTHING(cuKernelSetAttribute)                                                                                      \
    NOTHING(cuLaunchCooperativeKernel)                                                                                 \
    NOTHING(cuLaunchKernel)                                                                                            \
    NOTHING(cuLaunchKernelEx)                                                                                          \
    NOTHING(cuLibraryLoadFromFile)                                                                                     \
    NOTHING(cuLibraryUnload)                                                                                           \
    NOTHING(cuLinkAddData)                                                                                             \
    NOTHING(cuLinkAddData_v2)                                                                                          \
    NOTHING(cuLinkAddFile_v2)                                                                                          \
    NOTHING(cuLinkComplete)                                                                                            \
    NOTHING(cuLinkCreate)                                                                                              \
    NOTHING(cuLinkCreate_v2)                                                                                           \
    NOTHING(cuLinkDestroy)                                                                                             \
    NOTHING(cuMemcpyDtoH_v2)                                                                                           \
    NOTHING(cuModuleLoadFatBinary)                                                                                     \
    NOTHING(cuModuleUnload)                                                                                            \
    NOTHING(cuOccupancyMaxActiveBlocksPerMultiprocessor)                                                               \
    NOTHING(cuOccupancyMaxPotentialClusterSize)                                                                        \
    NOTHING(cuStreamGetCtx)                                                                                            \
    NOTHING(cuStreamSynchronize)                                                                                       \
    NOTHING(cuTensorMapEncodeIm2col)                                                                                   \
    NOTHING(cuTensorMapEncodeTiled)                                                                                    \
    HANDLE(cuCtxGetCurrent)                                                                                            \
    HANDLE(cuDevicePrimaryCtxRetain)                                                                                   \
    HANDLE(cuKernelGetFunction)                                                                                        \
    HANDLE(cuLibraryGetKernel)                                                                                         \
    HANDLE(cuLibraryGetModule)                                                                                         \
    HANDLE(cuLibraryLoadData)                                                                                          \
    HANDLE(cuModuleGetFunction)                                                                                        \
    HANDLE(cuModuleLoadData)                                                                                           \
    HANDLE(cuModuleLoadDataEx)                                                                                         \
    NUMBER(cuCtxGetDevice)                                                                                             \
    NUMBER(cuDeviceGet)                                                                                                \
    NUMBER(cuFuncGetAttribute)                                                                                         \
    NUMBER(cuKernelGetAttribute)

static char something[HANDLE_BYTES]; /* what handles point at */

#define DEFINE_NOTHING(name)                                                                                           \
    int name(void);                                                                                                    \
    int name(void) { return SUCCESS; }
#define DEFINE_HANDLE(name)                                                                                            \
    int name(void **to);                                                                                               \
    int name(void **to) { return *to = something, SUCCESS; }
#define DEFINE_NUMBER(name)                                                                                            \
    int name(int *to);                                                                                                 \
    int name(int *to) { return *to = 0, SUCCESS; }
CALLS(DEFINE_NOTHING, DEFINE_HANDLE, DEFINE_NUMBER)

/* The others. */
int cuDriverGetVersion(int *version);
int cuDeviceGetCount(int *count);
int cuGetErrorString(int error, const char **text);
int cuGetErrorName(int error, const char **text);
int cuGetExportTable(const void **table, const void *name);
int cuLibraryGetGlobal(void **memory, size_t *bytes);
int cuModuleGetGlobal_v2(void **memory, size_t *bytes);
int cuGetProcAddress(const char *name, void **function, int version, unsigned long long flags);
int cuGetProcAddress_v2(const char *name, void **function, int version, unsigned long long flags, int *found);

int cuDriverGetVersion(int *version) { return *version = VERSION, SUCCESS; }
int cuDeviceGetCount(int *count) { return *count = 0, NO_DEVICE; }
int cuGetErrorString(int error, const char **text) { return (void)error, *text = "the stand-in's", SUCCESS; }
int cuGetErrorName(int error, const char **text) { return cuGetErrorString(error, text); }
int cuGetExportTable(const void **table, const void *name) { return (void)table, (void)name, NOT_FOUND; }
int cuModuleGetGlobal_v2(void **memory, size_t *bytes) { return cuLibraryGetGlobal(memory, bytes); }
int cuLibraryGetGlobal(void **memory, size_t *bytes) {
    *memory = something;
    if (bytes) *bytes = 0;
    return SUCCESS;
}

#define ENTRY(name) {#name, (void (*)(void))name},
/* By name; what the table lacks does nothing. */
int cuGetProcAddress_v2(const char *name, void **function, int version, unsigned long long flags, int *found) {
    static const struct {
        const char *name;
        void (*function)(void);
    } calls[] = {CALLS(ENTRY, ENTRY, ENTRY) ENTRY(cuDriverGetVersion) ENTRY(cuDeviceGetCount) ENTRY(cuGetErrorString)
                     ENTRY(cuGetErrorName) ENTRY(cuModuleGetGlobal_v2) ENTRY(cuLibraryGetGlobal) ENTRY(cuGetExportTable)
                         ENTRY(cuGetProcAddress) ENTRY(cuGetProcAddress_v2)};
    void (*named)(void) = (void (*)(void))cuInit;
    (void)version, (void)flags;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (!strcmp(calls[i].name, name)) named = calls[i].function;
    memcpy(function, &named, sizeof named);
    if (found) *found = 0;
    return SUCCESS;
}
int cuGetProcAddress(const char *name, void **function, int version, unsigned long long flags) {
    return cuGetProcAddress_v2(name, function, version, flags, NULL);
}
