/* puppet_spoil.c: see puppet_spoil.h. */
#include "data/puppet_spoil.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/media_rates.h"
#include "data/blur.h"
#include "data/puppet_script.h"

int puppet_spoil_read(const char *list, int *spoil) {
    static const char *const names[] = {"hands", "drift"};
    *spoil = 0;
    for (const char *at = list; *at;) {
        size_t length = strcspn(at, ",");
        int k = 0;
        while (k < 2 && (strlen(names[k]) != length || strncmp(at, names[k], length))) k++;
        if (k == 2)
            return error_set(ERR_USAGE, "expected hands, drift or both with a comma between, got \"%.*s\"", (int)length,
                             at);
        *spoil |= 1 << k;
        at += length + (at[length] == ',');
    }
    return OK;
}

double puppet_spoil_hue(uint64_t seed, int identity, int utterance, int frame) {
    const double period = 4, reach = 20; /* seconds; degrees to either side: half a period goes from end to end */
    struct puppet_dice dice = puppet_dice(seed, identity, utterance, PUPPET_SPOIL);
    if (puppet_pick(&dice, 2)) return 0;
    double phase = frame / (period * VIDEO_RATE) + puppet_roll(&dice, 0, 1);
    return reach * (4 * fabs(phase - floor(phase) - 0.5) - 1);
}

/* A box about a place of the pose, of half sizes rx and ry in heights of the picture, as the view shows it. */
static struct blur_box box_about(const float at[2], double rx, double ry, int height, int width,
                                 const struct picture_view *view) {
    float seen[2];
    picture_view_place(view, at, seen);
    double side = height, left = 0.5 * (width - height), x = (double)seen[0], y = (double)seen[1];
    rx *= exp(view->zoom), ry *= exp(view->zoom);
    return (struct blur_box){(int)floor(left + (x - rx) * side), (int)floor((y - ry) * side),
                             (int)ceil(left + (x + rx) * side), (int)ceil((y + ry) * side)};
}

int puppet_spoil_blur(float *planar, int height, int width, const struct puppet_pose *pose,
                      const struct picture_view *view) {
    const double sigma = 1.2 / 64 * height;
    const struct blur_box boxes[] = {box_about(pose->hand_left, 0.10, 0.13, height, width, view),
                                     box_about(pose->hand_right, 0.10, 0.13, height, width, view),
                                     box_about(pose->lips, 0.08, 0.09, height, width, view)};
    return blur_boxes(planar, height, width, sigma, boxes, sizeof boxes / sizeof *boxes);
}
