/* peer.h: one browser's WebRTC connection: coded pictures and sound go out as RTP (H.264 or VP8, Opus), the browser's
   microphone comes in. All functions and callbacks run in the thread of the main loop; callers never meet GStreamer's
   own threads. */
#ifndef EXAMPLES_WEBRTC_PEER_H
#define EXAMPLES_WEBRTC_PEER_H

#include <glib.h>

struct peer;
struct peer_events {
    void (*offer)(void *user, const char *sdp);
    void (*candidate)(void *user, guint line, const char *candidate);
    void (*microphone)(void *user, GBytes *pcm); /* 20 ms, 16-bit mono at the user's rate */
    void (*key_frame)(void *user);               /* the browser lost pictures and needs a key frame */
    void (*failed)(void *user, const char *why);
};
struct peer_options {
    const char *codec; /* "h264" or "vp8" */
    int agent_rate, user_rate;
    const char *stun; /* stun://HOST:PORT, or NULL */
};

/* Makes a connection. NULL: GStreamer lacks a part; *why says which (free it with g_free). */
struct peer *peer_new(const struct peer_options *options, const struct peer_events *events, void *user, char **why);
void peer_close(struct peer *peer);
void peer_answer(struct peer *peer, const char *sdp);
void peer_candidate(struct peer *peer, guint line, const char *candidate);
/* Send a picture, or 20 ms of sound, which is due at that time of peer_now's clock. */
void peer_picture(struct peer *peer, gint64 due_us, GBytes *bytes);
void peer_sound(struct peer *peer, gint64 due_us, GBytes *pcm);
gint64 peer_now(struct peer *peer); /* microseconds */

#endif
