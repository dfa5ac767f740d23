/* inspect_hdf5.h: prints what an HDF5 file holds: training states, data sets, any other. */
#ifndef TOOLS_INSPECT_HDF5_H
#define TOOLS_INSPECT_HDF5_H

/* Prints to stdout attributes, every array with type and shape, single numbers and texts with their value, and with
   `stats` the range of the values. ERR_INPUT: the file cannot be read. The library may crash on a damaged file, so the
   caller runs this in a process of its own unless the file was verified. */
int inspect_hdf5(const char *path, int stats);

#endif
