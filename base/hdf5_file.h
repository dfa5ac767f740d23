/* hdf5_file.h: opens and creates HDF5 files under the library's own lock: readers share a file, a
   writer has it alone. Where the file system has no locks (Lustre and NFS may be so) files are opened
   without, and the log says so once (file_try_lock). A file is HDF5's hid_t, which is an int64_t, so that
   this header does not need the library's. */
#ifndef BASE_HDF5_FILE_H
#define BASE_HDF5_FILE_H

#include <stdint.h>

/* Opens a file for reading. Closing it closes all that was opened in it. On an error *file is -1. ERR_INPUT: it is open
   for writing elsewhere, or cannot be read; the text says why. */
int hdf5_open(int64_t *file, const char *path);
/* HDF5_CHECKED: the format of HDF5 1.10, with checksums on all of its structure; groups in it keep their times, unless
   they are made without. HDF5_PLAIN: the oldest format, in which groups that are made on the way have no times, so that
   equal contents are equal bytes. */
enum hdf5_format { HDF5_PLAIN, HDF5_CHECKED };
/* Creates a file for writing; a former file of this name is lost. ERR_INPUT: another process is writing it (*busy 1),
   and its file is left alone, or the file cannot be created. */
int hdf5_create(int64_t *file, const char *path, enum hdf5_format format, int *busy);

#endif
