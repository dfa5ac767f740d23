/* live.h: one served session: a client's speech, microphone and playback on one side, an avatar's chunks on the
   other. Three threads meet in it, under the server's one lock: the network's brings what the client says
   (live_input.c), the device's makes chunks (live_work.c), the session's own decodes its reference and encodes its
   pictures (live_encode.c). None of them waits for a client. Media time counts video frames of 40 ms; sound is
   decided a few frames ahead of the pictures, as the network hears beyond a chunk's end. */
#ifndef INFER_SERVE_LIVE_H
#define INFER_SERVE_LIVE_H

#include <pthread.h>
#include <stdint.h>

#include "infer/serve/agent.h"
#include "infer/serve/microphone.h"
#include "infer/serve/outbox.h"
#include "infer/serve/pacing.h"
#include "infer/serve/resample.h"
#include "infer/serve/schedule.h"
#include "infer/serve/server.h"
#include "infer/serve/speech.h"
#include "infer/serve/talk.h"
#include "infer/serve/video_encoder.h"
#include "infer/session.h"
#include "model/audio/encoder.h"
#include "model/audio/voice_activity.h"

enum { LIVE_TURNS = 64, FRAME_US = 1000000 / VIDEO_RATE, LIVE_FADE = 5 /* frames */ };

enum live_phase {
    LIVE_WAITING,  /* for a place or for its reference */
    LIVE_PREPARED, /* the device has to find it a session of the student */
    LIVE_RUNNING,
    LIVE_ENDED /* the device thread frees it */
};
enum live_state { LIVE_IDLE, LIVE_LISTENING, LIVE_SPEAKING };
extern const char *const live_state_names[];

/* The agent's sound of a video frame, as it is sent. */
struct lane_frame {
    uint32_t turn;
    int last; /* of its turn */
    int16_t pcm[SPEECH_FRAME_MAX];
};
/* A turn that has begun to be spoken and has not been reported as finished. */
struct turn_in_play {
    uint32_t turn;
    long frames;              /* decided so far; 0: it ended without any sound */
    int64_t first_us, end_us; /* of such a turn: -1, and the end of the turn before */
    int ended;
};
/* Of a chunk (seconds): when the last sound came that it hears of the user and speaks of the agent (0: none); when its
   work was due, begun, done. */
struct chunk_times {
    double user, agent, due, begun, made;
    int64_t lead_us; /* that it was due by */
};
/* Pictures between device and encoder: one chunk, and the first frame before it at the start. */
struct picture_slot {
    unsigned char *rgb; /* [count, H, W, 3] */
    int count;          /* 0: free */
    long first;         /* video frame */
    int flags;          /* enum unit_flag */
    struct chunk_times times;
};

struct live {
    struct server *server;
    char id[TOKEN_LENGTH + 1], token[TOKEN_LENGTH + 1];
    enum live_phase phase;
    int admitted; /* has a place */
    struct wishes wishes;
    struct session *session; /* of the server's pool */
    int busy;                /* the device works on it, outside the lock */
    int broken;              /* the device failed: nobody else may have the session */
    double created;

    /* the client */
    void *connection;              /* NULL: broken off since `detached` */
    double detached, heard, wrote; /* when: broken off, last message, last taken by the socket */
    char host[64];
    struct outbox outbox;
    uint32_t expected[UNIT_KINDS]; /* sequence numbers */
    int place;                     /* in the queue, as last told */
    int told, resumed;             /* the client knows its token, has come back by it */
    double attached;               /* when it came, or came back */
    double clock_at;               /* when the clock was last told */

    /* sound in */
    struct speech speech;
    struct microphone microphone;
    struct resampler agent_filter, user_filter;
    struct voice_activity user_voice;
    int listening; /* by word: listening.start */
    int listens;   /* chunks that listen whatever is heard: after an interruption */

    /* who speaks, where it is not the client */
    struct agent *agent; /* NULL: the client does */
    uint32_t agent_turn; /* its newest */
    int agent_speaks;    /* that turn is not over */
    struct talk talk;    /* of the user */

    /* media time, in video frames */
    long end;                /* pictures up to here are made, or in work */
    long heard_end;          /* sound up to here is decided */
    struct lane_frame *lane; /* ring [lane_frames] */
    int lane_frames;
    struct turn_in_play turns[LIVE_TURNS];
    int turn_count;
    enum live_state state;
    uint32_t state_turn;
    int begun;    /* the network has begun from the reference */
    int looping;  /* the idle clip is shown */
    long loop_at; /* frame of the clip */
    struct playback playback;
    double interrupted; /* when, until the first picture after it is on its way; 0: not */

    /* pictures */
    float *reference;      /* planar [3, H, W] */
    unsigned char *upload; /* bytes of a reference that is being sent */
    size_t upload_bytes;
    int upload_whole;     /* the encoder thread may decode it */
    struct clip clip;     /* its own idle clip; count 0: none made */
    unsigned char *shown; /* the last picture, for cross-fades [H, W, 3]; has_shown */
    int has_shown, fade;  /* pictures left of a cross-fade */
    struct picture_slot slot;
    struct video_encoder *encoder; /* NULL until its thread has opened it, before all else */
    pthread_t thread;
    int threaded, stop;
    pthread_cond_t work; /* for the encoder thread */
    int need_key, need_first[UNIT_KINDS];
    long not_before;    /* pictures before this frame are not sent: they were interrupted */
    double first_frame; /* seconds from creation to the first picture on its way; 0: none yet */
};

/* All with the server's lock held, unless they say otherwise. */

/* A new session for this connection, with a place or in the queue; its encoder thread starts. */
int live_create(struct live **live, struct server *server, const struct wishes *wishes, int admitted);
void live_destroy(struct live *live); /* by the device thread alone; joins the encoder thread, so without the lock */
/* What the client says. ERR_INPUT, ERR_USAGE: a fatal error, whose code for the client is *error. */
int live_message(struct live *live, const struct message *message, const char **error);
int live_unit(struct live *live, const struct unit *unit, const unsigned char *payload, const char **error);
void live_attach(struct live *live, void *connection, int resumed);
void live_detach(struct live *live);
/* What the client has not been sent is dropped; play goes on with the next chunk. */
void live_break_off(struct live *live);
void live_admit(struct live *live);   /* it has a place now */
void live_prepare(struct live *live); /* once it has a place and its reference: the device may begin */
/* The session is over: the connection is closed with this code, after an error if `code` is given. */
void live_end(struct live *live, int close_code, const char *code, const char *message);
/* Now and then: time-outs, turns that have finished, the clock. */
void live_tick(struct live *live, double now);

/* When the device has something to do for it. */
struct candidate live_candidate(const struct live *live, double now);
/* Does it; takes the lock off while it computes. Device thread. */
void live_work(struct live *live);
/* The encoder thread: takes the lock itself. */
void *live_encode(void *live);

int64_t live_lead(const struct live *live);     /* with what the client wished */
int64_t live_lead_now(const struct live *live); /* with it where there is speech, without for what only moves */
int64_t live_wall_us(double at);                /* the wall clock (Unix) at that second of the monotonic one; 0: 0 */
void live_say_clock(struct live *live, int64_t client_us);   /* negative: nobody asked */
void live_say(struct live *live, char *text);                /* frees the text */
void live_tell(struct live *live, char *text);               /* says it to the agent as well */
struct lane_frame *live_lane(struct live *live, long frame); /* of a video frame, in the ring */
/* The agent's sound of the video frames from..from+count-1: its turns as far as they can be spoken, then silence.
   Returns when the last of it came. */
double live_decide_speech(struct live *live, long from, long count);
/* 1: a turn can be spoken for so many video frames, or to its end. One that goes on may lack a few of them: those are
   silent, and what comes of it meanwhile is in hand against the next delay. */
int live_can_speak(const struct live *live, long frames);
/* Turns of which no sound waits or comes any more have their end. To be called after each change of the speech. */
void live_settle_turns(struct live *live);
/* Sound of a turn, which came at this time; a higher turn than the one being filled ends that one. */
void live_push_speech(struct live *live, uint32_t turn, const unsigned char *pcm, size_t bytes, double came);
/* No more sound of this turn (0: the newest) and those before it comes. */
void live_end_speech(struct live *live, uint32_t turn);
/* This turn (0: the newest) and all before it end now. */
void live_interrupt(struct live *live, uint32_t turn);
long live_wanted(const struct live *live);       /* video frames of sound that the next chunk takes */
int live_wants_student(const struct live *live); /* 0: the idle clip will do */
int live_cuts_clip(const struct live *live);     /* the clip is shown, and what is in the client's hands is cut short */

/* The agent (live_agent.c). */

void live_agent_open(struct live *live); /* where the client wished for one and the server has it */
void live_agent_close(struct live *live);
int live_echoes(const struct live *live); /* 1: the user's sound is the agent's, nobody listens to it */
/* The user's sound, 16 kHz: the agent hears it, and a voice may interrupt the agent. */
void live_agent_hear(struct live *live, const float *pcm, long samples);
void live_agent_text(struct live *live, const char *text); /* typed by the user */
void live_agent_interrupt(struct live *live, uint32_t turn);
/* What comes of the agent: its sound at 24 kHz, and how many samples of that may come now; the end of its turn; its
   messages; that it ended without any. */
void live_agent_sound(struct live *live, const unsigned char *pcm, long samples);
long live_agent_room(const struct live *live);
void live_agent_pause(struct live *live);
void live_agent_message(struct live *live, const struct message *message);
void live_agent_gone(struct live *live);

#endif
