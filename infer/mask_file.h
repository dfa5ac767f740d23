/* mask_file.h: reads a file that says who speaks when: a table (base/csv.h) with a row talk,listen for every video
   frame, each from 0 to 1. */
#ifndef INFER_MASK_FILE_H
#define INFER_MASK_FILE_H

#include "base/csv.h"

/* Opens the file; csv_close closes it. ERR_INPUT names the file and what is wrong. */
int mask_file_open(struct csv *file, const char *path);
/* Reads the next frame's masks; after the last row nobody speaks (0). ERR_INPUT: a value outside 0 to 1, or a file
   without a row. */
int mask_file_next(struct csv *file, float *talk, float *listen);

#endif
