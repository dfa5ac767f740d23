/* mask_file.c: see mask_file.h. */
#include "infer/mask_file.h"

#include "base/error.h"

static const char *const columns[] = {"talk", "listen"};

int mask_file_open(struct csv *file, const char *path) { return csv_open(file, path, columns, 2, 2); }

int mask_file_next(struct csv *file, float *talk, float *listen) {
    double values[2] = {0, 0};
    int got = csv_next(file);
    if (got < 0) return -got;
    if (!got && !file->rows) return error_set(ERR_INPUT, "%s: has no row", file->path);
    for (int i = 0; i < 2 && got; i++) {
        TRY(csv_number(file, i, &values[i]));
        if (!(values[i] >= 0 && values[i] <= 1))
            return csv_fail(file, "%s: expected 0 to 1, got %g", columns[i], values[i]);
    }
    *talk = (float)values[0];
    *listen = (float)values[1];
    return OK;
}
