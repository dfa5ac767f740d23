/* feature_reader.h: a trained network of features (model/features/feature_net.h), read from its file and applied to
   pictures one by one. Uses the device; the results are host floats. */
#ifndef TOOLS_EVALUATE_FEATURE_READER_H
#define TOOLS_EVALUATE_FEATURE_READER_H

#include <cjson/cJSON.h>

#include "tools/evaluate/latents.h"

struct feature_reader;
/* Checks the file without a device, so that a long run fails before it begins. ERR_INPUT as below. */
int feature_reader_check(const char *path, int height, int width);
/* Opens the file's network for pictures of that size. ERR_INPUT names the file: it holds no such network, or one for
   pictures of another size. */
int feature_reader_open(struct feature_reader **reader, const char *path, int height, int width);
void feature_reader_close(struct feature_reader *reader);                      /* NULL is allowed */
struct latent_sizes feature_reader_sizes(const struct feature_reader *reader); /* the map's and the picture's sizes */
int feature_reader_width(const struct feature_reader *reader);                 /* numbers of a picture's row */
/* Computes a picture's map, channels first as latents are: [channels, h, w] (NULL: not wanted), in units of the
   deviation that the file notes (1 where it notes none), and its row that says
   whose picture it is, of length 1. picture: [3, height, width] in [-1, 1]; colours beyond are clamped. */
int feature_reader_take(struct feature_reader *reader, const float *picture, float *map, float *row);

/* The checksum of a file, for reports: CRC-32 and length, "a1b2c3d4-1197324". ERR_INPUT: it cannot be read. */
enum { FEATURE_ID = 40 };
int feature_reader_id(const char *path, char id[FEATURE_ID]);
/* Adds the object "features" with file and checksum to a report. */
int feature_reader_report(cJSON *root, const char *path);

#endif
