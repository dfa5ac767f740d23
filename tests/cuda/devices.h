/* devices.h: GPUs that are not there, described to cuDNN. The properties of the H200 are those that its driver reports;
   the others' are from what NVIDIA has published of them. */
#ifndef TESTS_CUDA_DEVICES_H
#define TESTS_CUDA_DEVICES_H

#include <cudnn.h>

struct device {
    const char *name;
    int capability; /* 90 for 9.0 */
    const char *properties;
};
enum { DEVICES = 4 };
extern const struct device devices[DEVICES];

/* The library's descriptor of the device; NULL, with the reason printed, where it does not take the properties. */
cudnnBackendDescriptor_t device_described(const struct device *device);

/* What device_deterministic has set where there is a device (kernels/cuda/cuda.h). */
extern int asked_deterministic;

#endif
