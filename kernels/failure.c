/* failure.c: see failure.h. */
#include "kernels/failure.h"

#include <pthread.h>
#include <stdio.h>

#include "base/error.h"
#include "kernels/device.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below */
static char first[256];                                  /* text of the kept failure; "" when there is none */
static long count;

void failure_keep(const char *format, va_list list) {
    pthread_mutex_lock(&lock);
    if (!first[0]) vsnprintf(first, sizeof first, format, list);
    count++;
    pthread_mutex_unlock(&lock);
}

int failure_take(void) {
    pthread_mutex_lock(&lock);
    int code = first[0] ? error_set(ERR_DEVICE, "%s", first) : OK;
    first[0] = 0;
    pthread_mutex_unlock(&lock);
    return code;
}

long device_failures(void) {
    pthread_mutex_lock(&lock);
    long failures = count;
    pthread_mutex_unlock(&lock);
    return failures;
}
