/* dataset_internal.h: what reader and writer of data sets share. */
#ifndef DATA_DATASET_INTERNAL_H
#define DATA_DATASET_INTERNAL_H

#define DATASET_FORMAT "streamavatar data set"
enum { DATASET_VERSION = 1, DATASET_FPS = 25, DATASET_AUDIO_RATE = 16000 };

#endif
