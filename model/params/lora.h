/* lora.h: a network trained through low-rank adapters over frozen weights (Hu et al. 2021).
   An adapted weight W [dout, din] is W + (alpha / r) B A with A [r, din] normal and B [dout, r] zero at first;
   parameters trained whole replace the frozen ones; all others stay as they are. The adapters are a parameter table of
   their own, with the slices of the network's, so optimiser, sharding and states treat them as any network.
   It works behind the hooks of params.h: acquiring a slice merges it into a working buffer, and when backward is
   through with a slice its gradient dW gives dB += s dW A^T and dA += s B^T dW. So no network knows of adapters, and
   the memory is that of a few slices. The merged weights are those that an export has, up to the rounding of elem: here
   base and product are rounded to elem, there they are summed in float. The price is that dW is computed, which
   adapters beside the layer would avoid.
   Names: those of the weights with .lora_A.weight and .lora_B.weight in place of .weight, as other tools have them. */
#ifndef MODEL_PARAMS_LORA_H
#define MODEL_PARAMS_LORA_H

#include "kernels/arena.h"
#include "model/params/params.h"

enum { LORA_LIST = 256, LORA_MERGED = 3 };
struct lora_config {
    int rank; /* 0: all parameters are trained */
    double alpha;
    char targets[LORA_LIST]; /* parts of names, with commas between: weights with two sides that are adapted */
    char whole[LORA_LIST];   /* parameters trained whole */
    int first_whole_slice;   /* slices from there on are trained whole (a discriminator's heads); 0: none */
    uint64_t seed;           /* of the first A */
};

/* Of a process, for all its adapted networks: one is at work at a time. */
struct lora_buffers {
    size_t slice, small;       /* elements: the largest slice; the largest adapter */
    elem *merged[LORA_MERGED]; /* device [slice] */
    const void *merged_of[LORA_MERGED];
    int merged_slice[LORA_MERGED], merged_held[LORA_MERGED];
    real *grads; /* device [slice] */
    real *a, *b; /* device [small]: factors */
    real *product;
    elem *scaled;
};

struct lora {
    const struct param_table *full; /* the network's */
    struct param_table adapters;
    int *target; /* [adapters.count]: the parameter of the network that each is of; a pair is A, then B */
    double scale;
    struct params base; /* frozen weights: the first slices of `full`; those that follow are trained whole */
    struct params own;  /* adapters, with gradients while they train */
    struct lora_buffers *buffers;
};
/* The adapters' table. ERR_USAGE: rank or alpha out of range, or no weight is a target. */
int lora_create(struct lora *lora, const struct param_table *full, const struct lora_config *config);
void lora_destroy(struct lora *lora);
/* Counts what the buffers need; then the memory (arena.h), once for all networks. */
void lora_buffers_need(struct lora_buffers *buffers, const struct lora *lora);
void lora_buffers_layout(struct lora_buffers *buffers, struct arena *arena);

/* The merged slice into `to`, device [its size]. */
void lora_merge(const struct lora *lora, int slice, elem *to);

/* The network's parameters, merged slice by slice; without gradients. Whoever trains sets `grads` to the adapters'. */
struct params lora_params(const struct lora *lora);

/* On the host: elements from .. from + count of the network's parameter number `param`, the frozen ones in `values`,
   become the merged ones. own, host [adapters.total]. */
void lora_merge_values(const struct lora *lora, int param, size_t from, size_t count, const float *own, float *values);

#endif
