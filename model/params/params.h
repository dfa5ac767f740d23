/* params.h: one table describes a network's parameters; everything else (arena offsets, initialisation, optimiser,
   saving, loading, counting, export) derives from it.
   A network is a list of slices: slice 0 embeddings, slices 1..L the blocks, the last slices heads. A slice is one
   contiguous piece of the arena; a parameter is an offset (in elements) inside its slice. Every parameter starts at a
   multiple of 32 elements, except those that lie right behind another (param_follow). A quantised weight (quantised.h)
   takes the room of its bytes in elements: codes, then a scale in real for each output channel. Names are the original
   Wan names ("blocks.3.self_attn.q.weight"). */
#ifndef MODEL_PARAMS_PARAMS_H
#define MODEL_PARAMS_PARAMS_H

#include <stddef.h>
#include <stdint.h>
#include "kernels/quantised.h"
#include "kernels/types.h"

enum param_init { INIT_ZERO, INIT_ONE, INIT_NORMAL };

struct param {
    char name[96];
    int slice;
    int ndim;
    long shape[5];
    size_t count;
    size_t offset; /* elements from the start of the slice */
    int number;    /* addresses its random numbers and checksum; index in the list, or as param_number says */
    enum param_init init;
    double deviation;         /* standard deviation for INIT_NORMAL */
    int decay;                /* 1: weight decay applies */
    enum quantised_type type; /* type of a weight [dout, din] that is kept quantised; QUANTISED_NONE: elem */
};
struct param_table {
    struct param *list;
    int count, capacity;
    int slices;
    size_t *slice_offset; /* [slices + 1], elements; valid after param_table_close */
    size_t total;         /* elements, padding included */
    size_t values;        /* elements without padding: the parameter count that is printed */
    int failed;           /* 1: host memory ran out while adding */
};

void param_table_open(struct param_table *table);
/* Appends a parameter; returns its offset inside the slice. Slices must come in ascending order. shape ends with 0. */
size_t param_add(struct param_table *table, int slice, const char *name, enum param_init init, double deviation,
                 int decay, const long *shape);
/* Appends a parameter right behind the one before, without padding, so that one product can take both as one matrix. */
size_t param_follow(struct param_table *table, int slice, const char *name, enum param_init init, double deviation,
                    int decay, const long *shape);
/* Keeps the weight [dout, din] that was added last in a quantised type. */
void param_quantise(struct param_table *table, enum quantised_type type);
/* Elements that a parameter takes in its slice. */
size_t param_room(const struct param *param);
/* Where a quantised weight's codes [dout, din] and scales [dout] lie, from where it begins. */
struct quantised_weight {
    const uint8_t *codes;
    const real *scale;
};
static inline struct quantised_weight quantised_weight(const elem *weight, long dout, long din) {
    const uint8_t *codes = (const uint8_t *)weight;
    return (struct quantised_weight){codes, (const real *)(const void *)(codes + quantised_scales_at(dout, din))};
}
/* Numbers parameters `first` .. first + count - 1 of the list first + order[0], first + order[1] and so on, so that
   random numbers and checksums stay those of that other order. */
void param_number(struct param_table *table, int first, const int *order, int count);
/* Pads every slice so that it divides into `pieces` (>= 1) equal pieces, each a multiple of 32 elements. Called after
   param_table_close. */
void param_table_divide(struct param_table *table, int pieces);
/* Sets the slices' offsets and the totals. ERR_DEVICE: host memory ran out, here or while adding. */
int param_table_close(struct param_table *table);
void param_table_free(struct param_table *table);
const struct param *param_find(const struct param_table *table, const char *name); /* NULL: none */
static inline size_t param_position(const struct param_table *t, const struct param *p) {
    return t->slice_offset[p->slice] + p->offset;
}
/* Elements of a slice, padding included; param_largest_slice: of the largest slice from number `first` on. */
static inline size_t param_slice_size(const struct param_table *t, int slice) {
    return t->slice_offset[slice + 1] - t->slice_offset[slice];
}
size_t param_largest_slice(const struct param_table *table, int first);

/* Functions that a wrapper of a network provides when its slices do not simply lie in an arena (shard.h: divided over
   ranks; lora.h: adapters over frozen weights). `of` is the wrapper's own object. The wrapper keeps a failure until
   status is called. */
struct params_source {
    const elem *(*acquire)(void *of, int slice);
    void (*release)(void *of, int slice);
    real *(*grads_acquire)(void *of, int slice);
    void (*grads_done)(void *of, int slice, int last);
    int (*status)(void *of);
};
/* A network's weights and, while it trains, its gradients. The arenas belong to the caller. Networks take a struct
   params in each call and keep no pointer of it. */
struct params {
    const struct param_table *table;
    elem *weights;                      /* device [total] */
    real *grads;                        /* device [total]; NULL: input gradients only */
    const struct params_source *source; /* NULL: weights and grads above hold everything; else it is asked for them */
    void *of;                           /* argument of the source's functions */
    int last; /* 1: this backward is the last before the gradients are used, so they may be summed over ranks */
};
/* Returns a slice's weights, valid until params_release: from the arena, or from the source. */
const elem *params_acquire(const struct params *params, int slice);
void params_release(const struct params *params, int slice);
/* Returns a slice's gradients, to add to; NULL when there is no gradient arena. grads_done: backward has finished the
   slice. */
real *grads_acquire(const struct params *params, int slice);
void grads_done(const struct params *params, int slice);

/* Returns the source's first failure, or OK. Networks call it at the end of a pass. */
int params_status(const struct params *params);

/* Fill one parameter [param->count], or one slice [its elements] (device), with what params_initialise gives them. */
void params_initialise_one(real *values, const struct param *param, uint64_t seed);
void params_initialise_slice(real *values, const struct param_table *table, int slice, uint64_t seed);
/* Fills master [total] (device) from the table; random numbers are addressed by seed and the parameter's number,
   padding is zero. */
void params_initialise(real *master, const struct param_table *table, uint64_t seed);

#endif
