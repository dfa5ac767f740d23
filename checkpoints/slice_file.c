/* slice_file.c: see slice_file.h. */
#include "checkpoints/slice_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"
#include "model/params/transfer.h"

int slice_file_open(struct slice_file *f, const struct param_table *table, const char *path) {
    memset(f, 0, sizeof *f);
    f->table = table;
    f->part = calloc((size_t)table->count, sizeof *f->part);
    if (!f->part) return error_set(ERR_DEVICE, "weights: out of host memory");
    TRY(pretrained_files_open(&f->files, path));
    for (int i = 0; i < table->count; i++)
        if (!(f->part[i] = pretrained_files_with(&f->files, table->list[i].name)))
            return error_set(ERR_INPUT, "%s: has no %s", path, table->list[i].name);
    return OK;
}

void slice_file_close(struct slice_file *f) {
    pretrained_files_close(&f->files);
    free(f->part);
    memset(f, 0, sizeof *f);
}

static int take(void *self, const struct param *p, size_t from, size_t count, const float *values) {
    transfer_to_elem((elem *)self + p->offset + from, values, (long)count);
    return OK;
}

static int take_quantised(void *self, const struct param *p, const void *codes, const float *scales) {
    weights_put_quantised((elem *)self + p->offset, NULL, p, codes, scales);
    return OK;
}

static int read_slice(void *self, int slice, elem *device_to) {
    const struct slice_file *f = self;
    const struct weights_sink sink = {take, device_to, take_quantised};
    mem_zero(device_to, param_slice_size(f->table, slice) * sizeof(elem)); /* padding must be zero */
    for (int i = 0; i < f->table->count; i++)
        if (f->table->list[i].slice == slice) TRY(weights_load_param(&sink, &f->table->list[i], f->part[i]));
    return OK;
}

static void want_slice(void *self, int slice) {
    const struct slice_file *f = self;
    for (int i = 0; i < f->table->count; i++) {
        if (f->table->list[i].slice != slice) continue;
        const struct safetensors_entry *e = checkpoint_find(f->part[i], f->table->list[i].name);
        safetensors_want(e, 0, e->count);
    }
}

struct slice_store slice_file_store(struct slice_file *f) {
    return (struct slice_store){.read = read_slice, .soon = want_slice, .self = f};
}
