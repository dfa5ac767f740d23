/* peer.c: see peer.h. */
#define GST_USE_UNSTABLE_API
#include "examples/webrtc/peer.h"

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <gst/sdp/sdp.h>
#include <gst/webrtc/webrtc.h>
#include <string.h>

struct peer { /* reference-counted, because calls from GStreamer's threads may arrive after its end */
    GstElement *pipeline, *rtc, *video, *sound;
    struct peer_events events;
    void *user; /* NULL: closed */
    int user_rate, connected, video_begun, sound_begun;
    GByteArray *heard; /* less than 20 ms of the microphone; used by its thread alone */
};

/* ---- from GStreamer's threads to the main loop ---- */

struct letter {
    struct peer *peer;
    void (*deliver)(struct peer *peer, const struct letter *letter);
    char *text;
    guint line;
    GBytes *bytes;
};

static void peer_clear(void *pointer) {
    struct peer *p = pointer;
    g_byte_array_unref(p->heard);
}

static int open_letter(void *pointer) {
    struct letter *letter = pointer;
    if (letter->peer->user) letter->deliver(letter->peer, letter);
    return G_SOURCE_REMOVE;
}

static void letter_free(void *pointer) {
    struct letter *letter = pointer;
    g_atomic_rc_box_release_full(letter->peer, peer_clear);
    g_free(letter->text);
    g_bytes_unref(letter->bytes);
    g_free(letter);
}

static void post(struct peer *p, void (*deliver)(struct peer *, const struct letter *), char *text, guint line,
                 GBytes *bytes) {
    struct letter *letter = g_new(struct letter, 1);
    *letter = (struct letter){.peer = g_atomic_rc_box_acquire(p), .deliver = deliver, .text = text, .line = line};
    letter->bytes = bytes ? bytes : g_bytes_new(NULL, 0);
    g_idle_add_full(G_PRIORITY_DEFAULT, open_letter, letter, letter_free);
}

static void tell_offer(struct peer *p, const struct letter *l) { p->events.offer(p->user, l->text); }
static void tell_candidate(struct peer *p, const struct letter *l) { p->events.candidate(p->user, l->line, l->text); }
static void tell_sound(struct peer *p, const struct letter *l) { p->events.microphone(p->user, l->bytes); }
static void tell_key_frame(struct peer *p, const struct letter *l) { (void)l, p->events.key_frame(p->user); }
static void tell_connected(struct peer *p, const struct letter *l) {
    (void)l;
    p->connected = 1;
    p->events.key_frame(p->user);
}
static void tell_failure(struct peer *p, const struct letter *l) { p->events.failed(p->user, l->text); }

/* ---- signalling ---- */

static void on_offer(GstPromise *promise, void *user) {
    struct peer *p = user;
    GstWebRTCSessionDescription *offer = NULL;
    const GstStructure *reply = gst_promise_get_reply(promise);
    if (reply) gst_structure_get(reply, "offer", GST_TYPE_WEBRTC_SESSION_DESCRIPTION, &offer, NULL);
    gst_promise_unref(promise);
    if (!offer) return post(p, tell_failure, g_strdup("GStreamer made no WebRTC offer"), 0, NULL);
    g_signal_emit_by_name(p->rtc, "set-local-description", offer, NULL);
    post(p, tell_offer, gst_sdp_message_as_text(offer->sdp), 0, NULL);
    gst_webrtc_session_description_free(offer);
}

static void on_negotiation(GstElement *rtc, void *user) {
    GstPromise *promise = gst_promise_new_with_change_func(on_offer, user, NULL);
    g_signal_emit_by_name(rtc, "create-offer", NULL, promise);
}

static void on_candidate(GstElement *rtc, guint line, char *candidate, void *user) {
    (void)rtc;
    post(user, tell_candidate, g_strdup(candidate), line, NULL);
}

static void on_state(GstElement *rtc, GParamSpec *property, void *user) {
    GstWebRTCPeerConnectionState state;
    (void)property;
    g_object_get(rtc, "connection-state", &state, NULL);
    if (state == GST_WEBRTC_PEER_CONNECTION_STATE_CONNECTED) post(user, tell_connected, NULL, 0, NULL);
    if (state == GST_WEBRTC_PEER_CONNECTION_STATE_FAILED)
        post(user, tell_failure, g_strdup("no network path to the browser was found (a STUN server may help)"), 0,
             NULL);
}

void peer_answer(struct peer *p, const char *sdp) {
    GstSDPMessage *message;
    if (gst_sdp_message_new_from_text(sdp, &message) != GST_SDP_OK)
        return p->events.failed(p->user, "the browser's answer is no SDP");
    GstWebRTCSessionDescription *answer = gst_webrtc_session_description_new(GST_WEBRTC_SDP_TYPE_ANSWER, message);
    g_signal_emit_by_name(p->rtc, "set-remote-description", answer, NULL);
    gst_webrtc_session_description_free(answer);
}

void peer_candidate(struct peer *p, guint line, const char *candidate) {
    g_signal_emit_by_name(p->rtc, "add-ice-candidate", line, candidate);
}

/* ---- the microphone ---- */

static GstFlowReturn on_sample(GstAppSink *sink, void *user) {
    struct peer *p = user;
    const guint piece = (guint)p->user_rate / 50 * 2;
    GstSample *sample = gst_app_sink_pull_sample(sink);
    GstMapInfo map;
    if (!sample) return GST_FLOW_EOS;
    if (gst_buffer_map(gst_sample_get_buffer(sample), &map, GST_MAP_READ)) {
        g_byte_array_append(p->heard, map.data, (guint)map.size);
        gst_buffer_unmap(gst_sample_get_buffer(sample), &map);
    }
    gst_sample_unref(sample);
    for (; p->heard->len >= piece; g_byte_array_remove_range(p->heard, 0, piece))
        post(p, tell_sound, NULL, 0, g_bytes_new(p->heard->data, piece));
    return GST_FLOW_OK;
}

static void on_pad(GstElement *rtc, GstPad *pad, void *user) {
    struct peer *p = user;
    (void)rtc;
    if (GST_PAD_DIRECTION(pad) != GST_PAD_SRC) return;
    GstElement *ear = gst_parse_bin_from_description("rtpopusdepay ! opusdec plc=true ! audioconvert ! audioresample ! "
                                                     "capsfilter name=caps ! appsink name=out sync=false async=false",
                                                     TRUE, NULL);
    GstElement *out = gst_bin_get_by_name(GST_BIN(ear), "out"), *filter = gst_bin_get_by_name(GST_BIN(ear), "caps");
    GstCaps *caps = gst_caps_new_simple("audio/x-raw", "format", G_TYPE_STRING, "S16LE", "rate", G_TYPE_INT,
                                        p->user_rate, "channels", G_TYPE_INT, 1, NULL);
    g_object_set(filter, "caps", caps, NULL);
    gst_app_sink_set_callbacks(GST_APP_SINK(out), &(GstAppSinkCallbacks){.new_sample = on_sample}, p, NULL);
    gst_bin_add(GST_BIN(p->pipeline), ear);
    gst_element_sync_state_with_parent(ear);
    GstPad *in = gst_element_get_static_pad(ear, "sink");
    gst_pad_link(pad, in);
    gst_object_unref(in);
    gst_caps_unref(caps);
    gst_object_unref(filter);
    gst_object_unref(out);
}

/* ---- pictures and sound ---- */

/* Passes on the browser's wish for a key frame, which travels upstream from the payloader. */
static GstPadProbeReturn on_event(GstPad *pad, GstPadProbeInfo *info, void *user) {
    (void)pad;
    if (gst_event_has_name(GST_PAD_PROBE_INFO_EVENT(info), "GstForceKeyUnit"))
        post(user, tell_key_frame, NULL, 0, NULL);
    return GST_PAD_PROBE_OK;
}

/* Pushes media into a track. Before the connection is there, one picture and one piece of sound suffice to say what the
   tracks are; more would wait, go out all at once and stay as delay in the browser's buffer. */
static void push(struct peer *p, GstElement *source, gint64 due_us, GstClockTime length, GBytes *bytes) {
    int *begun = source == p->video ? &p->video_begun : &p->sound_begun;
    if (*begun && !p->connected) return;
    *begun = 1;
    GstBuffer *buffer = gst_buffer_new_wrapped_bytes(bytes);
    GST_BUFFER_PTS(buffer) = GST_BUFFER_DTS(buffer) = (GstClockTime)due_us * 1000;
    GST_BUFFER_DURATION(buffer) = length;
    gst_app_src_push_buffer(GST_APP_SRC(source), buffer);
}

void peer_picture(struct peer *p, gint64 due_us, GBytes *bytes) { push(p, p->video, due_us, 40 * GST_MSECOND, bytes); }
void peer_sound(struct peer *p, gint64 due_us, GBytes *pcm) { push(p, p->sound, due_us, 20 * GST_MSECOND, pcm); }

gint64 peer_now(struct peer *p) {
    GstClock *clock = gst_element_get_clock(p->pipeline);
    if (!clock) return 0;
    GstClockTime now = gst_clock_get_time(clock), base = gst_element_get_base_time(p->pipeline);
    gst_object_unref(clock);
    return now > base ? (gint64)((now - base) / 1000) : 0;
}

/* ---- the pipeline ---- */

static const char h264[] = "video/x-h264,stream-format=byte-stream,alignment=au,framerate=25/1 ! h264parse ! "
                           "rtph264pay mtu=1200 config-interval=-1 aggregate-mode=zero-latency ! "
                           "application/x-rtp,media=video,encoding-name=H264,payload=96,rtcp-fb-nack-pli=true";
static const char vp8[] = "video/x-vp8,framerate=25/1 ! rtpvp8pay mtu=1200 picture-id-mode=15-bit ! "
                          "application/x-rtp,media=video,encoding-name=VP8,payload=96,rtcp-fb-nack-pli=true";

/* Builds the pipeline. It has no queue before the payloaders, which would only delay: appsrc has one, and a thread. */
static GstElement *build(const struct peer_options *o, GError **error) {
    char *text = g_strdup_printf(
        "webrtcbin name=rtc bundle-policy=max-bundle latency=60 "
        "appsrc name=video is-live=true format=time ! %s ! rtc. "
        "appsrc name=sound is-live=true format=time ! audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=%d ! "
        "opusenc audio-type=voice frame-size=20 tolerance=15000000 ! rtpopuspay ! "
        "application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! rtc.",
        strcmp(o->codec, "h264") ? vp8 : h264, o->agent_rate);
    GstElement *pipeline = gst_parse_launch_full(text, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error);
    g_free(text);
    return pipeline;
}

/* Turns UPnP off, so that no router is asked to open ports. */
static void spare_routers(struct peer *p) {
    GObject *ice = NULL, *agent = NULL;
    g_object_get(p->rtc, "ice-agent", &ice, NULL);
    if (ice) g_object_get(ice, "agent", &agent, NULL);
    if (agent) g_object_set(agent, "upnp", FALSE, NULL);
    g_clear_object(&agent);
    g_clear_object(&ice);
}

/* Puts both tracks into one stream, so that the browser keeps them in sync. */
static void join_tracks(struct peer *p) {
    for (int i = 0; i < 2; i++) {
        char name[8];
        g_snprintf(name, sizeof name, "sink_%d", i);
        GstPad *pad = gst_element_get_static_pad(p->rtc, name);
        if (!pad) continue;
        g_object_set(pad, "msid", "avatar", NULL);
        gst_object_unref(pad);
    }
}

static void set_direction(struct peer *p) {
    GstWebRTCRTPTransceiver *video = NULL;
    g_signal_emit_by_name(p->rtc, "get-transceiver", 0, &video);
    if (!video) return;
    g_object_set(video, "direction", GST_WEBRTC_RTP_TRANSCEIVER_DIRECTION_SENDONLY, NULL);
    gst_object_unref(video);
}

static int on_bus(GstBus *bus, GstMessage *message, void *user) {
    struct peer *p = user;
    GError *error = NULL;
    (void)bus;
    if (GST_MESSAGE_TYPE(message) != GST_MESSAGE_ERROR) return G_SOURCE_CONTINUE;
    gst_message_parse_error(message, &error, NULL);
    p->events.failed(p->user, error->message);
    g_error_free(error);
    return G_SOURCE_CONTINUE;
}

struct peer *peer_new(const struct peer_options *o, const struct peer_events *events, void *user, char **why) {
    GError *error = NULL;
    GstElement *pipeline = build(o, &error);
    if (!pipeline) {
        *why = g_strdup(error->message);
        g_error_free(error);
        return NULL;
    }
    struct peer *p = g_atomic_rc_box_new0(struct peer);
    *p = (struct peer){.pipeline = pipeline, .events = *events, .user = user, .user_rate = o->user_rate};
    p->heard = g_byte_array_new();
    p->rtc = gst_bin_get_by_name(GST_BIN(pipeline), "rtc");
    p->video = gst_bin_get_by_name(GST_BIN(pipeline), "video");
    p->sound = gst_bin_get_by_name(GST_BIN(pipeline), "sound");
    if (o->stun) g_object_set(p->rtc, "stun-server", o->stun, NULL);
    GstPad *pad = gst_element_get_static_pad(p->video, "src");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_EVENT_UPSTREAM, on_event, p, NULL);
    gst_object_unref(pad);
    GstBus *bus = gst_element_get_bus(pipeline);
    gst_bus_add_watch(bus, on_bus, p);
    gst_object_unref(bus);
    spare_routers(p);
    join_tracks(p);
    set_direction(p);
    g_signal_connect(p->rtc, "on-negotiation-needed", G_CALLBACK(on_negotiation), p);
    g_signal_connect(p->rtc, "on-ice-candidate", G_CALLBACK(on_candidate), p);
    g_signal_connect(p->rtc, "notify::connection-state", G_CALLBACK(on_state), p);
    g_signal_connect(p->rtc, "pad-added", G_CALLBACK(on_pad), p);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    return p;
}

void peer_close(struct peer *p) {
    if (!p) return;
    GstBus *bus = gst_element_get_bus(p->pipeline);
    gst_bus_remove_watch(bus);
    gst_object_unref(bus);
    p->user = NULL;
    gst_element_set_state(p->pipeline, GST_STATE_NULL); /* ends its threads */
    gst_object_unref(p->rtc);
    gst_object_unref(p->video);
    gst_object_unref(p->sound);
    gst_object_unref(p->pipeline);
    g_atomic_rc_box_release_full(p, peer_clear);
}
