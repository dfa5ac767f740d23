/* buffer.c: see buffer.h. */
#include "kernels/cpu/buffer.h"
#include "kernels/device.h"

#include <pthread.h>
#include <stdlib.h>

static struct {
    pthread_mutex_t lock;
    float *block;
    long size;
} buffer = {.lock = PTHREAD_MUTEX_INITIALIZER};

float *cpu_buffer_take(long threads, long *each) {
    *each = (*each + 15) / 16 * 16;
    long size = threads * *each;
    pthread_mutex_lock(&buffer.lock);
    if (size > buffer.size) {
        free(buffer.block);
        buffer.block = aligned_alloc(64, sizeof(float) * (size_t)size);
        buffer.size = buffer.block ? size : 0;
    }
    if (buffer.block) return buffer.block;
    pthread_mutex_unlock(&buffer.lock);
    device_fail("no memory for the tiles of kernels: %.1f MiB for %ld threads", (double)size * 4 / 1048576, threads);
    return NULL;
}

void cpu_buffer_give(void) { pthread_mutex_unlock(&buffer.lock); }
