/* engines.c: see engines.h. */
#include "kernels/cuda/cudnn/engines.h"

#include <stdio.h>
#include <string.h>

enum { NOTES = 16, KNOBS = 32 };

/* ---- what an engine is ---- */

/* 1: this build does not accept engines with this note. */
static int note_refused(cudnnBackendNumericalNote_t note, int deterministic) {
    switch (note) {
    case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
    case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13:
        return 1;
    case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
        return deterministic;
    case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
        return CUDNN_ELEM == CUDNN_DATA_FLOAT; /* tensor cores would mean TF32 */
    default:
        return 0;
    }
}

/* 1: a setting of the engine divides sums over blocks. */
static int knob_splits(cudnnBackendDescriptor_t choice) {
    cudnnBackendKnobType_t type = CUDNN_KNOB_TYPE_COUNTS;
    int64_t count = 0, value = 0;
    if (cudnnBackendGetAttribute(choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &count, &type) ||
        cudnnBackendGetAttribute(choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &count, &value))
        return 1;
    switch ((int)type) { /* numbers, because some names are deprecated, which engines still use */
    case 0:              /* SPLIT_K */
    case CUDNN_KNOB_TYPE_SPLIT_K_SLC:
    case CUDNN_KNOB_TYPE_SPLIT_P_SLC:
    case CUDNN_KNOB_TYPE_SPLIT_COLS:
        return value > 1;
    case CUDNN_KNOB_TYPE_SPLIT_K_BUF:
    case CUDNN_KNOB_TYPE_STREAM_K:
        return value > 0;
    default:
        return 0;
    }
}

static int splits(cudnnBackendDescriptor_t config) {
    cudnnBackendDescriptor_t knob[KNOBS] = {NULL};
    int64_t count = 0;
    int made = 0, found = 0;
    while (made < KNOBS && !cudnnBackendCreateDescriptor(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &knob[made])) made++;
    if (cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &count,
                                 knob))
        found = 1;
    for (int64_t i = 0; i < count && i < made; i++) found |= knob_splits(knob[i]);
    while (made) cudnnBackendDestroyDescriptor(knob[--made]);
    return found;
}

/* Reads what the library says of the engine and decides whether this build accepts it: by its notes and, where
   determinism is asked for, by its settings. */
static void examine(struct cudnn_engine *to, int deterministic) {
    cudnnBackendDescriptor_t engine = NULL;
    cudnnBackendNumericalNote_t notes[NOTES];
    int64_t count = 0, one = 0;
    if (cudnnBackendGetAttribute(to->config, CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &one,
                                 &to->workspace))
        to->workspace = -1;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine)) return;
    if (!cudnnBackendGetAttribute(to->config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &one,
                                  &engine) &&
        !cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &one, &to->index) &&
        !cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, NOTES, &count,
                                  notes)) {
        to->splits = splits(to->config);
        to->accepted = !(deterministic && to->splits);
        for (int64_t i = 0; i < count && i < NOTES; i++) {
            to->accepted &= !note_refused(notes[i], deterministic);
            to->tensor_cores |= notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        }
    }
    cudnnBackendDestroyDescriptor(engine);
}

/* ---- the library's proposals ---- */

cudnnBackendDescriptor_t cudnn_operations(struct cudnn_parts *parts, const struct cudnn_graph *graph,
                                          const struct cudnn_target *target) {
    cudnn_describe(parts, graph);
    cudnnBackendDescriptor_t whole = cudnn_begin(parts, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    if (target->handle)
        cudnn_set(parts, whole, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &target->handle);
    cudnn_set(parts, whole, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, parts->operations,
              parts->operation);
    cudnn_end(parts, whole);
    return parts->status ? NULL : whole;
}

int cudnn_propose(struct cudnn_engine *engine, struct cudnn_parts *parts, cudnnBackendDescriptor_t operations,
                  cudnnBackendHeurMode_t mode, const struct cudnn_target *target) {
    cudnnBackendDescriptor_t config[CUDNN_PROPOSED],
        heuristic = cudnn_begin(parts, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    int64_t count = 0;
    cudnn_set_part(parts, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, operations);
    cudnn_set(parts, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (!target->handle) cudnn_set_part(parts, heuristic, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, target->described);
    cudnn_end(parts, heuristic);
    for (int i = 0; i < CUDNN_PROPOSED; i++) config[i] = cudnn_begin(parts, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (parts->status || cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                  CUDNN_TYPE_BACKEND_DESCRIPTOR, CUDNN_PROPOSED, &count, config))
        return 0;
    if (count > CUDNN_PROPOSED) count = CUDNN_PROPOSED;
    for (int64_t i = 0; i < count; i++) {
        engine[i] = (struct cudnn_engine){.config = config[i], .fallback = mode == CUDNN_HEUR_MODE_FALLBACK};
        examine(&engine[i], target->deterministic);
    }
    return (int)count;
}

static int fits(const struct cudnn_target *target, int64_t bytes) {
    return (size_t)bytes >= target->kept && (size_t)bytes <= target->workspace;
}

int cudnn_serves(const struct cudnn_engine *engine, const struct cudnn_target *target) {
    return engine->accepted && (engine->workspace < 0 || fits(target, engine->workspace));
}

/* ---- plans ---- */

static void does_not_fit(struct cudnn_choice *choice, int64_t bytes, const struct cudnn_target *target) {
    if ((size_t)bytes < target->kept) {
        snprintf(choice->reason, sizeof choice->reason,
                 "an engine would add up as blocks come instead of keeping what its sums are made of");
        return;
    }
    if (!choice->refused || (size_t)bytes < choice->refused) choice->refused = (size_t)bytes;
}

/* Makes the engine's plan choice->plan, unless it does not take the graph or wants more than there is. */
static void try_engine(struct cudnn_choice *choice, const struct cudnn_engine *engine,
                       const struct cudnn_target *target) {
    cudnnBackendDescriptor_t plan = NULL;
    int64_t bytes = 0, one = 0;
    if (!cudnn_serves(engine, target)) return does_not_fit(choice, engine->workspace, target);
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan)) return;
    cudnnStatus_t status = cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engine->config);
    if (!status)
        status = target->handle ? cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1,
                                                           &target->handle)
                                : cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                                                           CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &target->described);
    if (!status) status = cudnnBackendFinalize(plan);
    if (!status)
        status =
            cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &one, &bytes);
    if (status) {
        cudnn_words(choice->reason, sizeof choice->reason, "the plan of an engine");
    } else if (fits(target, bytes)) {
        choice->plan = plan, choice->engine = *engine, choice->workspace = (size_t)bytes;
        choice->engine.config = NULL; /* freed with the proposals */
        return;
    } else {
        does_not_fit(choice, bytes, target);
    }
    cudnnBackendDestroyDescriptor(plan);
}

/* Makes a plan of what the mode proposes; returns how many engines compute as this build wants. */
static int choose_of_mode(struct cudnn_choice *choice, cudnnBackendDescriptor_t operations, cudnnBackendHeurMode_t mode,
                          const struct cudnn_target *target) {
    struct cudnn_engine engine[CUDNN_PROPOSED];
    struct cudnn_parts proposals = {.count = 0};
    int count = cudnn_propose(engine, &proposals, operations, mode, target), accepted = 0;
    choice->proposed += count;
    if (!count && !choice->proposed)
        cudnn_words(choice->reason, sizeof choice->reason,
                    proposals.status ? proposals.failed : "the library has no engine for it");
    for (int i = 0; i < count && !choice->plan; i++)
        if (engine[i].accepted) accepted++, try_engine(choice, &engine[i], target);
    cudnn_parts_free(&proposals);
    return accepted;
}

void cudnn_choose(struct cudnn_choice *choice, const struct cudnn_graph *graph, const struct cudnn_target *whom) {
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    memset(choice, 0, sizeof *choice);
    struct cudnn_target keeping = *whom, *target = &keeping;
    target->kept = graph->kept;
    cudnnBackendDescriptor_t operations = cudnn_operations(&choice->parts, graph, target);
    int accepted = 0;
    if (!operations) return (void)snprintf(choice->reason, sizeof choice->reason, "%s", choice->parts.failed);
    for (size_t i = 0; i < sizeof modes / sizeof *modes && !choice->plan; i++)
        accepted += choose_of_mode(choice, operations, modes[i], target);
    if (choice->plan) return;
    if (choice->refused)
        snprintf(choice->reason, sizeof choice->reason,
                 "an engine wants %.1f MiB of workspace, but there are %.1f (see workspace_mib)",
                 (double)choice->refused / 1048576, (double)target->workspace / 1048576);
    else if (choice->proposed && !accepted)
        snprintf(choice->reason, sizeof choice->reason, "%d engines, none of which computes as this build wants",
                 choice->proposed);
}

void cudnn_choice_free(struct cudnn_choice *choice) {
    if (choice->plan) cudnnBackendDestroyDescriptor(choice->plan);
    cudnn_parts_free(&choice->parts);
    memset(choice, 0, sizeof *choice);
}
