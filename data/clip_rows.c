/* clip_rows.c: see clip_rows.h. Rows are sorted by clip; each row's place in that order, and where its clip begins, are
   noted. */
#include "data/clip_rows.h"

#include <stdlib.h>
#include "base/error.h"

struct entry {
    int clip;
    long row;
};
struct clip_rows {
    struct entry *by_clip; /* [rows] */
    long *place, *first,
        *count; /* [rows], for each row: its index in by_clip; that of its clip's first; rows of the clip */
};

static int compare(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    if (x->clip != y->clip) return x->clip < y->clip ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static void fill(struct clip_rows *r, const struct dataset *set, enum dataset_split split, long rows) {
    for (long i = 0; i < rows; i++) {
        struct dataset_row row;
        dataset_columns(set, split, i, &row);
        r->by_clip[i] = (struct entry){row.clip, i};
    }
    qsort(r->by_clip, (size_t)rows, sizeof *r->by_clip, compare);
    for (long i = 0, end; i < rows; i = end) {
        for (end = i + 1; end < rows && r->by_clip[end].clip == r->by_clip[i].clip; end++) {}
        for (long k = i; k < end; k++) {
            long row = r->by_clip[k].row;
            r->place[row] = k;
            r->first[row] = i;
            r->count[row] = end - i;
        }
    }
}

int clip_rows_open(struct clip_rows **out, const struct dataset *set, enum dataset_split split) {
    long rows = dataset_rows(set, split);
    size_t n = (size_t)rows + 1;
    struct clip_rows *r = calloc(1, sizeof *r);
    *out = r;
    if (!r) return error_set(ERR_DEVICE, "data set: out of memory");
    r->by_clip = calloc(n, sizeof *r->by_clip);
    r->place = calloc(n, sizeof *r->place);
    r->first = calloc(n, sizeof *r->first);
    r->count = calloc(n, sizeof *r->count);
    if (r->by_clip && r->place && r->first && r->count) {
        fill(r, set, split, rows);
        return OK;
    }
    clip_rows_close(r);
    *out = NULL;
    return error_set(ERR_DEVICE, "data set: out of memory");
}

void clip_rows_close(struct clip_rows *r) {
    if (!r) return;
    free(r->by_clip);
    free(r->place);
    free(r->first);
    free(r->count);
    free(r);
}

long clip_rows_other(const struct clip_rows *r, long row, const struct random_address *address, uint32_t index) {
    long count = r->count[row], first = r->first[row];
    if (count < 2) return row;
    return r->by_clip[first + (r->place[row] - first + 1 + random_below(address, index, count - 1)) % count].row;
}
