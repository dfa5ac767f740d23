/* fuzz_tensor_list.c: see tensor_list.h. */
#include "tests/fuzz/tensor_list.h"
#include "tests/fuzz/fuzz.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DATA_MAX = 4 << 20, NDIM = 8 };

struct writing {
    FILE *header;
    size_t data;
    int tensors, failed;
    FILE *metadata;
    int pairs;
};

static void put_text(FILE *file, const char *text, size_t length) {
    fputc('"', file);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\' || c < 0x20)
            fprintf(file, "\\u%04x", c ? c : 1);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

static void put_metadata(struct writing *w, const char *line, size_t length) {
    const char *gap = memchr(line, ' ', length);
    size_t key = gap ? (size_t)(gap - line) : length, rest = gap ? key + 1 : length;
    if (w->pairs++) fputc(',', w->metadata);
    put_text(w->metadata, line, key);
    fputc(':', w->metadata);
    put_text(w->metadata, line + rest, length - rest);
}

static void put_tensor(struct writing *w, const char *line, size_t length) {
    static const struct {
        char mark;
        const char *name;
        size_t bytes;
    } types[] = {{'~', "BF16", 2}, {'!', "I32", 4}, {'?', "BOOL", 1}, {0, "F32", 4}};
    int type = 0;
    while (types[type].mark && types[type].mark != *line) type++;
    if (types[type].mark) line++, length--;
    const char *gap = memchr(line, ' ', length);
    size_t name = gap ? (size_t)(gap - line) : length, bytes = types[type].bytes;
    char shape[256] = "";
    size_t used = 0;
    int sides = 0;
    for (const char *at = line + name; at < line + length && sides < NDIM; sides++) {
        unsigned long side = 0;
        while (at < line + length && !isdigit((unsigned char)*at)) at++;
        if (at == line + length) break;
        for (; at < line + length && isdigit((unsigned char)*at); at++)
            if (side < DATA_MAX) side = 10 * side + (unsigned long)(*at - '0');
        if (side > DATA_MAX || __builtin_mul_overflow(bytes, side, &bytes)) w->failed = 1;
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%lu", sides ? "," : "", side);
    }
    if (bytes > DATA_MAX || w->data + bytes > DATA_MAX) w->failed = 1;
    if (w->failed) return;
    if (w->tensors++) fputc(',', w->header);
    put_text(w->header, line, name);
    fprintf(w->header, ":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", types[type].name, shape,
            w->data, w->data + bytes);
    w->data += bytes;
}

static int write_file(const char *path, const char *tensors, const char *metadata, size_t data) {
    size_t length = strlen(tensors) + strlen(metadata) + strlen("{\"__metadata__\":{},}");
    FILE *file = fopen(path, "wb");
    if (!file) return 0;
    for (int i = 0; i < 8; i++) fputc((int)(length >> (8 * i) & 255), file);
    fprintf(file, "{\"__metadata__\":{%s},%s}", metadata, tensors);
    int good = !fflush(file) && !ftruncate(fileno(file), (off_t)(8 + length + data));
    return !fclose(file) && good;
}

const char *fuzz_tensor_file(const char *name, const unsigned char *lines, size_t size) {
    static char path[128];
    char *tensors = NULL, *metadata = NULL;
    size_t n;
    struct writing w = {.header = open_memstream(&tensors, &n), .metadata = open_memstream(&metadata, &n)};
    fuzz_promise(w.header && w.metadata, "there is memory");
    for (size_t at = 0; at < size && !w.failed;) {
        const unsigned char *end = memchr(lines + at, '\n', size - at);
        size_t length = end ? (size_t)(end - lines) - at : size - at;
        const char *line = (const char *)lines + at;
        if (length && *line == '@') put_metadata(&w, line + 1, length - 1);
        if (length && *line != '@') put_tensor(&w, line, length);
        at += length + 1;
    }
    fclose(w.header);
    fclose(w.metadata);
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    int good = !w.failed && w.tensors && write_file(path, tensors, metadata, w.data);
    free(tensors);
    free(metadata);
    return good ? path : NULL;
}
