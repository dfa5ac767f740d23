/* hdf5_file.h: HDF5 files opened and created under the library's own lock: readers share it, a writer has it alone.
   Where the file system has no locks (Lustre and NFS may be so) files are opened without, which is said once
   (file_try_lock). */
#ifndef BASE_HDF5_FILE_H
#define BASE_HDF5_FILE_H

#include <hdf5.h>

/* For reading. Closing the file closes all that was opened in it. *file -1 on an error. ERR_INPUT: it is open for
   writing elsewhere, or cannot be read, and why. */
int hdf5_open(hid_t *file, const char *path);
/* For writing, in the newer format (HDF5 1.10), which has checksums on all of its structure, and without times, so that
   equal contents are equal files; what was there before is lost. ERR_INPUT: another process is writing it, whose file
   is left alone (*busy 1), or it cannot be created. */
int hdf5_create(hid_t *file, const char *path, int *busy);

#endif
