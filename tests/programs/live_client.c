/* live_client.c: a client of `serve` that does what its arguments say and prints what it sees, for
   tests/e2e/serve.sh and scripts/soak.sh.
     live_client PORT [path=P] [host=H] [origin=O] [token=T] [protocol=P] [keep=FILE] COMMAND...
     live_client PORT [path=P] [host=H] [origin=O] [bearer=T] get     a plain request; prints the answer as it comes
     live_client PORT half MS                                         half a request, and nothing for so long
   Commands, in order; each one goes on taking messages meanwhile:
     say JSON              a text message
     unit HEX              a binary message
     huge N                a binary message of zeros
     bytes HEX             straight to the socket
     speech TURN FILE      units of the agent's sound, at once
     speak-live TURN FILE  the same in pieces of 20 ms, in real time
     reference FILE        units of kind 4
     mic FILE PPM          the user's sound in real time, its clock PPM parts in a million fast
     race SECONDS FILE PPM plays as fast as the server makes it: FILE is said again and again and is the user's sound as
                           well, whose clock is PPM fast, until so much media time has come
     play                  from now on plays and reports its position, as a page would
     wait TEXT             until a text message has it: at most 20 s, times PATIENCE of the environment where that is
                           set, then exit code 1
     run MS                takes messages
     deaf MS               takes none
     close CODE            closes properly
     drop                  closes the socket
   Prints, each with milliseconds since the start: "text JSON", "unit KIND FLAGS TURN TIME LENGTH SEQUENCE",
   "close CODE", "end" and, where it is refused, "http STATUS" with exit code 3. keep: where the payloads of video
   go. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/progress.h"
#include "infer/live_client.h"

enum { PIECE = 32000, HEAD_MAX = 4096, WAIT_MS = 20000, REPORT_MS = 100 };
static struct {
    int socket, over;
    double start;
    unsigned char *in; /* bytes of frames */
    size_t in_bytes;
    char *last; /* the texts since the last `wait`, lines */
    uint32_t sequence[UNIT_KINDS];
    FILE *keep;
    int plays;
    double reported;
    struct player player;
} c;

static void note(const char *format, const char *text) {
    printf("%.0f ", 1e3 * (clock_seconds() - c.start));
    printf(format, text);
    putchar('\n');
    fflush(stdout);
}

static void write_all(const void *bytes, size_t length) {
    const char *at = bytes;
    while (length && !c.over) {
        ssize_t n = send(c.socket, at, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            c.over = 1;
        else {
            at += n;
            length -= (size_t)n;
        }
    }
}

/* A whole frame; the mask is 0, so that the bytes stay as they are. */
static void send_frame(int opcode, const void *bytes, size_t length) {
    unsigned char head[14] = {(unsigned char)(0x80 | opcode)};
    int size = length < 126 ? 0 : length < 65536 ? 2 : 8;
    head[1] = (unsigned char)(0x80 | (size == 0 ? length : size == 2 ? 126 : 127));
    for (int i = 0; i < size; i++) head[2 + i] = (unsigned char)((uint64_t)length >> 8 * (size - 1 - i));
    write_all(head, 6 + (size_t)size);
    write_all(bytes, length);
}

static void send_unit(int kind, int flags, uint32_t turn, const void *payload, size_t length) {
    unsigned char *message = malloc(UNIT_HEADER + length + 1);
    const struct unit u = {
        .kind = kind, .flags = flags, .turn = turn, .length = (uint32_t)length, .sequence = c.sequence[kind]++};
    if (!message) exit(5);
    unit_pack(message, &u);
    memcpy(message + UNIT_HEADER, payload, length);
    send_frame(2, message, UNIT_HEADER + length);
    free(message);
}

/* ---- receiving ---- */

static void take_unit(const unsigned char *bytes, size_t length) {
    struct unit u;
    char line[128];
    if (unit_unpack(&u, bytes, length)) {
        note("%s", "broken unit");
        exit(1);
    }
    snprintf(line, sizeof line, "unit %d %d %u %lld %u %u", u.kind, u.flags, u.turn, (long long)u.time_us, u.length,
             u.sequence);
    note("%s", line);
    if (u.kind == UNIT_AGENT) player_hear(&c.player, &u, clock_seconds());
    if (u.kind == UNIT_VIDEO && c.keep) fwrite(bytes + UNIT_HEADER, 1, u.length, c.keep);
}

static void take_text(const unsigned char *bytes, size_t length) {
    size_t had = c.last ? strlen(c.last) : 0;
    c.last = realloc(c.last, had + length + 2);
    if (!c.last) exit(5);
    memcpy(c.last + had, bytes, length);
    c.last[had + length] = 0;
    note("text %s", c.last + had);
    strcat(c.last, "\n");
}

static void take_close(const unsigned char *bytes, size_t length) {
    char code[16];
    snprintf(code, sizeof code, "%d", length >= 2 ? bytes[0] << 8 | bytes[1] : 0);
    note("close %s", code);
    c.over = 1;
}

/* The frames that are whole; those of a server are neither masked nor, here, in pieces larger than they say. */
static void take_frames(void) {
    static unsigned char *message;
    static size_t message_bytes;
    static int kind;
    for (;;) {
        if (c.in_bytes < 2) return;
        size_t length = c.in[1] & 127, head = 2;
        if (length >= 126) {
            size_t size = length == 126 ? 2 : 8;
            head += size;
            if (c.in_bytes < head) return;
            length = 0;
            for (size_t i = 0; i < size; i++) length = length << 8 | c.in[2 + i];
        }
        if (c.in_bytes < head + length) return;
        int opcode = c.in[0] & 15, final = c.in[0] & 128;
        const unsigned char *bytes = c.in + head;
        if (opcode == 8)
            take_close(bytes, length);
        else if (opcode == 9)
            send_frame(10, bytes, length);
        else if (opcode <= 2) {
            if (opcode) kind = opcode;
            message = realloc(message, message_bytes + length + 1);
            if (!message) exit(5);
            memcpy(message + message_bytes, bytes, length);
            message_bytes += length;
            if (final) {
                if (kind == 2)
                    take_unit(message, message_bytes);
                else
                    take_text(message, message_bytes);
                message_bytes = 0;
            }
        }
        c.in_bytes -= head + length;
        memmove(c.in, c.in + head + length, c.in_bytes);
    }
}

static void say_position(int64_t us) {
    char text[96];
    send_frame(1, text, client_position(text, sizeof text, us));
}

static void report(void) {
    double now = clock_seconds();
    if (!c.plays || !c.player.playing || now - c.reported < REPORT_MS / 1e3) return;
    c.reported = now;
    say_position(player_position(&c.player, now));
}

/* Takes what comes within so many milliseconds. */
static void pass(int ms) {
    double until = clock_seconds() + ms / 1e3;
    do {
        double left = until - clock_seconds();
        int wait = left > 0 ? (int)(1e3 * left) : 0;
        struct pollfd p = {.fd = c.socket, .events = POLLIN};
        report();
        if (c.over || poll(&p, 1, wait < 10 ? wait : 10) <= 0) continue;
        c.in = realloc(c.in, c.in_bytes + 65536);
        if (!c.in) exit(5);
        ssize_t n = recv(c.socket, c.in + c.in_bytes, 65536, 0);
        if (n <= 0) {
            c.over = 1;
            note("%s", "end");
            return;
        }
        c.in_bytes += (size_t)n;
        take_frames();
    } while (clock_seconds() < until && !c.over);
}

/* ---- commands ---- */

static unsigned char *read_file(const char *path, size_t *length) {
    FILE *f = fopen(path, "rb");
    unsigned char *bytes = malloc(64 << 20);
    if (!f || !bytes) {
        perror(path);
        exit(3);
    }
    *length = fread(bytes, 1, 64 << 20, f);
    fclose(f);
    return bytes;
}

static void send_file(int kind, uint32_t turn, const char *path) {
    size_t length;
    unsigned char *bytes = read_file(path, &length);
    for (size_t at = 0; at < length || !length; at += PIECE) {
        size_t n = length - at < PIECE ? length - at : PIECE;
        send_unit(kind, kind == UNIT_REFERENCE && at + n == length ? UNIT_LAST : 0, turn, bytes + at, n);
        if (!length) break;
    }
    free(bytes);
}

/* Pieces of 20 ms of sound at 16 kHz, by a clock that is `ppm` fast. */
static void send_live(int kind, uint32_t turn, const char *path, double ppm) {
    size_t length, piece = 640;
    unsigned char *bytes = read_file(path, &length);
    double begin = clock_seconds();
    for (size_t at = 0, i = 0; at + piece <= length && !c.over; at += piece, i++) {
        double due = begin + 0.02 * (double)i / (1 + ppm * 1e-6);
        while (clock_seconds() < due) pass(1 + (int)(1e3 * (due - clock_seconds())));
        send_unit(kind, 0, turn, bytes + at, piece);
    }
    free(bytes);
}

/* Speech waits for a minute at most, and the user's sound comes as media time passes; both from the file, again and
   again. */
static void race(double seconds, const char *path, double ppm) {
    size_t length, piece = 640, heard = 0;
    unsigned char *bytes = read_file(path, &length);
    const int64_t turn_us = (int64_t)(length / 2) * 1000000 / 16000, end_us = (int64_t)(1e6 * seconds);
    int64_t said_us = 0, user_us = 0, told_us = -1;
    char text[64];
    for (uint32_t turn = 1; c.player.have_us < end_us && !c.over;) {
        for (; said_us < c.player.have_us + 60000000 && said_us < end_us; said_us += turn_us) {
            send_file(UNIT_AGENT, turn, path);
            snprintf(text, sizeof text, "{\"type\":\"audio.end\",\"turn\":%u}", turn++);
            send_frame(1, text, strlen(text));
        }
        for (; (double)user_us < (double)c.player.have_us * (1 + ppm * 1e-6);
             user_us += 20000, heard = (heard + piece) % length)
            if (heard + piece <= length) send_unit(UNIT_USER, 0, 0, bytes + heard, piece);
        if (c.player.have_us != told_us) say_position(told_us = c.player.have_us);
        pass(2);
    }
    free(bytes);
}

static size_t from_hex(const char *hex, unsigned char *bytes) {
    size_t n = 0;
    for (unsigned value; hex[2 * n] && sscanf(hex + 2 * n, "%2x", &value) == 1; n++) bytes[n] = (unsigned char)value;
    return n;
}

static void wait_for(const char *text) {
    const char *patience = getenv("PATIENCE");
    double until = clock_seconds() + WAIT_MS / 1e3 * (patience ? atoi(patience) : 1);
    for (;;) {
        char *found = c.last ? strstr(c.last, text) : NULL;
        if (found) { /* what came up to here has been waited for */
            char *rest = strchr(found, '\n') + 1;
            memmove(c.last, rest, strlen(rest) + 1);
            return;
        }
        if (c.over || clock_seconds() > until) {
            note("waited in vain for %s", text);
            exit(1);
        }
        pass(20);
    }
}

static void hang_up(const char *code) {
    unsigned char bytes[2] = {(unsigned char)(atoi(code) >> 8), (unsigned char)atoi(code)};
    send_frame(8, bytes, 2);
    pass(500);
}

static void send_huge(size_t length) {
    unsigned char *zeros = calloc(1, length);
    if (!zeros) exit(5);
    send_frame(2, zeros, length);
    free(zeros);
}

/* Returns how many arguments it took. */
static int command(char **a, int left) {
    static unsigned char bytes[1 << 16];
    const char *one = left > 1 ? a[1] : "", *two = left > 2 ? a[2] : "";
    if (!strcmp(*a, "play")) return c.plays = 1;
    if (!strcmp(*a, "drop")) return close(c.socket), c.over = 1;
    if (!strcmp(*a, "say")) return send_frame(1, one, strlen(one)), 2;
    if (!strcmp(*a, "unit")) return send_frame(2, bytes, from_hex(one, bytes)), 2;
    if (!strcmp(*a, "bytes")) return write_all(bytes, from_hex(one, bytes)), 2;
    if (!strcmp(*a, "huge")) return send_huge((size_t)atol(one)), 2;
    if (!strcmp(*a, "reference")) return send_file(UNIT_REFERENCE, 0, one), 2;
    if (!strcmp(*a, "wait")) return wait_for(one), 2;
    if (!strcmp(*a, "run")) return pass(atoi(one)), 2;
    if (!strcmp(*a, "deaf")) return usleep((unsigned)atoi(one) * 1000u), 2;
    if (!strcmp(*a, "close")) return hang_up(one), 2;
    if (!strcmp(*a, "speech")) return send_file(UNIT_AGENT, (uint32_t)atoi(one), two), 3;
    if (!strcmp(*a, "speak-live")) return send_live(UNIT_AGENT, (uint32_t)atoi(one), two, 0), 3;
    if (!strcmp(*a, "race")) return race(atof(one), two, left > 3 ? atof(a[3]) : 0), 4;
    if (!strcmp(*a, "mic")) return send_live(UNIT_USER, 0, one, atof(two)), 3;
    fprintf(stderr, "live_client: no command %s\n", *a);
    exit(2);
}

/* ---- the connection ---- */

static void connect_to(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    c.socket = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(c.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (c.socket < 0 || connect(c.socket, (struct sockaddr *)&to, sizeof to)) {
        perror("live_client");
        exit(4);
    }
}

/* The head of the answer, up to its empty line. */
static void read_head(void) {
    char head[HEAD_MAX] = "";
    for (size_t n = 0; n + 1 < sizeof head && !strstr(head, "\r\n\r\n"); n++)
        if (recv(c.socket, head + n, 1, 0) <= 0) break;
    char *status = strchr(head, ' ');
    if (status && atoi(status) == 101) return;
    char text[16];
    snprintf(text, sizeof text, "%d", status ? atoi(status) : 0);
    note("http %s", text);
    exit(3);
}

static const char *option(char **argv, int argc, const char *name, const char *fallback) {
    size_t n = strlen(name);
    for (int i = 2; i < argc && strchr(argv[i], '='); i++)
        if (!strncmp(argv[i], name, n) && argv[i][n] == '=') return argv[i] + n + 1;
    return fallback;
}

static void shake_hands(char **argv, int argc) {
    char request[HEAD_MAX];
    const char *origin = option(argv, argc, "origin", ""), *token = option(argv, argc, "token", "");
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                     "Sec-WebSocket-Protocol: %s%s%s\r\n%s%s%s\r\n",
                     option(argv, argc, "path", "/v1/session"), option(argv, argc, "host", "127.0.0.1"),
                     option(argv, argc, "protocol", "streamavatar.1"), *token ? ", token." : "", token,
                     *origin ? "Origin: " : "", origin, *origin ? "\r\n" : "");
    write_all(request, (size_t)n);
    read_head();
}

/* As peers do that are cut off amid their request. */
static void half(const char *ms) {
    static const char text[] = "GET /v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgr";
    write_all(text, sizeof text - 1);
    usleep((unsigned)atoi(ms) * 1000u);
}

static void get(char **argv, int argc) {
    char request[HEAD_MAX];
    const char *origin = option(argv, argc, "origin", ""), *token = option(argv, argc, "bearer", "");
    int n =
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s%s%s%s%s\r\n",
                 option(argv, argc, "path", "/"), option(argv, argc, "host", "127.0.0.1"), *origin ? "Origin: " : "",
                 origin, *origin ? "\r\n" : "", *token ? "Authorization: Bearer " : "", token, *token ? "\r\n" : "");
    write_all(request, (size_t)n);
    for (ssize_t got; (got = recv(c.socket, request, sizeof request, 0)) > 0;) fwrite(request, 1, (size_t)got, stdout);
}

int main(int argc, char **argv) {
    if (argc < 3) return fprintf(stderr, "usage: live_client PORT [key=value ...] COMMAND...\n"), 2;
    c.start = clock_seconds();
    const char *keep = option(argv, argc, "keep", "");
    if (*keep) c.keep = fopen(keep, "wb");
    connect_to(atoi(argv[1]));
    if (!strcmp(argv[argc - 1], "get")) return get(argv, argc), 0;
    if (!strcmp(argv[2], "half") && argc > 3) return half(argv[3]), 0;
    shake_hands(argv, argc);
    int i = 2;
    while (i < argc && strchr(argv[i], '=') && argv[i][0] != '{') i++;
    while (i < argc && !c.over) i += command(argv + i, argc - i);
    if (c.keep) fclose(c.keep);
    return 0;
}
