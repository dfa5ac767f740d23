/* hdf5_file.h: HDF5 files opened and created under the library's own lock: readers share it, a writer has it alone.
   Where the file system has no locks (Lustre and NFS may be so) files are opened without, which is said once
   (file_try_lock). */
#ifndef BASE_HDF5_FILE_H
#define BASE_HDF5_FILE_H

#include <hdf5.h>

/* For reading. Closing the file closes all that was opened in it. *file -1 on an error. ERR_INPUT: it is open for
   writing elsewhere, or cannot be read, and why. */
int hdf5_open(hid_t *file, const char *path);
/* HDF5_CHECKED: the format of HDF5 1.10, with checksums on all of its structure; groups in it keep their times, unless
   they are made without. HDF5_PLAIN: the oldest format, in which groups that are made on the way have no times, so that
   equal contents are equal bytes. */
enum hdf5_format { HDF5_PLAIN, HDF5_CHECKED };
/* For writing; what was there before is lost. ERR_INPUT: another process is writing it, whose file is left alone (*busy
   1), or it cannot be created. */
int hdf5_create(hid_t *file, const char *path, enum hdf5_format format, int *busy);

#endif
