/* state_part.c: a process's own values in a training state that another one lays out (state_part_* of state.h). A data
   set's values lie in one piece of the file, little-endian. The HDF5 library tells where, and they are written there
   without it. */
#include "checkpoints/state.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/hdf5_error.h"
#include "base/hdf5_file.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are written as they lie in memory");

enum { NAME_MAX_LENGTH = 256 };
struct state_part {
    hid_t file; /* opened read-only, to look up places */
    int fd;
    char path[FILE_PATH_MAX]; /* path that the state will have */
};

static int fail(const struct state_part *p, const char *what) {
    return error_set(ERR_INPUT, "%s: cannot write %s: %s", p->path, what, strerror(errno));
}

void state_part_abandon(struct state_part *p) {
    if (p->file >= 0) H5Fclose(p->file);
    if (p->fd >= 0) close(p->fd);
    free(p);
}

int state_part_open(struct state_part **part, const char *path) {
    char temporary[FILE_PATH_MAX + 8];
    struct state_part *p = calloc(1, sizeof *p);
    if (!p) return error_set(ERR_DEVICE, "out of memory");
    hdf5_quiet();
    p->file = p->fd = -1;
    int code = OK;
    if (strlen(path) >= sizeof p->path) code = error_set(ERR_INPUT, "%.80s...: the path is too long", path);
    if (!code) {
        strcpy(p->path, path);
        snprintf(temporary, sizeof temporary, "%s.tmp", path);
        p->fd = open(temporary, O_WRONLY | O_CLOEXEC);
        if (p->fd < 0) code = fail(p, "to the file that the first rank made");
    }
    if (!code) code = hdf5_open(&p->file, temporary);
    if (code)
        state_part_abandon(p);
    else
        *part = p;
    return code;
}

/* Finds where a data set's values are in the file, and their number. */
static int place_of(const struct state_part *p, const char *name, haddr_t *at, size_t *values) {
    hid_t set = H5Dopen2(p->file, name, H5P_DEFAULT);
    if (set < 0) return hdf5_fail(p->path, "has no room for %s", name);
    hid_t space = H5Dget_space(set), type = H5Dget_type(set);
    hssize_t count = H5Sget_simple_extent_npoints(space);
    int fits = H5Tequal(type, H5T_IEEE_F32LE) > 0 && count >= 0;
    *at = H5Dget_offset(set);
    *values = fits ? (size_t)count : 0;
    H5Tclose(type);
    H5Sclose(space);
    H5Dclose(set);
    if (!fits || *at == HADDR_UNDEF) return error_set(ERR_INPUT, "%s: %s has no place in the file", p->path, name);
    return OK;
}

int state_part_put(struct state_part *p, const char *name, size_t first, size_t count, const float *values) {
    haddr_t at = HADDR_UNDEF;
    size_t room = 0;
    TRY(place_of(p, name, &at, &room));
    if (first > room || count > room - first)
        return error_set(ERR_INPUT, "%s: %s has room for %zu values only", p->path, name, room);
    const char *bytes = (const char *)values;
    off_t to = (off_t)(at + first * sizeof(float));
    for (size_t left = count * sizeof(float); left;) {
        ssize_t n = pwrite(p->fd, bytes, left, to);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fail(p, name);
        bytes += n, to += n, left -= (size_t)n;
    }
    return OK;
}

int state_part_put_slice(struct state_part *p, const char *group, const struct param_table *table, int slice, size_t at,
                         size_t count, const float *values) {
    char name[NAME_MAX_LENGTH];
    for (int i = 0; i < table->count; i++) {
        const struct param *q = &table->list[i];
        size_t from = q->offset > at ? q->offset : at;
        size_t to = q->offset + q->count < at + count ? q->offset + q->count : at + count;
        if (q->slice != slice || from >= to) continue;
        snprintf(name, sizeof name, "%.120s/%s", group, q->name);
        TRY(state_part_put(p, name, from - q->offset, to - from, values + (from - at)));
    }
    return OK;
}

int state_part_close(struct state_part *p) {
    int code = fsync(p->fd) ? fail(p, "the file") : OK;
    if (close(p->fd) && !code) code = fail(p, "the file");
    p->fd = -1;
    state_part_abandon(p);
    return code;
}
