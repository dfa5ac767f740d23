/* hdf5_file.c: see hdf5_file.h. The lock is tried before the library opens a file: the library empties a file that it
   creates before it asks for the lock, and says nothing where there is none. */
#include "base/hdf5_file.h"

#include <fcntl.h>
#include <hdf5.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fileio.h"
#include "base/hdf5_error.h"

/* Takes the lock and gives it back, to learn whether it is free. FILE_LOCKED also where the file cannot be opened: the
   library, asked next, says why. */
static enum file_lock_state try_lock(const char *path, int exclusive) {
    int fd = open(path, exclusive ? O_RDWR | O_CREAT | O_CLOEXEC : O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0666);
    if (fd < 0) return FILE_LOCKED;
    enum file_lock_state state = file_try_lock(fd, path, exclusive);
    close(fd);
    return state;
}

/* Makes the access list that the library would use, except that locking is off where the file system has no locks. */
static hid_t access_list(enum file_lock_state state) {
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    if (state == FILE_UNLOCKED) H5Pset_file_locking(access, 0, 1);
    return access;
}

/* Closes the list and keeps the stack of errors, which H5Pclose empties. */
static void close_list(hid_t access) {
    hid_t errors = H5Eget_current_stack();
    H5Pclose(access);
    H5Eset_current_stack(errors);
}

int hdf5_open(hid_t *file, const char *path) {
    enum file_lock_state state = try_lock(path, 0);
    *file = -1;
    if (state == FILE_HELD) return error_set(ERR_INPUT, "%s: is open for writing in another process", path);
    hid_t access = access_list(state);
    *file = H5Fopen(path, H5F_ACC_RDONLY, access);
    close_list(access);
    return *file < 0 ? hdf5_fail(path, "cannot be read as HDF5") : OK;
}

int hdf5_create(hid_t *file, const char *path, enum hdf5_format format, int *busy) {
    enum file_lock_state state = try_lock(path, 1);
    *file = -1;
    *busy = state == FILE_HELD;
    if (*busy) return error_set(ERR_INPUT, "%s: is being written by another process", path);
    hid_t access = access_list(state), properties = H5Pcreate(H5P_FILE_CREATE);
    if (format == HDF5_CHECKED) H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    H5Pset_obj_track_times(properties, 0);
    *file = H5Fcreate(path, H5F_ACC_TRUNC, properties, access);
    close_list(access);
    close_list(properties);
    return *file < 0 ? hdf5_fail(path, "cannot be created") : OK;
}
