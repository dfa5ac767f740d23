/* openh264.c: see openh264.h. */
#include "infer/serve/openh264.h"

#include "base/error.h"

#ifdef HAVE_OPENH264
#include <libswscale/swscale.h>
#include <stdlib.h>
#include <string.h>
#include <wels/codec_api.h>

#include "model/audio/encoder.h"

enum { BITS_LEAST = 100000, PLANES = 3 };
static const double bits_a_pixel = 0.12; /* equal to VP8's (video_encoder.c) */

struct openh264 {
    ISVCEncoder *encoder;
    struct SwsContext *scaler;
    unsigned char *plane[PLANES];
    int stride[PLANES];
    int height, width;
    long count;
    unsigned char *bytes; /* a whole coded picture; the library gives it in separate layers */
    size_t room;
};

static int set_up(struct openh264 *e) {
    SEncParamExt p;
    double bits = bits_a_pixel * e->height * e->width * VIDEO_RATE;
    if ((*e->encoder)->GetDefaultParams(e->encoder, &p)) return 1;
    p.iUsageType = CAMERA_VIDEO_REAL_TIME;
    p.iPicWidth = e->width;
    p.iPicHeight = e->height;
    p.fMaxFrameRate = VIDEO_RATE;
    p.iTargetBitrate = bits > BITS_LEAST ? (int)bits : BITS_LEAST;
    p.iRCMode = RC_BITRATE_MODE;
    p.bEnableFrameSkip = 0;
    p.iMultipleThreadIdc = 1;
    p.uiIntraPeriod = VIDEO_RATE;
    p.eSpsPpsIdStrategy = CONSTANT_ID;
    p.sSpatialLayers[0].iVideoWidth = e->width;
    p.sSpatialLayers[0].iVideoHeight = e->height;
    p.sSpatialLayers[0].fFrameRate = VIDEO_RATE;
    p.sSpatialLayers[0].iSpatialBitrate = p.iTargetBitrate;
    p.sSpatialLayers[0].uiProfileIdc = PRO_BASELINE;
    return (*e->encoder)->InitializeExt(e->encoder, &p);
}

static int open_encoder(struct openh264 *e) {
    int level = WELS_LOG_QUIET;
    for (int i = 0; i < PLANES; i++) {
        e->stride[i] = i ? (e->width + 1) / 2 : e->width;
        e->plane[i] = malloc((size_t)e->stride[i] * (size_t)(i ? (e->height + 1) / 2 : e->height));
        if (!e->plane[i]) return error_set(ERR_DEVICE, "out of memory for a picture");
    }
    e->scaler = sws_getContext(e->width, e->height, AV_PIX_FMT_RGB24, e->width, e->height, AV_PIX_FMT_YUV420P,
                               SWS_BICUBIC | SWS_ACCURATE_RND, NULL, NULL, NULL);
    if (!e->scaler || WelsCreateSVCEncoder(&e->encoder))
        return error_set(ERR_USAGE, "encoder=openh264: does not start");
    (*e->encoder)->SetOption(e->encoder, ENCODER_OPTION_TRACE_LEVEL, &level);
    return set_up(e)
               ? error_set(ERR_USAGE, "encoder=openh264: does not start for pictures of %d x %d", e->height, e->width)
               : OK;
}

int openh264_open(struct openh264 **out, int height, int width) {
    struct openh264 *e = *out = calloc(1, sizeof *e);
    if (!e) return error_set(ERR_DEVICE, "out of memory for an encoder");
    *e = (struct openh264){.height = height, .width = width};
    int code = open_encoder(e);
    if (code) {
        openh264_close(e);
        *out = NULL;
    }
    return code;
}

void openh264_close(struct openh264 *e) {
    if (!e) return;
    if (e->encoder) {
        (*e->encoder)->Uninitialize(e->encoder);
        WelsDestroySVCEncoder(e->encoder);
    }
    sws_freeContext(e->scaler);
    for (int i = 0; i < PLANES; i++) free(e->plane[i]);
    free(e->bytes);
    free(e);
}

/* Joins the layers of a picture. */
static int join(struct openh264 *e, const SFrameBSInfo *info, size_t *length) {
    if (e->room < (size_t)info->iFrameSizeInBytes) {
        free(e->bytes);
        e->room = 2 * (size_t)info->iFrameSizeInBytes;
        e->bytes = malloc(e->room);
        if (!e->bytes) return error_set(ERR_DEVICE, "out of memory for a picture");
    }
    *length = 0;
    for (int i = 0; i < info->iLayerNum; i++) {
        const SLayerBSInfo *layer = &info->sLayerInfo[i];
        size_t bytes = 0;
        for (int k = 0; k < layer->iNalCount; k++) bytes += (size_t)layer->pNalLengthInByte[k];
        memcpy(e->bytes + *length, layer->pBsBuf, bytes);
        *length += bytes;
    }
    return OK;
}

int openh264_push(struct openh264 *e, const unsigned char *rgb, int *key, const unsigned char **bytes, size_t *length) {
    const int stride = 3 * e->width;
    SFrameBSInfo info = {0};
    SSourcePicture picture = {.iColorFormat = videoFormatI420, .iPicWidth = e->width, .iPicHeight = e->height};
    sws_scale(e->scaler, &rgb, &stride, 0, e->height, e->plane, e->stride);
    for (int i = 0; i < PLANES; i++) {
        picture.pData[i] = e->plane[i];
        picture.iStride[i] = e->stride[i];
    }
    picture.uiTimeStamp = 1000 / VIDEO_RATE * e->count++;
    if (*key) (*e->encoder)->ForceIntraFrame(e->encoder, 1);
    if ((*e->encoder)->EncodeFrame(e->encoder, &picture, &info) || info.eFrameType == videoFrameTypeSkip)
        return error_set(ERR_DEVICE, "encoder openh264 failed");
    TRY(join(e, &info, length));
    *key = info.eFrameType == videoFrameTypeIDR;
    *bytes = e->bytes;
    return OK;
}

#else
int openh264_open(struct openh264 **encoder, int height, int width) {
    *encoder = NULL;
    return error_set(ERR_USAGE, "encoder=openh264: was not built in for pictures of %d x %d (libopenh264-dev)", height,
                     width);
}
void openh264_close(struct openh264 *encoder) { (void)encoder; }
int openh264_push(struct openh264 *encoder, const unsigned char *rgb, int *key, const unsigned char **bytes,
                  size_t *length) {
    (void)encoder, (void)rgb, (void)key, (void)bytes, (void)length;
    return error_set(ERR_USAGE, "encoder=openh264: was not built in");
}
#endif
