/* engines.h: chooses which of the library's engines computes a graph. The same code chooses on a device and, in tests,
   for a device that is only described to the library. */
#ifndef KERNELS_CUDA_CUDNN_ENGINES_H
#define KERNELS_CUDA_CUDNN_ENGINES_H

#include <stddef.h>
#include "kernels/cuda/cudnn/descriptors.h"

/* The device and the limits to choose for. */
struct cudnn_target {
    cudnnHandle_t handle;               /* handle of the device; NULL: there is none */
    cudnnBackendDescriptor_t described; /* properties of the device to choose for, without a handle */
    size_t workspace;                   /* bytes that an engine may take */
    int deterministic;                  /* 1: no engine whose sums may change their order */
    size_t kept;                        /* `kept` of the graph (graph.h); cudnn_choose sets it */
};

/* An engine with its settings, as the library's heuristics propose it. */
struct cudnn_engine {
    cudnnBackendDescriptor_t config;
    int64_t index;     /* its number in the library */
    int64_t workspace; /* bytes; -1: only its plan says */
    int fallback;      /* 1: proposed by the mode that is asked when the first has nothing that serves */
    int accepted;      /* 1: computes as this build wants, by its notes and, with determinism, its settings */
    int tensor_cores;
    int splits; /* 1: a sum may be divided over blocks that add to the same number */
};

struct cudnn_choice {
    struct cudnn_parts parts;      /* all descriptors, to be freed */
    cudnnBackendDescriptor_t plan; /* NULL: the library does not compute the graph */
    struct cudnn_engine engine;    /* the engine of the plan */
    size_t workspace,
        refused;      /* bytes; refused: the least that an engine before it wanted and that did not fit, 0: none */
    int proposed;     /* engines looked at */
    char reason[256]; /* why there is no plan */
};

/* Describes the graph and takes the first proposed engine, of mode A, then of FALLBACK, that computes as this build
   wants, makes a plan, and is content with the workspace. */
void cudnn_choose(struct cudnn_choice *choice, const struct cudnn_graph *graph, const struct cudnn_target *target);
void cudnn_choice_free(struct cudnn_choice *choice);

/* The steps of cudnn_choose, for tests that list engines. The first makes the operation graph (NULL: parts->failed says
   why); the second gets what a mode proposes for it, at most CUDNN_PROPOSED engines, and returns their number. */
enum { CUDNN_PROPOSED = 16 };
cudnnBackendDescriptor_t cudnn_operations(struct cudnn_parts *parts, const struct cudnn_graph *graph,
                                          const struct cudnn_target *target);
/* 1: the engine computes as this build wants and, as far as is known before there is a plan, fits in the workspace. */
int cudnn_serves(const struct cudnn_engine *engine, const struct cudnn_target *target);
int cudnn_propose(struct cudnn_engine *engine, struct cudnn_parts *parts, cudnnBackendDescriptor_t operations,
                  cudnnBackendHeurMode_t mode, const struct cudnn_target *target);

#endif
