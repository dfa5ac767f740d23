/* feature_reader.c: see feature_reader.h. */
#include "tools/evaluate/feature_reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "checkpoints/feature_file.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "model/params/transfer.h"

struct feature_reader {
    struct feature_net net;
    struct params params;
    struct feature_acts acts;
    struct arena arena;
    elem *weights, *row;       /* device; row [embedding] */
    real *picture, *planes;    /* device [3, height, width]; [channels, h, w] */
    float *clamped, *row_host; /* host */
    double deviation;          /* unit of the maps */
};

static long picture_values(const struct feature_reader *r) { return 3L * r->net.config.height * r->net.config.width; }

static void layout(struct feature_reader *r) {
    feature_acts_layout(&r->acts, &r->net, 1, 0, &r->arena);
    r->weights = ARENA_TAKE(&r->arena, "features: weights", elem, r->net.table.total);
    r->row = ARENA_TAKE(&r->arena, "features: rows", elem, r->net.config.embedding);
    r->picture = ARENA_TAKE(&r->arena, "features: pictures", real, picture_values(r));
    r->planes = ARENA_TAKE(&r->arena, "features: pictures", real, feature_map_size(&r->net));
}

/* Makes the file's network, which must be for pictures of that size. */
static int make_network(struct feature_net *net, const struct safetensors *file, int height, int width) {
    TRY(feature_file_create(net, file));
    const struct feature_config *c = &net->config;
    if (c->height == height && c->width == width) return OK;
    int code =
        error_set(ERR_INPUT, "is for pictures of %d x %d, these are %d x %d", c->height, c->width, height, width);
    feature_net_destroy(net);
    return code;
}

int feature_reader_check(const char *path, int height, int width) {
    struct safetensors file;
    struct feature_net net = {0};
    TRY(safetensors_open(&file, path));
    int code = make_network(&net, &file, height, width);
    feature_net_destroy(&net);
    safetensors_close(&file);
    return code ? error_context(code, "%s", path) : OK;
}

static int load(struct feature_reader *r, const struct safetensors *file, int height, int width) {
    TRY(make_network(&r->net, file, height, width));
    const struct feature_config *c = &r->net.config;
    r->deviation = feature_file_deviation(file);
    arena_begin(&r->arena, "features");
    layout(r);
    TRY(arena_commit(&r->arena));
    layout(r);
    float *values = malloc(r->net.table.total * sizeof *values);
    r->clamped = malloc((size_t)picture_values(r) * sizeof *r->clamped);
    r->row_host = malloc((size_t)c->embedding * sizeof *r->row_host);
    int code = values && r->clamped && r->row_host ? feature_file_read(values, &r->net, file)
                                                   : error_set(ERR_DEVICE, "out of memory for features");
    if (!code) transfer_to_elem(r->weights, values, (long)r->net.table.total);
    r->params = (struct params){.table = &r->net.table, .weights = r->weights};
    free(values);
    return code;
}

int feature_reader_open(struct feature_reader **reader, const char *path, int height, int width) {
    struct safetensors file;
    struct feature_reader *r = *reader = calloc(1, sizeof *r);
    if (!r) return error_set(ERR_DEVICE, "out of memory for features");
    int code = safetensors_open(&file, path);
    if (!code) {
        code = load(r, &file, height, width);
        safetensors_close(&file);
        if (code) error_context(code, "%s", path);
    }
    if (!code) return OK;
    feature_reader_close(r);
    *reader = NULL;
    return code;
}

void feature_reader_close(struct feature_reader *r) {
    if (!r) return;
    arena_free(&r->arena);
    feature_net_destroy(&r->net);
    free(r->clamped);
    free(r->row_host);
    free(r);
}

struct latent_sizes feature_reader_sizes(const struct feature_reader *r) {
    const struct feature_config *c = &r->net.config;
    return (struct latent_sizes){c->widths[FEATURE_LEVELS - 1], r->net.h, r->net.w, c->height, c->width};
}

int feature_reader_width(const struct feature_reader *r) { return r->net.config.embedding; }

static void make_length_one(float *row, const float *from, int n) {
    double squares = 0;
    for (int i = 0; i < n; i++) squares += (double)from[i] * (double)from[i];
    for (int i = 0; i < n; i++) row[i] = (float)((double)from[i] / sqrt(squares + 1e-20));
}

int feature_reader_take(struct feature_reader *r, const float *picture, float *map, float *row) {
    const struct feature_layer *l = &r->net.person;
    for (long i = 0; i < picture_values(r); i++) r->clamped[i] = fminf(1, fmaxf(-1, picture[i]));
    transfer_to_real(r->picture, r->clamped, picture_values(r));
    feature_net_forward(&r->net, &r->params, &r->acts, 1, r->picture);
    linear_forward(r->row, r->acts.map, r->weights + l->w, r->weights + l->b, 1, l->ci, l->co, 0);
    transfer_from_elem(r->row_host, r->row, l->co);
    make_length_one(row, r->row_host, (int)l->co);
    if (map) {
        channels_first(r->planes, r->acts.map, 1, feature_reader_sizes(r).channels, (long)r->net.h * r->net.w);
        transfer_from_real(map, r->planes, feature_map_size(&r->net));
        for (long i = 0; i < feature_map_size(&r->net); i++) map[i] /= (float)r->deviation;
    }
    return device_sync();
}

int feature_reader_id(const char *path, char id[FEATURE_ID]) {
    uint64_t length;
    uint32_t sum;
    TRY(file_checksum(path, &length, &sum));
    snprintf(id, FEATURE_ID, "%08" PRIx32 "-%" PRIu64, sum, length);
    return OK;
}

int feature_reader_report(cJSON *root, const char *path) {
    char id[FEATURE_ID];
    TRY(feature_reader_id(path, id));
    cJSON *o = cJSON_AddObjectToObject(root, "features");
    cJSON_AddStringToObject(o, "file", path);
    cJSON_AddStringToObject(o, "checksum", id);
    return OK;
}
