/* adapter_file.c: see adapter_file.h. */
#include "checkpoints/adapter_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoints/names.h"

enum { NAME_MAX_LENGTH = 256 };

/* The tensors of a file; at most three for each pair of factors. */
struct tensors {
    struct safetensors_entry *list;
    char (*names)[NAME_MAX_LENGTH];
    int count;
    float alpha;
    float *scaled; /* the factors B times alpha / rank, for Diffusers */
};

static int add(struct tensors *t, const char *prefix, const char *name, int ndim, const long *shape,
               const float *values) {
    struct safetensors_entry *e = &t->list[t->count];
    char *full = t->names[t->count++];
    if (snprintf(full, NAME_MAX_LENGTH, "%s%s", prefix, name) >= NAME_MAX_LENGTH)
        return error_set(ERR_USAGE, "%s: the name is too long", name);
    *e = (struct safetensors_entry){.name = full, .type = ST_F32, .ndim = ndim, .count = 1, .data = values};
    for (int d = 0; d < ndim; d++) e->count *= (size_t)(e->shape[d] = shape[d]);
    e->bytes = e->count * sizeof *values;
    return OK;
}

static int ends(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return n > m && !strcmp(name + n - m, end);
}

/* Adds what differs between the namings: the scaled B for Diffusers, or alpha. */
static int add_original(struct tensors *t, const struct param *p, const float *values) {
    static const char ending[] = ".lora_B.weight";
    char alpha[NAME_MAX_LENGTH];
    TRY(add(t, "diffusion_model.", p->name, p->ndim, p->shape, values));
    if (!ends(p->name, ending)) return OK;
    snprintf(alpha, sizeof alpha, "%.*s.alpha", (int)(strlen(p->name) - strlen(ending)), p->name);
    return add(t, "diffusion_model.", alpha, 0, NULL, &t->alpha);
}

static int add_diffusers(struct tensors *t, const struct lora *l, const struct param *p, const float *values) {
    char name[NAME_MAX_LENGTH];
    TRY(names_to_diffusers(p->name, name, sizeof name));
    if (ends(p->name, ".lora_B.weight")) {
        float *scaled = t->scaled + param_position(&l->adapters, p);
        for (size_t i = 0; i < p->count; i++) scaled[i] = (float)(l->scale * (double)values[i]);
        values = scaled;
    }
    return add(t, "transformer.", name, p->ndim, p->shape, values);
}

static int add_all(struct tensors *t, const struct lora *l, const float *own, enum weights_naming naming) {
    for (int i = 0; i < l->adapters.count; i++) {
        const struct param *p = &l->adapters.list[i];
        const float *values = own + param_position(&l->adapters, p);
        if (ends(p->name, ".lora_A.weight")) t->alpha = (float)(l->scale * (double)p->shape[0]);
        TRY(naming == NAMING_DIFFUSERS ? add_diffusers(t, l, p, values) : add_original(t, p, values));
    }
    return OK;
}

int adapter_file_write(const char *path, const struct lora *l, const float *own, enum weights_naming naming) {
    static const char *const metadata[] = {"format", "pt", NULL};
    size_t most = 2 * (size_t)l->adapters.count + 1;
    struct tensors t = {.list = calloc(most, sizeof *t.list),
                        .names = calloc(most, sizeof *t.names),
                        .scaled = calloc(l->adapters.total + 1, sizeof *t.scaled)};
    int code = t.list && t.names && t.scaled ? OK : error_set(ERR_DEVICE, "out of memory for the adapters' file");
    if (!code) code = add_all(&t, l, own, naming);
    if (!code) code = safetensors_write(path, t.list, t.count, metadata);
    free(t.list);
    free(t.names);
    free(t.scaled);
    return code;
}
