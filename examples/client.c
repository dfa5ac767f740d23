/* client.c: a whole client of `serve` (docs/protocol.md): uploads a picture, lets the avatar speak a sound file, and
   keeps the pictures and sound that come back.

     client PORT PICTURE SOUND.pcm OUT [CODEC]

   SOUND.pcm is raw 16-bit mono PCM at 16 kHz; CODEC is h264, vp8 (the default), mjpeg or raw. It writes OUT.pcm and
   OUT.video (by codec: Annex B, IVF, JPEG after JPEG, rgb24 rows; ffplay plays the first three) and ends when the turn
   has been played. */
#include <libwebsockets.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 24, VIDEO = 1, AGENT = 2, REFERENCE = 4, LAST = 4, PIECE = 1 << 15 };

static struct {
    FILE *picture, *sound, *video, *out;
    const char *codec;
    int step; /* next message: 0 session.create, 1 the sound, 2 its end, 3 the picture, 4 none */
    int done, closed, failed;
    uint32_t sequence[5];
    long pictures, sounds;
    char *in;
    size_t length;
} client;

static void put(unsigned char *at, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) at[i] = (unsigned char)(value >> 8 * i);
}

static unsigned char buffer[LWS_PRE + HEADER + PIECE], *const message = buffer + LWS_PRE;

static int say(struct lws *socket, const char *text) {
    size_t n = strlen(text);
    memcpy(message, text, n);
    return lws_write(socket, message, n, LWS_WRITE_TEXT) < 0 ? -1 : 0;
}

/* Sends the next piece of a file as a unit. 0: it was the last; 1: there is more. */
static int send_piece(struct lws *socket, FILE *file, int kind, uint32_t turn) {
    size_t n = fread(message + HEADER, 1, PIECE, file);
    int last = n < PIECE;
    memset(message, 0, HEADER);
    message[0] = (unsigned char)kind;
    message[1] = last && kind == REFERENCE ? LAST : 0;
    put(message + 4, turn, 4);
    put(message + 16, n, 4);
    put(message + 20, client.sequence[kind]++, 4);
    return lws_write(socket, message, HEADER + n, LWS_WRITE_BINARY) < 0 ? -1 : !last;
}

/* Sends the next message: the sound before the picture, so that the avatar speaks from its first frame on. */
static int speak(struct lws *socket) {
    char text[512];
    int more = 0;
    if (client.step == 0) {
        snprintf(text, sizeof text,
                 "{\"type\":\"session.create\",\"reference\":\"upload\",\"agent_rate\":16000,\"seed\":1,"
                 "\"playback\":\"assumed\",\"codecs\":[\"%s\"]}",
                 client.codec);
        more = say(socket, text);
    }
    if (client.step == 1) more = send_piece(socket, client.sound, AGENT, 1);
    if (client.step == 2) more = say(socket, "{\"type\":\"audio.end\",\"turn\":1}");
    if (client.step == 3) more = send_piece(socket, client.picture, REFERENCE, 0);
    if (client.step == 4) return 0;
    if (!more) client.step++;
    lws_callback_on_writable(socket);
    return more < 0 ? -1 : 0;
}

/* Begins OUT.video. A VP8 file is IVF: a header, then each picture behind its length and number. */
static void begin_video(const char *created) {
    const char *width = strstr(created, "\"width\":"), *height = strstr(created, "\"height\":");
    unsigned char head[32] = "DKIF\0\0 \0VP80";
    if (strcmp(client.codec, "vp8") || !width || !height) return;
    put(head + 12, (uint64_t)atoi(width + 8), 2);
    put(head + 14, (uint64_t)atoi(height + 9), 2);
    put(head + 16, 25, 4);
    put(head + 20, 1, 4);
    fwrite(head, 1, sizeof head, client.video);
}

static void keep_picture(const unsigned char *bytes, size_t n) {
    unsigned char head[12];
    put(head, n, 4);
    put(head + 4, (uint64_t)client.pictures++, 8);
    if (!strcmp(client.codec, "vp8")) fwrite(head, 1, sizeof head, client.video);
    fwrite(bytes, 1, n, client.video);
}

static void hear(const char *text, int binary, size_t length) {
    const unsigned char *unit = (const unsigned char *)text;
    if (binary && length >= HEADER) {
        if (unit[0] == VIDEO) keep_picture(unit + HEADER, length - HEADER);
        if (unit[0] == AGENT) client.sounds += (long)fwrite(unit + HEADER, 1, length - HEADER, client.out) / 2;
        return;
    }
    if (!strstr(text, "\"clock\"")) fprintf(stderr, "%s\n", text);
    if (strstr(text, "\"session.created\"")) begin_video(text);
    client.failed |= strstr(text, "\"error\"") != NULL;
    client.done |= client.failed || strstr(text, "\"playback.finished\"");
}

static int receive(struct lws *socket, const void *in, size_t n) {
    client.in = realloc(client.in, client.length + n + 1);
    if (!client.in) return -1;
    memcpy(client.in + client.length, in, n);
    client.in[client.length += n] = 0;
    if (!lws_is_final_fragment(socket) || lws_remaining_packet_payload(socket)) return 0;
    hear(client.in, lws_frame_is_binary(socket), client.length);
    client.length = 0;
    if (client.done) lws_close_reason(socket, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
    return client.done ? -1 : 0;
}

static int call(struct lws *socket, enum lws_callback_reasons reason, void *user, void *in, size_t n) {
    (void)user;
    if (reason == LWS_CALLBACK_CLIENT_ESTABLISHED) lws_callback_on_writable(socket);
    if (reason == LWS_CALLBACK_CLIENT_WRITEABLE) return speak(socket);
    if (reason == LWS_CALLBACK_CLIENT_RECEIVE) return receive(socket, in, n);
    if (reason != LWS_CALLBACK_CLIENT_CONNECTION_ERROR && reason != LWS_CALLBACK_CLIENT_CLOSED) return 0;
    if (!client.done) fprintf(stderr, "client: %s\n", in ? (char *)in : "the server closed the connection");
    client.failed |= !client.done;
    client.closed = 1;
    return 0;
}

int main(int argc, char **argv) {
    static const struct lws_protocols protocols[] = {{"streamavatar.1", call, 0, 1 << 16, 0, NULL, 0}, {0}};
    char name[2][4096];
    if (argc < 5) return fprintf(stderr, "usage: client PORT PICTURE SOUND.pcm OUT [CODEC]\n"), 2;
    snprintf(name[0], sizeof name[0], "%s.video", argv[4]);
    snprintf(name[1], sizeof name[1], "%s.pcm", argv[4]);
    client.codec = argc > 5 ? argv[5] : "vp8";
    client.picture = fopen(argv[2], "rb");
    client.sound = fopen(argv[3], "rb");
    client.video = fopen(name[0], "wb");
    client.out = fopen(name[1], "wb");
    if (!client.picture || !client.sound || !client.video || !client.out) return perror("client"), 3;
    lws_set_log_level(0, NULL);
    struct lws_context *context = lws_create_context(&(struct lws_context_creation_info){
        .port = CONTEXT_PORT_NO_LISTEN, .protocols = protocols, .gid = -1, .uid = -1});
    struct lws_client_connect_info to = {.context = context, .port = atoi(argv[1]), .path = "/v1/session"};
    to.address = to.host = "127.0.0.1";
    to.protocol = protocols[0].name;
    lws_client_connect_via_info(&to);
    while (!client.closed && lws_service(context, 0) >= 0) continue;
    lws_context_destroy(context);
    fprintf(stderr, "%ld pictures, %.2f s of sound\n", client.pictures, (double)client.sounds / 16000);
    return fclose(client.video) | fclose(client.out) | client.failed ? 1 : 0;
}
