/* devices.c: see devices.h. */
#include "tests/cuda/devices.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/cudnn/descriptors.h"

#include <stdio.h>

/* processors, clocks in kHz, width of the memory's bus in bits, bytes */
#define PROPERTIES(processors, clock, memory_clock, bus, memory, cache, shared, blocks, threads)                       \
    "\"multiProcessorCount\":" #processors ",\"smClockRateKHz\":" #clock ",\"memClockRateKHz\":" #memory_clock         \
    ",\"memoryBusWidth\":" #bus ",\"totalGlobalMem\":" #memory ",\"l2CacheSize\":" #cache                              \
    ",\"maxSharedMemoryPerBlockOptin\":" #shared ",\"maxCtasPerSM\":" #blocks ",\"maxThreadsPerSM\":" #threads

const struct device devices[DEVICES] = {
    {"NVIDIA A100-SXM4-80GB", 80, PROPERTIES(108, 1410000, 1593000, 5120, 85899345920, 41943040, 166912, 32, 2048)},
    {"NVIDIA H200", 90, PROPERTIES(132, 1980000, 3201000, 6144, 150754820096, 62914560, 232448, 32, 2048)},
    {"NVIDIA B200", 100, PROPERTIES(148, 1965000, 3996000, 8192, 191503204352, 132644864, 232448, 32, 2048)},
    {"NVIDIA GeForce RTX 5090", 120, PROPERTIES(170, 2407000, 14001000, 512, 34190917632, 100663296, 101376, 24, 1536)},
};

/* What all of them have alike. */
static const char common[] =
    "{\"cudnnVersion\":%zu,\"schemaVersion\":1,\"deviceVer\":%d,\"driverVer\":13000,\"deviceName\":\"%s\","
    "\"cudaDeviceId\":0,\"pciDeviceId\":0,\"isTccDriver\":0,\"supportCoopLaunch\":1,\"smCountOrigin\":0,"
    "\"warpSize\":32,\"regsPerBlock\":65536,\"maxRegistersPerSM\":65536,\"maxSharedMemoryPerBlock\":49152,"
    "\"reservedSharedMemoryPerBlock\":1024,\"maxThreadsPerBlock\":1024,\"maxBlockSize\":[1024,1024,64],"
    "\"maxGridSize\":[2147483647,65535,65535],%s}";

cudnnBackendDescriptor_t device_described(const struct device *device) {
    char text[2048], why[256];
    cudnnBackendDescriptor_t d = NULL;
    int length = snprintf(text, sizeof text, common, cudnnGetVersion(), 10 * device->capability, device->name,
                          device->properties);
    cudnnStatus_t status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &d);
    if (!status)
        status = cudnnBackendSetAttribute(d, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, length, text);
    if (!status) status = cudnnBackendFinalize(d);
    if (!status) return d;
    cudnn_words(why, sizeof why, device->name);
    puts(why);
    if (d) cudnnBackendDestroyDescriptor(d);
    return NULL;
}

int asked_deterministic;
int cuda_deterministic(void) { return asked_deterministic; }
