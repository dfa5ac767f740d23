/* graph.c: see graph.h. */
#include "kernels/cuda/cudnn/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void graph_name(struct cudnn_graph *graph, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(graph->name, sizeof graph->name, format, list);
    va_end(list);
}

int graph_tensor(struct cudnn_graph *graph, const struct cudnn_tensor *tensor) {
    if (graph->tensors == GRAPH_TENSORS) return graph->full = 1, 0;
    graph->tensor[graph->tensors] = *tensor;
    return graph->tensors++;
}

struct graph_node *graph_add(struct cudnn_graph *graph, enum graph_operation operation, int operands,
                             const int *operand) {
    static _Thread_local struct graph_node lost;
    graph->full |= graph->nodes == GRAPH_NODES || operands > GRAPH_OPERANDS;
    if (graph->full) return &lost;
    struct graph_node *node = &graph->node[graph->nodes++];
    *node = (struct graph_node){.operation = operation, .operands = operands};
    memcpy(node->operand, operand, sizeof *operand * (size_t)operands);
    return node;
}
