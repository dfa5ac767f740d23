/* onednn.h: oneDNN for the kernels of this backend. All differences between its 2.x and 3.x C interfaces are dealt with
   here. There is one engine and one stream, used by one host thread at a time: onednn_acquire ... onednn_release.
   A primitive fixes its partition of the work for the number of threads it was made for: its table's key has that
   number, so that the same threads give the same bits. */
#ifndef KERNELS_CPU_ONEDNN_H
#define KERNELS_CPU_ONEDNN_H

#include <oneapi/dnnl/dnnl.h>
#include "kernels/types.h"

#if defined(TYPE_BF16)
#define ELEM_DATA dnnl_bf16
#else
#define ELEM_DATA dnnl_f32
#endif

/* Takes the lock and starts the engine. 0 when oneDNN does not start (then there is nothing to release). */
int onednn_acquire(void);
void onednn_release(void);
dnnl_engine_t onednn_engine(void);
int onednn_run(const_dnnl_primitive_t primitive, const dnnl_exec_arg_t *args, int count); /* 1: done */

#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t onednn_layout; /* the type by which functions take a description */
#define ONEDNN_LAYOUT(desc) (desc)
#else
typedef const dnnl_memory_desc_t *onednn_layout;
#define ONEDNN_LAYOUT(desc) (&(desc))
#endif

/* Descriptions: 1 when made; each made one is forgotten once. */
static inline int onednn_describe(dnnl_memory_desc_t *desc, int ndims, const long *size, const long *stride,
                                  dnnl_data_type_t type) {
    dnnl_dims_t dims = {0}, strides = {0};
    for (int i = 0; i < ndims; i++) dims[i] = size[i], strides[i] = stride[i];
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_create_with_strides(desc, ndims, dims, type, strides) == dnnl_success;
#else
    return dnnl_memory_desc_init_by_strides(desc, ndims, dims, type, strides) == dnnl_success;
#endif
}
/* Describes memory in a layout of the library's own choice. */
static inline int onednn_describe_any(dnnl_memory_desc_t *desc, int ndims, const long *size, dnnl_data_type_t type) {
    dnnl_dims_t dims = {0};
    for (int i = 0; i < ndims; i++) dims[i] = size[i];
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_create_with_tag(desc, ndims, dims, type, dnnl_format_tag_any) == dnnl_success;
#else
    return dnnl_memory_desc_init_by_tag(desc, ndims, dims, type, dnnl_format_tag_any) == dnnl_success;
#endif
}
/* Copies a description that belongs to a primitive into one of the caller's own. */
static inline int onednn_keep(dnnl_memory_desc_t *desc, onednn_layout layout) {
    if (!layout) return 0;
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_clone(desc, layout) == dnnl_success;
#else
    *desc = *layout;
    return 1;
#endif
}
static inline int onednn_same(onednn_layout a, onednn_layout b) { return dnnl_memory_desc_equal(a, b); }
static inline void onednn_forget(dnnl_memory_desc_t *desc) {
#if DNNL_VERSION_MAJOR >= 3
    dnnl_memory_desc_destroy(*desc);
#else
    (void)desc;
#endif
}

/* Makes a memory object without data, which onednn_point gives it at each use. */
static inline int onednn_memory(dnnl_memory_t *memory, onednn_layout layout) {
    return dnnl_memory_create(memory, layout, onednn_engine(), DNNL_MEMORY_NONE) == dnnl_success;
}
/* Points a memory object at data. oneDNN takes all operands as void *, but writes only results. */
static inline void onednn_point(dnnl_memory_t memory, const void *data) {
    dnnl_memory_set_data_handle(memory, (void *)(uintptr_t)data);
}

/* Makes attributes: the result becomes beta times what was there plus the new values (beta 0: the new values). With
   scratchpad_user the caller gives the scratchpad, whose size the primitive's description says. */
static inline int onednn_attributes(dnnl_primitive_attr_t *attr, float beta, dnnl_scratchpad_mode_t scratchpad) {
    dnnl_post_ops_t ops = NULL;
    int ok = dnnl_primitive_attr_create(attr) == dnnl_success && dnnl_post_ops_create(&ops) == dnnl_success;
    ok = ok && dnnl_primitive_attr_set_scratchpad_mode(*attr, scratchpad) == dnnl_success;
    if (ok && beta != 0) {
#if DNNL_VERSION_MAJOR >= 3
        ok = dnnl_post_ops_append_sum(ops, beta, 0, dnnl_data_type_undef) == dnnl_success;
#else
        ok = dnnl_post_ops_append_sum(ops, beta) == dnnl_success;
#endif
        ok = ok && dnnl_primitive_attr_set_post_ops(*attr, ops) == dnnl_success;
    }
    if (ops) dnnl_post_ops_destroy(ops);
    return ok;
}

/* 1: the library has only its slow reference code for it. */
static inline int onednn_is_reference(const_dnnl_primitive_desc_t pd) {
    const char *name = "";
    return dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) == dnnl_success &&
           !strncmp(name, "ref", 3);
}

/* ---- operations; b NULL: no bias ---- */
static inline int onednn_describe_matmul(dnnl_primitive_desc_t *pd, onednn_layout x, onednn_layout w, onednn_layout b,
                                         onednn_layout y, const_dnnl_primitive_attr_t attr) {
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_matmul_primitive_desc_create(pd, onednn_engine(), x, w, b, y, attr) == dnnl_success;
#else
    dnnl_matmul_desc_t desc;
    return dnnl_matmul_desc_init(&desc, x, w, b, y) == dnnl_success &&
           dnnl_primitive_desc_create(pd, &desc, attr, onednn_engine(), NULL) == dnnl_success;
#endif
}

struct onednn_window { /* window of a convolution, an entry for each axis */
    dnnl_dims_t stride, before, after;
};
enum onednn_direction { ONEDNN_FORWARD, ONEDNN_TO_INPUT, ONEDNN_TO_WEIGHT };
/* Describes a convolution of x, w and y or their gradients; hint: the forward's
   description, which the two backward directions need. */
static inline int onednn_describe_convolution(dnnl_primitive_desc_t *pd, enum onednn_direction direction,
                                              onednn_layout x, onednn_layout w, onednn_layout b, onednn_layout y,
                                              const struct onednn_window *window, const_dnnl_primitive_desc_t hint,
                                              const_dnnl_primitive_attr_t attr) {
    const dnnl_alg_kind_t how = dnnl_convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
    const dnnl_dims_t dense = {0};
    dnnl_engine_t engine = onednn_engine();
    if (direction == ONEDNN_FORWARD)
        return dnnl_convolution_forward_primitive_desc_create(pd, engine, dnnl_forward_training, how, x, w, b, y,
                                                              window->stride, dense, window->before, window->after,
                                                              attr) == dnnl_success;
    if (direction == ONEDNN_TO_INPUT)
        return dnnl_convolution_backward_data_primitive_desc_create(pd, engine, how, x, w, y, window->stride, dense,
                                                                    window->before, window->after, hint,
                                                                    attr) == dnnl_success;
    return dnnl_convolution_backward_weights_primitive_desc_create(pd, engine, how, x, w, NULL, y, window->stride,
                                                                   dense, window->before, window->after, hint,
                                                                   attr) == dnnl_success;
#else
    dnnl_convolution_desc_t desc;
    dnnl_status_t made = direction == ONEDNN_FORWARD
                             ? dnnl_convolution_forward_desc_init(&desc, dnnl_forward_training, how, x, w, b, y,
                                                                  window->stride, window->before, window->after)
                         : direction == ONEDNN_TO_INPUT
                             ? dnnl_convolution_backward_data_desc_init(&desc, how, x, w, y, window->stride,
                                                                        window->before, window->after)
                             : dnnl_convolution_backward_weights_desc_init(&desc, how, x, w, NULL, y, window->stride,
                                                                           window->before, window->after);
    return made == dnnl_success && dnnl_primitive_desc_create(pd, &desc, attr, onednn_engine(), hint) == dnnl_success;
#endif
}

#endif
