/* safetensors.h: the safetensors file format, read by memory map and written through a temporary name.
   A file is the header's length (u64, little-endian), a JSON header {name: {dtype, shape, data_offsets}}, then the
   data. Every size is checked against the file before it is used. Parts that training wrappers put inside names
   (names.h) are removed. A file of another known kind is refused with that kind's name. shards.h opens several files
   that belong together. */
#ifndef CHECKPOINTS_SAFETENSORS_H
#define CHECKPOINTS_SAFETENSORS_H

#include <stddef.h>

enum safetensors_type { ST_F32, ST_F16, ST_BF16, ST_F64, ST_I32, ST_I64, ST_U8, ST_I8, ST_F8, ST_OTHER };
struct safetensors_entry {
    char *name;
    enum safetensors_type type;
    char dtype[16]; /* the file's name of the type, for types that are not converted */
    int ndim;
    long shape[8];
    size_t count, bytes;
    const void *data; /* points into the memory map */
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
/* Converts F32, F16, BF16 or F64 to float. ERR_INPUT names the tensor: it has another type, or a value that is not
   finite or that float cannot hold, which no weights, features or pixels of ours have. */
int safetensors_read_float(const struct safetensors_entry *entry, float *out);
/* Converts `count` elements, from element `from` on, likewise. */
int safetensors_read_part(const struct safetensors_entry *entry, size_t from, size_t count, float *out);
/* Converts all elements, finite or not, for inspecting a file. */
int safetensors_read_any(const struct safetensors_entry *entry, float *out);
/* Has the system read these elements into memory beside other work. */
void safetensors_want(const struct safetensors_entry *entry, size_t from, size_t count);
/* Lets the pages of these elements leave memory, so that a file larger than the memory can pass through it. */
void safetensors_forget(const struct safetensors_entry *entry, size_t from, size_t count);

const char *safetensors_type_name(enum safetensors_type type); /* "F32"; "other" */

/* Writes a file. All entries have data pointers; metadata: pairs as above, or NULL. The same input gives the same
   bytes. */
int safetensors_write(const char *path, const struct safetensors_entry *entries, int count,
                      const char *const *metadata);
/* Writes entries that have no data pointers: `give` is asked for elements from .. from + count - 1 of each entry, in
   order, as bytes of the entry's type. If it returns an error the writing ends, and nothing of the file is left. */
typedef int (*safetensors_source)(void *user, const struct safetensors_entry *entry, size_t from, size_t count,
                                  void *bytes);
int safetensors_write_from(const char *path, const struct safetensors_entry *entries, int count,
                           const char *const *metadata, safetensors_source give, void *user);
size_t safetensors_type_bytes(enum safetensors_type type); /* bytes of one element; 0: other */

#endif
