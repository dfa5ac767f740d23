/* inspect_hdf5.c: see inspect_hdf5.h. */
#include "tools/inspect_hdf5.h"
#include "base/error.h"
#include "base/hdf5_error.h"
#include "base/hdf5_file.h"
#include "tools/tensor_stats.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NDIM_MAX = 8, TEXT_SHOWN = 1 << 16, PIECE = 1 << 18, ROW_MAX = 1 << 28 };

struct walk {
    const char *path;
    int stats, code;
    size_t arrays, values;
};

/* An array's or attribute's element type and extent. */
struct shape {
    int ndim;
    hsize_t size[NDIM_MAX];
    size_t count;
    H5T_class_t class;
    size_t bytes;
    int variable; /* 1: text of variable length */
    char type[24];
};

static int read_shape(hid_t type, hid_t space, struct shape *s) {
    memset(s, 0, sizeof *s);
    s->ndim = H5Sget_simple_extent_ndims(space);
    if (s->ndim < 0 || s->ndim > NDIM_MAX) return 0;
    if (s->ndim && H5Sget_simple_extent_dims(space, s->size, NULL) < 0) return 0;
    s->count = H5Sget_simple_extent_type(space) == H5S_NULL ? 0 : 1;
    for (int d = 0; d < s->ndim; d++)
        if (__builtin_mul_overflow(s->count, s->size[d], &s->count)) return 0;
    s->class = H5Tget_class(type);
    s->bytes = H5Tget_size(type);
    s->variable = s->class == H5T_STRING && H5Tis_variable_str(type) > 0;
    if (s->class == H5T_FLOAT)
        snprintf(s->type, sizeof s->type, "float%zu", 8 * s->bytes);
    else if (s->class == H5T_INTEGER)
        snprintf(s->type, sizeof s->type, "%sint%zu", H5Tget_sign(type) == H5T_SGN_NONE ? "u" : "", 8 * s->bytes);
    else
        snprintf(s->type, sizeof s->type, "%s", s->class == H5T_STRING ? "text" : "other");
    return 1;
}

/* Reads one value of an array or an attribute into memory of a type. */
static herr_t read_one(hid_t object, int attribute, hid_t type, void *to) {
    return attribute ? H5Aread(object, type, to) : H5Dread(object, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, to);
}

/* Prints " = 12" or " = text" and ends the line, for a single number or text; several lines are indented. */
static void print_value(hid_t object, int attribute, hid_t type, const struct shape *s) {
    int ended = 0;
    if (s->class == H5T_INTEGER) {
        long long v;
        if (read_one(object, attribute, H5T_NATIVE_LLONG, &v) >= 0) printf(" = %lld", v);
    } else if (s->class == H5T_FLOAT) {
        double v;
        if (read_one(object, attribute, H5T_NATIVE_DOUBLE, &v) >= 0) printf(" = %.9g", v);
    } else if (s->class == H5T_STRING && s->bytes <= TEXT_SHOWN) {
        char *text = calloc(1, s->bytes + 1);
        if (text && read_one(object, attribute, type, text) >= 0) {
            int lines = strchr(text, '\n') != NULL;
            fputs(lines ? ":\n      " : " = ", stdout);
            print_clean(text, lines ? "      " : NULL);
            ended = *text && text[strlen(text) - 1] == '\n';
        }
        free(text);
    }
    if (!ended) putchar('\n');
}

static void print_head(const char *name, const struct shape *s) {
    fputs("  ", stdout);
    print_clean(name, NULL);
    printf("%*s %s", strlen(name) < 44 ? (int)(44 - strlen(name)) : 0, "", s->type);
    if (s->ndim) putchar(' ');
    for (int d = 0; d < s->ndim; d++) printf("%s%llu", d ? " x " : "", (unsigned long long)s->size[d]);
}

/* Reads the values in pieces of whole rows; a row is an index of the first dimension. */
static int add_stats(hid_t set, const struct shape *s, struct tensor_stats *stats) {
    size_t rows = s->ndim ? (size_t)s->size[0] : 1, row = rows ? s->count / rows : 0;
    if (!row) return 1;
    if (row > ROW_MAX) return 0;
    size_t step = row > PIECE ? 1 : PIECE / row;
    float *values = malloc(step * row * sizeof *values);
    hid_t space = H5Dget_space(set);
    int good = values && space >= 0;
    for (size_t first = 0; good && first < rows; first += step) {
        hsize_t start[NDIM_MAX] = {first}, count[NDIM_MAX], n;
        memcpy(count, s->size, sizeof count);
        count[0] = rows - first < step ? rows - first : step;
        n = count[0] * row;
        hid_t memory = H5Screate_simple(1, &n, NULL);
        if (s->ndim && H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0) good = 0;
        if (good && H5Dread(set, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, values) < 0) good = 0;
        if (good) tensor_stats_add(stats, values, (size_t)n);
        H5Sclose(memory);
    }
    if (space >= 0) H5Sclose(space);
    free(values);
    return good;
}

static int print_array(struct walk *w, hid_t file, const char *name) {
    struct shape s;
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    if (set < 0) return hdf5_fail(w->path, "cannot read %s", name);
    hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    int code = OK;
    if (type < 0 || space < 0 || !read_shape(type, space, &s)) {
        code = hdf5_fail(w->path, "cannot read %s", name);
    } else {
        int numbers = s.class == H5T_FLOAT || s.class == H5T_INTEGER;
        print_head(name, &s);
        if (s.ndim == 0 && s.count == 1 && !s.variable && (numbers || s.class == H5T_STRING)) {
            print_value(set, 0, type, &s);
        } else {
            struct tensor_stats stats = {0};
            char text[160] = "";
            w->arrays++;
            w->values += s.count;
            if (w->stats && numbers) {
                if (add_stats(set, &s, &stats))
                    tensor_stats_text(&stats, text, sizeof text);
                else
                    code = hdf5_fail(w->path, "cannot read %s", name);
            }
            printf("%s%s\n", text[0] ? "  " : "", text);
        }
    }
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    H5Dclose(set);
    return code;
}

static herr_t print_attribute(hid_t object, const char *name, const H5A_info_t *info, void *user) {
    (void)info;
    char label[160];
    struct shape s;
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (attribute < 0) return 0;
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    if (type >= 0 && space >= 0 && read_shape(type, space, &s)) {
        const char *of = user;
        snprintf(label, sizeof label, "%.100s@%.50s", strcmp(of, ".") ? of : "", name);
        print_head(label, &s);
        if (s.count == 1 && !s.variable)
            print_value(attribute, 1, type, &s);
        else
            putchar('\n');
    }
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    H5Aclose(attribute);
    return 0;
}

static herr_t visit(hid_t file, const char *name, const H5O_info_t *info, void *user) {
    struct walk *w = user;
    hid_t object = H5Oopen(file, name, H5P_DEFAULT);
    if (object < 0) {
        w->code = hdf5_fail(w->path, "cannot read %s", name);
        return -1;
    }
    char of[160];
    snprintf(of, sizeof of, "%.150s", name);
    H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, NULL, print_attribute, of);
    H5Oclose(object);
    if (info->type == H5O_TYPE_DATASET) w->code = print_array(w, file, name);
    return w->code ? -1 : 0;
}

int inspect_hdf5(const char *path, int stats) {
    struct walk w = {.path = path, .stats = stats};
    hdf5_quiet();
    hid_t file;
    TRY(hdf5_open(&file, path));
    herr_t status = H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, visit, &w);
    if (status < 0 && !w.code) w.code = hdf5_fail(path, "cannot be read to the end");
    H5Fclose(file);
    if (!w.code) printf("  %zu arrays, %zu values\n", w.arrays, w.values);
    return w.code;
}
