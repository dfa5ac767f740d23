/* clip_rows.c: see clip_rows.h. Rows lie side by side by shot; of each row its place there and its shot's are known. */
#include "data/clip_rows.h"

#include <stdlib.h>
#include "base/error.h"

struct entry {
    int clip, shot;
    long row;
};
struct clip_rows {
    struct entry *by_shot;       /* [rows] */
    long *place, *first, *count; /* [rows]: of a row: where it is in by_shot; where its shot begins, and its length */
};

static int by_shot(const struct entry *x, const struct entry *y) {
    if (x->clip != y->clip) return x->clip < y->clip ? -1 : 1;
    return (x->shot > y->shot) - (x->shot < y->shot);
}

static int compare(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    int order = by_shot(x, y);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

static void fill(struct clip_rows *r, const struct dataset *set, enum dataset_split split, long rows) {
    for (long i = 0; i < rows; i++) {
        struct dataset_row row;
        dataset_columns(set, split, i, &row);
        r->by_shot[i] = (struct entry){row.clip, row.shot, i};
    }
    qsort(r->by_shot, (size_t)rows, sizeof *r->by_shot, compare);
    for (long i = 0, end; i < rows; i = end) {
        for (end = i + 1; end < rows && !by_shot(&r->by_shot[end], &r->by_shot[i]); end++) {}
        for (long k = i; k < end; k++) {
            long row = r->by_shot[k].row;
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
    r->by_shot = calloc(n, sizeof *r->by_shot);
    r->place = calloc(n, sizeof *r->place);
    r->first = calloc(n, sizeof *r->first);
    r->count = calloc(n, sizeof *r->count);
    if (r->by_shot && r->place && r->first && r->count) {
        fill(r, set, split, rows);
        return OK;
    }
    clip_rows_close(r);
    *out = NULL;
    return error_set(ERR_DEVICE, "data set: out of memory");
}

void clip_rows_close(struct clip_rows *r) {
    if (!r) return;
    free(r->by_shot);
    free(r->place);
    free(r->first);
    free(r->count);
    free(r);
}

long clip_rows_other(const struct clip_rows *r, long row, const struct random_address *address, uint32_t index) {
    long count = r->count[row], first = r->first[row];
    if (count < 2) return row;
    return r->by_shot[first + (r->place[row] - first + 1 + random_below(address, index, count - 1)) % count].row;
}
