/* descriptors.c: see descriptors.h. A table says, for each operation, which descriptor it is, which attributes take its
   operands, and which other descriptor holds its settings. */
#include "kernels/cuda/cudnn/descriptors.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void cudnn_words(char *to, size_t size, const char *what) {
    char words[256] = "";
    cudnnGetLastErrorString(words, sizeof words);
    for (char *c = words; *c; c++)
        if (*c == '\n') *c = ' ';
    snprintf(to, size, "%s%s%s", what, *words ? ": " : "", words);
}

static void fail(struct cudnn_parts *parts, cudnnStatus_t status, const char *what, int name) {
    char text[96];
    if (status == CUDNN_STATUS_SUCCESS || parts->status != CUDNN_STATUS_SUCCESS) return;
    parts->status = status;
    snprintf(text, sizeof text, "%s %d: %s", what, name, cudnnGetErrorString(status));
    cudnn_words(parts->failed, sizeof parts->failed, text);
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

/* Makes the descriptor of a tensor. It promises 16 bytes of alignment, because callers
   give the library nothing that has less. */
static cudnnBackendDescriptor_t tensor_part(struct cudnn_parts *parts, const struct cudnn_tensor *tensor) {
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

/* ---- operations ---- */

enum settings { NO_SETTINGS, POINTWISE, PRODUCT, SUM, CONVOLUTION };

#define OPERAND(name) CUDNN_ATTR_OPERATION_##name
#define POINTWISE_OPERATION(mode)                                                                                      \
    {                                                                                                                  \
        CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, POINTWISE, CUDNN_POINTWISE_##mode,                               \
            OPERAND(POINTWISE_PW_DESCRIPTOR)                                                                           \
    }
#define ONE_OPERAND                                                                                                    \
    { OPERAND(POINTWISE_XDESC), OPERAND(POINTWISE_YDESC) }
#define TWO_OPERANDS                                                                                                   \
    { OPERAND(POINTWISE_XDESC), OPERAND(POINTWISE_BDESC), OPERAND(POINTWISE_YDESC) }

/* alpha: attribute of a convolution's factor; that of the factor of the old result comes next in the library's list. */
static const struct kind {
    struct {
        cudnnBackendDescriptorType_t type;
        enum settings settings;
        cudnnPointwiseMode_t mode;
        cudnnBackendAttributeName_t settings_name, alpha, beta;
    } is;
    cudnnBackendAttributeName_t operand[GRAPH_OPERANDS];
} kinds[GRAPH_OPERATIONS] = {
    [GRAPH_PRODUCT] = {{CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, PRODUCT, 0, OPERAND(MATMUL_DESC)},
                       {OPERAND(MATMUL_ADESC), OPERAND(MATMUL_BDESC), OPERAND(MATMUL_CDESC)}},
    [GRAPH_MULTIPLY] = {POINTWISE_OPERATION(MUL), TWO_OPERANDS},
    [GRAPH_ADD] = {POINTWISE_OPERATION(ADD), TWO_OPERANDS},
    [GRAPH_SUBTRACT] = {POINTWISE_OPERATION(SUB), TWO_OPERANDS},
    [GRAPH_EXP] = {POINTWISE_OPERATION(EXP), ONE_OPERAND},
    [GRAPH_COPY] = {POINTWISE_OPERATION(IDENTITY), ONE_OPERAND},
    [GRAPH_SUM] = {{CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, SUM, 0, OPERAND(REDUCTION_DESC)},
                   {OPERAND(REDUCTION_XDESC), OPERAND(REDUCTION_YDESC)}},
    [GRAPH_VIEW] = {{CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR}, {OPERAND(RESHAPE_XDESC), OPERAND(RESHAPE_YDESC)}},
    [GRAPH_CONVOLVE] = {{CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CONVOLUTION, 0,
                         OPERAND(CONVOLUTION_FORWARD_CONV_DESC), OPERAND(CONVOLUTION_FORWARD_ALPHA),
                         OPERAND(CONVOLUTION_FORWARD_BETA)},
                        {OPERAND(CONVOLUTION_FORWARD_X), OPERAND(CONVOLUTION_FORWARD_W),
                         OPERAND(CONVOLUTION_FORWARD_Y)}},
    [GRAPH_CONVOLVE_INPUT] = {{CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, CONVOLUTION, 0,
                               OPERAND(CONVOLUTION_BWD_DATA_CONV_DESC), OPERAND(CONVOLUTION_BWD_DATA_ALPHA),
                               OPERAND(CONVOLUTION_BWD_DATA_BETA)},
                              {OPERAND(CONVOLUTION_BWD_DATA_DX), OPERAND(CONVOLUTION_BWD_DATA_W),
                               OPERAND(CONVOLUTION_BWD_DATA_DY)}},
    [GRAPH_CONVOLVE_WEIGHT] = {{CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, CONVOLUTION, 0,
                                OPERAND(CONVOLUTION_BWD_FILTER_CONV_DESC), OPERAND(CONVOLUTION_BWD_FILTER_ALPHA),
                                OPERAND(CONVOLUTION_BWD_FILTER_BETA)},
                               {OPERAND(CONVOLUTION_BWD_FILTER_DW), OPERAND(CONVOLUTION_BWD_FILTER_X),
                                OPERAND(CONVOLUTION_BWD_FILTER_DY)}},
    [GRAPH_ATTEND] = {{CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR},
                      {OPERAND(SDPA_FWD_QDESC), OPERAND(SDPA_FWD_KDESC), OPERAND(SDPA_FWD_VDESC),
                       OPERAND(SDPA_FWD_ODESC), OPERAND(SDPA_FWD_STATSDESC), OPERAND(SDPA_FWD_SCALEDESC)}},
    [GRAPH_ATTEND_BACKWARD] = {{CUDNN_BACKEND_OPERATION_SDPA_BWD_DESCRIPTOR},
                               {OPERAND(SDPA_BWD_QDESC), OPERAND(SDPA_BWD_KDESC), OPERAND(SDPA_BWD_VDESC),
                                OPERAND(SDPA_BWD_ODESC), OPERAND(SDPA_BWD_DODDESC), OPERAND(SDPA_BWD_STATSDESC),
                                OPERAND(SDPA_BWD_SCALEDESC), OPERAND(SDPA_BWD_DQDESC), OPERAND(SDPA_BWD_DKDESC),
                                OPERAND(SDPA_BWD_DVDESC)}},
};

static const cudnnDataType_t arithmetic = CUDNN_DATA_FLOAT;

static cudnnBackendDescriptor_t pointwise_part(struct cudnn_parts *parts, cudnnPointwiseMode_t mode) {
    cudnnBackendDescriptor_t part = cudnn_begin(parts, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    cudnn_set(parts, part, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    cudnn_set(parts, part, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &arithmetic);
    cudnn_end(parts, part);
    return part;
}

static cudnnBackendDescriptor_t product_part(struct cudnn_parts *parts) {
    cudnnBackendDescriptor_t part = cudnn_begin(parts, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    cudnn_set(parts, part, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &arithmetic);
    cudnn_end(parts, part);
    return part;
}

static cudnnBackendDescriptor_t sum_part(struct cudnn_parts *parts) {
    cudnnBackendDescriptor_t part = cudnn_begin(parts, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    cudnnReduceTensorOp_t add = CUDNN_REDUCE_TENSOR_ADD;
    cudnn_set(parts, part, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &add);
    cudnn_set(parts, part, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &arithmetic);
    cudnn_end(parts, part);
    return part;
}

static cudnnBackendDescriptor_t convolution_part(struct cudnn_parts *parts, const struct graph_windows *w) {
    cudnnBackendDescriptor_t part = cudnn_begin(parts, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    int64_t axes = w->axes, one[3] = {1, 1, 1};
    cudnn_set(parts, part, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes);
    cudnn_set(parts, part, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &arithmetic);
    cudnn_set(parts, part, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    cudnn_set(parts, part, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, axes, w->before);
    cudnn_set(parts, part, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, axes, w->after);
    cudnn_set(parts, part, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, axes, one);
    cudnn_set(parts, part, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, axes, w->stride);
    cudnn_end(parts, part);
    return part;
}

static cudnnBackendDescriptor_t settings_part(struct cudnn_parts *parts, const struct kind *kind,
                                              const struct graph_windows *windows) {
    switch (kind->is.settings) {
    case POINTWISE:
        return pointwise_part(parts, kind->is.mode);
    case PRODUCT:
        return product_part(parts);
    case SUM:
        return sum_part(parts);
    case CONVOLUTION:
        return convolution_part(parts, windows);
    default:
        return NULL;
    }
}

static void describe_node(struct cudnn_parts *parts, const struct graph_node *node, const struct graph_windows *windows,
                          const cudnnBackendDescriptor_t *tensor) {
    const struct kind *kind = &kinds[node->operation];
    cudnnBackendDescriptor_t settings = settings_part(parts, kind, windows);
    cudnnBackendDescriptor_t operation = cudnn_begin(parts, kind->is.type);
    float one = 1;
    if (settings) cudnn_set_part(parts, operation, kind->is.settings_name, settings);
    for (int i = 0; i < node->operands; i++)
        cudnn_set_part(parts, operation, kind->operand[i], tensor[node->operand[i]]);
    if (kind->is.settings == CONVOLUTION) {
        cudnn_set(parts, operation, kind->is.alpha, CUDNN_TYPE_FLOAT, 1, &one);
        cudnn_set(parts, operation, kind->is.beta, CUDNN_TYPE_FLOAT, 1, &node->beta);
    }
    cudnn_end(parts, operation);
    if (!parts->status) parts->operation[parts->operations++] = operation;
}

void cudnn_describe(struct cudnn_parts *parts, const struct cudnn_graph *graph) {
    cudnnBackendDescriptor_t tensor[GRAPH_TENSORS];
    if (graph->full) return fail(parts, CUDNN_STATUS_INTERNAL_ERROR, "too large a graph", graph->nodes);
    for (int i = 0; i < graph->tensors; i++) tensor[i] = tensor_part(parts, &graph->tensor[i]);
    for (int i = 0; i < graph->nodes; i++) describe_node(parts, &graph->node[i], &graph->windows, tensor);
}
