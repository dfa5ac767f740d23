/* openh264.h: Cisco's H.264 encoder (BSD licence), called directly because Debian's libavcodec does not have it. It is
   built in where libopenh264-dev is installed; elsewhere opening it is ERR_USAGE. */
#ifndef INFER_SERVE_OPENH264_H
#define INFER_SERVE_OPENH264_H

#include <stddef.h>

struct openh264;
int openh264_open(struct openh264 **encoder, int height, int width);
void openh264_close(struct openh264 *encoder); /* NULL is allowed */
/* Encodes a picture; see video_encoder_push. rgb [H, W, 3]; *key: 1 asks for a key frame, and says what it became. */
int openh264_push(struct openh264 *encoder, const unsigned char *rgb, int *key, const unsigned char **bytes,
                  size_t *length);

#endif
