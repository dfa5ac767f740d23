/* cuda.h: the host side that the files of kernels/cuda/ share; nothing else includes it. */
#ifndef KERNELS_CUDA_CUDA_H
#define KERNELS_CUDA_CUDA_H

#include <stddef.h>
#include <stdint.h>
#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

cudaStream_t cuda_stream(void); /* the calling host thread's current stream */
/* Call it after a launch: keeps the launch's own failure (bad grid, no image for this device). It waits for nothing. */
void cuda_launched(const char *kernel);
/* Keeps the failure of a call of the runtime; returns 1 when there was one. */
int cuda_failed(cudaError_t code, const char *what);
/* 1: equal inputs must give equal bits, so that algorithms whose order of sums may change are not used. */
int cuda_deterministic(void);
/* 1: the calling thread's work is being recorded (device.h), so that nothing may wait for it. */
int cuda_recording(void);
/* Compute capability of the device, 90 for 9.0. */
int cuda_capability(void);
/* Bytes that workspace_push can still give. */
size_t cuda_workspace_left(void);
/* 1: workspace_push can give that many bytes. 0: it cannot, and the log says, once for a
   workspace, that slower kernels do the work of `what`. */
int cuda_workspace_holds(const char *what, size_t bytes);

/* Free the libraries' handles, which are made when first used; device_shutdown calls these. */
void gemm_lt_close(void);
void cudnn_close(void);

/* 1: the pointer is aligned for reads of 16 bytes; NULL is too. */
static inline int aligned16(const void *pointer) { return ((uintptr_t)pointer & 15) == 0; }

#ifdef __cplusplus
}
#endif

#endif
