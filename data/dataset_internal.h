/* dataset_internal.h: what reader and writer of data sets share. */
#ifndef DATA_DATASET_INTERNAL_H
#define DATA_DATASET_INTERNAL_H

#define DATASET_FORMAT "streamavatar data set"
/* Version 1 had one prompt for all rows. */
enum { DATASET_VERSION = 2 };

#endif
