/* message.h: reads and checks the text messages that clients of the live protocol send (docs/protocol.md). */
#ifndef INFER_SERVE_MESSAGE_H
#define INFER_SERVE_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

enum { MESSAGE_BYTES_MAX = 1 << 16, TEXT_BYTES_MAX = 4096, TOKEN_LENGTH = 32, PERSON_NAME_MAX = 64, FAULT_BYTES = 256 };
enum message_type {
    MESSAGE_CREATE,
    MESSAGE_UPDATE,
    MESSAGE_CHANGE,
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
enum reference_kind { REFERENCE_DEFAULT, REFERENCE_UPLOAD, REFERENCE_PERSON, REFERENCE_STAYS };
/* Video codecs by their names in the protocol; their order is the protocol's default preference. */
enum video_codec { CODEC_H264, CODEC_VP8, CODEC_MJPEG, CODEC_RAW, VIDEO_CODECS };
extern const char *const video_codec_names[VIDEO_CODECS];

/* The requests of session.create and session.update. */
struct wishes {
    enum reference_kind reference;
    char person[PERSON_NAME_MAX];
    int agent_rate, user_rate;
    int codecs[VIDEO_CODECS], codec_count; /* sorted by the client's preference */
    int assumed;                           /* the client does not report its playback */
    int lead_ms;                           /* -1: not said */
    int manual;                            /* 1: listening.start and .stop say when to listen; 0: voice; -1: not said */
    int barge_in;                          /* 1: the user's voice interrupts the agent; -1: not said */
    int agent;                             /* 1: the server's agent speaks, not the client */
    int64_t seed;                          /* -1: any */
    char resume[TOKEN_LENGTH + 1];         /* token of the session to resume; "": a new session */
};
/* The requests of session.change. */
struct change_request {
    enum reference_kind reference; /* REFERENCE_STAYS: not said */
    char person[PERSON_NAME_MAX];
    char *prompt;        /* UTF-8; "": the default one; NULL: not said; malloc'd */
    double talk, listen; /* guidance; negative: not said */
};
struct message {
    enum message_type type;
    struct wishes wishes;
    struct change_request change;
    char fault[FAULT_BYTES]; /* what is wrong with a session.change, which is no reason to end a session; "": nothing */
    uint32_t turn;           /* number of the agent's turn; 0: not said */
    int64_t position_us, client_us;
    int64_t samples;      /* samples of the whole turn (audio.end); -1: not said */
    unsigned char *audio; /* raw PCM (audio.append), malloc'd; message_free frees it */
    size_t audio_bytes;
    char *text;    /* words (text) in UTF-8, not empty, malloc'd; message_free frees it */
    int from_user; /* 1: the words are the user's; 0: the agent's; -1: not said */
};
/* Parses a message. ERR_INPUT: the error's text tells the client what is wrong. An unknown type is MESSAGE_UNKNOWN and
   no error; nor is a session.change with a wrong value, which says so in `fault` and asks for nothing. */
int message_parse(struct message *message, const char *text, size_t length);
void message_free(struct message *message);

#endif
