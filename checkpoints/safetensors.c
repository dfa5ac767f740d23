/* safetensors.c: see safetensors.h. The header is checked before it is used: lengths against the file, with arithmetic
   that cannot overflow, shapes against byte counts, ranges against each other (no overlap, no hole), names against
   duplicates. */
#include "checkpoints/safetensors.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/finite.h"
#include "base/foreign.h"
#include "base/hash_index.h"
#include "checkpoints/names.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER_MAX = 100 << 20, NDIM_MAX = 8, WRITE_PIECE = 1 << 16 };
static const double INTEGER_MAX = 9007199254740992.0; /* 2^53, up to which a JSON number is exact */

static const struct {
    const char *name;
    size_t bytes;
} types[] = {[ST_F32] = {"F32", 4}, [ST_F16] = {"F16", 2}, [ST_BF16] = {"BF16", 2},
             [ST_F64] = {"F64", 8}, [ST_I32] = {"I32", 4}, [ST_I64] = {"I64", 8},
             [ST_U8] = {"U8", 1},   [ST_I8] = {"I8", 1},   [ST_F8] = {"F8_E4M3", 1}};

/* ---- reading ---- */

static int read_integer(const cJSON *item, size_t *value) {
    if (!cJSON_IsNumber(item)) return 0;
    double v = item->valuedouble;
    if (!(v >= 0 && v <= INTEGER_MAX) || v != floor(v)) return 0;
    *value = (size_t)v;
    return 1;
}

static int read_shape(struct safetensors_entry *e, const cJSON *shape) {
    const cJSON *item;
    if (!cJSON_IsArray(shape)) return error_set(ERR_INPUT, "%.100s: has no shape", e->name);
    e->count = 1;
    cJSON_ArrayForEach(item, shape) {
        size_t n;
        if (e->ndim == NDIM_MAX) return error_set(ERR_INPUT, "%.100s: has more than %d dimensions", e->name, NDIM_MAX);
        if (!read_integer(item, &n) || __builtin_mul_overflow(e->count, n, &e->count))
            return error_set(ERR_INPUT, "%.100s: the shape is wrong", e->name);
        e->shape[e->ndim++] = (long)n;
    }
    return OK;
}

static int read_entry(struct safetensors_entry *e, const cJSON *object, const char *data, size_t data_bytes) {
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(object, "dtype");
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(object, "data_offsets");
    size_t begin, end, bytes;
    if (!(e->name = strdup(object->string))) return error_set(ERR_DEVICE, "out of memory");
    names_unwrap(e->name);
    if (!cJSON_IsObject(object) || !cJSON_IsString(dtype)) return error_set(ERR_INPUT, "%.100s: has no dtype", e->name);
    e->type = ST_OTHER;
    snprintf(e->dtype, sizeof e->dtype, "%s", dtype->valuestring);
    for (int t = 0; t < ST_OTHER; t++)
        if (!strcmp(dtype->valuestring, types[t].name)) e->type = (enum safetensors_type)t;
    TRY(read_shape(e, cJSON_GetObjectItemCaseSensitive(object, "shape")));
    if (cJSON_GetArraySize(offsets) != 2 || !read_integer(cJSON_GetArrayItem(offsets, 0), &begin) ||
        !read_integer(cJSON_GetArrayItem(offsets, 1), &end) || begin > end)
        return error_set(ERR_INPUT, "%.100s: the data offsets are wrong", e->name);
    if (end > data_bytes)
        return error_set(ERR_INPUT, "%.100s: its data end at byte %zu of %zu: the file is cut short", e->name, end,
                         data_bytes);
    e->bytes = end - begin;
    e->data = data + begin;
    if (e->type == ST_OTHER) return OK;
    if (__builtin_mul_overflow(e->count, types[e->type].bytes, &bytes) || bytes != e->bytes)
        return error_set(ERR_INPUT, "%.100s: its shape and its %zu bytes differ", e->name, e->bytes);
    return OK;
}

static int read_metadata(struct safetensors *file, const cJSON *object) {
    const cJSON *item;
    int count = 0;
    if (cJSON_IsNull(object)) return OK; /* some writers' word for none */
    if (!cJSON_IsObject(object) || file->metadata) return error_set(ERR_INPUT, "the metadata are wrong");
    file->metadata = calloc(2 * (size_t)cJSON_GetArraySize(object) + 1, sizeof *file->metadata);
    if (!file->metadata) return error_set(ERR_DEVICE, "out of memory");
    cJSON_ArrayForEach(item, object) {
        if (!cJSON_IsString(item)) return error_set(ERR_INPUT, "the metadata are wrong");
        for (int i = 0; i < 2; i++)
            if (!(file->metadata[count++] = strdup(i ? item->valuestring : item->string)))
                return error_set(ERR_DEVICE, "out of memory");
    }
    return OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct safetensors_entry *)a)->name, ((const struct safetensors_entry *)b)->name);
}

static int by_data(const void *a, const void *b) {
    const struct safetensors_entry *x = a, *y = b;
    const char *p = x->data, *q = y->data;
    if (p != q) return p < q ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* The tensors fill the data exactly; then the list is sorted by name and has no duplicates. */
static int check_entries(struct safetensors *file, const char *data, size_t data_bytes) {
    const char *next = data;
    qsort(file->entries, (size_t)file->count, sizeof *file->entries, by_data);
    for (int i = 0; i < file->count; i++) {
        const struct safetensors_entry *e = &file->entries[i];
        if (e->data != next) return error_set(ERR_INPUT, "%.100s: its data do not follow those before it", e->name);
        next += e->bytes;
    }
    if (next != data + data_bytes)
        return error_set(ERR_INPUT, "%zu bytes belong to no tensor", (size_t)(data + data_bytes - next));
    qsort(file->entries, (size_t)file->count, sizeof *file->entries, by_name);
    for (int i = 1; i < file->count; i++)
        if (!by_name(&file->entries[i - 1], &file->entries[i]))
            return error_set(ERR_INPUT, "%.100s: is there twice", file->entries[i].name);
    return OK;
}

static int read_entries(struct safetensors *file, const cJSON *header, const char *data, size_t data_bytes) {
    const cJSON *item;
    if (!cJSON_IsObject(header)) return error_set(ERR_INPUT, "the header is no JSON object");
    file->entries = calloc((size_t)cJSON_GetArraySize(header) + 1, sizeof *file->entries);
    if (!file->entries) return error_set(ERR_DEVICE, "out of memory");
    cJSON_ArrayForEach(item, header) {
        if (!strcmp(item->string, "__metadata__"))
            TRY(read_metadata(file, item));
        else
            TRY(read_entry(&file->entries[file->count++], item, data, data_bytes));
    }
    return check_entries(file, data, data_bytes);
}

static int read_header(struct safetensors *file) {
    const unsigned char *bytes = file->map;
    uint64_t length = 0;
    if (file->map_bytes < 8) return error_set(ERR_INPUT, "is shorter than a safetensors file can be");
    for (int i = 7; i >= 0; i--) length = length << 8 | bytes[i];
    if (length > file->map_bytes - 8 || length > HEADER_MAX)
        return error_set(ERR_INPUT, "the header of %llu bytes does not fit in the file", (unsigned long long)length);
    char *text = malloc((size_t)length + 1); /* the parser gets a terminated copy */
    if (!text) return error_set(ERR_DEVICE, "out of memory for a header of %llu bytes", (unsigned long long)length);
    memcpy(text, bytes + 8, (size_t)length);
    text[length] = 0;
    int code;
    cJSON *header = NULL;
    if (strlen(text) != length || !(header = cJSON_ParseWithOpts(text, NULL, 1)))
        code = error_set(ERR_INPUT, "the header is not JSON");
    else
        code = read_entries(file, header, (const char *)bytes + 8 + length, file->map_bytes - 8 - (size_t)length);
    cJSON_Delete(header);
    free(text);
    return code;
}

int safetensors_open(struct safetensors *file, const char *path) {
    struct stat info;
    memset(file, 0, sizeof *file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_set(ERR_INPUT, "%s: cannot open: %s", path, strerror(errno));
    int code = OK;
    if (fstat(fd, &info) || !S_ISREG(info.st_mode))
        code = error_set(ERR_INPUT, "is no file");
    else if (info.st_size > 0) {
        file->map_bytes = (size_t)info.st_size;
        file->map = mmap(NULL, file->map_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (file->map == MAP_FAILED) {
            file->map = NULL;
            code = error_set(ERR_INPUT, "cannot map: %s", strerror(errno));
        }
    }
    close(fd);
    int readable = !code;
    if (!code) code = read_header(file);
    if (code) {
        if (!readable || !foreign_refuse(path, FOREIGN_TENSORS, "a safetensors file")) error_context(code, "%s", path);
        safetensors_close(file);
    }
    return code;
}

void safetensors_close(struct safetensors *file) {
    for (int i = 0; i < file->count; i++) free(file->entries[i].name);
    free(file->entries);
    for (char **m = file->metadata; m && *m; m++) free(*m);
    free(file->metadata);
    if (file->map) munmap(file->map, file->map_bytes);
    memset(file, 0, sizeof *file);
}

const struct safetensors_entry *safetensors_find(const struct safetensors *file, const char *name) {
    int low = 0, high = file->count;
    while (low < high) {
        int middle = low + (high - low) / 2, order = strcmp(name, file->entries[middle].name);
        if (!order) return &file->entries[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const char *safetensors_type_name(enum safetensors_type type) { return type < ST_OTHER ? types[type].name : "other"; }

size_t safetensors_type_bytes(enum safetensors_type type) { return type < ST_OTHER ? types[type].bytes : 0; }

/* ---- values ---- */

static float from_bits(uint32_t bits) {
    float v;
    memcpy(&v, &bits, 4);
    return v;
}

static float from_half(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 0x3ff;
    if (exponent == 31) return from_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent) return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float v = (float)fraction * 0x1p-24f; /* subnormal */
    return sign ? -v : v;
}

/* Converts elements whatever their values are. */
static int convert(const struct safetensors_entry *e, size_t from, size_t count, float *out) {
    if (e->type > ST_BF16 && e->type != ST_F64)
        return error_set(ERR_INPUT, "%.100s: is of type %s, expected floating point", e->name,
                         e->type == ST_OTHER ? e->dtype : safetensors_type_name(e->type));
    const char *data = (const char *)e->data + from * types[e->type].bytes; /* may have any alignment */
    uint16_t half;
    double wide;
    switch (e->type) {
    case ST_F32:
        if (count) memcpy(out, data, 4 * count);
        break;
    case ST_F16:
        for (size_t i = 0; i < count; i++) {
            memcpy(&half, data + 2 * i, 2);
            out[i] = from_half(half);
        }
        break;
    case ST_BF16:
        for (size_t i = 0; i < count; i++) {
            memcpy(&half, data + 2 * i, 2);
            out[i] = from_bits((uint32_t)half << 16);
        }
        break;
    default:
        for (size_t i = 0; i < count; i++) {
            memcpy(&wide, data + 8 * i, 8);
            out[i] = (float)wide;
        }
    }
    return OK;
}

int safetensors_read_part(const struct safetensors_entry *e, size_t from, size_t count, float *out) {
    TRY(convert(e, from, count, out));
    long at = finite_fault(out, count);
    if (at < 0) return OK;
    return error_set(ERR_INPUT, "%.100s: holds a value that is not finite (element %zu: %g)", e->name,
                     from + (size_t)at, (double)out[at]);
}

int safetensors_read_any(const struct safetensors_entry *e, float *out) { return convert(e, 0, e->count, out); }

int safetensors_read_float(const struct safetensors_entry *e, float *out) {
    return safetensors_read_part(e, 0, e->count, out);
}

static void advise(const struct safetensors_entry *e, size_t from, size_t count, int advice) {
    if (e->type == ST_OTHER || !count) return;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), size = types[e->type].bytes;
    uintptr_t begin = ((uintptr_t)e->data + from * size) / page * page,
              end = (uintptr_t)e->data + (from + count) * size;
    madvise((void *)begin, end - begin, advice); /* only advice: a page that is read again comes from the file */
}

void safetensors_want(const struct safetensors_entry *e, size_t from, size_t count) {
    advise(e, from, count, MADV_WILLNEED);
}

void safetensors_forget(const struct safetensors_entry *e, size_t from, size_t count) {
    advise(e, from, count, MADV_DONTNEED);
}

/* ---- writing ---- */

/* Wide types first, so that every tensor is aligned to its type without holes; then by name. */
static int by_layout(const void *a, const void *b) {
    const struct safetensors_entry *x = *(const struct safetensors_entry *const *)a,
                                   *y = *(const struct safetensors_entry *const *)b;
    size_t p = types[x->type].bytes, q = types[y->type].bytes;
    return p != q ? (p > q ? -1 : 1) : strcmp(x->name, y->name);
}

static int check_entry(const struct safetensors_entry *e) {
    size_t n = 1, bytes;
    if (e->type >= ST_OTHER || e->ndim < 0 || e->ndim > NDIM_MAX)
        return error_set(ERR_USAGE, "%.100s: cannot be written", e->name);
    for (int d = 0; d < e->ndim; d++)
        if (e->shape[d] < 0 || __builtin_mul_overflow(n, (size_t)e->shape[d], &n))
            return error_set(ERR_USAGE, "%.100s: the shape is wrong", e->name);
    if (n != e->count || __builtin_mul_overflow(n, types[e->type].bytes, &bytes) || bytes != e->bytes)
        return error_set(ERR_USAGE, "%.100s: its shape and its %zu bytes differ", e->name, e->bytes);
    return OK;
}

/* Adds entry i's name to those so far; refuses a name that is there already. */
static int check_name(struct hash_index *names, const struct safetensors_entry *const *order, int i) {
    uint64_t hash = hash_text(order[i]->name);
    size_t at = 0;
    for (int j; (j = hash_index_next(names, hash, &at)) >= 0;)
        if (!strcmp(order[j]->name, order[i]->name))
            return error_set(ERR_USAGE, "%.100s: is there twice", order[i]->name);
    return hash_index_add(names, hash, i);
}

static int check_writable(const struct safetensors_entry *const *order, int count) {
    struct hash_index names = {0};
    int code = OK;
    for (int i = 0; i < count && !code; i++) {
        code = check_entry(order[i]);
        if (!code) code = check_name(&names, order, i);
    }
    hash_index_free(&names);
    return code;
}

static cJSON *header_of(const struct safetensors_entry *const *order, int count, const char *const *metadata) {
    cJSON *header = cJSON_CreateObject();
    if (metadata && metadata[0]) {
        cJSON *object = cJSON_AddObjectToObject(header, "__metadata__");
        for (; metadata[0]; metadata += 2) cJSON_AddStringToObject(object, metadata[0], metadata[1]);
    }
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        const struct safetensors_entry *e = order[i];
        cJSON *object = cJSON_AddObjectToObject(header, e->name);
        cJSON_AddStringToObject(object, "dtype", types[e->type].name);
        cJSON *shape = cJSON_AddArrayToObject(object, "shape"),
              *offsets = cJSON_AddArrayToObject(object, "data_offsets");
        for (int d = 0; d < e->ndim; d++) cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)e->shape[d]));
        cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)at));
        at += e->bytes;
        cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)at));
    }
    return header;
}

/* Writes an entry's bytes from its own pointer or, piece by piece, from `give`. */
static int write_entry(FILE *file, const struct safetensors_entry *e, safetensors_source give, void *user) {
    if (!give) {
        if (e->bytes) fwrite(e->data, 1, e->bytes, file);
        return OK;
    }
    char piece[WRITE_PIECE];
    size_t size = types[e->type].bytes, most = sizeof piece / size;
    for (size_t from = 0; from < e->count; from += most) {
        size_t count = e->count - from < most ? e->count - from : most;
        TRY(give(user, e, from, count, piece));
        if (fwrite(piece, size, count, file) != count) return OK; /* file_commit reports the reason */
    }
    return OK;
}

static int write_file(const char *path, const char *header, const struct safetensors_entry *const *order, int count,
                      safetensors_source give, void *user) {
    struct file_writer w;
    TRY(file_create(&w, path));
    size_t length = strlen(header), padded = (length + 7) / 8 * 8;
    for (int i = 0; i < 8; i++) fputc((int)((uint64_t)padded >> (8 * i) & 255), w.file);
    fprintf(w.file, "%-*s", (int)padded, header);
    for (int i = 0; i < count; i++) {
        int code = write_entry(w.file, order[i], give, user);
        if (code) {
            file_discard(&w);
            return code;
        }
    }
    return file_commit(&w);
}

int safetensors_write_from(const char *path, const struct safetensors_entry *entries, int count,
                           const char *const *metadata, safetensors_source give, void *user) {
    const struct safetensors_entry **order = malloc(((size_t)count + 1) * sizeof *order);
    if (!order) return error_set(ERR_DEVICE, "out of memory");
    for (int i = 0; i < count; i++) order[i] = &entries[i];
    int code = OK;
    for (int i = 0; i < count && !code; i++)
        if (entries[i].type >= ST_OTHER) code = error_set(ERR_USAGE, "%.100s: cannot be written", entries[i].name);
    if (!code) {
        qsort(order, (size_t)count, sizeof *order, by_layout);
        code = check_writable(order, count);
    }
    cJSON *header = code ? NULL : header_of(order, count, metadata);
    char *text = header ? cJSON_PrintUnformatted(header) : NULL;
    if (!code && !text) code = error_set(ERR_DEVICE, "out of memory");
    if (!code && strlen(text) > HEADER_MAX) code = error_set(ERR_USAGE, "%s: the header is too long", path);
    if (!code) code = write_file(path, text, order, count, give, user);
    free(text);
    cJSON_Delete(header);
    free(order);
    return code;
}

int safetensors_write(const char *path, const struct safetensors_entry *entries, int count,
                      const char *const *metadata) {
    return safetensors_write_from(path, entries, count, metadata, NULL, NULL);
}
