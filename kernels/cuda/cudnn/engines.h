/* engines.h: which of the library's engines computes a graph. The same code chooses on a device and, in tests, for a
   device that is only described to the library. */
#ifndef KERNELS_CUDA_CUDNN_ENGINES_H
#define KERNELS_CUDA_CUDNN_ENGINES_H

#include <stddef.h>
#include "kernels/cuda/cudnn/descriptors.h"

/* For whom is chosen. */
struct cudnn_target {
    cudnnHandle_t handle;               /* the device's; NULL: there is none, */
    cudnnBackendDescriptor_t described; /* but these are its properties */
    size_t workspace;                   /* bytes that an engine may take */
    int deterministic;                  /* 1: none whose sums may change their order */
    size_t kept;                        /* the graph's (graph.h); cudnn_choose sets it */
};

/* An engine with its settings, as the library's heuristics propose it. */
struct cudnn_engine {
    cudnnBackendDescriptor_t config;
    int64_t index;     /* the library's number of it */
    int64_t workspace; /* bytes; -1: only its plan says */
    int fallback;      /* proposed by the mode that is asked when the first has nothing that serves */
    int accepted;      /* computes as this build wants: its notes, and with determinism asked for its settings too */
    int tensor_cores;
    int splits; /* a sum may be divided over blocks that add to the same number */
};

struct cudnn_choice {
    struct cudnn_parts parts;      /* all descriptors, to be freed */
    cudnnBackendDescriptor_t plan; /* NULL: the library does not compute the graph */
    struct cudnn_engine engine;    /* the plan's */
    size_t workspace, refused;     /* refused: the least that an engine before it wanted which did not fit; 0: none */
    int proposed;                  /* engines looked at */
    char reason[256];              /* why there is no plan */
};

/* Describes the graph and takes the first proposed engine, of mode A, then of FALLBACK, that computes as this build
   wants, makes a plan, and is content with the workspace. */
void cudnn_choose(struct cudnn_choice *choice, const struct cudnn_graph *graph, const struct cudnn_target *target);
void cudnn_choice_free(struct cudnn_choice *choice);

/* The steps, for tests that list engines: the operation graph (NULL: parts->failed says why), and what a mode proposes
   for it, at most CUDNN_PROPOSED, as parts; returns their number. */
enum { CUDNN_PROPOSED = 16 };
cudnnBackendDescriptor_t cudnn_operations(struct cudnn_parts *parts, const struct cudnn_graph *graph,
                                          const struct cudnn_target *target);
/* 1: it computes as this build wants, and is content with the workspace as far as is known before there is a plan. */
int cudnn_serves(const struct cudnn_engine *engine, const struct cudnn_target *target);
int cudnn_propose(struct cudnn_engine *engine, struct cudnn_parts *parts, cudnnBackendDescriptor_t operations,
                  cudnnBackendHeurMode_t mode, const struct cudnn_target *target);

#endif
