/* clip_rows.h: which rows of a data set's split are windows of the same clip. A clip has one camera, one light and one
   view (picture_view.h); another clip of the same person may not, so references from another moment come from the same
   clip. */
#ifndef DATA_CLIP_ROWS_H
#define DATA_CLIP_ROWS_H

#include "base/philox.h"
#include "data/dataset.h"

struct clip_rows;
/* ERR_DEVICE: out of memory. The set is not needed afterwards. */
int clip_rows_open(struct clip_rows **rows, const struct dataset *set, enum dataset_split split);
void clip_rows_close(struct clip_rows *rows);
/* Another row of row's clip, each as likely, by number `index` of the address; `row` itself where its clip has no
   other. */
long clip_rows_other(const struct clip_rows *rows, long row, const struct random_address *address, uint32_t index);

#endif
