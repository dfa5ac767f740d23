/* drive.c: see drive.h. */
#include "infer/load/drive.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/progress.h"

enum {
    TICK_US = 20000,       /* length of a piece of the microphone's sound */
    SLOW_BUFFER = 1 << 15, /* bytes of a slow reader's kernel buffer; the server takes what it holds for delivered */
    RECEIVE_BYTES = 1 << 16,
    GIVE_UP = 10 /* connections that fail in a row, after which the server counts as gone */
};
static const double goodbye_seconds = 2; /* time that the server has to close a connection after session.close */

struct guest {
    struct guest *next;
    struct visitor visitor;
    struct drive *drive;
    const struct visit *visit;
    struct lws *wsi;                    /* NULL: not connected */
    double begun;                       /* time at which this connection was begun */
    double breaks_at, back_at, gone_at; /* times; 0: it does not break, is not away, has not said goodbye */
    int breaking;
    double reads_at; /* time before which a slow reader takes nothing */
    int not_reading; /* 1: it takes nothing now */
    char *text;      /* text of the message that is coming in */
    unsigned char head[UNIT_HEADER];
    size_t got; /* bytes of that message so far */
};
struct drive {
    struct lws_context *context;
    lws_sorted_usec_list_t timer;
    const struct target *target;
    const struct load_options *options;
    struct company *company;
    const struct visit *visits;
    long count, next;  /* number of visits; the next one to come */
    double start, end; /* seconds: beginning, on the clock; length, in the audience's time */
    struct guest *guests;
    int unheard; /* connections that failed since the last one that did not */
};

static unsigned char buffer[LWS_PRE + VISITOR_MESSAGE_MAX];

/* ---- one client's messages ---- */

static int say(struct guest *g) {
    int binary;
    size_t n = visitor_say(&g->visitor, clock_seconds(), buffer + LWS_PRE, &binary);
    if (!n) return 0;
    g->visitor.company->tally->sent += n;
    if (lws_write(g->wsi, buffer + LWS_PRE, n, binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) < 0) return -1;
    lws_callback_on_writable(g->wsi);
    return 0;
}

static int keep(struct guest *g, const unsigned char *bytes, size_t n, int binary) {
    if (binary) {
        if (g->got < UNIT_HEADER) {
            size_t room = UNIT_HEADER - g->got;
            memcpy(g->head + g->got, bytes, n < room ? n : room);
        }
    } else {
        char *text = g->got + n <= MESSAGE_BYTES_MAX ? realloc(g->text, g->got + n) : NULL;
        if (!text) return -1;
        g->text = text;
        memcpy(text + g->got, bytes, n);
    }
    g->got += n;
    return 0;
}

/* Imitates a slow network: after these bytes it takes nothing for as long as they would have needed. */
static void read_slowly(struct guest *g, size_t bytes, double now) {
    double from = g->reads_at > now ? g->reads_at : now;
    g->reads_at = from + (double)bytes * 8e-3 / g->drive->options->slow_kbps;
    g->not_reading = g->reads_at > now + 1e-6 * TICK_US;
    if (g->not_reading) lws_rx_flow_control(g->wsi, 0);
}

static int hear(struct guest *g, const void *bytes, size_t n) {
    double now = clock_seconds();
    int binary = lws_frame_is_binary(g->wsi);
    g->visitor.company->tally->received += n;
    if (keep(g, bytes, n, binary)) return -1;
    if (g->visit->slow) read_slowly(g, n, now);
    if (!lws_is_final_fragment(g->wsi) || lws_remaining_packet_payload(g->wsi)) return 0;
    if (binary)
        visitor_hear_unit(&g->visitor, now, g->head, g->got);
    else if (g->got)
        visitor_hear_text(&g->visitor, now, g->text, g->got);
    free(g->text);
    g->text = NULL;
    g->got = 0;
    return 0;
}

/* ---- one client's connections ---- */

static void forget_connection(struct guest *g) {
    free(g->text);
    g->text = NULL;
    g->got = 0;
    g->wsi = NULL;
    g->not_reading = 0;
}

static void reason(struct tally *t, const char *text) { snprintf(t->reason, sizeof t->reason, "%s", text); }

static void not_connected(struct guest *g, const char *why) {
    struct tally *t = g->visitor.company->tally;
    int answered = !strncmp(why, "HS: ", 4); /* the server answered, with a refusal */
    g->drive->unheard = answered ? 0 : g->drive->unheard + 1;
    t->not_let_in += answered;
    t->failed += !answered;
    reason(t, why);
    forget_connection(g);
    g->visitor.phase = VISITOR_GONE;
}

static void disconnected(struct guest *g) {
    struct tally *t = g->visitor.company->tally;
    t->present--;
    if (g->breaking) {
        g->back_at = clock_seconds() + g->drive->options->away;
    } else if (g->visitor.phase != VISITOR_GONE) {
        t->failed++;
        if (!*t->reason) reason(t, "the server closed the connection");
        g->visitor.phase = VISITOR_GONE;
    }
    g->breaking = 0;
    forget_connection(g);
}

static void connected(struct guest *g) {
    struct tally *t = g->visitor.company->tally;
    int bytes = SLOW_BUFFER;
    g->drive->unheard = 0;
    spread_add(&t->connected, clock_seconds() - g->begun);
    if (++t->present > t->most_present) t->most_present = t->present;
    if (g->visit->slow) setsockopt(lws_get_socket_fd(g->wsi), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    lws_callback_on_writable(g->wsi);
}

static int authorize(struct lws *wsi, const struct guest *g, unsigned char **at, size_t room) {
    char value[300];
    if (!*g->drive->target->token) return 0;
    int n = snprintf(value, sizeof value, "Bearer %s", g->drive->target->token);
    return lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, (unsigned char *)value, n, at, *at + room);
}

static int call(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t n) {
    struct guest *g = user;
    switch (why) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return authorize(wsi, g, in, n) ? -1 : 0;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        g->wsi = wsi;
        connected(g);
        return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return say(g);
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return hear(g, in, n);
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        if (g) not_connected(g, in ? in : "no connection");
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
        disconnected(g);
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {{"streamavatar.1", call, 0, RECEIVE_BYTES, 0, NULL, 0}, {0}};

static void dial(struct guest *g, double now) {
    const struct target *t = g->drive->target;
    g->begun = now;
    g->back_at = 0;
    visitor_connect(&g->visitor, now);
    const struct lws_client_connect_info to = {.context = g->drive->context,
                                               .address = t->host,
                                               .port = t->port,
                                               .path = "/v1/session",
                                               .host = t->name,
                                               .protocol = protocols[0].name,
                                               .pwsi = &g->wsi,
                                               .userdata = g};
    if (!lws_client_connect_via_info(&to) && g->visitor.phase != VISITOR_GONE) not_connected(g, "no connection");
}

/* ---- all clients ---- */

static int arrive(struct drive *d, double now) {
    const struct visit *v = d->visits + d->next;
    struct guest *g = calloc(1, sizeof *g);
    if (!g) return error_set(ERR_DEVICE, "out of memory for a client");
    g->drive = d;
    g->visit = v;
    g->next = d->guests;
    d->guests = g;
    if (v->breaks >= 0) g->breaks_at = now + v->breaks / d->options->compress;
    double stay = v->stay < d->end - v->at ? v->stay : d->end - v->at;
    visitor_open(&g->visitor, d->company, d->next++, now + stay / d->options->compress);
    dial(g, now);
    return OK;
}

/* Breaks a connection like a cut cable, without a word, but not before the server has all that a session needs. */
static void break_off(struct guest *g, double now) {
    struct visitor *v = &g->visitor;
    if (!g->breaks_at || now < g->breaks_at || !v->token[0] || (v->company->picture && !v->picture_whole)) return;
    g->breaks_at = 0;
    g->breaking = 1;
    v->company->tally->broken++;
    shutdown(lws_get_socket_fd(g->wsi), SHUT_RDWR);
}

static void attend(struct guest *g, double now) {
    struct visitor *v = &g->visitor;
    if (!g->wsi) {
        if (g->back_at && now >= v->leaves) v->phase = VISITOR_GONE; /* its stay ended while it was away */
        if (g->back_at && now >= g->back_at && v->phase != VISITOR_GONE) dial(g, now);
        return;
    }
    if (v->phase == VISITOR_COMING || g->breaking) return;
    if (now >= v->leaves && v->phase < VISITOR_LEAVING) v->phase = VISITOR_LEAVING;
    if (v->phase < VISITOR_LEAVING) break_off(g, now);
    if (v->phase == VISITOR_GONE && !g->gone_at) g->gone_at = now;
    if (g->gone_at && now > g->gone_at + goodbye_seconds)
        lws_set_timeout(g->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
    if (g->not_reading && now >= g->reads_at) {
        g->not_reading = 0;
        lws_rx_flow_control(g->wsi, 1);
    }
    lws_callback_on_writable(g->wsi);
}

static void send_off(struct drive *d) {
    for (struct guest **at = &d->guests; *at;) {
        struct guest *g = *at;
        if (g->wsi || g->visitor.phase != VISITOR_GONE) {
            at = &g->next;
            continue;
        }
        *at = g->next;
        free(g);
    }
}

static void tick(lws_sorted_usec_list_t *timer) {
    struct drive *d = lws_container_of(timer, struct drive, timer);
    double now = clock_seconds();
    while (d->next < d->count && d->visits[d->next].at / d->options->compress <= now - d->start)
        if (arrive(d, now)) break;
    for (struct guest *g = d->guests; g; g = g->next) attend(g, now);
    send_off(d);
    lws_sul_schedule(d->context, 0, &d->timer, tick, TICK_US);
}

int drive(struct company *company, const struct target *target, const struct load_options *options,
          const struct visit *visits, long count) {
    struct drive d = {.target = target,
                      .options = options,
                      .company = company,
                      .visits = visits,
                      .count = count,
                      .start = clock_seconds(),
                      .end = 60 * options->audience.minutes};
    struct progress progress;
    lws_set_log_level(0, NULL);
    d.context = lws_create_context(&(struct lws_context_creation_info){
        .port = CONTEXT_PORT_NO_LISTEN, .protocols = protocols, .gid = -1, .uid = -1});
    if (!d.context) return error_set(ERR_DEVICE, "cannot open connections");
    progress_begin(&progress, "visits", count, 0);
    lws_sul_schedule(d.context, 0, &d.timer, tick, 1);
    while ((d.next < d.count || d.guests) && d.unheard < GIVE_UP && !interrupt_requested() &&
           lws_service(d.context, 0) >= 0)
        progress_update(&progress, d.next, "");
    progress_end(&progress, d.next, "");
    for (struct guest *g = d.guests; g; g = g->next) g->visitor.phase = VISITOR_GONE; /* ended by us, not failed */
    lws_context_destroy(d.context);
    while (d.guests) {
        struct guest *g = d.guests;
        d.guests = g->next;
        free(g->text);
        free(g);
    }
    return d.unheard < GIVE_UP
               ? OK
               : error_set(ERR_DEVICE, "%s: the server is gone: %d connections failed in a row", target->name, GIVE_UP);
}
