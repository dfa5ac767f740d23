/* video_encoder.h: encodes live video (docs/protocol.md): a picture in, a coded picture out, without delay. There are
   no B-frames; a key frame comes each second and on demand. Encoders are libavcodec's, and openh264 where it was built
   in. */
#ifndef INFER_SERVE_VIDEO_ENCODER_H
#define INFER_SERVE_VIDEO_ENCODER_H

#include <stddef.h>

#include "infer/serve/message.h"

/* Encoders by their names in encoder=; docs/serving.md says what their licences ask for. */
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
extern const char *const encoder_names[ENCODER_NAMES + 1]; /* ends with NULL */

struct video_encoder;
/* Opens an encoder for a client that decodes `codecs`, which are in its order of preference: the one that `wish` names,
   or with ENCODER_AUTO the first that works here for pictures of that size; the log says which ones did not. Raw
   pictures go only to clients that name nothing else. ERR_USAGE: client and server have no codec in common. */
int video_encoder_open(struct video_encoder **encoder, enum encoder_name wish, const int *codecs, int codec_count,
                       int height, int width);
void video_encoder_close(struct video_encoder *encoder);
enum encoder_name video_encoder_name(const struct video_encoder *encoder);
enum video_codec video_encoder_codec(const struct video_encoder *encoder);
const char *video_encoder_decoder(const struct video_encoder *encoder); /* its decoder's WebCodecs name; "": none */
/* Encodes a picture, rgb [H, W, 3]. *key: 1 asks for a key frame; on return it says whether it is one. *bytes belong to
   the encoder and last until the next call. */
int video_encoder_push(struct video_encoder *encoder, const unsigned char *rgb, int *key, const unsigned char **bytes,
                       size_t *length);
/* Checks that an encoder can be had here. ERR_USAGE: it cannot; the error's text says why. */
int video_encoder_check(enum encoder_name name, int height, int width);

#endif
