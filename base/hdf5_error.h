/* hdf5_error.h: the HDF5 library's errors as one line of ours. */
#ifndef BASE_HDF5_ERROR_H
#define BASE_HDF5_ERROR_H

/* Before the first call of the library in every thread: it prints nothing by itself, and does no work at exit, where it
   falls over files that a full disk kept it from closing. */
void hdf5_quiet(void);
/* "PATH: MESSAGE: REASON", the reason from the library's error stack; returns ERR_INPUT. */
int hdf5_fail(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
