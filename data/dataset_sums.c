/* dataset_sums.c: see dataset_internal.h. The library's own checksums (Fletcher-32 on every chunk, those of the newer
   file format on its structure) reveal most damage while it reads. These sums are over the values as read, so that none
   but the written ones are accepted. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "data/dataset_internal.h"

enum { VALUES_MAX = 1 << 30, NDIM_MAX = 8, DEPTH_MAX = 4 };

/* ---- places ---- */

uint32_t dataset_place_sum(uint64_t row, int part, const void *values, size_t bytes) {
    const uint64_t place[] = {row, (uint64_t)part};
    uLong sum = crc32_z(0, (const unsigned char *)place, sizeof place);
    return (uint32_t)crc32_z(sum, values, bytes);
}

/* ---- the file ---- */

static void add(uint32_t *sum, const void *bytes, size_t count) { *sum = (uint32_t)crc32_z(*sum, bytes, count); }

static void add_number(uint32_t *sum, uint64_t number) { add(sum, &number, sizeof number); }

static void add_name(uint32_t *sum, const char *name) { add(sum, name, strlen(name) + 1); }

/* Adds an array's or attribute's type and extents. Returns -1 for a type that no data set has. */
static int add_type(uint32_t *sum, hid_t type, hid_t space, size_t *bytes) {
    hsize_t sides[NDIM_MAX];
    H5T_class_t class = H5Tget_class(type);
    int ndim = H5Sget_simple_extent_ndims(space);
    if ((class != H5T_INTEGER && class != H5T_FLOAT && class != H5T_STRING) || ndim < 0 || ndim > NDIM_MAX ||
        H5Tis_variable_str(type) > 0 || H5Sget_simple_extent_dims(space, sides, NULL) != ndim)
        return -1;
    *bytes = H5Tget_size(type);
    add_number(sum, class);
    add_number(sum, *bytes);
    add_number(sum, (uint64_t)ndim);
    for (int d = 0; d < ndim; d++) {
        add_number(sum, sides[d]);
        if (__builtin_mul_overflow(*bytes, (size_t)sides[d], bytes)) return -1;
    }
    return 0;
}

static herr_t add_attribute(hid_t object, const char *name, const H5A_info_t *info, void *user) {
    (void)info;
    uint32_t *sum = user;
    if (!strcmp(name, DATASET_SUM)) return 0;
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (attribute < 0) return -1;
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    size_t bytes;
    add_name(sum, name);
    int bad = add_type(sum, type, space, &bytes) || bytes > VALUES_MAX;
    char *value = bad ? NULL : calloc(1, bytes + 1);
    bad = !value || H5Aread(attribute, type, value) < 0;
    if (!bad) add(sum, value, bytes);
    free(value);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return bad ? -1 : 0;
}

static int add_attributes(uint32_t *sum, hid_t object) {
    return H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, NULL, add_attribute, sum) < 0;
}

/* Adds an array's values in the file's own type, except large ones, which have sums of their own. */
static int add_values(uint32_t *sum, hid_t array, hid_t type, size_t bytes) {
    if (bytes > VALUES_MAX) return -1;
    char *values = calloc(1, bytes + 1);
    int bad = !values || (bytes && H5Dread(array, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0);
    if (!bad) add(sum, values, bytes);
    free(values);
    return bad;
}

struct walk {
    uint32_t *sum;
    int codec; /* 1: inside the group of the codec's tensors */
    int depth; /* depth of groups, limited because a damaged file may hold a group inside itself */
};

static int add_array(struct walk *w, hid_t array, const char *name) {
    hid_t type = H5Dget_type(array), space = H5Dget_space(array);
    size_t bytes;
    int bad = add_type(w->sum, type, space, &bytes) || add_attributes(w->sum, array);
    int summed_apart = !strcmp(name, DATASET_ROW_SUMS) || !strcmp(name, DATASET_PICTURES) ||
                       (H5Tget_class(type) == H5T_FLOAT && !w->codec);
    if (!bad && !summed_apart) bad = add_values(w->sum, array, type, bytes);
    H5Sclose(space);
    H5Tclose(type);
    return bad;
}

static herr_t add_object(hid_t group, const char *name, const H5L_info_t *info, void *user) {
    const struct walk *w = user;
    if (info->type != H5L_TYPE_HARD || w->depth == DEPTH_MAX) return -1;
    hid_t object = H5Oopen(group, name, H5P_DEFAULT);
    if (object < 0) return -1;
    struct walk inside = {w->sum, !strcmp(name, "codec"), w->depth + 1};
    struct walk here = *w;
    int bad = -1;
    add_name(w->sum, name);
    if (H5Iget_type(object) == H5I_DATASET)
        bad = add_array(&here, object, name);
    else if (H5Iget_type(object) == H5I_GROUP)
        bad = add_attributes(w->sum, object) ||
              H5Literate(object, H5_INDEX_NAME, H5_ITER_INC, NULL, add_object, &inside) < 0;
    add_name(w->sum, "/"); /* marks the end of the group */
    H5Oclose(object);
    return bad ? -1 : 0;
}

int dataset_file_sum(hid_t file, uint32_t *sum) {
    struct walk w = {sum, 0, 0};
    *sum = (uint32_t)crc32_z(0, NULL, 0);
    hid_t root = H5Gopen2(file, "/", H5P_DEFAULT);
    if (root < 0) return -1;
    int bad = add_attributes(sum, root) || H5Literate(root, H5_INDEX_NAME, H5_ITER_INC, NULL, add_object, &w) < 0;
    H5Gclose(root);
    return bad ? -1 : 0;
}
