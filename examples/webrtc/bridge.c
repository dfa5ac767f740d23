/* bridge.c: brings the sessions of `serve` to browsers by WebRTC (docs/bridges.md):

     bridge SERVER_PORT [PORT [NAME [STUN]]]

     page  <-- WebSocket: messages ---------------------->  bridge  <-- WebSocket: messages, units -->  serve
           <-- WebRTC: pictures and sound; microphone -->

   A page opens a WebSocket here and speaks the protocol of docs/protocol.md, as it would with the server, and three
   messages more: webrtc.offer, webrtc.answer, webrtc.candidate. Each such connection has a session of the server.
   Messages pass through in both directions. Pictures and the agent's sound leave by WebRTC instead of units; the
   microphone comes by WebRTC and goes to the server as units. The bridge plays in the page's place: it keeps the clock
   and reports the position.
   It listens on 127.0.0.1 at PORT (default 8090; 0 takes a free one and prints it). NAME: host name by which pages call
   it through a proxy. STUN: stun://HOST:PORT, for browsers in other networks. */
#include <cjson/cJSON.h>
#include <gst/gst.h>
#include <libsoup/soup.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/webrtc/peer.h"
#include "examples/webrtc/player.h"

enum { TICK_MS = 5, REPORT_US = 200000, MESSAGE_MAX = 1 << 20, UNIT_MAX = 1 << 24, WAITING_MAX = 16 << 20 };
enum { LEAD_STEP_MS = 20, LEAD_MOST_MS = 240 }; /* lead asked for when units come late; as the server's own page does */

static const char session_path[] = "/v1/session";

static struct {
    SoupServer *server;
    SoupSession *session; /* makes the connections to `serve` */
    char *address;        /* URL of `serve` */
    const char *name, *stun;
} bridge;

/* A page's connection and its session. */
struct visit {
    SoupWebsocketConnection *page, *session; /* session NULL: not open yet */
    GQueue waiting;                          /* struct message: what the page said before the session was open */
    gsize waiting_bytes;
    GCancellable *opening;
    struct peer *peer;
    struct player *player;
    guint timer, heard; /* heard: sequence number of the microphone's next unit */
    gint64 reported;
    int dry, lead_ms;
};

struct message {
    SoupWebsocketDataType type;
    GBytes *bytes;
};

static void message_free(void *pointer) {
    struct message *message = pointer;
    g_bytes_unref(message->bytes);
    g_free(message);
}

/* ---- who is let in: pages that this bridge served itself; the server checks tokens ---- */

static int is_ours(const char *authority) {
    static const char *const loopback[] = {"127.0.0.1", "localhost", "[::1]"};
    const char *colon = strrchr(authority, ':');
    size_t n = colon && !strchr(colon, ']') ? (size_t)(colon - authority) : strlen(authority);
    for (int i = 0; i < 3; i++)
        if (strlen(loopback[i]) == n && !g_ascii_strncasecmp(authority, loopback[i], n)) return 1;
    return bridge.name && strlen(bridge.name) == n && !g_ascii_strncasecmp(authority, bridge.name, n);
}

static void on_request(SoupServer *server, SoupServerMessage *request, const char *path, GHashTable *query,
                       void *user) {
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(request);
    const char *host = soup_message_headers_get_one(headers, "Host");
    const char *origin = soup_message_headers_get_one(headers, "Origin");
    const char *from = origin ? strstr(origin, "://") : NULL;
    (void)server, (void)path, (void)query, (void)user;
    if (!host || !is_ours(host) || (origin && (!from || !is_ours(from + 3))))
        soup_server_message_set_status(request, SOUP_STATUS_FORBIDDEN, NULL);
}

/* ---- to the page and to the server ---- */

static int is_open(SoupWebsocketConnection *socket) {
    return socket && soup_websocket_connection_get_state(socket) == SOUP_WEBSOCKET_STATE_OPEN;
}

static void say(SoupWebsocketConnection *socket, cJSON *message) {
    char *text = cJSON_PrintUnformatted(message);
    if (is_open(socket)) soup_websocket_connection_send_text(socket, text);
    free(text);
    cJSON_Delete(message);
}

static cJSON *typed(const char *type) {
    cJSON *message = cJSON_CreateObject();
    cJSON_AddStringToObject(message, "type", type);
    return message;
}

static void complain(struct visit *v, const char *what) {
    cJSON *error = typed("error");
    cJSON_AddStringToObject(error, "code", "webrtc");
    cJSON_AddStringToObject(error, "message", what);
    cJSON_AddBoolToObject(error, "fatal", 1);
    g_printerr("bridge: %s\n", what);
    say(v->page, error);
    if (is_open(v->page)) soup_websocket_connection_close(v->page, 4000, "webrtc");
}

static void pass(struct visit *v, SoupWebsocketDataType type, GBytes *bytes) {
    if (is_open(v->session)) return soup_websocket_connection_send_message(v->session, type, bytes);
    if (v->session) return;
    v->waiting_bytes += g_bytes_get_size(bytes);
    if (v->waiting_bytes > WAITING_MAX)
        return complain(v, "the page sent more than 16 MiB before its session was open");
    struct message *message = g_new(struct message, 1);
    *message = (struct message){.type = type, .bytes = g_bytes_ref(bytes)};
    g_queue_push_tail(&v->waiting, message);
}

/* ---- media ---- */

static void send_offer(void *user, const char *sdp) {
    struct visit *v = user;
    cJSON *offer = typed("webrtc.offer");
    cJSON_AddStringToObject(offer, "sdp", sdp);
    say(v->page, offer);
}

static void send_candidate(void *user, guint line, const char *candidate) {
    struct visit *v = user;
    cJSON *message = typed("webrtc.candidate");
    cJSON_AddStringToObject(message, "candidate", candidate);
    cJSON_AddNumberToObject(message, "line", line);
    say(v->page, message);
}

static void send_microphone(void *user, GBytes *pcm) {
    struct visit *v = user;
    gsize n;
    const void *data = g_bytes_get_data(pcm, &n);
    guint8 *unit = g_malloc0(UNIT_HEADER + n);
    guint32 length = GUINT32_TO_LE((guint32)n), sequence = GUINT32_TO_LE(v->heard);
    unit[0] = UNIT_USER;
    memcpy(unit + 16, &length, 4);
    memcpy(unit + 20, &sequence, 4);
    memcpy(unit + UNIT_HEADER, data, n);
    v->heard++;
    if (is_open(v->session)) soup_websocket_connection_send_binary(v->session, unit, UNIT_HEADER + n);
    g_free(unit);
}

static void ask_key_frame(void *user) { say(((struct visit *)user)->session, typed("video.key_frame")); }

static void media_failed(void *user, const char *why) { complain(user, why); }

static void emit(void *user, int kind, gint64 due_us, GBytes *payload) {
    struct visit *v = user;
    if (kind == UNIT_VIDEO) peer_picture(v->peer, due_us, payload);
    if (kind == UNIT_AGENT) peer_sound(v->peer, due_us, payload);
    if (kind == PLAYER_NOTE && is_open(v->page))
        soup_websocket_connection_send_message(v->page, SOUP_WEBSOCKET_DATA_TEXT, payload);
}

static void report(struct visit *v, gint64 now) {
    gint64 position = player_position(v->player, now);
    v->reported = now;
    if (position >= 0) {
        cJSON *message = typed("playback.position");
        cJSON_AddNumberToObject(message, "position_us", (double)position);
        say(v->session, message);
    }
    if (player_dry(v->player) == v->dry || v->lead_ms == LEAD_MOST_MS) return;
    v->dry = player_dry(v->player);
    v->lead_ms += LEAD_STEP_MS;
    cJSON *update = typed("session.update");
    cJSON_AddNumberToObject(update, "lead_ms", v->lead_ms);
    say(v->session, update);
}

static int tick(void *user) {
    struct visit *v = user;
    gint64 now = peer_now(v->peer);
    player_play(v->player, now);
    if (now - v->reported >= REPORT_US) report(v, now);
    return G_SOURCE_CONTINUE;
}

static double number(const cJSON *object, const char *key) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static const char *text_of(const cJSON *object, const char *key) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text ? text : "";
}

/* Makes the browser's offer: the session is open, so its codec is known. */
static void open_media(struct visit *v, const cJSON *created) {
    static const struct peer_events events = {.offer = send_offer,
                                              .candidate = send_candidate,
                                              .microphone = send_microphone,
                                              .key_frame = ask_key_frame,
                                              .failed = media_failed};
    struct peer_options options = {.codec = text_of(cJSON_GetObjectItemCaseSensitive(created, "video"), "codec"),
                                   .agent_rate = (int)number(created, "agent_rate"),
                                   .user_rate = (int)number(created, "user_rate"),
                                   .stun = bridge.stun};
    char *why = NULL;
    if (v->peer) return;
    v->heard = (guint)number(cJSON_GetObjectItemCaseSensitive(created, "next"), "user");
    v->peer = peer_new(&options, &events, v, &why);
    if (!v->peer) complain(v, why);
    g_free(why);
    if (!v->peer) return;
    v->player = player_new(emit, v);
    v->timer = g_timeout_add_full(G_PRIORITY_HIGH, TICK_MS, tick, v, NULL);
}

/* ---- what the server says ---- */

static void from_session(SoupWebsocketConnection *socket, int type, GBytes *bytes, void *user) {
    struct visit *v = user;
    (void)socket;
    if (type == SOUP_WEBSOCKET_DATA_BINARY) {
        if (v->player && g_bytes_get_size(bytes) >= UNIT_HEADER) player_unit(v->player, bytes, peer_now(v->peer));
        return;
    }
    gsize n;
    const char *text = g_bytes_get_data(bytes, &n);
    cJSON *message = cJSON_ParseWithLength(text, n);
    const char *kind = text_of(message, "type");
    if (!strcmp(kind, "session.created")) open_media(v, message);
    if (!strcmp(kind, "playback.finished") && v->player &&
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(message, "interrupted")))
        player_flush(v->player, (gint64)number(message, "next_us"));
    if (!strcmp(kind, "state") && v->player) { /* passed on at its media time, not before */
        char *copy = g_strndup(text, n);
        player_note(v->player, (gint64)number(message, "from_us"), copy);
        g_free(copy);
    } else if (is_open(v->page)) {
        soup_websocket_connection_send_message(v->page, SOUP_WEBSOCKET_DATA_TEXT, bytes);
    }
    cJSON_Delete(message);
}

/* ---- what the page says ---- */

/* Codecs of the page's list that can be sent by RTP here; without a list, both. */
static cJSON *codecs_of(const cJSON *create) {
    const cJSON *wishes = cJSON_GetObjectItemCaseSensitive(create, "codecs"), *wish;
    cJSON *codecs = cJSON_CreateArray();
    cJSON_ArrayForEach(wish, wishes) {
        const char *name = cJSON_GetStringValue(wish);
        if (name && (!strcmp(name, "vp8") || !strcmp(name, "h264")))
            cJSON_AddItemToArray(codecs, cJSON_CreateString(name));
    }
    if (wishes) return codecs;
    cJSON_AddItemToArray(codecs, cJSON_CreateString("vp8"));
    cJSON_AddItemToArray(codecs, cJSON_CreateString("h264"));
    return codecs;
}

static void pass_create(struct visit *v, cJSON *create) {
    cJSON *codecs = codecs_of(create);
    cJSON_DeleteItemFromObjectCaseSensitive(create, "codecs");
    cJSON_DeleteItemFromObjectCaseSensitive(create, "playback"); /* the bridge reports playback itself */
    cJSON_AddItemToObject(create, "codecs", codecs);
    char *text = cJSON_PrintUnformatted(create);
    GBytes *bytes = g_bytes_new(text, strlen(text));
    pass(v, SOUP_WEBSOCKET_DATA_TEXT, bytes);
    g_bytes_unref(bytes);
    free(text);
}

static void from_page(SoupWebsocketConnection *socket, int type, GBytes *bytes, void *user) {
    struct visit *v = user;
    gsize n;
    const char *text = g_bytes_get_data(bytes, &n);
    (void)socket;
    if (type == SOUP_WEBSOCKET_DATA_BINARY) {
        if (n && text[0] != UNIT_USER) pass(v, type, bytes); /* not the user's sound: that comes by WebRTC */
        return;
    }
    cJSON *message = cJSON_ParseWithLength(text, n);
    const char *kind = text_of(message, "type");
    if (!strcmp(kind, "session.create"))
        pass_create(v, message);
    else if (!strcmp(kind, "webrtc.answer") && v->peer)
        peer_answer(v->peer, text_of(message, "sdp"));
    else if (!strcmp(kind, "webrtc.candidate") && v->peer)
        peer_candidate(v->peer, (guint)number(message, "line"), text_of(message, "candidate"));
    else if (strcmp(kind, "playback.position") != 0 && !g_str_has_prefix(kind, "webrtc."))
        pass(v, type, bytes);
    cJSON_Delete(message);
}

/* ---- a visit from its beginning to its end ---- */

static void session_closed(SoupWebsocketConnection *socket, void *user) {
    struct visit *v = user;
    gushort code = soup_websocket_connection_get_close_code(socket);
    int said = code >= 1000 && code != SOUP_WEBSOCKET_CLOSE_NO_STATUS && code != SOUP_WEBSOCKET_CLOSE_ABNORMAL;
    if (is_open(v->page))
        soup_websocket_connection_close(v->page, said ? code : SOUP_WEBSOCKET_CLOSE_SERVER_ERROR, NULL);
}

/* Closes the session's connection with a code of the same meaning, so that a session whose page was cut off can be
   resumed. */
static void page_closed(SoupWebsocketConnection *socket, void *user) {
    struct visit *v = user;
    g_cancellable_cancel(v->opening);
    if (v->session) {
        g_signal_handlers_disconnect_by_data(v->session, v);
        int whole = soup_websocket_connection_get_close_code(socket) == SOUP_WEBSOCKET_CLOSE_NORMAL;
        if (is_open(v->session))
            soup_websocket_connection_close(v->session, whole ? SOUP_WEBSOCKET_CLOSE_NORMAL : 3001, NULL);
    }
    if (v->timer) g_source_remove(v->timer);
    peer_close(v->peer);
    player_free(v->player);
    g_queue_clear_full(&v->waiting, message_free);
    g_clear_object(&v->session);
    g_clear_object(&v->opening);
    g_object_unref(v->page);
    g_free(v);
}

static void session_open(GObject *source, GAsyncResult *result, void *user) {
    GError *error = NULL;
    SoupWebsocketConnection *socket = soup_session_websocket_connect_finish(SOUP_SESSION(source), result, &error);
    struct visit *v = user;
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) return g_error_free(error); /* the visit is over */
    if (!socket) {
        complain(v, error->message);
        return g_error_free(error);
    }
    v->session = socket;
    soup_websocket_connection_set_max_incoming_payload_size(socket, UNIT_MAX);
    g_signal_connect(socket, "message", G_CALLBACK(from_session), v);
    g_signal_connect(socket, "closed", G_CALLBACK(session_closed), v);
    for (struct message *message; (message = g_queue_pop_head(&v->waiting)); message_free(message))
        soup_websocket_connection_send_message(socket, message->type, message->bytes);
}

static void copy_header(SoupMessage *to, SoupMessageHeaders *from, const char *name) {
    const char *value = soup_message_headers_get_list(from, name);
    if (value) soup_message_headers_replace(soup_message_get_request_headers(to), name, value);
}

/* Opens the session. The page's token goes to the server as it came, as does what a proxy says of the page's
   address. */
static void open_session(struct visit *v, SoupMessageHeaders *from) {
    SoupMessage *request = soup_message_new("GET", bridge.address);
    const char *protocols = soup_message_headers_get_list(from, "Sec-WebSocket-Protocol");
    char **list = g_strsplit(protocols ? protocols : "streamavatar.1", ",", 4);
    for (int i = 0; list[i]; i++) g_strstrip(list[i]);
    copy_header(request, from, "Authorization");
    copy_header(request, from, "X-Forwarded-For");
    soup_session_websocket_connect_async(bridge.session, request, NULL, list, G_PRIORITY_DEFAULT, v->opening,
                                         session_open, v);
    g_strfreev(list);
    g_object_unref(request);
}

static void on_page(SoupServer *server, SoupServerMessage *request, const char *path, SoupWebsocketConnection *page,
                    void *user) {
    struct visit *v = g_new0(struct visit, 1);
    (void)server, (void)path, (void)user;
    v->page = g_object_ref(page);
    v->opening = g_cancellable_new();
    g_queue_init(&v->waiting);
    soup_websocket_connection_set_max_incoming_payload_size(page, MESSAGE_MAX);
    g_signal_connect(page, "message", G_CALLBACK(from_page), v);
    g_signal_connect(page, "closed", G_CALLBACK(page_closed), v);
    open_session(v, soup_server_message_get_request_headers(request));
}

/* ---- the page, whose bytes the assembler includes as they are ---- */

__asm__(".section .rodata\n"
        "bridge_page: .incbin \"examples/webrtc/page.html\"\n"
        "bridge_page_end: .byte 0\n"
        ".global bridge_page, bridge_page_end\n"
        ".previous\n");
extern const char bridge_page[], bridge_page_end[];

static void on_file(SoupServer *server, SoupServerMessage *request, const char *path, GHashTable *query, void *user) {
    static const char policy[] = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                                 "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; frame-ancestors 'none'";
    (void)server, (void)query, (void)user;
    if (strcmp(path, "/") != 0) return soup_server_message_set_status(request, SOUP_STATUS_NOT_FOUND, NULL);
    SoupMessageHeaders *headers = soup_server_message_get_response_headers(request);
    soup_message_headers_replace(headers, "Content-Security-Policy", policy);
    soup_message_headers_replace(headers, "X-Content-Type-Options", "nosniff");
    soup_server_message_set_response(request, "text/html; charset=utf-8", SOUP_MEMORY_STATIC, bridge_page,
                                     (gsize)(bridge_page_end - bridge_page));
    soup_server_message_set_status(request, SOUP_STATUS_OK, NULL);
}

static int listen_at(guint port) {
    GError *error = NULL;
    GSocketAddress *at = g_inet_socket_address_new_from_string("127.0.0.1", port);
    soup_server_listen(bridge.server, at, 0, &error);
    g_object_unref(at);
    if (error) {
        g_printerr("bridge: port %u: %s\n", port, error->message);
        g_error_free(error);
        return 5;
    }
    GSList *uris = soup_server_get_uris(bridge.server);
    g_print("http://127.0.0.1:%d/\n", g_uri_get_port(uris->data));
    fflush(stdout);
    g_slist_free_full(uris, (GDestroyNotify)g_uri_unref);
    return 0;
}

int main(int argc, char **argv) {
    static char *protocols[] = {"streamavatar.1", NULL};
    if (argc < 2 || atoi(argv[1]) < 1 || atoi(argv[1]) > 65535 || (argc > 2 && (guint)atoi(argv[2]) > 65535))
        return g_printerr("usage: bridge SERVER_PORT [PORT [NAME [STUN]]]\n"), 2;
    gst_init(NULL, NULL);
    bridge.address = g_strdup_printf("ws://127.0.0.1:%d%s", atoi(argv[1]), session_path);
    bridge.name = argc > 3 ? argv[3] : NULL;
    bridge.stun = argc > 4 ? argv[4] : NULL;
    bridge.session = soup_session_new_with_options("max-conns", 4096, "max-conns-per-host", 4096, NULL);
    bridge.server = soup_server_new(NULL, NULL);
    soup_server_add_early_handler(bridge.server, NULL, on_request, NULL, NULL);
    /* a path that has handlers of its own needs this one too: it does not get the general ones */
    soup_server_add_early_handler(bridge.server, session_path, on_request, NULL, NULL);
    soup_server_add_handler(bridge.server, NULL, on_file, NULL, NULL);
    soup_server_add_websocket_handler(bridge.server, session_path, NULL, protocols, on_page, NULL, NULL);
    int code = listen_at(argc > 2 ? (guint)atoi(argv[2]) : 8090);
    if (!code) g_main_loop_run(g_main_loop_new(NULL, FALSE));
    return code;
}
