/* codec_wire.h: the messages that the two processes of codec_process.h exchange over a pair of sockets. Each is a
   struct codec_message and `bytes` bytes behind it: latents, or the picture that a clip begins with. Other pictures lie
   in memory that both share: as float pixels on the way there, in 8 bits on the way back. Every request has an answer,
   except those that begin a clip: CODEC_ENCODE_RESET and CODEC_DECODE_BEGIN. */
#ifndef INFER_CODEC_PROCESS_CODEC_WIRE_H
#define INFER_CODEC_PROCESS_CODEC_WIRE_H

#include <stddef.h>
#include <stdint.h>

enum codec_word { CODEC_ANSWER, CODEC_ENCODE_RESET, CODEC_ENCODE, CODEC_DECODE_BEGIN, CODEC_DECODE, CODEC_END };
struct codec_message {
    int32_t word, frames; /* frames: pictures in a request to encode, latent frames in one to decode */
    int32_t code, count;  /* answer: an error code or OK; frames that came out */
    int64_t bytes;        /* bytes that follow the message */
    char text[512];       /* text of an error */
};
/* The first answer is followed by this: what the codec is. */
struct codec_hello {
    char name[32];
    int32_t channels, h, w;
};

/* Called after each fifth of a second of waiting for the other process. 0: go on waiting; else an error code, with the
   error's text set. */
typedef int (*codec_patience)(void *user);
enum codec_wire_result { WIRE_FINE, WIRE_GONE, WIRE_IMPATIENT }; /* GONE: the other end is closed */
/* Sends or receives everything or fails. patience NULL: waits without end. */
enum codec_wire_result codec_wire_send(int fd, const void *bytes, size_t count, codec_patience patience, void *user);
enum codec_wire_result codec_wire_receive(int fd, void *bytes, size_t count, codec_patience patience, void *user);

#endif
