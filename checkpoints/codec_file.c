/* codec_file.c: see codec_file.h. */
#include "checkpoints/codec_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoints/safetensors.h"
#include "checkpoints/vae_file.h"

enum { TENSORS_MAX = 32 };

/* ---- tensors in one file ---- */

static int open_tensors(struct codec *codec, const char *name, const struct safetensors *file, int height, int width) {
    struct codec_tensor tensors[TENSORS_MAX];
    int count = 0;
    for (int i = 0; i < file->count && count < TENSORS_MAX; i++) {
        const struct safetensors_entry *e = &file->entries[i];
        if (e->type != ST_F32 || e->ndim > 4) return error_set(ERR_INPUT, "%s: expected F32, at most 4 axes", e->name);
        tensors[count] = (struct codec_tensor){.name = e->name, .ndim = e->ndim, .data = e->data};
        for (int k = 0; k < e->ndim; k++) tensors[count].shape[k] = e->shape[k];
        count++;
    }
    return codec_open(codec, name, height, width, tensors, count);
}

static int open_pca(struct codec *codec, const char *path, int height, int width) {
    struct safetensors file;
    TRY(safetensors_open(&file, path));
    int code = open_tensors(codec, "pca", &file, height, width);
    safetensors_close(&file);
    return code ? error_context(code, "%s", path) : OK;
}

int codec_file_write(const char *path, const struct codec *codec) {
    struct codec_tensor tensors[TENSORS_MAX];
    struct safetensors_entry entries[TENSORS_MAX];
    int count = codec_tensors(codec, tensors, TENSORS_MAX);
    memset(entries, 0, sizeof entries);
    for (int i = 0; i < count; i++) {
        struct safetensors_entry *e = &entries[i];
        e->name = (char *)tensors[i].name;
        e->type = ST_F32;
        e->ndim = tensors[i].ndim;
        e->count = 1;
        for (int k = 0; k < e->ndim; k++) e->count *= (size_t)(e->shape[k] = tensors[i].shape[k]);
        e->bytes = e->count * sizeof(float);
        e->data = tensors[i].data;
    }
    return safetensors_write(path, entries, count, NULL);
}

/* ---- weights that stay where they are ---- */

static int check_name(const struct codec_source *s, const struct vae_config *config) {
    const char *name = codec_vae_name(config);
    if (!*s->name || !strcmp(s->name, name)) return OK;
    return error_set(ERR_INPUT, "%s: holds codec %s, expected %s", s->path, name, s->name);
}

/* Notes where the weights are and that they are the right ones. */
static int note_weights(struct codec *codec, const struct codec_source *s, uint32_t checksum) {
    char *whole = realpath(s->path, NULL);
    int fits =
        snprintf(codec->weights, sizeof codec->weights, "%s", whole ? whole : s->path) < (int)sizeof codec->weights;
    free(whole);
    snprintf(codec->checksum, sizeof codec->checksum, "%08x", (unsigned)checksum);
    if (!fits) return error_set(ERR_INPUT, "%.60s...: the path is too long", s->path);
    if (*s->checksum && strcmp(s->checksum, codec->checksum))
        return error_set(ERR_INPUT, "%s: codec %s has weights of checksum %s, expected %s", s->path, codec->name,
                         codec->checksum, s->checksum);
    return OK;
}

static int open_vae(struct codec *codec, const struct codec_source *s, int height, int width) {
    struct vae_config config;
    struct vae_weights weights;
    struct codec sizes;
    uint32_t checksum;
    TRY(vae_file_config(&config, s->path));
    TRY(check_name(s, &config));
    TRY(codec_vae_describe(&sizes, &config, height, width)); /* before the weights are read */
    TRY(vae_file_open(&weights, s->path, &checksum));
    TRY(codec_vae_open(codec, &weights, height, width));
    int code = note_weights(codec, s, checksum);
    if (code) codec_close(codec);
    return code;
}

int codec_file_describe(struct codec *codec, const struct codec_source *s, int height, int width) {
    struct vae_config config;
    uint32_t checksum;
    TRY(vae_file_config(&config, s->path));
    TRY(check_name(s, &config));
    TRY(codec_vae_describe(codec, &config, height, width));
    TRY(vae_file_checksum(s->path, &checksum));
    return note_weights(codec, s, checksum);
}

static int print_direction(const struct vae *net, enum vae_direction direction, int height, int width, FILE *out) {
    struct vae_stream stream;
    TRY(vae_stream_plan(&stream, net, direction, height, width, 1));
    vae_stream_print(&stream, out);
    vae_stream_close(&stream);
    return OK;
}

int codec_file_print(const struct codec_source *s, int height, int width, FILE *out) {
    struct vae_config config;
    struct codec sizes;
    struct vae net;
    TRY(vae_file_config(&config, s->path));
    TRY(check_name(s, &config));
    TRY(codec_vae_describe(&sizes, &config, height, width));
    int code = vae_create(&net, &config);
    if (!code) {
        fprintf(out, "%s: %zu parameters, %.1f MiB; %d x %d pixels, latents [%d, %d, %d] of 4 frames\n", sizes.name,
                net.table.values, (double)net.table.total * sizeof(elem) / 0x1p20, height, width, sizes.channels,
                sizes.h, sizes.w);
        code = print_direction(&net, VAE_ENCODE, height, width, out);
    }
    if (!code) code = print_direction(&net, VAE_DECODE, height, width, out);
    vae_destroy(&net);
    return code;
}

/* The pca codec's patch, 0 when the file is something else. */
static int pca_patch(const char *path) {
    struct safetensors file;
    int patch = 0;
    if (safetensors_open(&file, path)) return 0;
    const struct safetensors_entry *basis = safetensors_find(&file, "pca.basis");
    if (basis && basis->ndim == 2)
        for (patch = 1; pca_values(patch) < basis->shape[1];) patch++;
    safetensors_close(&file);
    return patch;
}

int codec_file_stride(const char *path, int *stride) {
    struct vae_config config;
    if ((*stride = pca_patch(path))) return OK;
    TRY(vae_file_config(&config, path));
    *stride = vae_stride(&config);
    return OK;
}

int codec_file_open(struct codec *codec, const struct codec_source *s, int height, int width) {
    memset(codec, 0, sizeof *codec);
    if (*s->name && !codec_is_external(s->name) && strcmp(s->name, "pca"))
        return codec_open(codec, s->name, height, width, NULL, 0); /* says which there are */
    if (!strcmp(s->name, "pca") || (!*s->name && pca_patch(s->path))) return open_pca(codec, s->path, height, width);
    if (!*s->path)
        return error_set(ERR_USAGE, "codec %s: its weights are in a file of their own, and none was named", s->name);
    return open_vae(codec, s, height, width);
}
