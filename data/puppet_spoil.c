/* puppet_spoil.c: see puppet_spoil.h. */
#include "data/puppet_spoil.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/media_rates.h"
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

struct region { /* pixels; x1 and y1 are past the end */
    int x0, x1, y0, y1;
};
static struct region region_about(const float at[2], double rx, double ry, int height, int width) {
    double side = height, left = 0.5 * (width - height);
    struct region box = {(int)floor(left + (at[0] - rx) * side), (int)ceil(left + (at[0] + rx) * side),
                         (int)floor((at[1] - ry) * side), (int)ceil((at[1] + ry) * side)};
    if (box.x0 < 0) box.x0 = 0;
    if (box.y0 < 0) box.y0 = 0;
    if (box.x1 > width) box.x1 = width;
    if (box.y1 > height) box.y1 = height;
    return box;
}

static int within(int i, int n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

/* Blurs a region of one plane along one axis, from `from` to `to`. */
static void blur_axis(float *to, const float *from, int height, int width, const struct region *box, double sigma,
                      int down) {
    int reach = (int)ceil(3 * sigma);
    for (int y = box->y0; y < box->y1; y++)
        for (int x = box->x0; x < box->x1; x++) {
            double sum = 0, total = 0;
            for (int k = -reach; k <= reach; k++) {
                double weight = exp(-0.5 * k * k / (sigma * sigma));
                int at = within(y + (down ? k : 0), height) * width + within(x + (down ? 0 : k), width);
                sum += weight * (double)from[at], total += weight;
            }
            to[y * width + x] = (float)(sum / total);
        }
}

int puppet_spoil_blur(float *planar, int height, int width, const struct puppet_pose *pose) {
    const double sigma = 1.2 / 64 * height;
    size_t plane = (size_t)height * (size_t)width;
    const struct region boxes[] = {region_about(pose->hand_left, 0.10, 0.13, height, width),
                                   region_about(pose->hand_right, 0.10, 0.13, height, width),
                                   region_about(pose->lips, 0.08, 0.09, height, width)};
    float *once = malloc(plane * sizeof *once), *twice = malloc(plane * sizeof *twice);
    int code = once && twice ? OK : error_set(ERR_DEVICE, "puppet: out of memory");
    for (int c = 0; c < 3 && !code; c++) {
        float *own = planar + (size_t)c * plane;
        memcpy(twice, own, plane * sizeof *twice);
        for (size_t b = 0; b < sizeof boxes / sizeof *boxes; b++) {
            memcpy(once, own, plane * sizeof *once);
            blur_axis(once, own, height, width, &boxes[b], sigma, 0);
            blur_axis(twice, once, height, width, &boxes[b], sigma, 1);
        }
        memcpy(own, twice, plane * sizeof *own);
    }
    free(once);
    free(twice);
    return code;
}
