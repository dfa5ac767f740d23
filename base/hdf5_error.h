/* hdf5_error.h: the HDF5 library's errors as one line of ours. */
#ifndef BASE_HDF5_ERROR_H
#define BASE_HDF5_ERROR_H

/* Call it in every thread before the library's first use there. From then on the library prints nothing by itself, and
   does no work at exit, where it would crash over files that a full disk kept it from closing. */
void hdf5_quiet(void);
/* Sets the error text "PATH: MESSAGE: REASON", with the reason from the library's error stack; returns ERR_INPUT. */
int hdf5_fail(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
