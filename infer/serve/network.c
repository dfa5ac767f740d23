/* network.c: see network.h. */
#include "infer/serve/network.h"

#include <libwebsockets.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fileio.h"
#include "base/log.h"
#include "base/progress.h"
#include "infer/serve/live.h"
#include "infer/serve/page.h"
#include "infer/serve/persons.h"
#include "infer/serve/words.h"

enum {
    TICK_US = 50000,
    HEADER_MAX = 2048,
    RECEIVE_BYTES = 1 << 16,
    SEND_BUFFER = 1 << 18, /* bytes of the kernel's buffer, kept small: what it holds cannot be dropped any more */
    CREATE_SECONDS = 10,
    PERSON_BYTES_MAX = 16 << 20,
    CLOSE_TOO_LARGE = 1009,
    CLOSE_REFUSED = 4000,
    CLOSE_TIMEOUT = 4001,
    CLOSE_FULL = 4004,
    CLOSE_EXPIRED = 4005,
    CLOSE_INTERNAL = 4006,
    CLOSE_REPLACED = 4007
};

static const double goodbye_seconds = 0.5; /* time in which clients learn that the server stops */

/* A request or a WebSocket. The server's lock guards the fields that live_* and server_* functions touch. */
struct connection {
    struct network *network;
    struct lws *wsi;
    struct connection *next; /* list of the open WebSockets */
    struct live *live;       /* NULL: none yet, or it is over */
    char host[64];           /* address of the client */
    double opened;
    unsigned char *in; /* message that is coming in */
    size_t in_bytes;
    char *last_words; /* message to be sent before it closes */
    int close_code;   /* 0: it stays open */
    int closing;      /* 1: the last words are sent; no data may follow the close frame, though the socket takes it */
    char *body;       /* body of an HTTP answer, malloc'd */
    size_t body_bytes, body_at;
};
struct network {
    struct server *server;
    struct access access;
    struct lws_context *context;
    lws_sorted_usec_list_t timer;
    struct connection *open;
    volatile sig_atomic_t stop;
};

static struct network *network_of(struct lws *wsi) { return lws_context_user(lws_get_context(wsi)); }

/* ---- who is let in ---- */

static const char *header(struct lws *wsi, enum lws_token_indexes which, char *text) {
    if (lws_hdr_copy(wsi, text, HEADER_MAX, which) < 0) *text = 0;
    return text;
}

/* Writes the client's address; a proxy on this machine says for whom it asks (X-Forwarded-For). */
static void name_host(struct lws *wsi, char host[64]) {
    static const char mapped[] = "::ffff:"; /* IPv4 as an IPv6 socket sees it */
    char forwarded[HEADER_MAX];
    lws_get_peer_simple(wsi, host, 64);
    if (!strncmp(host, mapped, sizeof mapped - 1))
        memmove(host, host + sizeof mapped - 1, strlen(host) + 2 - sizeof mapped);
    if (!access_is_loopback(host)) return;
    header(wsi, WSI_TOKEN_X_FORWARDED_FOR, forwarded);
    char *last = strrchr(forwarded, ',');
    const char *from = last ? last + 1 + strspn(last + 1, " ") : forwarded;
    if (*from) snprintf(host, 64, "%.63s", from);
}

/* Returns the HTTP status of a refusal; 0: let in. */
static int refuse(struct network *n, struct lws *wsi, int needs_token) {
    char host[HEADER_MAX], origin[HEADER_MAX], authorization[HEADER_MAX], protocols[HEADER_MAX];
    header(wsi, WSI_TOKEN_HOST, host);
    header(wsi, WSI_TOKEN_ORIGIN, origin);
    if (!access_host(&n->access, host) || !access_origin(&n->access, origin)) return HTTP_STATUS_FORBIDDEN;
    header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, authorization);
    header(wsi, WSI_TOKEN_PROTOCOL, protocols);
    if (needs_token && !access_authorized(&n->access, authorization, protocols)) return HTTP_STATUS_UNAUTHORIZED;
    return 0;
}

static void count_refusal(struct network *n) {
    pthread_mutex_lock(&n->server->lock);
    n->server->metrics.connections_refused++;
    pthread_mutex_unlock(&n->server->lock);
}

static int is_crowded(const struct network *n, const char *host) {
    int count = 0;
    for (const struct connection *c = n->open; c; c = c->next) count += !strcmp(c->host, host);
    return count >= n->server->options.connections;
}

/* Decides whether a WebSocket may be opened. 0: it may; else the HTTP status of the refusal. */
static int refuse_upgrade(struct network *n, struct lws *wsi) {
    char path[HEADER_MAX], protocols[HEADER_MAX], host[64];
    header(wsi, WSI_TOKEN_GET_URI, path);
    int status = refuse(n, wsi, 1);
    if (status) return status;
    if (strcmp(path, "/v1/session")) return HTTP_STATUS_NOT_FOUND;
    if (!strstr(header(wsi, WSI_TOKEN_PROTOCOL, protocols), "streamavatar.1")) return HTTP_STATUS_BAD_REQUEST;
    name_host(wsi, host);
    return is_crowded(n, host) ? 429 : 0;
}

/* ---- HTTP ---- */

static const char *const policy =
    "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'; connect-src 'self'; img-src "
    "'self' blob: data:; media-src 'self' blob:; worker-src blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

static int add_header(struct lws *wsi, const char *name, const char *value, unsigned char **at, unsigned char *end) {
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name, (const unsigned char *)value,
                                       (int)strlen(value), at, end);
}

/* Sends the answer's head; its body, malloc'd and taken over, follows when the socket takes it. */
static int answer(struct connection *c, int status, const char *type, char *body, size_t bytes) {
    unsigned char buffer[LWS_PRE + 2048], *begin = buffer + LWS_PRE, *at = begin, *end = buffer + sizeof buffer - 1;
    free(c->body);
    c->body = body;
    c->body_bytes = bytes;
    c->body_at = 0;
    if (lws_add_http_common_headers(c->wsi, (unsigned)status, type, bytes, &at, end) ||
        add_header(c->wsi, "content-security-policy:", policy, &at, end) ||
        add_header(c->wsi, "x-content-type-options:", "nosniff", &at, end) ||
        add_header(c->wsi, "referrer-policy:", "no-referrer", &at, end) ||
        add_header(c->wsi, "cache-control:", "no-store", &at, end) ||
        lws_finalize_write_http_header(c->wsi, begin, &at, end))
        return 1;
    lws_callback_on_writable(c->wsi);
    return 0;
}

static int answer_text(struct connection *c, int status, const char *type, char *text) {
    return text ? answer(c, status, type, text, strlen(text)) : 1;
}

static int answer_metrics(struct connection *c) {
    struct server *s = c->network->server;
    struct metrics_now now = {0};
    for (const struct connection *o = c->network->open; o; o = o->next) now.connections++;
    pthread_mutex_lock(&s->lock);
    server_look(s, &now);
    char *text = metrics_text(&s->metrics, &now);
    pthread_mutex_unlock(&s->lock);
    return answer_text(c, 200, "text/plain; version=0.0.4", text);
}

/* Answers for what a client would be refused, so that a page can ask before it tries. */
static int answer_access(struct connection *c) {
    const struct network *n = c->network;
    char host[64], authorization[HEADER_MAX];
    header(c->wsi, WSI_TOKEN_HTTP_AUTHORIZATION, authorization);
    name_host(c->wsi, host);
    return answer_text(
        c, 200, "application/json",
        words_access(*n->access.token, access_authorized(&n->access, authorization, ""), is_crowded(n, host)));
}

static int answer_person(struct connection *c, const char *name) {
    char path[FILE_PATH_MAX], *bytes;
    size_t length;
    if (!person_path(path, sizeof path, c->network->server->options.persons, name) ||
        file_read(path, PERSON_BYTES_MAX, &bytes, &length))
        return answer_text(c, 404, "text/plain", strdup("no such person\n"));
    return answer(c, 200, person_media_type(path), bytes, length);
}

static int answer_page(struct connection *c) {
    size_t length;
    const char *page = page_html(&length);
    char *copy = malloc(length + 1);
    if (!copy) return 1;
    memcpy(copy, page, length);
    return answer(c, 200, "text/html; charset=utf-8", copy, length);
}

static int answer_request(struct connection *c, const char *path) {
    static const char person[] = "/v1/persons/";
    struct network *n = c->network;
    int open = !strcmp(path, "/") || !strcmp(path, "/healthz") || !strcmp(path, "/v1/access");
    int status = refuse(n, c->wsi, !open);
    if (status) {
        count_refusal(n);
        return answer_text(c, status, "text/plain", strdup(status == 401 ? "a token is needed\n" : "not allowed\n"));
    }
    if (!strcmp(path, "/")) return answer_page(c);
    if (!strcmp(path, "/healthz"))
        return answer_text(c, n->stop ? 503 : 200, "text/plain", strdup(n->stop ? "stopping\n" : "ok\n"));
    if (!strcmp(path, "/v1/access")) return answer_access(c);
    if (!strcmp(path, "/metrics")) return answer_metrics(c);
    if (!strcmp(path, "/v1/persons"))
        return answer_text(c, 200, "application/json", persons_list(n->server->options.persons));
    if (!strncmp(path, person, sizeof person - 1)) return answer_person(c, path + sizeof person - 1);
    return answer_text(c, 404, "text/plain", strdup("nothing is here\n"));
}

static int write_body(struct connection *c) {
    enum { PIECE = 1 << 14 };
    unsigned char piece[LWS_PRE + PIECE];
    size_t left = c->body_bytes - c->body_at, n = left < PIECE ? left : PIECE;
    if (!c->body) return 0;
    memcpy(piece + LWS_PRE, c->body + c->body_at, n);
    if (lws_write(c->wsi, piece + LWS_PRE, n, n == left ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0) return -1;
    c->body_at += n;
    if (c->body_at < c->body_bytes) {
        lws_callback_on_writable(c->wsi);
        return 0;
    }
    free(c->body);
    c->body = NULL;
    return lws_http_transaction_completed(c->wsi) ? -1 : 0;
}

static int call_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
    struct connection *c = user;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        c->network = network_of(wsi);
        c->wsi = wsi;
        return answer_request(c, in);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return write_body(c);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: {
        int status = refuse_upgrade(network_of(wsi), wsi);
        if (!status) return 0;
        count_refusal(network_of(wsi));
        return lws_return_http_status(wsi, (unsigned)status, NULL) ? -1 : 1;
    }
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return -1; /* a WebSocket that names no protocol of ours */
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        if (c) {
            free(c->body);
            c->body = NULL;
        }
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, length);
    }
}

/* ---- sessions ---- */

/* Lets a connection close after its last words; nothing more is taken from it. With the lock held. */
static void part(void *connection, char *text, int close_code) {
    struct connection *c = connection;
    if (c->close_code) {
        free(text);
        return;
    }
    c->live = NULL;
    c->last_words = text;
    c->close_code = close_code;
    c->network->server->wake(c->network);
}

static void part_with(struct connection *c, const char *code, const char *message, int close_code) {
    log_line("event=connection.refused host=%s error=%s message=\"%s\"", c->host, code, message);
    part(c, words_error(code, message, 1), close_code);
}

static void resume(struct connection *c, const char *token) {
    struct live *l = server_resume(c->network->server, token);
    if (!l) {
        part_with(c, "expired", "no session has this token", CLOSE_EXPIRED);
        return;
    }
    if (l->connection) part(l->connection, NULL, CLOSE_REPLACED);
    c->live = l;
    live_attach(l, c, 1);
}

static void create(struct connection *c, const struct wishes *w) {
    struct server *s = c->network->server;
    struct live *l;
    enum server_room room = server_room(s);
    if (*w->resume) {
        resume(c, w->resume);
        return;
    }
    if (w->agent_rate % 8000 || w->agent_rate > 24000 || w->user_rate % 8000 || w->user_rate > 24000 ||
        w->agent_rate < 16000 || w->user_rate < 16000) {
        part_with(c, "unsupported", "rates are 16000 or 24000", CLOSE_REFUSED);
        return;
    }
    if (room == SERVER_FULL) {
        s->metrics.refused++;
        part_with(c, "full", "sessions and queue are full", CLOSE_FULL);
        return;
    }
    if (live_create(&l, s, w, room == SERVER_ROOM)) {
        part_with(c, "internal", error_text(), CLOSE_INTERNAL);
        return;
    }
    s->lives[s->count++] = l;
    c->live = l;
    snprintf(l->host, sizeof l->host, "%s", c->host);
    log_line("event=session.created session=%s host=%s queued=%d", l->id, c->host, !l->admitted);
    live_attach(l, c, 0);
}

/* Ends the session because its client broke the protocol. */
static void break_with(struct connection *c, const char *code) {
    c->network->server->metrics.messages_bad++;
    if (c->live)
        live_end(c->live, CLOSE_REFUSED, code, error_text());
    else
        part_with(c, code, error_text(), CLOSE_REFUSED);
}

static void take_text(struct connection *c) {
    struct message m;
    const char *error = "bad_message";
    int code = message_parse(&m, (const char *)c->in, c->in_bytes);
    if (!code && c->live) {
        code = live_message(c->live, &m, &error);
    } else if (!code && m.type == MESSAGE_CREATE) {
        create(c, &m.wishes);
    } else if (!code) {
        error = "no_session";
        code = error_set(ERR_INPUT, "session.create comes first");
    }
    if (code) break_with(c, error);
    message_free(&m);
}

static void take_unit(struct connection *c) {
    struct unit u;
    const char *error = "bad_message";
    int code = unit_unpack(&u, c->in, c->in_bytes);
    if (!code && c->live) {
        code = live_unit(c->live, &u, c->in + UNIT_HEADER, &error);
    } else if (!code) {
        error = "no_session";
        code = error_set(ERR_INPUT, "session.create comes first");
    }
    if (code) break_with(c, error);
}

/* Takes a piece of a message; the last one completes it. */
static int receive(struct connection *c, const void *bytes, size_t length) {
    struct server *s = c->network->server;
    int binary = lws_frame_is_binary(c->wsi);
    size_t most = binary ? UNIT_BYTES_MAX : MESSAGE_BYTES_MAX;
    if (c->in_bytes + length > most) {
        lws_close_reason(c->wsi, (enum lws_close_status)CLOSE_TOO_LARGE, NULL, 0);
        return -1;
    }
    if (length) {
        unsigned char *in = realloc(c->in, c->in_bytes + length);
        if (!in) return -1;
        c->in = in;
        memcpy(in + c->in_bytes, bytes, length);
        c->in_bytes += length;
    }
    if (!lws_is_final_fragment(c->wsi) || lws_remaining_packet_payload(c->wsi)) return 0;
    pthread_mutex_lock(&s->lock);
    if (c->close_code)
        length = 0; /* the connection is closing: messages are not read any more */
    else if (binary)
        take_unit(c);
    else
        take_text(c);
    pthread_mutex_unlock(&s->lock);
    free(c->in);
    c->in = NULL;
    c->in_bytes = 0;
    return 0;
}

/* ---- sending ---- */

/* Measures times when a chunk's first picture is on its way. */
static void time_parcel(struct metrics *m, const struct parcel_times *times, double now) {
    if (times->begun > 0) metrics_time(&m->sent, now - times->begun);
    if (times->begun > 0 && times->user > 0) metrics_time(&m->heard, now - times->user);
}

/* Takes what is to be sent next; NULL: nothing now. *closing: not 0: nothing will come any more. */
static struct parcel *next_parcel(struct connection *c, int *closing) {
    struct server *s = c->network->server;
    pthread_mutex_lock(&s->lock);
    struct live *l = c->live;
    struct parcel *p = l ? outbox_take(&l->outbox) : NULL;
    *closing = c->close_code;
    if (p) {
        l->wrote = clock_seconds();
        if (p->end_us) playback_sent(&l->playback, p->end_us, l->wrote);
        s->metrics.bytes_sent += (long)p->length;
        if (p->end_us) pthread_cond_signal(&s->device);
        time_parcel(&s->metrics, &p->times, l->wrote);
    }
    pthread_mutex_unlock(&s->lock);
    return p;
}

static int say_last_words(struct connection *c) {
    unsigned char buffer[LWS_PRE + 1024];
    size_t length = c->last_words ? strlen(c->last_words) : 0;
    c->closing = 1;
    if (length && length <= sizeof buffer - LWS_PRE) {
        memcpy(buffer + LWS_PRE, c->last_words, length);
        if (lws_write(c->wsi, buffer + LWS_PRE, length, LWS_WRITE_TEXT) < 0) return -1;
    }
    lws_close_reason(c->wsi, (enum lws_close_status)c->close_code, NULL, 0);
    return -1;
}

static int send_next(struct connection *c) {
    if (c->closing) return 0;
    int closing;
    struct parcel *p = next_parcel(c, &closing);
    if (!p) return closing ? say_last_words(c) : 0;
    int sent = lws_write(c->wsi, p->bytes, p->length, p->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
    parcel_free(p);
    if (sent < 0) return -1;
    lws_callback_on_writable(c->wsi);
    return 0;
}

/* ---- connections ---- */

static int open_connection(struct connection *c, struct lws *wsi) {
    int bytes = SEND_BUFFER;
    memset(c, 0, sizeof *c);
    c->network = network_of(wsi);
    c->wsi = wsi;
    c->opened = clock_seconds();
    name_host(wsi, c->host);
    setsockopt(lws_get_socket_fd(wsi), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    c->next = c->network->open;
    c->network->open = c;
    return 0;
}

static void close_connection(struct connection *c) {
    struct network *n = c->network;
    struct connection **at = &n->open;
    while (*at && *at != c) at = &(*at)->next;
    if (*at) *at = c->next;
    pthread_mutex_lock(&n->server->lock);
    if (c->live) live_detach(c->live);
    c->live = NULL;
    pthread_mutex_unlock(&n->server->lock);
    free(c->in);
    free(c->last_words);
}

/* Handles the end of a connection: a client that closes properly ends its session; all others may come back. */
static void peer_closes(struct connection *c, const unsigned char *reason, size_t length) {
    int code = length >= 2 ? reason[0] << 8 | reason[1] : 0;
    pthread_mutex_lock(&c->network->server->lock);
    if (c->live && code == 1000) live_end(c->live, 1000, NULL, "closed by the client");
    pthread_mutex_unlock(&c->network->server->lock);
}

static int call_session(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
    struct connection *c = user;
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        return open_connection(c, wsi);
    case LWS_CALLBACK_RECEIVE:
        return receive(c, in, length);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return send_next(c);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        peer_closes(c, in, length);
        return 0;
    case LWS_CALLBACK_CLOSED:
        close_connection(c);
        return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        lws_callback_on_writable_all_protocol(lws_get_context(wsi), lws_get_protocol(wsi));
        return 0;
    default:
        return 0;
    }
}

/* ---- the network ---- */

static void wake(void *network) {
    struct network *n = network;
    lws_cancel_service(n->context);
}

static void tick(lws_sorted_usec_list_t *timer) {
    struct network *n = lws_container_of(timer, struct network, timer);
    double now = clock_seconds();
    pthread_mutex_lock(&n->server->lock);
    server_tick(n->server, now);
    for (struct connection *c = n->open; c; c = c->next)
        if (!c->live && !c->close_code && now - c->opened > CREATE_SECONDS) part(c, NULL, CLOSE_TIMEOUT);
    pthread_mutex_unlock(&n->server->lock);
    lws_sul_schedule(n->context, 0, &n->timer, tick, TICK_US);
}

static const struct lws_protocols protocols[] = {
    {"http", call_http, sizeof(struct connection), 0, 0, NULL, 0},
    {"streamavatar.1", call_session, sizeof(struct connection), RECEIVE_BYTES, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0}};
/* A peer that sends nothing is pinged after 20 s, and given up 20 s later. */
static const lws_retry_bo_t patience = {.secs_since_valid_ping = 20, .secs_since_valid_hangup = 40};

int network_open(struct network **network, struct server *server, const struct access *access) {
    struct network *n = *network = calloc(1, sizeof *n);
    if (!n) return error_set(ERR_DEVICE, "out of memory for the network");
    n->server = server;
    n->access = *access;
    lws_set_log_level(0, NULL); /* our own error texts say what is wrong */
    /* IPv6 is off: with it the library would listen on all addresses, whichever is named */
    uint64_t family = strchr(access->address, ':') ? 0 : LWS_SERVER_OPTION_DISABLE_IPV6;
    const struct lws_context_creation_info info = {.port = server->options.port,
                                                   .iface = access->address,
                                                   .protocols = protocols,
                                                   .user = n,
                                                   .options = LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND | family,
                                                   .retry_and_idle_policy = &patience,
                                                   .gid = -1,
                                                   .uid = -1};
    n->context = lws_create_context(&info);
    if (!n->context || network_port(n) <= 0) {
        network_close(n);
        *network = NULL;
        return error_set(ERR_DEVICE,
                         "address=%s port=%d: cannot listen there; is the port in use? port=0 takes a free one",
                         access->address, server->options.port);
    }
    pthread_mutex_lock(&server->lock);
    server->wake = wake;
    server->part = part;
    server->network = n;
    pthread_mutex_unlock(&server->lock);
    lws_sul_schedule(n->context, 0, &n->timer, tick, TICK_US);
    return OK;
}

int network_port(const struct network *n) {
    struct lws_vhost *host = lws_get_vhost_by_name(n->context, "default");
    return host ? lws_get_vhost_listen_port(host) : -1;
}

void network_run(struct network *n) {
    while (!n->stop && lws_service(n->context, 0) >= 0) continue;
    server_end_sessions(n->server);
    double until = clock_seconds() + goodbye_seconds;
    while (n->open && clock_seconds() < until && lws_service(n->context, 0) >= 0) continue;
}

void network_stop(struct network *n) {
    n->stop = 1;
    lws_cancel_service(n->context);
}

void network_close(struct network *n) {
    if (!n) return;
    if (n->context) lws_context_destroy(n->context);
    free(n);
}
