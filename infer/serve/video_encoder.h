/* video_encoder.h: pictures as units of live video (docs/protocol.md), one in, one out, without delay: no B-frames, a
   key frame each second and on demand. Through libavcodec, openh264 directly where it was built in. */
#ifndef INFER_SERVE_VIDEO_ENCODER_H
#define INFER_SERVE_VIDEO_ENCODER_H

#include <stddef.h>

#include "infer/serve/message.h"

/* What encoder= names; docs/serving.md says what their licences ask. */
enum encoder_name {
    ENCODER_AUTO,
    ENCODER_X264,
    ENCODER_NVENC,
    ENCODER_VPX,
    ENCODER_MJPEG,
    ENCODER_OPENH264,
    ENCODER_RAW,
    ENCODER_NAMES
};
extern const char *const encoder_names[ENCODER_NAMES + 1]; /* NULL at the end */

struct video_encoder;
/* The encoder for a client that decodes `codecs`, in its order of preference: the one that is wished, or with
   ENCODER_AUTO the first that works here for pictures of that size; the log has which ones did not. Raw pictures go
   only to clients that name nothing else. ERR_USAGE: they have none in common. */
int video_encoder_open(struct video_encoder **encoder, enum encoder_name wish, const int *codecs, int codec_count,
                       int height, int width);
void video_encoder_close(struct video_encoder *encoder);
enum encoder_name video_encoder_name(const struct video_encoder *encoder);
enum video_codec video_encoder_codec(const struct video_encoder *encoder);
const char *video_encoder_decoder(const struct video_encoder *encoder); /* WebCodecs' name of it; "": it has none */
/* rgb [H, W, 3]. key: a key frame is asked for; it says what it became. bytes are the encoder's until the next call. */
int video_encoder_push(struct video_encoder *encoder, const unsigned char *rgb, int *key, const unsigned char **bytes,
                       size_t *length);
/* ERR_USAGE: this encoder cannot be had here. */
int video_encoder_check(enum encoder_name name, int height, int width);

#endif
