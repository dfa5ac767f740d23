/* wan_files.h: checkpoints of Wan transformers made up for tests: names and shapes as published, written out here once
   more so that the tests do not lean on the program's own tables. Data are holes of a sparse file (zeros). */
#ifndef TESTS_WAN_FILES_H
#define TESTS_WAN_FILES_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct wan_size {
    long dim, ffn, layers, in, out, text;
    int image; /* Wan 2.1's image branch */
};

/* names in both styles; shape: d width, f FFN, i in channels, o 4 x out channels, t text width, q 256, 6 6 d */
struct wan_tensor {
    const char *original, *diffusers, *shape;
};
static const struct wan_tensor wan_globals[] = {
    {"patch_embedding.weight", "patch_embedding.weight", "di122"},
    {"patch_embedding.bias", "patch_embedding.bias", "d"},
    {"text_embedding.0.weight", "condition_embedder.text_embedder.linear_1.weight", "dt"},
    {"text_embedding.0.bias", "condition_embedder.text_embedder.linear_1.bias", "d"},
    {"text_embedding.2.weight", "condition_embedder.text_embedder.linear_2.weight", "dd"},
    {"text_embedding.2.bias", "condition_embedder.text_embedder.linear_2.bias", "d"},
    {"time_embedding.0.weight", "condition_embedder.time_embedder.linear_1.weight", "dq"},
    {"time_embedding.0.bias", "condition_embedder.time_embedder.linear_1.bias", "d"},
    {"time_embedding.2.weight", "condition_embedder.time_embedder.linear_2.weight", "dd"},
    {"time_embedding.2.bias", "condition_embedder.time_embedder.linear_2.bias", "d"},
    {"time_projection.1.weight", "condition_embedder.time_proj.weight", "6d"},
    {"time_projection.1.bias", "condition_embedder.time_proj.bias", "6"},
    {"head.modulation", "scale_shift_table", "12d"},
    {"head.head.weight", "proj_out.weight", "od"},
    {"head.head.bias", "proj_out.bias", "o"},
};
static const struct wan_tensor wan_block[] = {
    {"modulation", "scale_shift_table", "1Sd"},
    {"self_attn.q.weight", "attn1.to_q.weight", "dd"},
    {"self_attn.q.bias", "attn1.to_q.bias", "d"},
    {"self_attn.k.weight", "attn1.to_k.weight", "dd"},
    {"self_attn.k.bias", "attn1.to_k.bias", "d"},
    {"self_attn.v.weight", "attn1.to_v.weight", "dd"},
    {"self_attn.v.bias", "attn1.to_v.bias", "d"},
    {"self_attn.o.weight", "attn1.to_out.0.weight", "dd"},
    {"self_attn.o.bias", "attn1.to_out.0.bias", "d"},
    {"self_attn.norm_q.weight", "attn1.norm_q.weight", "d"},
    {"self_attn.norm_k.weight", "attn1.norm_k.weight", "d"},
    {"norm3.weight", "norm2.weight", "d"},
    {"norm3.bias", "norm2.bias", "d"},
    {"cross_attn.q.weight", "attn2.to_q.weight", "dd"},
    {"cross_attn.q.bias", "attn2.to_q.bias", "d"},
    {"cross_attn.k.weight", "attn2.to_k.weight", "dd"},
    {"cross_attn.k.bias", "attn2.to_k.bias", "d"},
    {"cross_attn.v.weight", "attn2.to_v.weight", "dd"},
    {"cross_attn.v.bias", "attn2.to_v.bias", "d"},
    {"cross_attn.o.weight", "attn2.to_out.0.weight", "dd"},
    {"cross_attn.o.bias", "attn2.to_out.0.bias", "d"},
    {"cross_attn.norm_q.weight", "attn2.norm_q.weight", "d"},
    {"cross_attn.norm_k.weight", "attn2.norm_k.weight", "d"},
    {"ffn.0.weight", "ffn.net.0.proj.weight", "fd"},
    {"ffn.0.bias", "ffn.net.0.proj.bias", "f"},
    {"ffn.2.weight", "ffn.net.2.weight", "df"},
    {"ffn.2.bias", "ffn.net.2.bias", "d"},
};
static const struct wan_tensor wan_image_block[] = {
    {"cross_attn.k_img.weight", "attn2.add_k_proj.weight", "dd"},
    {"cross_attn.k_img.bias", "attn2.add_k_proj.bias", "d"},
    {"cross_attn.v_img.weight", "attn2.add_v_proj.weight", "dd"},
    {"cross_attn.v_img.bias", "attn2.add_v_proj.bias", "d"},
    {"cross_attn.norm_k_img.weight", "attn2.norm_added_k.weight", "d"},
};

/* A header being made: its tensors one after another in the data. */
struct wan_header {
    char *text;
    size_t length, capacity, bytes, values;
    int count, type_bytes;
    const char *type;
};

static inline void wan_append(struct wan_header *h, const char *text) {
    size_t n = strlen(text);
    if (h->length + n + 1 > h->capacity) {
        h->capacity = 2 * (h->length + n + 64);
        h->text = realloc(h->text, h->capacity);
        if (!h->text) abort();
    }
    memcpy(h->text + h->length, text, n + 1);
    h->length += n;
}

static inline void wan_header_open(struct wan_header *h, const char *type) {
    *h = (struct wan_header){.type = type, .type_bytes = strcmp(type, "F32") ? 2 : 4};
    wan_append(h, "{");
}

static inline void wan_add_shape(struct wan_header *h, const char *name, const char *type, const long *shape) {
    char text[512], list[128] = "";
    size_t n = 1, used = 0;
    for (; *shape; shape++) {
        used += (size_t)snprintf(list + used, sizeof list - used, used ? ",%ld" : "%ld", *shape);
        n *= (size_t)*shape;
    }
    size_t bytes = n * (size_t)h->type_bytes;
    snprintf(text, sizeof text, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
             h->count ? "," : "", name, type, list, h->bytes, h->bytes + bytes);
    wan_append(h, text);
    h->bytes += bytes;
    h->values += n;
    h->count++;
}

static inline void wan_add(struct wan_header *h, const char *prefix, const char *name, const char *shape,
                           const struct wan_size *s) {
    char full[256];
    long list[8] = {0};
    for (int i = 0; shape[i]; i++) {
        const struct {
            char letter;
            long size;
        } sizes[] = {{'d', s->dim}, {'f', s->ffn},     {'i', s->in}, {'o', 4 * s->out}, {'t', s->text},
                     {'q', 256},    {'6', 6 * s->dim}, {'S', 6},     {'1', 1},          {'2', 2}};
        for (int k = 0; k < 10; k++)
            if (sizes[k].letter == shape[i]) list[i] = sizes[k].size;
    }
    snprintf(full, sizeof full, "%s%s", prefix, name);
    wan_add_shape(h, full, h->type, list);
}

/* Tensors first .. last (counted in the order of the file; -1: all) of a whole transformer. */
static inline void wan_add_transformer(struct wan_header *h, const char *prefix, const struct wan_size *s,
                                       int diffusers) {
    char start[160];
    for (size_t i = 0; i < sizeof wan_globals / sizeof *wan_globals; i++)
        wan_add(h, prefix, diffusers ? wan_globals[i].diffusers : wan_globals[i].original, wan_globals[i].shape, s);
    for (long l = 0; l < s->layers; l++) {
        snprintf(start, sizeof start, "%sblocks.%ld.", prefix, l);
        for (size_t i = 0; i < sizeof wan_block / sizeof *wan_block; i++)
            wan_add(h, start, diffusers ? wan_block[i].diffusers : wan_block[i].original, wan_block[i].shape, s);
        for (size_t i = 0; s->image && i < sizeof wan_image_block / sizeof *wan_image_block; i++)
            wan_add(h, start, diffusers ? wan_image_block[i].diffusers : wan_image_block[i].original,
                    wan_image_block[i].shape, s);
    }
}

/* Writes the file; data are a hole. 0: done. Frees the header. */
static inline int wan_header_write(struct wan_header *h, const char *path) {
    wan_append(h, "}");
    while (h->length % 8) wan_append(h, " ");
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666), bad = fd < 0;
    uint64_t length = h->length;
    if (!bad) bad = write(fd, &length, 8) != 8 || write(fd, h->text, h->length) != (ssize_t)h->length;
    if (!bad) bad = ftruncate(fd, (off_t)(8 + h->length + h->bytes)) != 0;
    if (fd >= 0) close(fd);
    free(h->text);
    return bad;
}

#endif
