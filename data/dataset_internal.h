/* dataset_internal.h: what reader and writer of data sets share: the format's numbers, and the sums that tell damage.
   */
#ifndef DATA_DATASET_INTERNAL_H
#define DATA_DATASET_INTERNAL_H

#include <hdf5.h>
#include <stddef.h>
#include <stdint.h>
#include "base/media_rates.h"

#define DATASET_FORMAT "streamavatar data set"
/* Version 1 had one prompt for all rows, versions 1 and 2 no sums, versions 1 to 3 no pictures. */
enum { DATASET_VERSION = 4, DATASET_SUMS_SINCE = 3, DATASET_PICTURES_SINCE = 4 };
/* The attribute that holds the sum over all but the large arrays, and the arrays of sums over those. */
#define DATASET_SUM       "sum"
#define DATASET_ROW_SUMS  "sums"
#define DATASET_TEXT_SUMS "text_sums"
/* The array of the windows' true pictures, where the file has them. */
#define DATASET_PICTURES "pictures"

/* The parts of a row that are summed each for itself, in this order behind its F latent frames. Behind them, where the
   file has pictures, the F pieces of those: the first picture, then four for each later latent frame. */
enum dataset_part { PART_AUDIO, PART_TALK, PART_LISTEN, PARTS };
static inline int dataset_row_parts(int latent_frames, int pictures) {
    return latent_frames + PARTS + (pictures ? latent_frames : 0);
}

/* Pictures of latent frame f, and of the latent frames before it. */
static inline long dataset_pictures_of(int f) { return f ? FRAMES_PER_LATENT : 1; }
static inline long dataset_pictures_before(int f) { return f ? video_frames(f) : 0; }

/* CRC-32 of bytes that belong to a place: a row's frame or part, a prompt's rows. So values that are whole, but
   another place's, are told, too. */
uint32_t dataset_place_sum(uint64_t row, int part, const void *values, size_t bytes);
/* CRC-32 over names, types, extents and attributes of everything in the file, and over the contents of what is not
   large: whole numbers, texts, the codec's tensors. Left out: the attribute DATASET_SUM and the values of latents,
   audio, masks, pictures, text and their sums. -1: something in the file cannot be read or has no place there (a link
   into another file). */
int dataset_file_sum(hid_t file, uint32_t *sum);

#endif
