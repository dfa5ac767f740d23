/* live.h: one served session: a client's speech, microphone and playback on one side, an avatar's chunks on the
   other. Three threads meet in it, under the server's one lock, and none of them waits for a client:

     client -> network thread (live_input.c)     speech, microphone, reference, messages -> queues of this struct
               device thread (live_work.c)       queues -> sound of the next chunk -> pictures in `slot`
     client <- session's thread (live_encode.c)  `slot` -> coded pictures in `outbox`, which the network thread sends

   The session's own thread also decodes its reference and what changes (live_change.c). Media time counts video frames
   of 40 ms. Which sound a frame gets is decided a few frames before its picture is made, because the network hears
   beyond a chunk's end. */
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
/* Changes that a client may ask for at once, and in a second. */
enum { LIVE_CHANGES_AT_ONCE = 8, LIVE_CHANGES_A_SECOND = 2 };

enum live_phase {
    LIVE_WAITING,  /* waits for a place or for its reference */
    LIVE_PREPARED, /* has both; the device thread has to give it a session of the student */
    LIVE_RUNNING,
    LIVE_ENDED /* is over; the device thread frees it */
};
enum live_state { LIVE_IDLE, LIVE_LISTENING, LIVE_SPEAKING };
extern const char *const live_state_names[];

/* The agent's sound for one video frame, at the rate at which it is sent. */
struct lane_frame {
    uint32_t turn;
    int last; /* 1: the last frame of its turn */
    int16_t pcm[SPEECH_FRAME_MAX];
};
/* A turn that has begun to be spoken and has not been reported as finished. */
struct turn_in_play {
    uint32_t turn;
    long frames;              /* frames of its sound that are decided so far; 0: it ended without any sound */
    int64_t first_us, end_us; /* media times; of a turn without sound -1, and the end of the turn before */
    int ended;
};
/* Times of a chunk in seconds: when the last sound came that it hears of the user and that it speaks of the agent (0:
   none); when its work was due, begun, done. */
struct chunk_times {
    double user, agent, due, begun, made;
    int64_t lead_us; /* lead over play by which it was due */
};
/* Pictures between device and encoder: one chunk; at the start the reference's frame before it. */
struct picture_slot {
    unsigned char *rgb; /* [count, H, W, 3] */
    int count;          /* 0: free */
    long first;         /* video frame of the first picture */
    int flags;          /* enum unit_flag */
    struct chunk_times times;
};

/* What the client changes while streaming, on its way from the message to the next chunk. A later message adds to what
   waits, and replaces what it says again. */
struct live_change {
    /* asked for, and not read yet; `upload` is malloc'd bytes of a picture that is being sent */
    struct change_request asked;
    int waits, uploaded; /* 1: something is asked for; all of its picture is there */
    unsigned char *upload;
    size_t upload_bytes;
    double asked_at; /* time of the newest message */
    double used;     /* messages that count against LIVE_CHANGES_AT_ONCE, as they were then */
    int reserved;    /* passes a step that the guidance asked for will take; 0: none is asked for */
    /* read, and to be made with the next chunk if `ready`; host memory, malloc'd; NULL: stays */
    float *reference, *prompt;
    double talk, listen; /* guidance; it is always known */
    int ready;
};

struct live {
    struct server *server;
    char id[TOKEN_LENGTH + 1], token[TOKEN_LENGTH + 1];
    enum live_phase phase;
    int admitted; /* 1: it has a place */
    struct wishes wishes;
    struct session *session; /* taken from the server's pool */
    int busy;                /* 1: the device thread works on it, outside the lock */
    int broken;              /* 1: the device failed, so the session must not go back to the pool */
    double created;

    /* the client */
    void *connection;              /* NULL: it broke at `detached` */
    double detached, heard, wrote; /* times of the break, of the last message, of the last data that the socket took */
    char host[64];
    struct outbox outbox;
    uint32_t expected[UNIT_KINDS]; /* sequence numbers of the next units */
    int place;                     /* place in the queue that the client was last told */
    int told, resumed;             /* 1: the client knows its token; it has come back by it */
    double attached;               /* time at which it came, or came back */
    double clock_at;               /* time at which the clock was last sent */

    /* sound in */
    struct speech speech;
    struct microphone microphone;
    struct resampler agent_filter, user_filter;
    struct voice_activity user_voice;
    int listening; /* 1: the client said listening.start */
    int listens;   /* chunks that listen whatever is heard, because the agent was interrupted */

    /* the server's agent */
    struct agent *agent; /* NULL: the client speaks for the agent */
    uint32_t agent_turn; /* its newest turn */
    int agent_speaks;    /* 1: that turn is not over */
    struct talk talk;    /* tells when the user talks */

    /* media time, in video frames */
    long end;                /* end of the pictures that are made or in work */
    long heard_end;          /* end of the sound that is decided */
    struct lane_frame *lane; /* ring [lane_frames] */
    int lane_frames;
    struct turn_in_play turns[LIVE_TURNS];
    int turn_count;
    enum live_state state;
    uint32_t state_turn;
    int begun;    /* 1: the network has begun from the reference */
    int looping;  /* 1: the idle clip is shown */
    long loop_at; /* frame of the clip that comes next */
    struct playback playback;
    double interrupted; /* time of an interruption, kept until the first picture after it is on its way; 0: none */

    /* pictures */
    float *reference;      /* planar [3, H, W] */
    unsigned char *upload; /* bytes of a reference that is being sent */
    size_t upload_bytes;
    int upload_whole; /* 1: all of it is there and the encoder thread may decode it */
    struct clip clip; /* its own idle clip; count 0: none is made */
    int clip_old;     /* 1: the clip shows an earlier reference */
    struct live_change change;
    unsigned char *shown; /* last picture [H, W, 3], for cross-fades; valid with has_shown */
    int has_shown, fade;  /* fade: pictures left of a cross-fade */
    struct picture_slot slot;
    struct video_encoder *encoder; /* NULL until the session's thread has opened it, which it does first */
    pthread_t thread;
    int threaded, stop;
    pthread_cond_t work; /* wakes the encoder thread */
    int need_key, need_first[UNIT_KINDS];
    long not_before;    /* first frame that is sent; earlier ones were interrupted */
    double first_frame; /* seconds from creation to the first picture on its way; 0: none yet */
};

/* All functions are called with the server's lock held, unless they say otherwise. */

/* Makes a session with a place or in the queue, and starts its encoder thread. */
int live_create(struct live **live, struct server *server, const struct wishes *wishes, int admitted);
void live_destroy(struct live *live); /* device thread only, without the lock: it joins the encoder thread */
/* Handle what the client says. ERR_INPUT, ERR_USAGE: a fatal error, whose code for the client is *error. */
int live_message(struct live *live, struct message *message, const char **error);
int live_unit(struct live *live, const struct unit *unit, const unsigned char *payload, const char **error);
void live_attach(struct live *live, void *connection, int resumed);
void live_detach(struct live *live);
/* Drops what the client has not been sent; play goes on with the next chunk. */
void live_break_off(struct live *live);
void live_admit(struct live *live);   /* gives it a place */
void live_prepare(struct live *live); /* lets the device thread begin once it has a place and its reference */
/* Ends the session: the connection is closed with this code, after an error message if `code` is given. */
void live_end(struct live *live, int close_code, const char *code, const char *message);
/* Called regularly: sees to time-outs, turns that have finished and the clock. */
void live_tick(struct live *live, double now);

/* Says when the device has something to do for it. */
struct candidate live_candidate(const struct live *live, double now);
/* Does that work; releases the lock while it computes. Device thread only. */
void live_work(struct live *live);
/* Main function of the encoder thread; takes the lock itself. */
void *live_encode(void *live);
/* Reads a reference, planar [3, H, W] of the student's size, without the lock. ERR_INPUT says what is wrong with it. */
struct live_picture {
    enum reference_kind kind;
    const char *person;
    const unsigned char *bytes; /* an upload's */
    size_t length;
};
int live_read_picture(const struct server *server, const struct live_picture *from, float *picture);

int64_t live_lead(const struct live *live);     /* lead over play, the client's wish included */
int64_t live_lead_now(const struct live *live); /* lead over play, the wish included only while there is speech */
int64_t live_wall_us(double at);                /* Unix time at that second of the monotonic clock; 0 for 0 */
void live_say_clock(struct live *live, int64_t client_us);   /* client_us negative: nobody asked */
void live_say(struct live *live, char *text);                /* sends a message to the client and frees the text */
void live_tell(struct live *live, char *text);               /* sends it to the agent as well */
struct lane_frame *live_lane(struct live *live, long frame); /* ring's entry for a video frame */
/* Decides the agent's sound of the video frames from..from+count-1: its turns as far as they can be spoken, then
   silence. Returns when the last of that sound came. */
double live_decide_speech(struct live *live, long from, long count);
/* 1: there is sound of a turn for this many video frames, or up to its end. A turn that goes on may lack a few frames:
   those are silent, and what comes meanwhile is then in hand against the next delay. */
int live_can_speak(const struct live *live, long frames);
/* Marks as ended the turns of which no sound waits or will come. Call after each change of the speech. */
void live_settle_turns(struct live *live);
/* Takes sound of a turn, which came at this time; a higher turn than the one being filled ends that one. */
void live_push_speech(struct live *live, uint32_t turn, const unsigned char *pcm, size_t bytes, double came);
/* Says that no more sound comes of this turn (0: the newest) and of those before it. */
void live_end_speech(struct live *live, uint32_t turn);
/* Ends this turn (0: the newest) and all before it now. */
void live_interrupt(struct live *live, uint32_t turn);
long live_wanted(const struct live *live);       /* video frames of sound that the next chunk takes */
int live_wants_student(const struct live *live); /* 0: the idle clip will do */
int live_cuts_clip(const struct live *live);     /* 1: the idle clip has to be broken off for the student */

/* Changes while streaming (live_change.c). */

/* Takes a session.change and what it has allocated, or refuses it with a word; the session goes on either way. */
void live_change_ask(struct live *live, struct message *message);
/* Takes a piece of a picture that a change announced; drops one that nobody waits for. */
void live_change_picture(struct live *live, const struct unit *unit, const unsigned char *payload);
int live_change_to_read(const struct live *live); /* 1: the session's own thread has a change to read */
void live_change_read(struct live *live);         /* does so, in that thread; releases the lock meanwhile */
void live_change_resume(struct live *live);       /* the client came back: half a picture is forgotten */
void live_change_tick(struct live *live, double now);
/* Device thread: takes what is ready, to be made with the chunk in work, without the lock; what was taken is freed. */
struct live_change live_change_take(struct live *live);
int live_change_make(struct live *live, struct live_change *change);
void live_change_open(struct live_change *change);
void live_change_free(struct live_change *change);
int live_passes(const struct live *live); /* passes a step that its guidance takes or will take */

/* The agent (live_agent.c). */

void live_agent_open(struct live *live); /* opens an agent if the client wished for one and the server has it */
void live_agent_close(struct live *live);
int live_echoes(const struct live *live); /* 1: the agent repeats the user's sound, so the avatar does not listen */
/* Passes the user's sound, 16 kHz, to the agent; a voice in it may interrupt the agent. */
void live_agent_hear(struct live *live, const float *pcm, long samples);
void live_agent_text(struct live *live, const char *text); /* passes on what the user typed */
void live_agent_interrupt(struct live *live, uint32_t turn);
/* Take what comes from the agent: its sound at 24 kHz, of which live_agent_room samples may come now; the end of its
   turn; its messages; its end without a word. */
void live_agent_sound(struct live *live, const unsigned char *pcm, long samples);
long live_agent_room(const struct live *live);
void live_agent_pause(struct live *live);
void live_agent_message(struct live *live, const struct message *message);
void live_agent_gone(struct live *live);

#endif
