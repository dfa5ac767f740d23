/* light_decoder_file.c: see light_decoder_file.h. */
#include "checkpoints/light_decoder_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoints/fault_list.h"
#include "kernels/device.h"
#include "model/codec/light_codec.h"
#include "model/params/transfer.h"

enum { FIRST_BLOCK = 3 }; /* its number in a file */

/* ---- sizes ---- */

/* The tensor "decoder.NUMBER.PART" of that rank, or NULL. */
static const struct safetensors_entry *part(const struct safetensors *file, int number, const char *name, int ndim) {
    char full[64];
    snprintf(full, sizeof full, "decoder.%d.%s", number, name);
    const struct safetensors_entry *e = safetensors_find(file, full);
    return e && e->ndim == ndim ? e : NULL;
}

static int size_from(long value) { return value > 0 && value < 1 << 20 ? (int)value : 0; }

static const char *metadata_of(const struct safetensors *file, const char *key) {
    for (char **m = file->metadata; m && m[0]; m += 2)
        if (!strcmp(m[0], key)) return m[1];
    return NULL;
}

/* What the tensors do not say. */
static int describe_metadata(struct light_decoder_config *c, const struct safetensors *file) {
    const char *text = metadata_of(file, "scale"), *clamp = metadata_of(file, "clamp");
    char rest;
    c->clamp = 3;
    if (clamp && (sscanf(clamp, "%lf%c", &c->clamp, &rest) != 1 || !(c->clamp >= 0 && c->clamp <= LIGHT_CLAMP_MAX)))
        return error_set(ERR_INPUT, "light decoder: metadata clamp is \"%.20s\", expected a number from 0", clamp);
    for (int s = 0; s < LIGHT_STAGES; s++) c->scale[s] = 2;
    if (!text || sscanf(text, "%1d,%1d,%1d%c", &c->scale[0], &c->scale[1], &c->scale[2], &rest) == 3) return OK;
    return error_set(ERR_INPUT, "light decoder: metadata scale is \"%.20s\", expected three numbers as \"2,2,2\"",
                     text);
}

/* Stage s begins with block number FIRST_BLOCK + s (blocks + 3); its upsampling has a number of its own. */
static int describe_stage(struct light_decoder_config *c, const struct safetensors *file, int s, int width) {
    int after = FIRST_BLOCK + s * (c->blocks + 3) + c->blocks;
    const struct safetensors_entry *grow = part(file, after + 1, "conv.weight", 4);
    const struct safetensors_entry *conv = part(file, after + 2, "weight", 4);
    if (!grow || !conv)
        return error_set(ERR_INPUT, "light decoder: decoder.%d.conv.weight and decoder.%d.weight are expected",
                         after + 1, after + 2);
    c->grow[s] = width ? size_from(grow->shape[0] / width) : 0;
    c->stage[s] = size_from(conv->shape[0]);
    return OK;
}

int light_file_describe(struct light_decoder_config *c, const struct safetensors *file) {
    memset(c, 0, sizeof *c);
    if (safetensors_find(file, "decoder.0.weight"))
        return error_set(ERR_INPUT, "light decoder: decoder.0.weight belongs to the \"super\" kind, which is not read");
    const struct safetensors_entry *first = part(file, 1, "weight", 4);
    if (!first) return error_set(ERR_INPUT, "light decoder: decoder.1.weight [width, channels, 3, 3] is not there");
    c->first = size_from(first->shape[0]);
    c->channels = size_from(first->shape[1]);
    while (c->blocks < LIGHT_BLOCKS_MAX && part(file, FIRST_BLOCK + c->blocks, "conv.4.weight", 4)) c->blocks++;
    TRY(describe_metadata(c, file));
    for (int s = 0; s < LIGHT_STAGES; s++) TRY(describe_stage(c, file, s, s ? c->stage[s - 1] : c->first));
    if (c->grow[0] == 2 && c->grow[1] == 2 && c->grow[2] == 2) c->grow[0] = 1;
    int number = FIRST_BLOCK + LIGHT_STAGES * (c->blocks + 3) + 1;
    const struct safetensors_entry *last = part(file, number, "weight", 4);
    long colours = last ? last->shape[0] : 0;
    for (c->patch = 1; 3L * c->patch * c->patch < colours && c->patch < 64; c->patch++)
        ;
    if (3L * c->patch * c->patch != colours)
        return error_set(ERR_INPUT, "light decoder: decoder.%d.weight has %ld outputs, expected 3 times a square",
                         number, colours);
    return OK;
}

/* ---- tensors ---- */

/* How a parameter lies in a file. Ours is [co, places, rows, columns, ci], or a bias. */
struct stored {
    long co, places, rows, columns, ci;
    int ndim;
    long shape[4];
};

static struct stored stored_of(const struct param *p) {
    if (p->ndim == 1) return (struct stored){p->shape[0], 1, 1, 1, 1, 1, {p->shape[0]}};
    const long *s = p->shape + (p->ndim == 5);
    struct stored f = {p->shape[0], p->ndim == 5 ? p->shape[1] : 1, s[1], s[2], s[3], 4, {0}};
    long shape[4] = {f.co, f.places * f.ci, f.rows, f.columns};
    memcpy(f.shape, shape, sizeof shape);
    return f;
}

/* Where the file has value `index` of ours: the frame itself (the last place) before the past one. */
static long stored_index(const struct stored *f, long index) {
    long i = index % f->ci, x = index / f->ci % f->columns, y = index / (f->ci * f->columns) % f->rows;
    long place = index / (f->ci * f->columns * f->rows) % f->places;
    long o = index / (f->ci * f->columns * f->rows * f->places);
    return ((o * f->places * f->ci + (f->places - 1 - place) * f->ci + i) * f->rows + y) * f->columns + x;
}

/* Outputs that come before those that are wanted: a layer of growth may have twice as many. -1: another shape. */
static long surplus_outputs(const struct safetensors_entry *e, const struct stored *f) {
    if (e->ndim != f->ndim) return -1;
    for (int k = 1; k < f->ndim; k++)
        if (e->shape[k] != f->shape[k]) return -1;
    int growth = f->ndim == 4 && f->rows == 1;
    long surplus = e->shape[0] - f->co;
    return surplus == 0 || (growth && surplus == f->co) ? surplus : -1;
}

int light_file_check(const struct light_decoder *net, const struct safetensors *file) {
    struct fault_list faults = FAULT_LIST;
    int known = 0, there = 0;
    for (int i = 0; i < file->count; i++) there += !strncmp(file->entries[i].name, "decoder.", 8);
    for (int i = 0; i < net->table.count; i++) {
        const struct param *p = &net->table.list[i];
        const struct safetensors_entry *e = safetensors_find(file, p->name);
        struct stored f = stored_of(p);
        char want[96], got[96];
        if (!e) {
            fault_add(&faults, "missing %s", p->name);
            continue;
        }
        known++;
        if (surplus_outputs(e, &f) >= 0) continue;
        fault_shape(want, sizeof want, f.ndim, f.shape);
        fault_shape(got, sizeof got, e->ndim, e->shape);
        fault_add(&faults, "%s is %s, expected %s", p->name, got, want);
    }
    for (int i = 0; i < file->count && known < there; i++)
        if (!strncmp(file->entries[i].name, "decoder.", 8) && !param_find(&net->table, file->entries[i].name))
            fault_add(&faults, "surplus %s", file->entries[i].name);
    return fault_report(&faults, "tensors do not fit");
}

static int read_param(float *ours, const struct param *p, const struct safetensors_entry *e) {
    struct stored f = stored_of(p);
    float *theirs = malloc(e->count * sizeof *theirs + 1);
    int code = theirs ? safetensors_read_float(e, theirs) : error_set(ERR_DEVICE, "out of memory for %s", p->name);
    if (!code) {
        const float *from = theirs + surplus_outputs(e, &f) * (long)(p->count / (size_t)f.co);
        for (long k = 0; k < (long)p->count; k++) ours[k] = from[stored_index(&f, k)];
    }
    free(theirs);
    return code;
}

int light_file_read(float *values, const struct light_decoder *net, const struct safetensors *file) {
    TRY(light_file_check(net, file));
    memset(values, 0, net->table.total * sizeof *values);
    for (int i = 0; i < net->table.count; i++) {
        const struct param *p = &net->table.list[i];
        TRY(read_param(values + param_position(&net->table, p), p, safetensors_find(file, p->name)));
    }
    return OK;
}

int light_file_load(elem *weights, const struct light_decoder *net, const struct safetensors *file) {
    float *values = malloc(net->table.total * sizeof *values);
    int code = values ? light_file_read(values, net, file) : error_set(ERR_DEVICE, "out of memory for a decoder");
    if (!code) transfer_to_elem(weights, values, (long)net->table.total);
    free(values);
    return code;
}

int light_file_save(const char *path, const struct light_decoder *net, const float *values) {
    char scale[16], clamp[32];
    const int *s = net->config.scale;
    snprintf(scale, sizeof scale, "%d,%d,%d", s[0], s[1], s[2]);
    snprintf(clamp, sizeof clamp, "%.17g", net->config.clamp);
    const char *const metadata[] = {"format", "light_decoder", "scale", scale, "clamp", clamp, NULL};
    struct safetensors_entry *entries = calloc((size_t)net->table.count + 1, sizeof *entries);
    float *stored = malloc(net->table.total * sizeof *stored + 1);
    int code = entries && stored ? OK : error_set(ERR_DEVICE, "out of memory for the decoder's file");
    for (int i = 0; i < net->table.count && !code; i++) {
        const struct param *p = &net->table.list[i];
        struct stored f = stored_of(p);
        size_t at = param_position(&net->table, p);
        for (long k = 0; k < (long)p->count; k++) stored[at + (size_t)stored_index(&f, k)] = values[at + (size_t)k];
        entries[i] = (struct safetensors_entry){.name = (char *)(uintptr_t)p->name,
                                                .type = ST_F32,
                                                .ndim = f.ndim,
                                                .count = p->count,
                                                .bytes = p->count * sizeof(float),
                                                .data = stored + at};
        memcpy(entries[i].shape, f.shape, sizeof f.shape);
    }
    if (!code) code = safetensors_write(path, entries, net->table.count, metadata);
    free(entries);
    free(stored);
    return code;
}

/* ---- as a codec's decoder ---- */

static int fits(const struct codec *codec, const struct light_decoder_config *c) {
    int stride = light_decoder_stride(c);
    if (c->channels != codec->channels || stride * codec->h != codec->height || stride * codec->w != codec->width)
        return error_set(
            ERR_INPUT, "decodes %d channels at stride %d; the %s codec makes %d channels of %d x %d for %d x %d pixels",
            c->channels, stride, codec->name, codec->channels, codec->h, codec->w, codec->height, codec->width);
    return OK;
}

static int use(struct codec *codec, const struct safetensors *file) {
    struct light_decoder_config config;
    struct light_decoder net;
    struct codec_decoder decoder;
    TRY(light_file_describe(&config, file));
    TRY(fits(codec, &config));
    TRY(light_decoder_create(&net, &config));
    int code = light_file_check(&net, file); /* the sizes are the tensors' own before they allocate */
    elem *weights = code ? NULL : device_alloc(net.table.total * sizeof *weights);
    if (!code && !weights) code = error_set(ERR_DEVICE, "out of memory for the light decoder");
    if (!code) code = light_file_load(weights, &net, file);
    if (!code) code = light_codec_open(&decoder, codec, &net, weights);
    if (code) {
        device_free(weights);
        light_decoder_destroy(&net);
        return code;
    }
    codec_use_decoder(codec, &decoder);
    return OK;
}

int light_file_use(struct codec *codec, const char *path) {
    struct safetensors file;
    TRY(safetensors_open(&file, path));
    int code = use(codec, &file);
    safetensors_close(&file);
    return code ? error_context(code, "%s", path) : OK;
}
