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

static int list_tensors(const struct safetensors *file, struct codec_tensor tensors[TENSORS_MAX], int *count) {
    *count = 0;
    for (int i = 0; i < file->count && *count < TENSORS_MAX; i++) {
        const struct safetensors_entry *e = &file->entries[i];
        if (e->type != ST_F32 || e->ndim > 4) return error_set(ERR_INPUT, "%s: expected F32, at most 4 axes", e->name);
        struct codec_tensor *t = &tensors[(*count)++];
        *t = (struct codec_tensor){.name = e->name, .ndim = e->ndim, .data = e->data};
        for (int k = 0; k < e->ndim; k++) t->shape[k] = e->shape[k];
    }
    return OK;
}

static int open_tensors(struct codec *codec, const char *name, const char *path, int height, int width) {
    struct codec_tensor tensors[TENSORS_MAX];
    struct safetensors file;
    int count;
    TRY(safetensors_open(&file, path));
    int code = list_tensors(&file, tensors, &count);
    if (!code) code = codec_open(codec, name, height, width, tensors, count);
    safetensors_close(&file);
    return code ? error_context(code, "%s", path) : OK;
}

/* Returns the codec whose tensors a file holds, and its stride; NULL: the file holds something else. */
static const char *codec_in(const char *path, int *stride) {
    struct codec_tensor tensors[TENSORS_MAX];
    struct safetensors file;
    int count;
    if (safetensors_open(&file, path)) return NULL;
    const char *name = list_tensors(&file, tensors, &count) ? NULL : codec_of_tensors(tensors, count, stride);
    safetensors_close(&file);
    return name;
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

/* Notes where the weights are, after checking that they are the right ones. */
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
    TRY(codec_vae_describe(&sizes, &config, height, width)); /* fails before the weights are read */
    TRY(vae_file_open(&weights, s->path, s->halves, &checksum));
    TRY(codec_vae_open(codec, &weights, &s->tiles, height, width));
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

/* Prints what tiles of the picture take besides: host memory, and passes. */
static void print_tiles(const struct vae_stream *stream, int tiles, FILE *out) {
    if (tiles == 1) return;
    fprintf(out, "  %d tiles of %d x %d pixels, a pass each; their past frames, in host memory: %.1f MiB\n", tiles,
            stream->height, stream->width, (double)tiles * stream->slot[stream->slots] * sizeof(elem) / 0x1p20);
}

static int print_direction(const struct vae *net, enum vae_direction direction, const struct codec *sizes,
                           const struct codec_tiles *tiles, FILE *out) {
    struct vae_stream stream;
    struct tile_axis rows, columns;
    int stride = vae_stride(&net->config);
    TRY(tile_axis_cut(&rows, tiles, sizes->h, stride));
    TRY(tile_axis_cut(&columns, tiles, sizes->w, stride));
    int height = rows.side * stride, width = columns.side * stride;
    TRY(vae_stream_plan(&stream, net, direction, height, width, 1));
    vae_stream_print(&stream, out);
    print_tiles(&stream, rows.count * columns.count, out);
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
        code = print_direction(&net, VAE_ENCODE, &sizes, &s->tiles, out);
    }
    if (!code) code = print_direction(&net, VAE_DECODE, &sizes, &s->tiles, out);
    vae_destroy(&net);
    return code;
}

int codec_file_plan(const struct codec_source *s, int height, int width, struct memory_plan *shared,
                    struct memory_plan *stream) {
    struct vae_config config;
    TRY(vae_file_config(&config, s->path));
    TRY(check_name(s, &config));
    return codec_vae_plan(&config, s->halves, &s->tiles, height, width, shared, stream);
}

int codec_file_stride(const char *path, int *stride) {
    struct vae_config config;
    if (codec_in(path, stride)) return OK;
    TRY(vae_file_config(&config, path));
    *stride = vae_stride(&config);
    return OK;
}

int codec_file_open(struct codec *codec, const struct codec_source *s, int height, int width) {
    int stride;
    memset(codec, 0, sizeof *codec);
    if (*s->name && !codec_is_known(s->name))
        return codec_open(codec, s->name, height, width, NULL, 0); /* fails with the list of codecs */
    const char *name = *s->name ? s->name : codec_in(s->path, &stride);
    if (name && !codec_is_external(name)) return open_tensors(codec, name, s->path, height, width);
    if (!*s->path)
        return error_set(ERR_USAGE, "codec %s: its weights have a file of their own; name it with codec_weights=PATH",
                         s->name);
    return open_vae(codec, s, height, width);
}
