/* transfer.h: host float arrays to and from device arrays of the number types (types.h), converted on the way. The host
   buffer may be used again on return. */
#ifndef MODEL_PARAMS_TRANSFER_H
#define MODEL_PARAMS_TRANSFER_H

#include "kernels/types.h"

void transfer_to_real(real *device_to, const float *host_from, long n);
void transfer_to_elem(elem *device_to, const float *host_from, long n);
void transfer_from_real(float *host_to, const real *device_from, long n);
void transfer_from_elem(float *host_to, const elem *device_from, long n);

#endif
