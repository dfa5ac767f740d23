/* clip_rows.h: finds the rows of a data set's split that are windows of the same clip. A clip has one camera, one light
   and one view (picture_view.h); another clip of the same person may differ, so references from another moment come
   from the same clip. */
#ifndef DATA_CLIP_ROWS_H
#define DATA_CLIP_ROWS_H

#include "base/philox.h"
#include "data/dataset.h"

struct clip_rows;
/* Reads the clips of a split; the set is not needed afterwards. ERR_DEVICE: out of memory. */
int clip_rows_open(struct clip_rows **rows, const struct dataset *set, enum dataset_split split);
void clip_rows_close(struct clip_rows *rows);
/* Draws another row of row's clip, all equally likely, by random number `index` of the address; returns `row` if its
   clip has no other. */
long clip_rows_other(const struct clip_rows *rows, long row, const struct random_address *address, uint32_t index);

#endif
