/* text_encoder_file.h: UMT5 checkpoints for tests: weights by golden_values (tests/golden_weights.h) under either
   naming, in one file or several with an index. */
#ifndef TESTS_TEXT_ENCODER_FILE_H
#define TESTS_TEXT_ENCODER_FILE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "checkpoints/text_encoder.h"
#include "tests/golden_weights.h"

/* The network of tests/golden/umt5.py. */
static const struct umt5_config small_umt5 = {.vocab = 90,
                                              .dim = 48,
                                              .heads = 5,
                                              .head_dim = 8,
                                              .ffn_dim = 72,
                                              .layers = 3,
                                              .buckets = 32,
                                              .max_distance = 128,
                                              .eps = 1e-6};

struct umt5_file {
    struct umt5 net;
    struct safetensors_entry *entries; /* count of net.table; a test may change them before they are written */
    int count;
};

/* F32 entries with data, in the table's order. transformers: names as there. */
static inline void umt5_file_make(struct umt5_file *f, const struct umt5_config *config, int transformers) {
    assert_int_equal(umt5_create(&f->net, config), OK);
    f->count = f->net.table.count;
    f->entries = calloc((size_t)f->count, sizeof *f->entries);
    assert_non_null(f->entries);
    for (int i = 0; i < f->count; i++) {
        const struct param *p = &f->net.table.list[i];
        struct safetensors_entry *e = &f->entries[i];
        float *values = malloc(sizeof *values * p->count);
        char name[160];
        assert_non_null(values);
        golden_values(values, p->name, (long)p->count, strstr(p->name, "embedding") ? 1 : 0.1,
                      strstr(p->name, "norm") != NULL);
        snprintf(name, sizeof name, "%s", p->name);
        if (transformers) assert_int_equal(text_encoder_transformers_name(p->name, name, sizeof name), OK);
        *e = (struct safetensors_entry){.name = strdup(name),
                                        .type = ST_F32,
                                        .ndim = p->ndim,
                                        .count = p->count,
                                        .bytes = 4 * p->count,
                                        .data = values};
        memcpy(e->shape, p->shape, sizeof p->shape);
    }
}

static inline void umt5_file_free(struct umt5_file *f) {
    for (int i = 0; i < f->net.table.count; i++) {
        free(f->entries[i].name);
        free((void *)f->entries[i].data);
    }
    free(f->entries);
    umt5_destroy(&f->net);
}

#endif
