/* lora.h: a network trained through low-rank adapters over frozen weights (Hu et al. 2021).
   An adapted weight W [dout, din] is W + (alpha / r) B A with A [r, din] normal and B [dout, r] zero at first;
   parameters trained whole replace the frozen ones; all others stay as they are. The adapters are a parameter table of
   their own, with the slices of the network's, so optimiser, sharding and states treat them as any network.
   It works behind the hooks of params.h: acquiring a slice merges it into a working buffer, and when backward has
   finished a slice, the slice's gradient dW gives dB += s dW A^T and dA += s B^T dW. So no network knows of adapters,
   and the memory is that of a few slices. The merged weights are those that an export has, up to the rounding of elem:
   here base and product are rounded to elem, there they are summed in float. The price is that dW is computed, which
   adapters beside the layer would avoid.
   Adapters are named like their weights, with .lora_A.weight and .lora_B.weight in place of .weight, as in other
   tools. */
#ifndef MODEL_PARAMS_LORA_H
#define MODEL_PARAMS_LORA_H

#include "kernels/arena.h"
#include "model/params/params.h"

enum { LORA_LIST = 256, LORA_MERGED = 3 };
struct lora_config {
    int rank;                /* r; 0: no adapters, all parameters are trained */
    double alpha;            /* scale: alpha / r */
    char targets[LORA_LIST]; /* parts of names, separated by commas; matrices whose names have one are adapted */
    char whole[LORA_LIST];   /* the same for parameters that are trained whole */
    int first_whole_slice;   /* this slice and all later ones are trained whole (a discriminator's heads); 0: none */
    uint64_t seed;           /* seed of A's first values */
};

/* Working memory that all adapted networks of a process share, because only one of them runs at a time. */
struct lora_buffers {
    size_t slice, small;       /* elements of the largest slice; of the largest adapter */
    elem *merged[LORA_MERGED]; /* device [slice] */
    const void *merged_of[LORA_MERGED];
    int merged_slice[LORA_MERGED], merged_held[LORA_MERGED];
    real *grads; /* device [slice] */
    real *a, *b; /* device [small]: factors */
    real *product;
    elem *scaled;
};

struct lora {
    const struct param_table *full; /* the network's table */
    struct param_table adapters;
    int *target; /* [adapters.count] index in `full` of the parameter that it adapts or replaces; a pair is A, then B */
    double scale;
    struct params base; /* frozen weights: the first slices of `full`; slices after these are trained whole */
    struct params own;  /* adapters, with gradients while they train */
    struct lora_buffers *buffers;
};
/* Makes the adapters' table. ERR_USAGE: rank or alpha is out of range, or no weight is a target. */
int lora_create(struct lora *lora, const struct param_table *full, const struct lora_config *config);
void lora_destroy(struct lora *lora);
/* Call lora_buffers_need for every network: it notes the sizes. Then lora_buffers_layout takes the memory, once
   (arena.h). */
void lora_buffers_need(struct lora_buffers *buffers, const struct lora *lora);
void lora_buffers_layout(struct lora_buffers *buffers, struct arena *arena);

/* Writes the merged weights of a slice to `to`, device [elements of the slice]. */
void lora_merge(const struct lora *lora, int slice, elem *to);

/* Returns the network's parameters, merged slice by slice, without gradients. Whoever trains sets `grads` to the
   adapters'. */
struct params lora_params(const struct lora *lora);

/* Merges on the host: `values` holds elements from .. from + count - 1 of the network's parameter number `param`,
   frozen on entry and merged on return. own: the adapters' values, host [adapters.total]. */
void lora_merge_values(const struct lora *lora, int param, size_t from, size_t count, const float *own, float *values);

#endif
