/* trial_view.c: varies a trial by a view. See trial.h. */
#include "tools/evaluate/trial.h"

/* Finds where a place of the plain picture is seen, in pixels. */
static void move_mark(float mark[2], const struct picture_view *view, int width, int height) {
    const float side = (float)height, left = 0.5f * (float)(width - height); /* the middle square's */
    const float in[2] = {(mark[0] - left) / side, mark[1] / side};
    float out[2];
    picture_view_place(view, in, out);
    mark[0] = left + out[0] * side;
    mark[1] = out[1] * side;
}

int trial_vary(struct trial *t, const struct picture_view *view) {
    t->marks = t->plain;
    float *const marks[] = {t->marks.head, t->marks.eyes, t->marks.lips, t->marks.hand_left, t->marks.hand_right};
    for (int i = 0; i < 5; i++) move_mark(marks[i], view, t->width, t->height);
    puppet_vary(t->puppet, view);
    return puppet_draw(t->puppet, 0, t->height, t->width, t->reference);
}
