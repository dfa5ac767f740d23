/* message.h: text messages of the live protocol (docs/protocol.md): what a client said, checked; what is said to it. */
#ifndef INFER_SERVE_MESSAGE_H
#define INFER_SERVE_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

enum { MESSAGE_BYTES_MAX = 1 << 16, TEXT_BYTES_MAX = 4096, TOKEN_LENGTH = 32, PERSON_NAME_MAX = 64 };
enum message_type {
    MESSAGE_CREATE,
    MESSAGE_UPDATE,
    MESSAGE_APPEND,
    MESSAGE_END,
    MESSAGE_INTERRUPT,
    MESSAGE_LISTENING_START,
    MESSAGE_LISTENING_STOP,
    MESSAGE_POSITION,
    MESSAGE_KEY_FRAME,
    MESSAGE_CLOCK,
    MESSAGE_TEXT,
    MESSAGE_KEEP_ALIVE,
    MESSAGE_CLOSE,
    MESSAGE_UNKNOWN
};
extern const char *const message_names[MESSAGE_UNKNOWN]; /* "session.create", and so on */
enum reference_kind { REFERENCE_DEFAULT, REFERENCE_UPLOAD, REFERENCE_PERSON };
/* Codecs as the client names them; the order is the protocol's default preference. */
enum video_codec { CODEC_H264, CODEC_VP8, CODEC_MJPEG, CODEC_RAW, VIDEO_CODECS };
extern const char *const video_codec_names[VIDEO_CODECS];

/* What session.create and session.update ask for. */
struct wishes {
    enum reference_kind reference;
    char person[PERSON_NAME_MAX];
    int agent_rate, user_rate;
    int codecs[VIDEO_CODECS], codec_count; /* in the client's order */
    int assumed;                           /* the client does not report its playback */
    int lead_ms;                           /* -1: not said */
    int manual;                            /* listening by word, not by voice; -1: not said */
    int barge_in;                          /* the user's voice interrupts the agent; -1: not said */
    int agent;                             /* the server's agent speaks, not the client */
    int64_t seed;                          /* -1: any */
    char resume[TOKEN_LENGTH + 1];         /* "": a new session */
};
struct message {
    enum message_type type;
    struct wishes wishes;
    uint32_t turn; /* 0: not said */
    int64_t position_us, client_us;
    int64_t samples;      /* of audio.end: how much sound the turn has; -1: not said */
    unsigned char *audio; /* of audio.append: malloc'd, raw PCM; whoever parsed it frees it */
    size_t audio_bytes;
    char *text;    /* of text: malloc'd likewise; UTF-8, not empty */
    int from_user; /* 1: the words are the user's, 0: the agent's; -1: not said */
};
/* ERR_INPUT says what is wrong, in words for the client. An unknown type is MESSAGE_UNKNOWN and no error. */
int message_parse(struct message *message, const char *text, size_t length);
void message_free(struct message *message);

#endif
