/* state.c: see state.h. The HDF5 library's own calls are serialised by the library (Debian builds it thread-safe), so a
   loader thread may read a data set meanwhile. */
#include "checkpoints/state.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/old_names.h"
#include "checkpoints/fault_list.h"
#include "base/hdf5_error.h"
#include "base/hdf5_file.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MAX_LENGTH = 256, TEXT_MAX = 1 << 24 };
static const char format_name[] = "streamavatar training state";

struct state_writer {
    hid_t file, make_groups; /* make_groups: property list that creates intermediate groups, without time stamps */
    char path[FILE_PATH_MAX], temporary[FILE_PATH_MAX + 8];
    int failed;
};
struct state_reader {
    hid_t file;
    char path[FILE_PATH_MAX];
};

static int fail(const char *path, const char *what, const char *name) {
    return hdf5_fail(path, "cannot %s %s", what, name);
}

/* ---- writing ---- */

int state_create(struct state_writer **writer, const char *path) {
    struct state_writer *w = calloc(1, sizeof *w);
    if (!w) return error_set(ERR_DEVICE, "out of memory");
    hdf5_quiet();
    w->file = w->make_groups = -1;
    int code = OK;
    if (strlen(path) >= sizeof w->path)
        code = error_set(ERR_INPUT, "%.80s...: the path is too long", path);
    else {
        strcpy(w->path, path);
        snprintf(w->temporary, sizeof w->temporary, "%s.tmp", path);
        unlink(w->temporary);
        int busy;
        code = hdf5_create(&w->file, w->temporary, HDF5_PLAIN, &busy);
    }
    if (!code) {
        w->make_groups = H5Pcreate(H5P_LINK_CREATE);
        H5Pset_create_intermediate_group(w->make_groups, 1);
        code = state_put_text(w, "format", format_name);
        if (!code) code = state_put_integer(w, "version", 1);
    }
    if (code)
        state_abandon(w);
    else
        *writer = w;
    return code;
}

/* Writes a data set. values NULL: only makes room for them. */
static int put(struct state_writer *w, const char *name, hid_t file_type, hid_t memory_type, int ndim,
               const hsize_t *shape, const void *values) {
    if (strlen(name) >= NAME_MAX_LENGTH) return error_set(ERR_USAGE, "the name %.60s... is too long", name);
    hid_t space = ndim ? H5Screate_simple(ndim, shape, NULL) : H5Screate(H5S_SCALAR);
    hid_t plain = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(plain, 0); /* so that the same state gives the same bytes */
    H5Pset_alloc_time(plain, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(plain, H5D_FILL_TIME_NEVER);
    hid_t set = H5Dcreate2(w->file, name, file_type, space, w->make_groups, plain, H5P_DEFAULT);
    herr_t status = set < 0 ? -1 : 0;
    if (!status && values) status = H5Dwrite(set, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    int code = status < 0 ? fail(w->path, "write", name) : OK;
    if (set >= 0 && H5Dclose(set) < 0 && !code) code = fail(w->path, "write", name);
    H5Pclose(plain);
    H5Sclose(space);
    w->failed |= code != OK;
    return code;
}

int state_put_floats(struct state_writer *w, const char *name, const float *values, int ndim, const long *shape) {
    hsize_t size[8];
    if (ndim < 0 || ndim > 8) return error_set(ERR_USAGE, "%s: has %d dimensions", name, ndim);
    for (int d = 0; d < ndim; d++) size[d] = (hsize_t)shape[d];
    return put(w, name, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, ndim, size, values);
}

int state_room_floats(struct state_writer *w, const char *name, int ndim, const long *shape) {
    return state_put_floats(w, name, NULL, ndim, shape);
}

int state_room_params(struct state_writer *w, const char *group, const struct param_table *table) {
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        char name[NAME_MAX_LENGTH];
        snprintf(name, sizeof name, "%.120s/%s", group, p->name);
        TRY(state_room_floats(w, name, p->ndim, p->shape));
    }
    return OK;
}

int state_put_integer(struct state_writer *w, const char *name, int64_t value) {
    return put(w, name, H5T_STD_I64LE, H5T_NATIVE_INT64, 0, NULL, &value);
}

int state_put_text(struct state_writer *w, const char *name, const char *text) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, strlen(text) + 1);
    H5Tset_cset(type, H5T_CSET_UTF8);
    int code = put(w, name, type, type, 0, NULL, text);
    H5Tclose(type);
    return code;
}

/* Writes the path of a sums file: the state's path with an ending. */
static void sum_path(char *text, const char *path, const char *ending) {
    snprintf(text, FILE_PATH_MAX + 16, "%s%s", path, ending);
}

static int matches(const char *sum, uint64_t length, uint32_t crc) {
    char *text;
    unsigned long long told_length;
    unsigned told_crc;
    if (!file_exists(sum) || file_read(sum, 1000, &text, NULL)) return 0;
    int same =
        sscanf(text, "length %llu crc32 %x", &told_length, &told_crc) == 2 && told_length == length && told_crc == crc;
    free(text);
    return same;
}

static int write_sum(const char *of, const char *path) {
    char text[80];
    uint64_t length;
    uint32_t crc;
    TRY(file_checksum(of, &length, &crc));
    int n = snprintf(text, sizeof text, "length %llu\ncrc32 %08x\n", (unsigned long long)length, crc);
    return file_write(path, text, (size_t)n);
}

/* Finishes the renames of a writer that was killed between them, whose FILE matches FILE.sum.new only, before that sum
   is overwritten. */
static int settle(const char *path, const char *sum, const char *fresh) {
    uint64_t length;
    uint32_t crc;
    if (!file_exists(path) || !file_exists(fresh)) return OK;
    TRY(file_checksum(path, &length, &crc));
    return matches(fresh, length, crc) ? file_replace(fresh, sum) : OK;
}

static int publish(const struct state_writer *w) {
    char fresh[FILE_PATH_MAX + 16], sum[FILE_PATH_MAX + 16];
    sum_path(fresh, w->path, ".sum.new");
    sum_path(sum, w->path, ".sum");
    int code = settle(w->path, sum, fresh);
    if (!code) code = write_sum(w->temporary, fresh);
    if (!code) code = file_replace(w->temporary, w->path);
    if (!code) return file_replace(fresh, sum);
    unlink(fresh);
    return code;
}

static int close_file(struct state_writer *w) {
    if (w->file < 0) return OK;
    if (H5Fflush(w->file, H5F_SCOPE_LOCAL) < 0) return fail(w->path, "write", "the file");
    herr_t status = H5Fclose(w->file);
    w->file = -1;
    return status < 0 ? fail(w->path, "write", "the file") : OK;
}

/* Claims the file's space, so that a disk too full for the values is noticed now. Where the file system cannot claim
   space it is noticed when values are written. */
static int claim_space(const struct state_writer *w) {
    struct stat info;
    int fd = open(w->temporary, O_WRONLY | O_CLOEXEC), failed = fd < 0 || fstat(fd, &info);
    if (!failed && info.st_size > 0 && fallocate(fd, 0, 0, info.st_size))
        failed = errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO;
    int code = failed ? error_set(ERR_INPUT, "%s: cannot make room for the values: %s", w->path, strerror(errno)) : OK;
    if (fd >= 0) close(fd);
    return code;
}

int state_lay_out(struct state_writer *w) {
    int code = w->failed ? error_set(ERR_INPUT, "%s: was not written whole", w->path) : close_file(w);
    if (!code) code = claim_space(w);
    w->failed |= code != OK;
    return code;
}

int state_finish(struct state_writer *w) {
    int code = w->failed ? error_set(ERR_INPUT, "%s: was not written whole", w->path) : close_file(w);
    if (!code) code = publish(w);
    state_abandon(w); /* removes the temporary file, if the writing failed */
    return code;
}

void state_abandon(struct state_writer *w) {
    if (w->make_groups >= 0) H5Pclose(w->make_groups);
    if (w->file >= 0) H5Fclose(w->file);
    if (w->temporary[0]) unlink(w->temporary);
    free(w);
}

/* ---- reading ---- */

static int verify(const char *path) {
    char sum[FILE_PATH_MAX + 16], fresh[FILE_PATH_MAX + 16];
    uint64_t length;
    uint32_t crc;
    if (strlen(path) >= FILE_PATH_MAX) return error_set(ERR_INPUT, "%.80s...: the path is too long", path);
    sum_path(sum, path, ".sum");
    sum_path(fresh, path, ".sum.new");
    TRY(file_checksum(path, &length, &crc));
    if (matches(sum, length, crc) || matches(fresh, length, crc)) return OK;
    if (!file_exists(sum) && !file_exists(fresh))
        return error_set(ERR_INPUT, "%s: is no whole training state: %s is missing", path,
                         strrchr(sum, '/') ? strrchr(sum, '/') + 1 : sum);
    return error_set(ERR_INPUT, "%s: is damaged: length or checksum differ from those in its .sum file", path);
}

int state_verify(const char *path, struct file_identity *seen) {
    struct file_identity now = file_identify(path); /* taken before reading: a file replaced meanwhile is another one */
    if (seen && file_is_same(seen, &now)) return OK;
    TRY(verify(path));
    if (seen) *seen = now;
    return OK;
}

int state_open(struct state_reader **reader, const char *path) { return state_open_seen(reader, path, NULL); }

int state_open_seen(struct state_reader **reader, const char *path, struct file_identity *seen) {
    TRY(state_verify(path, seen));
    struct state_reader *r = calloc(1, sizeof *r);
    if (!r) return error_set(ERR_DEVICE, "out of memory");
    hdf5_quiet();
    strcpy(r->path, path);
    int code = hdf5_open(&r->file, path);
    char *format = NULL;
    if (!code) code = state_get_text(r, "format", &format);
    if (!code && strcmp(format, format_name)) code = error_set(ERR_INPUT, "%s: is no training state", path);
    free(format);
    int64_t version = 0;
    if (!code) code = state_get_integer(r, "version", &version);
    if (!code && version != 1)
        code = error_set(ERR_INPUT, "%s: is a training state of version %lld, this program reads 1", path,
                         (long long)version);
    if (code)
        state_close(r);
    else
        *reader = r;
    return code;
}

void state_close(struct state_reader *r) {
    if (!r) return;
    if (r->file >= 0) H5Fclose(r->file);
    free(r);
}

/* Asks for every part of the name, because H5Lexists fails when a group on the way is missing. */
int state_has(const struct state_reader *r, const char *name) {
    char part[NAME_MAX_LENGTH];
    size_t length = strlen(name);
    if (!length || length >= sizeof part) return 0;
    for (size_t i = 1; i <= length; i++) {
        if (name[i] && name[i] != '/') continue;
        memcpy(part, name, i);
        part[i] = 0;
        if (H5Lexists(r->file, part, H5P_DEFAULT) <= 0) return 0;
    }
    return 1;
}

/* Opens a data set of this class of numbers and returns it with its shape; -1, with *code set, when that fails. */
static hid_t open_set(struct state_reader *r, const char *name, H5T_class_t class, int *ndim, hsize_t *shape,
                      int *code) {
    hid_t set = state_has(r, name) ? H5Dopen2(r->file, name, H5P_DEFAULT) : -1;
    if (set < 0) {
        const char *old = old_name_of(name);
        *code = old && state_has(r, old)
                    ? error_set(ERR_INPUT,
                                "%s: was written by an earlier version, in which %s was called %s; "
                                "this version does not read it",
                                r->path, name, old)
                    : error_set(ERR_INPUT, "%s: has no %s", r->path, name);
        return -1;
    }
    hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    *ndim = H5Sget_simple_extent_ndims(space);
    int right = H5Tget_class(type) == class && *ndim >= 0 && *ndim <= 8;
    if (right) H5Sget_simple_extent_dims(space, shape, NULL);
    H5Tclose(type);
    H5Sclose(space);
    if (right) return set;
    H5Dclose(set);
    *code = error_set(ERR_INPUT, "%s: %s is of another type", r->path, name);
    return -1;
}

int state_get_floats(struct state_reader *r, const char *name, float *values, size_t count) {
    hsize_t shape[8], n = 1;
    int ndim, code = OK;
    hid_t set = open_set(r, name, H5T_FLOAT, &ndim, shape, &code);
    if (set < 0) return code;
    for (int d = 0; d < ndim; d++)
        if (__builtin_mul_overflow(n, shape[d], &n)) n = (hsize_t)-1;
    if (n != count)
        code =
            error_set(ERR_INPUT, "%s: %s holds %llu values, expected %zu", r->path, name, (unsigned long long)n, count);
    else if (H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        code = fail(r->path, "read", name);
    H5Dclose(set);
    return code;
}

int state_get_integer(struct state_reader *r, const char *name, int64_t *value) {
    hsize_t shape[8];
    int ndim, code = OK;
    hid_t set = open_set(r, name, H5T_INTEGER, &ndim, shape, &code);
    if (set < 0) return code;
    if (ndim)
        code = error_set(ERR_INPUT, "%s: %s is no single number", r->path, name);
    else if (H5Dread(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) < 0)
        code = fail(r->path, "read", name);
    H5Dclose(set);
    return code;
}

int state_get_text(struct state_reader *r, const char *name, char **text) {
    hsize_t shape[8];
    int ndim, code = OK;
    hid_t set = open_set(r, name, H5T_STRING, &ndim, shape, &code);
    if (set < 0) return code;
    hid_t type = H5Dget_type(set);
    size_t size = H5Tget_size(type);
    char *bytes = NULL;
    if (ndim || H5Tis_variable_str(type) > 0 || size > TEXT_MAX)
        code = error_set(ERR_INPUT, "%s: %s is no text", r->path, name);
    else if (!(bytes = calloc(1, size + 1)))
        code = error_set(ERR_DEVICE, "out of memory");
    else if (H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes) < 0)
        code = fail(r->path, "read", name);
    H5Tclose(type);
    H5Dclose(set);
    if (code)
        free(bytes);
    else
        *text = bytes;
    return code;
}

/* ---- parameters ---- */

static void check_tensor(struct state_reader *r, struct fault_list *faults, const char *name, const struct param *p) {
    hsize_t shape[8];
    int ndim, code = OK;
    hid_t set = open_set(r, name, H5T_FLOAT, &ndim, shape, &code);
    if (set < 0) {
        fault_add(faults, "%s %s", state_has(r, name) ? "of another type" : "missing", p->name);
        return;
    }
    H5Dclose(set);
    long found[8];
    int same = ndim == p->ndim;
    for (int d = 0; d < ndim; d++) {
        found[d] = (long)shape[d];
        if (same) same = found[d] == p->shape[d];
    }
    if (same) return;
    char have[96], want[96];
    fault_shape(have, sizeof have, ndim, found);
    fault_shape(want, sizeof want, p->ndim, p->shape);
    fault_add(faults, "%s is %s, expected %s", p->name, have, want);
}

struct surplus {
    const struct param_table *table;
    struct fault_list *faults;
};
static herr_t find_surplus(hid_t group, const char *name, const H5L_info_t *info, void *user) {
    (void)group;
    (void)info;
    struct surplus *s = user;
    if (!param_find(s->table, name)) fault_add(s->faults, "surplus %s", name);
    return 0;
}

static int check_params(struct state_reader *r, const char *group, const struct param_table *table) {
    struct fault_list faults = FAULT_LIST;
    char name[NAME_MAX_LENGTH];
    if (!state_has(r, group)) return error_set(ERR_INPUT, "%s: has no %s", r->path, group);
    for (int i = 0; i < table->count; i++) {
        snprintf(name, sizeof name, "%.120s/%s", group, table->list[i].name);
        check_tensor(r, &faults, name, &table->list[i]);
    }
    struct surplus surplus = {table, &faults};
    hid_t folder = H5Gopen2(r->file, group, H5P_DEFAULT);
    if (folder < 0) {
        fault_free(&faults);
        return fail(r->path, "read", group);
    }
    H5Literate(folder, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, find_surplus, &surplus);
    H5Gclose(folder);
    int code = fault_report(&faults, "tensors do not fit");
    return code ? error_context(code, "%s: %s", r->path, group) : OK;
}

static int get_slice(struct state_reader *r, const char *group, const struct param_table *table, int slice,
                     float *values) {
    char name[NAME_MAX_LENGTH];
    memset(values, 0, param_slice_size(table, slice) * sizeof *values);
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        if (p->slice != slice) continue;
        snprintf(name, sizeof name, "%.120s/%s", group, p->name);
        TRY(state_get_floats(r, name, values + p->offset, p->count));
    }
    return OK;
}

int state_get_params(struct state_reader *r, const char *group, const struct param_table *table, float *values) {
    TRY(check_params(r, group, table));
    for (int s = 0; s < table->slices; s++) TRY(get_slice(r, group, table, s, values + table->slice_offset[s]));
    return OK;
}

int state_each_slice(struct state_reader *r, const char *group, const struct param_table *table, state_slice_sink *take,
                     void *self) {
    TRY(check_params(r, group, table));
    size_t largest = param_largest_slice(table, 0);
    float *values = malloc((largest + 1) * sizeof *values);
    int code = values ? OK : error_set(ERR_DEVICE, "state: out of memory for a slice of %zu values", largest);
    for (int s = 0; s < table->slices && !code; s++) {
        code = get_slice(r, group, table, s, values);
        if (!code) code = take(self, s, values);
    }
    free(values);
    return code;
}
