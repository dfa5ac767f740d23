/* graph.c: the descriptors of graph.h. */
#include "kernels/cuda/cudnn/graph.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void fail(struct cudnn_parts *parts, cudnnStatus_t status, const char *what, int name) {
    if (status == CUDNN_STATUS_SUCCESS || parts->status != CUDNN_STATUS_SUCCESS) return;
    char words[96] = "";
    parts->status = status;
    cudnnGetLastErrorString(words, sizeof words);
    for (char *c = words; *c; c++)
        if (*c == '\n') *c = ' ';
    snprintf(parts->failed, sizeof parts->failed, "%s %d: %s%s%s", what, name, cudnnGetErrorString(status),
             *words ? ": " : "", words);
}

void cudnn_name(struct cudnn_parts *parts, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(parts->name, sizeof parts->name, format, list);
    va_end(list);
}

void cudnn_parts_free(struct cudnn_parts *parts) {
    for (int i = parts->count - 1; i >= 0; i--) cudnnBackendDestroyDescriptor(parts->part[i]);
    memset(parts, 0, sizeof *parts);
}

cudnnBackendDescriptor_t cudnn_begin(struct cudnn_parts *parts, cudnnBackendDescriptorType_t type) {
    cudnnBackendDescriptor_t part = NULL;
    if (parts->status) return NULL;
    if (parts->count == CUDNN_PARTS)
        return fail(parts, CUDNN_STATUS_INTERNAL_ERROR, "too many parts", CUDNN_PARTS), NULL;
    fail(parts, cudnnBackendCreateDescriptor(type, &part), "descriptor", (int)type);
    if (part) parts->part[parts->count++] = part;
    return part;
}

void cudnn_set(struct cudnn_parts *parts, cudnnBackendDescriptor_t part, cudnnBackendAttributeName_t name,
               cudnnBackendAttributeType_t type, int64_t count, const void *values) {
    if (!parts->status) fail(parts, cudnnBackendSetAttribute(part, name, type, count, values), "attribute", (int)name);
}

void cudnn_set_part(struct cudnn_parts *parts, cudnnBackendDescriptor_t part, cudnnBackendAttributeName_t name,
                    cudnnBackendDescriptor_t value) {
    cudnn_set(parts, part, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

void cudnn_end(struct cudnn_parts *parts, cudnnBackendDescriptor_t part) {
    if (!parts->status) fail(parts, cudnnBackendFinalize(part), "finalising part", parts->count);
}

void cudnn_end_operation(struct cudnn_parts *parts, cudnnBackendDescriptor_t operation) {
    cudnn_end(parts, operation);
    if (parts->operations == CUDNN_OPERATIONS) fail(parts, CUDNN_STATUS_INTERNAL_ERROR, "too many operations", 0);
    if (!parts->status) parts->operation[parts->operations++] = operation;
}

/* 16 bytes of alignment are promised: callers ask no library for less. */
cudnnBackendDescriptor_t cudnn_tensor(struct cudnn_parts *parts, const struct cudnn_tensor *tensor) {
    cudnnBackendDescriptor_t part = cudnn_begin(parts, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    int64_t alignment = 16;
    bool inside = tensor->place == CUDNN_INSIDE, by_value = tensor->place == CUDNN_BY_VALUE;
    cudnn_set(parts, part, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &tensor->type);
    cudnn_set(parts, part, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, tensor->dims, tensor->dim);
    cudnn_set(parts, part, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, tensor->dims, tensor->stride);
    cudnn_set(parts, part, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &tensor->uid);
    cudnn_set(parts, part, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    cudnn_set(parts, part, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &inside);
    cudnn_set(parts, part, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &by_value);
    cudnn_end(parts, part);
    return part;
}
