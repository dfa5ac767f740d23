/* safetensors.h: the safetensors file format, read by memory map and written through a temporary name.
   A file is a u64 little-endian header length, a JSON header {name: {dtype, shape, data_offsets}}, then the data. Every
   size is checked against the file before it is used. */
#ifndef CHECKPOINTS_SAFETENSORS_H
#define CHECKPOINTS_SAFETENSORS_H

#include <stddef.h>

enum safetensors_type { ST_F32, ST_F16, ST_BF16, ST_F64, ST_I32, ST_I64, ST_U8, ST_OTHER };
struct safetensors_entry {
    char *name;
    enum safetensors_type type;
    int ndim;
    long shape[8];
    size_t count, bytes;
    const void *data; /* into the map */
};
struct safetensors {
    struct safetensors_entry *entries; /* sorted by name */
    int count;
    char **metadata; /* key, value, key, value, ..., NULL */
    void *map;
    size_t map_bytes;
};
int safetensors_open(struct safetensors *file, const char *path);
void safetensors_close(struct safetensors *file);
const struct safetensors_entry *safetensors_find(const struct safetensors *file, const char *name);
/* Converts F32, F16, BF16, F64 to float; ERR_INPUT for other types. */
int safetensors_read_float(const struct safetensors_entry *entry, float *out);

const char *safetensors_type_name(enum safetensors_type type); /* "F32"; "other" */

/* Writing: all entries with data pointers; metadata pairs as above or NULL. The same input gives the same bytes. */
int safetensors_write(const char *path, const struct safetensors_entry *entries, int count,
                      const char *const *metadata);

#endif
