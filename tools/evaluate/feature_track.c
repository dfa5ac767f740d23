/* feature_track.c: see feature_track.h. */
#include "tools/evaluate/feature_track.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "tools/evaluate/sums.h"

_Static_assert(sizeof(struct likeness_sums) % sizeof(double) == 0, "the sums are an array of doubles");
void likeness_sums_merge(struct likeness_sums *to, const struct likeness_sums *from) { sums_add(to, from, sizeof *to); }

double likeness_mean(const struct likeness_sums *s, enum likeness which, enum end end) {
    return s->frames[end] > 0 ? s->cosine[which][end] / s->frames[end] : NAN;
}
double likeness_of_stranger(const struct likeness_sums *s, enum likeness which) {
    return s->all > 0 ? s->stranger[which] / s->all : NAN;
}

/* Half the picture's height, about the face. */
static struct box face_box(const struct landmarks *m, const float shift[2], int height) {
    float half = 0.25f * (float)height, x = m->eyes[0] + shift[0], y = m->eyes[1] + 0.06f * (float)height + shift[1];
    return (struct box){x - half, y - half, x + half, y + half};
}

static int face_row(struct feature_reader *reader, const struct clip *picture, const struct landmarks *marks,
                    const float shift[2], float *window, float *row) {
    struct box box = face_box(marks, shift, picture->height);
    measure_window(picture, &box, window);
    return feature_reader_take(reader, window, NULL, row);
}

/* Computes the rows of one person's picture: rows [LIKENESSES][width]. */
static int person_rows(struct feature_reader *reader, const float *picture, const struct landmarks *marks,
                       float **rows) {
    const struct latent_sizes sizes = feature_reader_sizes(reader);
    const struct clip clip = {picture, 1, sizes.height, sizes.width};
    const float here[2] = {0, 0};
    float *window = malloc(3 * (size_t)sizes.height * (size_t)sizes.width * sizeof *window);
    for (int k = 0; k < LIKENESSES; k++) rows[k] = malloc((size_t)feature_reader_width(reader) * sizeof *rows[k]);
    int code = window && rows[0] && rows[1] ? OK : error_set(ERR_DEVICE, "out of memory for features");
    if (!code) code = feature_reader_take(reader, picture, NULL, rows[LIKENESS_WHOLE]);
    if (!code) code = face_row(reader, &clip, marks, here, window, rows[LIKENESS_FACE]);
    free(window);
    return code;
}

int feature_subject_open(struct feature_subject *s, struct feature_reader *reader, const float *picture,
                         const struct landmarks *marks, const float *other, const struct landmarks *other_marks) {
    const struct latent_sizes sizes = feature_reader_sizes(reader);
    *s = (struct feature_subject){.reader = reader};
    latent_grid_of(&s->grid, &sizes, marks);
    int code = person_rows(reader, picture, marks, s->own);
    if (!code) code = person_rows(reader, other, other_marks, s->stranger);
    if (code) feature_subject_close(s);
    return code;
}

void feature_subject_close(struct feature_subject *s) {
    for (int k = 0; k < LIKENESSES; k++) free(s->own[k]), free(s->stranger[k]);
    *s = (struct feature_subject){0};
}

/* Appends a picture's map. */
static int take_map(struct feature_track *t, const struct feature_subject *s, const float *picture) {
    if (t->maps.count == t->maps.room) return OK;
    return feature_reader_take(s->reader, picture, t->maps.at + t->maps.count++ * s->grid.size, t->row);
}

int feature_track_open(struct feature_track *t, const struct feature_subject *s, const float *reference, long frames) {
    const struct latent_sizes sizes = feature_reader_sizes(s->reader);
    *t = (struct feature_track){0};
    TRY(latent_history_open(&t->maps, &s->grid, frames));
    t->window = malloc(3 * (size_t)sizes.height * (size_t)sizes.width * sizeof *t->window);
    t->row = malloc((size_t)feature_reader_width(s->reader) * sizeof *t->row);
    int code = t->window && t->row ? take_map(t, s, reference) : error_set(ERR_DEVICE, "out of memory for features");
    if (code) feature_track_close(t);
    return code;
}

void feature_track_close(struct feature_track *t) {
    latent_history_close(&t->maps);
    free(t->window);
    free(t->row);
    *t = (struct feature_track){0};
}

static double cosine(const float *a, const float *b, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Adds the likeness of t->row. */
static void add_likeness(struct feature_track *t, const struct feature_subject *s, enum likeness which,
                         const int in[ENDS]) {
    int n = feature_reader_width(s->reader);
    double own = cosine(t->row, s->own[which], n);
    for (int e = 0; e < ENDS; e++) t->likeness.cosine[which][e] += in[e] ? own : 0;
    t->likeness.stranger[which] += cosine(t->row, s->stranger[which], n);
}

int feature_track_take(struct feature_track *t, const struct feature_subject *s, const struct clip *picture,
                       const struct landmarks *marks, const float shift[2], long frame, long frames, long ends) {
    const int in[ENDS] = {frame <= ends, frame >= frames - ends};
    if (frame % FRAMES_PER_LATENT) return OK;
    TRY(take_map(t, s, picture->frames));
    add_likeness(t, s, LIKENESS_WHOLE, in);
    TRY(face_row(s->reader, picture, marks, shift, t->window, t->row));
    add_likeness(t, s, LIKENESS_FACE, in);
    for (int e = 0; e < ENDS; e++) t->likeness.frames[e] += in[e];
    t->likeness.all++;
    return OK;
}
