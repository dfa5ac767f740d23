/* streams.h (of the shim): what libraries that are faked for tests put on streams (shim.cpp). */
#ifndef TESTS_SHIM_STREAMS_H
#define TESTS_SHIM_STREAMS_H

#include "cuda_runtime.h"

#include <mutex>

/* Work that may wait for others: it is asked until it says true, with the lock held, by whoever waits for the
   stream. */
void shim_enqueue(cudaStream_t stream, std::function<bool()> piece);
/* Runs what the stream holds, as far as it goes. */
void shim_advance(cudaStream_t stream);
int shim_priority(cudaStream_t stream);
std::recursive_mutex &shim_lock(); /* the lock that guards all streams */

#endif
