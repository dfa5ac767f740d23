/* golden_file.h: a golden file, its tensors, and how far values are from them. Host arrays. */
#ifndef TESTS_GOLDEN_FILE_H
#define TESTS_GOLDEN_FILE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "checkpoints/safetensors.h"
#include "kernels/device.h"

/* The device, with memory poisoned, and a golden file; where that fails a line and the code. */
static inline int golden_open(struct safetensors *file, const char *path) {
    device_poison(1);
    int code = device_init(2);
    if (!code) code = safetensors_open(file, path);
    if (code) print_error("%s\n", error_text());
    return code;
}

/* Tensor `prefix``name`, malloc'd, of *count elements; NULL: the file does not have it. */
static inline float *golden_tensor(const struct safetensors *file, const char *prefix, const char *name,
                                   size_t *count) {
    char full[128];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const struct safetensors_entry *entry = safetensors_find(file, full);
    if (!entry) return NULL;
    float *values = malloc(entry->count * sizeof *values);
    assert_non_null(values);
    assert_int_equal(safetensors_read_float(entry, values), OK);
    *count = entry->count;
    return values;
}

/* The same, of a count that is known. */
static inline float *golden_tensor_of(const struct safetensors *file, const char *prefix, const char *name,
                                      size_t count) {
    size_t found;
    float *values = golden_tensor(file, prefix, name, &found);
    if (values) assert_int_equal(found, count);
    return values;
}

/* Relative error in the root of the sum of squares. */
static inline double golden_distance(const float *values, const float *expected, size_t count) {
    double error = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        double off = (double)values[i] - expected[i];
        error += off * off;
        size += (double)expected[i] * expected[i];
    }
    return sqrt(error / size);
}

#endif
