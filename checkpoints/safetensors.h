/* safetensors.h: the safetensors file format, read by memory map and written through a temporary name.
   A file is a u64 little-endian header length, a JSON header {name: {dtype, shape, data_offsets}}, then the data. Every
   size is checked against the file before it is used. Parts that training wrappers put inside names (names.h) are taken
   out. A file of another kind is refused by what it is. Several files that belong together: shards.h. */
#ifndef CHECKPOINTS_SAFETENSORS_H
#define CHECKPOINTS_SAFETENSORS_H

#include <stddef.h>

enum safetensors_type { ST_F32, ST_F16, ST_BF16, ST_F64, ST_I32, ST_I64, ST_U8, ST_OTHER };
struct safetensors_entry {
    char *name;
    enum safetensors_type type;
    char dtype[16]; /* as the file has it, for types that are not converted */
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
/* Converts F32, F16, BF16, F64 to float. ERR_INPUT, with the tensor's name: another type, or a value that is not finite
   (a double that float cannot hold included): no weights, features or pixels of ours are that. */
int safetensors_read_float(const struct safetensors_entry *entry, float *out);
/* The same for `count` elements from element `from` on. */
int safetensors_read_part(const struct safetensors_entry *entry, size_t from, size_t count, float *out);
/* All of it, finite or not: for looking at a file. */
int safetensors_read_any(const struct safetensors_entry *entry, float *out);
/* Those elements' pages may leave memory: a file larger than the memory passes through it. */
void safetensors_forget(const struct safetensors_entry *entry, size_t from, size_t count);

const char *safetensors_type_name(enum safetensors_type type); /* "F32"; "other" */

/* Writing: all entries with data pointers; metadata pairs as above or NULL. The same input gives the same bytes. */
int safetensors_write(const char *path, const struct safetensors_entry *entries, int count,
                      const char *const *metadata);
/* The same without data pointers: `give` is asked for elements from .. from + count of an entry, in order, as bytes of
   the entry's type. A code other than OK ends the writing; nothing of the file is left. */
typedef int (*safetensors_source)(void *user, const struct safetensors_entry *entry, size_t from, size_t count,
                                  void *bytes);
int safetensors_write_from(const char *path, const struct safetensors_entry *entries, int count,
                           const char *const *metadata, safetensors_source give, void *user);
size_t safetensors_type_bytes(enum safetensors_type type); /* of one element; 0: other */

#endif
