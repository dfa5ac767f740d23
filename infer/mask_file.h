/* mask_file.h: who speaks when, as a file says it: a table (base/csv.h) with a row talk,listen for every video frame,
   each 0 to 1. */
#ifndef INFER_MASK_FILE_H
#define INFER_MASK_FILE_H

#include "base/csv.h"

/* ERR_INPUT names the file and what is wrong. Ends with csv_close. */
int mask_file_open(struct csv *file, const char *path);
/* The next frame's; behind the last row nobody speaks (0). ERR_INPUT: a value outside 0 to 1, or a file without a
   row. */
int mask_file_next(struct csv *file, float *talk, float *listen);

#endif
