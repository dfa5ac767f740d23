/* decoder_file.c: see decoder_file.h. */
#include "checkpoints/decoder_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoints/decoder_sizes.h"
#include "checkpoints/fault_list.h"
#include "kernels/device.h"
#include "model/codec/decoder_codec.h"
#include "model/params/transfer.h"

/* ---- tensors ---- */

/* Returns what the names of a kind's tensors begin with. */
static const char *prefix_of(const struct decoder_net *net) {
    return net->kind == DECODER_RESIDUAL ? DECODER_FILE_RESIDUAL : DECODER_FILE_LIGHT;
}

/* Shape of a parameter in a file. In our tables it is [co, places, rows, columns, ci], or a bias. */
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

/* Returns the file's index of our value `index`. A file has the frame's own channels, our last place, before the past
   frame's. */
static long stored_index(const struct stored *f, long index) {
    long i = index % f->ci, x = index / f->ci % f->columns, y = index / (f->ci * f->columns) % f->rows;
    long place = index / (f->ci * f->columns * f->rows) % f->places;
    long o = index / (f->ci * f->columns * f->rows * f->places);
    return ((o * f->places * f->ci + (f->places - 1 - place) * f->ci + i) * f->rows + y) * f->columns + x;
}

/* Number of outputs in the file that come before those that are used, because a light decoder's growth may have twice
   as many as needed. -1: the shape is another one. */
static long surplus_outputs(const struct decoder_net *net, const struct safetensors_entry *e, const struct stored *f) {
    if (e->ndim != f->ndim) return -1;
    for (int k = 1; k < f->ndim; k++)
        if (e->shape[k] != f->shape[k]) return -1;
    int growth = net->kind == DECODER_LIGHT && f->ndim == 4 && f->rows == 1;
    long surplus = e->shape[0] - f->co;
    return surplus == 0 || (growth && surplus == f->co) ? surplus : -1;
}

int decoder_file_check(const struct decoder_net *net, const struct safetensors *file) {
    struct fault_list faults = FAULT_LIST;
    const char *prefix = prefix_of(net);
    int known = 0, there = 0;
    for (int i = 0; i < file->count; i++) there += !strncmp(file->entries[i].name, prefix, strlen(prefix));
    for (int i = 0; i < net->table->count; i++) {
        const struct param *p = &net->table->list[i];
        const struct safetensors_entry *e = safetensors_find(file, p->name);
        struct stored f = stored_of(p);
        char want[96], got[96];
        if (!e) {
            fault_add(&faults, "missing %s", p->name);
            continue;
        }
        known++;
        if (surplus_outputs(net, e, &f) >= 0) continue;
        fault_shape(want, sizeof want, f.ndim, f.shape);
        fault_shape(got, sizeof got, e->ndim, e->shape);
        fault_add(&faults, "%s is %s, expected %s", p->name, got, want);
    }
    for (int i = 0; i < file->count && known < there; i++)
        if (!strncmp(file->entries[i].name, prefix, strlen(prefix)) && !param_find(net->table, file->entries[i].name))
            fault_add(&faults, "surplus %s", file->entries[i].name);
    return fault_report(&faults, "tensors do not fit");
}

int decoder_file_create(struct decoder_net *net, const struct safetensors *file) {
    struct decoder_config config;
    memset(net, 0, sizeof *net);
    TRY(decoder_sizes_read(&config, file));
    int code = decoder_net_create(net, &config);
    if (!code) code = decoder_file_check(net, file);
    if (code) decoder_net_destroy(net);
    return code == ERR_USAGE ? ERR_INPUT : code; /* the sizes came from the file, so this is an input error */
}

static int read_param(float *ours, const struct decoder_net *net, const struct param *p,
                      const struct safetensors_entry *e) {
    struct stored f = stored_of(p);
    float *theirs = malloc(e->count * sizeof *theirs + 1);
    int code = theirs ? safetensors_read_float(e, theirs) : error_set(ERR_DEVICE, "out of memory for %s", p->name);
    if (!code) {
        const float *from = theirs + surplus_outputs(net, e, &f) * (long)(p->count / (size_t)f.co);
        for (long k = 0; k < (long)p->count; k++) ours[k] = from[stored_index(&f, k)];
    }
    free(theirs);
    return code;
}

int decoder_file_read(float *values, const struct decoder_net *net, const struct safetensors *file) {
    TRY(decoder_file_check(net, file));
    memset(values, 0, net->table->total * sizeof *values);
    for (int i = 0; i < net->table->count; i++) {
        const struct param *p = &net->table->list[i];
        TRY(read_param(values + param_position(net->table, p), net, p, safetensors_find(file, p->name)));
    }
    return OK;
}

int decoder_file_load(elem *weights, const struct decoder_net *net, const struct safetensors *file) {
    float *values = malloc(net->table->total * sizeof *values);
    int code = values ? decoder_file_read(values, net, file) : error_set(ERR_DEVICE, "out of memory for a decoder");
    if (!code) transfer_to_elem(weights, values, (long)net->table->total);
    free(values);
    return code;
}

int decoder_file_save(const char *path, const struct decoder_net *net, const float *values) {
    struct decoder_metadata metadata;
    decoder_sizes_write(&metadata, net);
    struct safetensors_entry *entries = calloc((size_t)net->table->count + 1, sizeof *entries);
    float *stored = malloc(net->table->total * sizeof *stored + 1);
    int code = entries && stored ? OK : error_set(ERR_DEVICE, "out of memory for the decoder's file");
    for (int i = 0; i < net->table->count && !code; i++) {
        const struct param *p = &net->table->list[i];
        struct stored f = stored_of(p);
        size_t at = param_position(net->table, p);
        for (long k = 0; k < (long)p->count; k++) stored[at + (size_t)stored_index(&f, k)] = values[at + (size_t)k];
        entries[i] = (struct safetensors_entry){.name = (char *)(uintptr_t)p->name,
                                                .type = ST_F32,
                                                .ndim = f.ndim,
                                                .count = p->count,
                                                .bytes = p->count * sizeof(float),
                                                .data = stored + at};
        memcpy(entries[i].shape, f.shape, sizeof f.shape);
    }
    if (!code) code = safetensors_write(path, entries, net->table->count, metadata.pairs);
    free(entries);
    free(stored);
    return code;
}

/* ---- as a codec's decoder ---- */

static int fits(const struct codec *codec, const struct decoder_net *net) {
    int stride = decoder_net_stride(net), channels = decoder_net_channels(net);
    if (channels != codec->channels || stride * codec->h != codec->height || stride * codec->w != codec->width)
        return error_set(
            ERR_INPUT, "decodes %d channels at stride %d; the %s codec makes %d channels of %d x %d for %d x %d pixels",
            channels, stride, codec->name, codec->channels, codec->h, codec->w, codec->height, codec->width);
    return OK;
}

/* Gives a file's network to a codec as its decoder; net and weights stay the caller's when this fails. */
static int open_decoder(struct codec *codec, const struct safetensors *file, struct decoder_net *net, elem **weights) {
    struct codec_decoder decoder;
    TRY(decoder_file_create(net,
                            file)); /* sizes are checked against the tensors before anything is allocated by them */
    TRY(fits(codec, net));
    *weights = device_alloc(net->table->total * sizeof **weights);
    if (!*weights) return error_set(ERR_DEVICE, "out of memory for the decoder");
    TRY(decoder_file_load(*weights, net, file));
    TRY(decoder_codec_open(&decoder, codec, net, *weights));
    codec_use_decoder(codec, &decoder);
    return OK;
}

static int use(struct codec *codec, const struct safetensors *file) {
    struct decoder_net *net = calloc(1, sizeof *net);
    elem *weights = NULL;
    if (!net) return error_set(ERR_DEVICE, "out of memory for the decoder");
    int code = open_decoder(codec, file, net, &weights);
    if (!code) return OK;
    device_free(weights);
    decoder_net_destroy(net);
    free(net);
    return code;
}

static int plan_decoder(const struct codec *codec, const struct safetensors *file, struct memory_plan *shared,
                        struct memory_plan *stream) {
    struct decoder_net net;
    TRY(decoder_file_create(&net, file));
    int code = fits(codec, &net);
    if (!code) code = decoder_codec_plan(codec, &net, shared, stream);
    decoder_net_destroy(&net);
    return code;
}

int decoder_file_plan(const struct codec *codec, const char *path, struct memory_plan *shared,
                      struct memory_plan *stream) {
    struct safetensors file;
    TRY(safetensors_open(&file, path));
    int code = plan_decoder(codec, &file, shared, stream);
    safetensors_close(&file);
    return code ? error_context(code, "%s", path) : OK;
}

int decoder_file_use(struct codec *codec, const char *path) {
    struct safetensors file;
    TRY(safetensors_open(&file, path));
    int code = use(codec, &file);
    safetensors_close(&file);
    return code ? error_context(code, "%s", path) : OK;
}
