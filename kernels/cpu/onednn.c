/* onednn.c: see onednn.h. */
#include <pthread.h>
#include "kernels/cpu/onednn.h"

static struct {
    pthread_mutex_t lock;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
} onednn = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int start(void) {
    if (onednn.stream) return 1;
    if (!onednn.engine && dnnl_engine_create(&onednn.engine, dnnl_cpu, 0) != dnnl_success) return 0;
    return dnnl_stream_create(&onednn.stream, onednn.engine, dnnl_stream_default_flags) == dnnl_success;
}

int onednn_acquire(void) {
    pthread_mutex_lock(&onednn.lock);
    if (start()) return 1;
    pthread_mutex_unlock(&onednn.lock);
    return 0;
}

void onednn_release(void) { pthread_mutex_unlock(&onednn.lock); }

dnnl_engine_t onednn_engine(void) { return onednn.engine; }

int onednn_run(const_dnnl_primitive_t primitive, const dnnl_exec_arg_t *args, int count) {
    return dnnl_primitive_execute(primitive, onednn.stream, count, args) == dnnl_success;
}
