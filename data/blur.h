/* blur.h: a Gaussian blur of boxes of a picture's planes, for pictures that are spoiled on purpose. Host memory. */
#ifndef DATA_BLUR_H
#define DATA_BLUR_H

struct blur_box { /* pixels; right and bottom are past the end */
    int left, top, right, bottom;
};
/* Blurs boxes of planar [3, height, width] by a Gaussian of `sigma` pixels (above 0), cut off at 3 sigma. Beyond the
   picture's edge its nearest pixel goes on; parts of boxes beyond it are left out. Where boxes overlap, the picture is
   blurred once. ERR_DEVICE: out of memory. */
int blur_boxes(float *planar, int height, int width, double sigma, const struct blur_box *boxes, int count);

#endif
