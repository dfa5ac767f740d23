/* feature_file.h: reads and writes networks of features (model/features/feature_net.h) as safetensors. Tensors have the
   names and shapes of the network's table, [co, rows, columns, ci]; metadata format is "features", height, width and
   patch are the picture's and its patch's; other pairs are notes (docs/formats.md). */
#ifndef CHECKPOINTS_FEATURE_FILE_H
#define CHECKPOINTS_FEATURE_FILE_H

#include "checkpoints/safetensors.h"
#include "model/features/feature_net.h"

/* Makes the network that a file describes. ERR_INPUT: it is no such file, or tensors are missing or mis-shaped. There
   is nothing to destroy then. */
int feature_file_create(struct feature_net *net, const struct safetensors *file);
/* The standard deviation of a map's values that the file notes as "deviation"; 1 where it notes none. */
double feature_file_deviation(const struct safetensors *file);
/* Reads into host values [net->table.total], with zeros for padding. */
int feature_file_read(float *values, const struct feature_net *net, const struct safetensors *file);
/* Writes host values [net->table.total] as F32, with the notes, pairs of key and value that end with NULL. */
int feature_file_save(const char *path, const struct feature_net *net, const float *values, const char *const *notes);

#endif
