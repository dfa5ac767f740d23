/* dataset_internal.h: what the reader and the writer of data sets share: the format's numbers, and the sums that reveal
   damage. */
#ifndef DATA_DATASET_INTERNAL_H
#define DATA_DATASET_INTERNAL_H

#include <hdf5.h>
#include <stddef.h>
#include <stdint.h>
#include "base/media_rates.h"

#define DATASET_FORMAT "streamavatar data set"
/* Version 1 had one prompt for all rows, versions 1 and 2 no sums, versions 1 to 3 no pictures. */
enum { DATASET_VERSION = 4, DATASET_SUMS_SINCE = 3, DATASET_PICTURES_SINCE = 4 };
/* Names of the attribute with the sum over everything but the large arrays, and of the arrays of sums over those. */
#define DATASET_SUM       "sum"
#define DATASET_ROW_SUMS  "sums"
#define DATASET_TEXT_SUMS "text_sums"
/* Name of the array of the windows' true pictures, which not every file has. */
#define DATASET_PICTURES "pictures"

/* Parts of a row that have a sum each. A row's sums are those of its F latent frames, then of these parts, then, where
   the file has pictures, of the pictures of each latent frame. */
enum dataset_part { PART_AUDIO, PART_TALK, PART_LISTEN, PARTS };
static inline int dataset_row_parts(int latent_frames, int pictures) {
    return latent_frames + PARTS + (pictures ? latent_frames : 0);
}

/* Number of pictures of latent frame f, and of all latent frames before it. */
static inline long dataset_pictures_of(int f) { return f ? FRAMES_PER_LATENT : 1; }
static inline long dataset_pictures_before(int f) { return f ? video_frames(f) : 0; }

/* CRC-32 of bytes and of the place that they belong to: a row's frame or part, or a prompt's rows. So undamaged values
   in the wrong place are noticed too. */
uint32_t dataset_place_sum(uint64_t row, int part, const void *values, size_t bytes);
/* CRC-32 over names, types, extents and attributes of everything in the file, and over the contents of small arrays:
   whole numbers, texts, the codec's tensors. Left out are the attribute DATASET_SUM and the values of latents, audio,
   masks, pictures, text and their sums. Returns -1 when something in the file cannot be read or does not belong there
   (a link into another file). */
int dataset_file_sum(hid_t file, uint32_t *sum);

#endif
