/* slice_file.h: the slices of a network's weights, read from the checkpoint's memory map each time that they are wanted
   (model/params/streamed.h), so that they need no memory of this process. On backends whose device is the host. */
#ifndef CHECKPOINTS_SLICE_FILE_H
#define CHECKPOINTS_SLICE_FILE_H

#include "checkpoints/pretrained.h"
#include "model/params/streamed.h"

struct slice_file {
    const struct param_table *table;
    struct pretrained_files files;
    const struct checkpoint **part; /* [table->count] where each parameter's tensors are */
};
/* Opens the checkpoint at `path`, which pretrained_load has found to fit the table. */
int slice_file_open(struct slice_file *file, const struct param_table *table, const char *path);
void slice_file_close(struct slice_file *file); /* zeros are allowed */
struct slice_store slice_file_store(struct slice_file *file);

#endif
