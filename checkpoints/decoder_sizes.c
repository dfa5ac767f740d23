/* decoder_sizes.c: see decoder_sizes.h. */
#include "checkpoints/decoder_sizes.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

enum { FIRST_BLOCK = 3, SIDE_MAX = 64 }; /* number of a light decoder's first block; largest side of a patch */

static int size_from(long value) { return value > 0 && value < 1 << 20 ? (int)value : 0; }

/* Returns the side of a patch of `numbers` numbers, `each` for a pixel; 0: no square patch has that many. */
static int patch_from(long numbers, long each) {
    for (int side = 1; side < SIDE_MAX; side++)
        if (each * side * side == numbers) return side;
    return 0;
}

/* ---- light ---- */

/* Returns the tensor "decoder.NUMBER.PART" if it has the given number of axes, else NULL. */
static const struct safetensors_entry *part(const struct safetensors *file, int number, const char *name, int ndim) {
    char full[64];
    snprintf(full, sizeof full, "decoder.%d.%s", number, name);
    const struct safetensors_entry *e = safetensors_find(file, full);
    return e && e->ndim == ndim ? e : NULL;
}

static const char *metadata_of(const struct safetensors *file, const char *key) {
    for (char **m = file->metadata; m && m[0]; m += 2)
        if (!strcmp(m[0], key)) return m[1];
    return NULL;
}

/* Reads from the metadata what the tensors do not tell. */
static int describe_metadata(struct light_decoder_config *c, const struct safetensors *file) {
    const char *text = metadata_of(file, "scale"), *clamp = metadata_of(file, "clamp");
    char rest;
    c->clamp = 3;
    if (clamp && (sscanf(clamp, "%lf%c", &c->clamp, &rest) != 1 || !(c->clamp >= 0 && c->clamp <= LIGHT_CLAMP_MAX)))
        return error_set(ERR_INPUT, "light decoder: metadata clamp is \"%.20s\", expected a number from 0", clamp);
    for (int s = 0; s < LIGHT_LEVELS; s++) c->scale[s] = 2;
    if (!text || sscanf(text, "%1d,%1d,%1d%c", &c->scale[0], &c->scale[1], &c->scale[2], &rest) == 3) return OK;
    return error_set(ERR_INPUT, "light decoder: metadata scale is \"%.20s\", expected three numbers as \"2,2,2\"",
                     text);
}

/* Reads a level's sizes. Level s begins with number FIRST_BLOCK + s (blocks + 3), since its upsampling has a number of
   its own. */
static int describe_level(struct light_decoder_config *c, const struct safetensors *file, int s, int width) {
    int after = FIRST_BLOCK + s * (c->blocks + 3) + c->blocks;
    const struct safetensors_entry *grow = part(file, after + 1, "conv.weight", 4);
    const struct safetensors_entry *conv = part(file, after + 2, "weight", 4);
    if (!grow || !conv)
        return error_set(ERR_INPUT, "light decoder: decoder.%d.conv.weight and decoder.%d.weight are expected",
                         after + 1, after + 2);
    c->grow[s] = width ? size_from(grow->shape[0] / width) : 0;
    c->level[s] = size_from(conv->shape[0]);
    return OK;
}

static int describe_light(struct light_decoder_config *c, const struct safetensors *file) {
    if (safetensors_find(file, "decoder.0.weight"))
        return error_set(ERR_INPUT, "light decoder: decoder.0.weight belongs to the \"super\" kind, which is not read");
    const struct safetensors_entry *first = part(file, 1, "weight", 4);
    if (!first) return error_set(ERR_INPUT, "light decoder: decoder.1.weight [width, channels, 3, 3] is not there");
    c->first = size_from(first->shape[0]);
    c->channels = size_from(first->shape[1]);
    while (c->blocks < LIGHT_BLOCKS_MAX && part(file, FIRST_BLOCK + c->blocks, "conv.4.weight", 4)) c->blocks++;
    TRY(describe_metadata(c, file));
    for (int s = 0; s < LIGHT_LEVELS; s++) TRY(describe_level(c, file, s, s ? c->level[s - 1] : c->first));
    if (c->grow[0] == 2 && c->grow[1] == 2 && c->grow[2] == 2) c->grow[0] = 1;
    int number = FIRST_BLOCK + LIGHT_LEVELS * (c->blocks + 3) + 1;
    const struct safetensors_entry *last = part(file, number, "weight", 4);
    long colours = last ? last->shape[0] : 0;
    c->patch = patch_from(colours, 3);
    if (!c->patch)
        return error_set(ERR_INPUT, "light decoder: decoder.%d.weight has %ld outputs, expected 3 times a square",
                         number, colours);
    return OK;
}

/* ---- residual ---- */

/* Returns the tensor "residual.NAME.weight" if it has 4 axes, else NULL. */
static const struct safetensors_entry *weight(const struct safetensors *file, const char *name) {
    char full[96];
    snprintf(full, sizeof full, DECODER_FILE_RESIDUAL "%s.weight", name);
    const struct safetensors_entry *e = safetensors_find(file, full);
    return e && e->ndim == 4 ? e : NULL;
}

static int expected(const char *name, const char *shape) {
    return error_set(ERR_INPUT, "residual decoder: residual.%s.weight %s is not there", name, shape);
}

static int count_blocks(const struct safetensors *file, int level) {
    char name[48];
    for (int i = 0; i < RESIDUAL_BLOCKS_MAX; i++) {
        snprintf(name, sizeof name, "level.%d.block.%d.conv.1", level, i);
        if (!weight(file, name)) return i;
    }
    return RESIDUAL_BLOCKS_MAX;
}

/* Reads the width of the level that follows: a quarter of the growth's outputs. */
static int grown_width(int *width, const struct safetensors *file, int level) {
    char name[48];
    snprintf(name, sizeof name, "level.%d.grow", level);
    const struct safetensors_entry *grow = weight(file, name);
    if (!grow) return expected(name, "[4 widths, width, 1, 1]");
    *width = size_from(grow->shape[0] / 4);
    return OK;
}

static int describe_residual(struct residual_config *c, const struct safetensors *file) {
    const struct safetensors_entry *linear = weight(file, "linear"), *first = weight(file, "first"),
                                   *last = weight(file, "last");
    if (!linear) return expected("linear", "[numbers of a patch, channels, 1, 1]");
    if (!first) return expected("first", "[width, 3 channels, 3, 3]");
    if (!last) return expected("last", "[numbers of a patch, width, 3, 3]");
    c->channels = size_from(linear->shape[1]);
    c->width[0] = size_from(first->shape[0]);
    c->patch = patch_from(last->shape[0], 3 * FRAMES_PER_LATENT);
    if (!c->patch)
        return error_set(ERR_INPUT,
                         "residual decoder: residual.last.weight has %ld outputs, expected 12 times a square",
                         last->shape[0]);
    for (int s = 0; s < RESIDUAL_LEVELS; s++) c->blocks[s] = count_blocks(file, s);
    for (int s = 1; s < RESIDUAL_LEVELS; s++) TRY(grown_width(&c->width[s], file, s - 1));
    return OK;
}

/* ---- either ---- */

static int begins(const struct safetensors *file, const char *prefix) {
    for (int i = 0; i < file->count; i++)
        if (!strncmp(file->entries[i].name, prefix, strlen(prefix))) return 1;
    return 0;
}

int decoder_sizes_read(struct decoder_config *config, const struct safetensors *file) {
    int residual = begins(file, DECODER_FILE_RESIDUAL);
    memset(config, 0, sizeof *config);
    config->kind = residual ? DECODER_RESIDUAL : DECODER_LIGHT;
    if (residual && begins(file, DECODER_FILE_LIGHT))
        return error_set(ERR_INPUT, "it holds tensors of both kinds of decoders, \"" DECODER_FILE_LIGHT
                                    "\" and \"" DECODER_FILE_RESIDUAL "\"");
    return residual ? describe_residual(&config->residual, file) : describe_light(&config->light, file);
}

static void set_pair(struct decoder_metadata *m, int pair, const char *key, const char *text) {
    m->pairs[2 * pair] = key;
    m->pairs[2 * pair + 1] = text;
    m->pairs[2 * pair + 2] = NULL;
}

void decoder_sizes_write(struct decoder_metadata *m, const struct decoder_net *net) {
    set_pair(m, 0, "format", net->kind == DECODER_RESIDUAL ? "residual_decoder" : "light_decoder");
    if (net->kind == DECODER_RESIDUAL) return; /* its tensors tell everything */
    const struct light_decoder_config *c = &net->of.light.config;
    snprintf(m->scale, sizeof m->scale, "%d,%d,%d", c->scale[0], c->scale[1], c->scale[2]);
    snprintf(m->clamp, sizeof m->clamp, "%.17g", c->clamp);
    set_pair(m, 1, "scale", m->scale);
    set_pair(m, 2, "clamp", m->clamp);
}
