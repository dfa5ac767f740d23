/* live_noise.c: for so many seconds, one connection after the other that says what nobody should: live_noise PORT
   SECONDS [SEED]. Frames of random kinds and lengths, messages of the protocol with random keys and values, units
   with random headers, references, broken masks, and ends in the middle of it. Succeeds when the server answers to
   the last; prints how many of each. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/progress.h"
#include "infer/serve/unit.h"

enum { MOST = 1 << 16, STEPS = 24 };
static uint64_t state;
static long connections, frames;

static uint32_t any(uint32_t n) { /* below n: xorshift */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % n;
}

static int open_socket(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval patience = {.tv_sec = 5};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (!connect(s, (struct sockaddr *)&to, sizeof to)) return s;
    close(s);
    return -1;
}

static int put(int s, const void *bytes, size_t n) { return send(s, bytes, n, MSG_NOSIGNAL) == (ssize_t)n; }

/* 1: the server has answered. */
static int shake_hands(int s) {
    static const char request[] = "GET /v1/session HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                                  "Sec-WebSocket-Protocol: streamavatar.1\r\n\r\n";
    char answer[512];
    if (!put(s, request, sizeof request - 1)) return 0;
    return recv(s, answer, sizeof answer, 0) > 0;
}

static int send_frame(int s, int opcode, const unsigned char *bytes, size_t n) {
    static unsigned char frame[14 + MOST];
    size_t at = 0;
    frame[at++] = (unsigned char)((any(16) ? 0x80 : 0) | opcode);
    frame[at++] = (unsigned char)((any(64) ? 0x80 : 0) | (n < 126 ? n : 126));
    if (n >= 126) {
        frame[at++] = (unsigned char)(n >> 8);
        frame[at++] = (unsigned char)n;
    }
    memset(frame + at, 0, 4); /* the mask */
    at += 4;
    memcpy(frame + at, bytes, n);
    frames++;
    return put(s, frame, at + n);
}

/* A message: mostly of the protocol, with keys and values that need not be. */
static size_t make_text(char *text) {
    static const char *const types[] = {"session.create",  "session.update",     "audio.append",   "audio.end",
                                        "interrupt",       "listening.start",    "listening.stop", "playback.position",
                                        "video.key_frame", "session.keep_alive", "session.create"};
    static const char *const keys[] = {"turn",     "position_us", "lead_ms",    "listening", "audio", "resume",
                                       "playback", "reference",   "agent_rate", "codecs",    "seed",  "user_rate"};
    static const char *const values[] = {
        "1",          "2",    "-1", "1e30",      "24000", "16000",      "\"\"",         "\"AAAA\"", "\"voice\"",
        "\"manual\"", "null", "[]", "[\"vp8\"]", "{}",    "\"upload\"", "\"person:x\"", "900000",   "\"assumed\""};
    int n = sprintf(text, "{\"type\":\"%s\"", types[any(11)]);
    for (uint32_t i = any(4); i > 0; i--) n += sprintf(text + n, ",\"%s\":%s", keys[any(12)], values[any(18)]);
    n += sprintf(text + n, "}");
    if (!any(8)) text[any((uint32_t)n)] ^= (char)(1 << any(7));
    return (size_t)n;
}

static size_t make_unit(unsigned char *unit) {
    size_t n = any(20) ? any(4000) : any(MOST - UNIT_HEADER);
    struct unit u = {.kind = 1 + (int)any(4),
                     .flags = any(8) ? 0 : (int)any(16),
                     .turn = any(6),
                     .length = (uint32_t)n,
                     .sequence = any(100)};
    for (size_t i = 0; i < n; i++) unit[UNIT_HEADER + i] = (unsigned char)any(256);
    if (u.kind == UNIT_REFERENCE && n > 8) memcpy(unit + UNIT_HEADER, "\x89PNG\r\n\x1a\n", 8);
    unit_pack(unit, &u);
    if (!any(16)) unit[any(UNIT_HEADER)] ^= (unsigned char)(1 << any(8));
    return UNIT_HEADER + n;
}

static int step(int s) {
    static unsigned char bytes[MOST];
    size_t n;
    switch (any(8)) {
    case 0:
        n = any(300);
        for (size_t i = 0; i < n; i++) bytes[i] = (unsigned char)any(256);
        return any(4) ? send_frame(s, (int)any(16), bytes, n) : put(s, bytes, n);
    case 1:
    case 2:
    case 3:
        return send_frame(s, 1, bytes, make_text((char *)bytes));
    default:
        return send_frame(s, 2, bytes, make_unit(bytes));
    }
}

/* A conversation: it begins as one should, more often than not. 1: the server let it in. */
static int converse(int port) {
    static const char *const create = "{\"type\":\"session.create\",\"codecs\":[\"vp8\"],\"playback\":\"assumed\"}";
    unsigned char heard[4096];
    int s = open_socket(port);
    if (s < 0) return 0;
    int answered = shake_hands(s);
    if (answered && any(4)) send_frame(s, 1, (const unsigned char *)create, strlen(create));
    for (uint32_t i = any(STEPS); answered && i > 0 && step(s); i--) {
        if (!any(8)) usleep(1000 * any(100));
        recv(s, heard, sizeof heard, MSG_DONTWAIT);
    }
    close(s);
    connections++;
    return answered;
}

int main(int argc, char **argv) {
    if (argc < 3) return fprintf(stderr, "usage: live_noise PORT SECONDS [SEED]\n"), 2;
    state = argc > 3 ? strtoull(argv[3], NULL, 10) : (uint64_t)(clock_seconds() * 1e6);
    unsigned long long seed = state;
    double until = clock_seconds() + atof(argv[2]);
    int answered = 1;
    while (clock_seconds() < until && (answered || open_socket(atoi(argv[1])) >= 0)) answered = converse(atoi(argv[1]));
    int lives = open_socket(atoi(argv[1]));
    int well = lives >= 0 && shake_hands(lives);
    printf("%ld connections, %ld frames of noise, seed %llu: the server %s\n", connections, frames, seed,
           well ? "answers" : "is gone");
    return well ? 0 : 1;
}
