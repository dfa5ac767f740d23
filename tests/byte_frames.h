/* byte_frames.h: what a codec shows as pictures of 8 bits is what base/pixels.h makes of its float pixels, to the
   bit. */
#ifndef TESTS_BYTE_FRAMES_H
#define TESTS_BYTE_FRAMES_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/pixels.h"
#include "kernels/device.h"
#include "model/codec/codec.h"
#include "model/params/transfer.h"

/* latents: host, `count` of a clip, whose float pixels codec_decode gave as `pixels`. In two pushes. */
static inline void expect_bytes(struct codec *codec, const float *latents, int count, const float *pixels) {
    size_t places = (size_t)codec->height * (size_t)codec->width, frames = (size_t)video_frames(count);
    long latent = (long)codec->channels * codec->h * codec->w;
    real *device = device_alloc((size_t)(count * latent) * sizeof *device);
    unsigned char *got = malloc(3 * frames * places), *wanted = malloc(3 * frames * places);
    assert_true(device && got && wanted);
    transfer_to_real(device, latents, count * latent);
    codec_decode_begin(codec, NULL);
    assert_int_equal(codec_decode_bytes(codec, device, 1, got), 1);
    assert_int_equal(codec_decode_bytes(codec, device + latent, count - 1, got + 3 * places), frames - 1);
    for (size_t f = 0; f < frames; f++) rgb_from_planar(wanted + 3 * f * places, pixels + 3 * f * places, places);
    assert_memory_equal(got, wanted, 3 * frames * places);
    device_free(device);
    free(got), free(wanted);
}

/* A latent that is no number is said, not shown. The clip is over then. */
static inline void expect_fault(struct codec *codec) {
    long latent = (long)codec->channels * codec->h * codec->w;
    real *device = device_alloc((size_t)latent * sizeof *device);
    unsigned char *rgb = malloc(3 * (size_t)codec->height * (size_t)codec->width);
    float *bad = calloc((size_t)latent, sizeof *bad);
    assert_true(device && rgb && bad);
    bad[latent / 2] = (float)NAN;
    transfer_to_real(device, bad, latent);
    codec_decode_begin(codec, NULL);
    assert_int_equal(codec_decode_bytes(codec, device, 1, rgb), -ERR_NUMERIC);
    assert_non_null(strstr(error_text(), "not finite"));
    codec_decode_begin(codec, NULL);
    device_free(device);
    free(rgb), free(bad);
}

#endif
