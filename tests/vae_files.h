/* vae_files.h: small Wan video autoencoders as safetensors files, for tests: weights as tests/golden/vae.py makes
   them. */
#ifndef TESTS_VAE_FILES_H
#define TESTS_VAE_FILES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoints/safetensors.h"
#include "checkpoints/vae_names.h"
#include "tests/golden_weights.h"

/* The kind's channels at base 8 (decoder 16 for 2.2), `z` latent channels. */
static inline void small_vae_config(struct vae_config *config, int residual, int z) {
    (residual ? vae_config_wan22 : vae_config_wan21)(config);
    config->z = z;
    config->encoder_base = 8;
    config->decoder_base = residual ? 16 : 8;
    vae_config_statistics(config);
}

/* A parameter's values in the checkpoints' order, [param->count]. */
static inline void small_vae_values(float *values, const struct vae_config *config, const struct param *p) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", config->residual ? "wan22" : "wan21", p->name);
    size_t n = strlen(full);
    int gamma = n > 6 && !strcmp(full + n - 6, ".gamma");
    golden_values(values, full, (long)p->count, strncmp(p->name, "decoder.head.2", 14) ? 0.1 : 0.03, gamma);
}

/* Writes the file; `change`, unless NULL, may alter an entry (its data are malloc'd) or drop it (1). */
static inline int small_vae_write(const char *path, const struct vae_config *config, int diffusers, const char *prefix,
                                  int (*change)(void *user, struct safetensors_entry *entry), void *user) {
    struct vae net;
    TRY(vae_create(&net, config));
    struct safetensors_entry *entries = calloc((size_t)net.table.count + 1, sizeof *entries);
    int count = 0, code = entries ? OK : error_set(ERR_DEVICE, "out of memory");
    for (int i = 0; i < net.table.count && !code; i++) {
        const struct param *p = &net.table.list[i];
        struct safetensors_entry *e = &entries[count];
        char name[256], key[160];
        snprintf(key, sizeof key, "%s", p->name);
        if (diffusers) code = vae_names_to_diffusers(config, p->name, key, sizeof key);
        snprintf(name, sizeof name, "%s%s", prefix, key);
        float *values = malloc(p->count * sizeof *values);
        if (!values) abort();
        small_vae_values(values, config, p);
        *e = (struct safetensors_entry){
            .name = strdup(name), .type = ST_F32, .ndim = p->ndim, .count = p->count, .data = values};
        e->bytes = p->count * sizeof *values;
        memcpy(e->shape, p->shape, sizeof p->shape);
        int dropped = change && change(user, e);
        if (dropped) free(e->name), free((void *)e->data);
        count += !dropped;
    }
    if (!code) code = safetensors_write(path, entries, count, NULL);
    for (int i = 0; i < count; i++) free(entries[i].name), free((void *)entries[i].data);
    free(entries);
    vae_destroy(&net);
    return code;
}

#endif
