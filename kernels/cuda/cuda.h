/* cuda.h: what the files of this backend share on the host side. For kernels/cuda/ only. */
#ifndef KERNELS_CUDA_CUDA_H
#define KERNELS_CUDA_CUDA_H

#include <stddef.h>
#include <stdint.h>
#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

cudaStream_t cuda_stream(void); /* the calling host thread's current stream */
/* After a launch: keeps the launch's own failure (bad grid, no image for this device). Waits for nothing. */
void cuda_launched(const char *kernel);
/* Keeps the failure of a call of the runtime; returns 1 when there was one. */
int cuda_failed(cudaError_t code, const char *what);
/* 1: equal bits for equal inputs, at the price of the faster algorithms whose order of sums may change. */
int cuda_deterministic(void);
/* 1: the calling thread's work is being recorded (device.h), so nothing may wait for it. */
int cuda_recording(void);
/* Compute capability of the device, 90 for 9.0. */
int cuda_capability(void);
/* Bytes that workspace_push would still give. */
size_t cuda_workspace_left(void);
/* 1 when it would give that many. 0: it is said once for a workspace that `what` is left to slower kernels. */
int cuda_workspace_holds(const char *what, size_t bytes);

/* Handles of the libraries are made when first used and freed by device_shutdown. */
void gemm_lt_close(void);
void cudnn_close(void);

/* 1 when the pointer can be read by 16 bytes; NULL can. */
static inline int aligned16(const void *pointer) { return ((uintptr_t)pointer & 15) == 0; }

#ifdef __cplusplus
}
#endif

#endif
