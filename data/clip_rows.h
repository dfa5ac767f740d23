/* clip_rows.h: which rows of a data set's split are windows of the same shot of a clip. A shot has one camera, one
   light and one view (picture_view.h); what lies behind a cut, or another clip of the same person, may not. So
   references from another moment come from the same shot. */
#ifndef DATA_CLIP_ROWS_H
#define DATA_CLIP_ROWS_H

#include "base/philox.h"
#include "data/dataset.h"

struct clip_rows;
/* Reads the clips of a split; the set is not needed afterwards. ERR_DEVICE: out of memory. */
int clip_rows_open(struct clip_rows **rows, const struct dataset *set, enum dataset_split split);
void clip_rows_close(struct clip_rows *rows);
/* Another row of row's shot, each as likely, by number `index` of the address; `row` itself where its shot has no
   other. */
long clip_rows_other(const struct clip_rows *rows, long row, const struct random_address *address, uint32_t index);

#endif
