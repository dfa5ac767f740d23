/* broadcast.c: turns a session of `serve` (docs/protocol.md) into one stream of pictures and sound with their times,
   which ffmpeg can send on (docs/bridges.md):

     broadcast PORT PICTURE [CODEC] <SOUND | ffmpeg -i - ...

   SOUND is raw 16-bit mono PCM at 16 kHz, from a file or from a pipe that never ends: it is spoken as it comes, and the
   avatar is silent while it pauses. PICTURE is a PNG or JPEG file, or "default" for the server's own. CODEC is h264
   (the default), vp8, mjpeg or raw. Standard output is a NUT file; it ends when SOUND has ended and has been spoken.
   Exit codes: 2 usage, 3 the picture, 5 the server or the stream. */
#include <libavformat/avformat.h>
#include <libwebsockets.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEADER = 24, VIDEO = 1, AGENT = 2, REFERENCE = 4, KEY = 1, LAST = 4, PIECE = 1 << 15 };
enum { RATE = 16000, SAMPLES = RATE / 25, AHEAD = 10 * RATE, TICK_US = 20000, ALIVE_TICKS = 3000 };

static struct {
    FILE *picture; /* NULL: the server's own */
    const char *codec;
    struct lws *socket;
    lws_sorted_usec_list_t timer;
    int created, picture_sent, sound_ended, done, closed, failed;
    uint32_t sequence[5];
    long ticks;
    long said, spoken; /* samples of the turn that were sent to the server, and that came back with pictures */
    AVFormatContext *out;
    int begun; /* 1: the file's header is written */
    AVPacket *packet;
    unsigned char sound[2 * SAMPLES]; /* sound of the first picture, which waits until the header is written */
    char *in;
    size_t length;
    long pictures, dropped;
} b;

static void put(unsigned char *at, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) at[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t get(const unsigned char *at, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)at[i] << 8 * i;
    return value;
}

/* ---- out: the stream ---- */

static int complain(const char *what) {
    fprintf(stderr, "broadcast: %s\n", what);
    b.failed = 5;
    b.done = 1;
    return -1;
}

static AVStream *add_stream(enum AVMediaType type, enum AVCodecID codec) {
    AVStream *stream = avformat_new_stream(b.out, NULL);
    if (!stream) return NULL;
    stream->codecpar->codec_type = type;
    stream->codecpar->codec_id = codec;
    stream->time_base = type == AVMEDIA_TYPE_VIDEO ? (AVRational){1, 25} : (AVRational){1, RATE};
    return stream;
}

static int number(const char *text, const char *key) {
    const char *at = strstr(text, key);
    return at ? atoi(at + strlen(key)) : 0;
}

static int open_output(const char *created) {
    static const struct {
        const char *name;
        enum AVCodecID id;
    } codecs[] = {{"h264", AV_CODEC_ID_H264}, {"vp8", AV_CODEC_ID_VP8}, {"mjpeg", AV_CODEC_ID_MJPEG}};
    enum AVCodecID id = AV_CODEC_ID_RAWVIDEO;
    for (int i = 0; i < 3; i++)
        if (!strcmp(b.codec, codecs[i].name)) id = codecs[i].id;
    if (avformat_alloc_output_context2(&b.out, NULL, "nut", NULL) < 0) return complain("out of memory");
    AVStream *video = add_stream(AVMEDIA_TYPE_VIDEO, id);
    AVStream *sound = add_stream(AVMEDIA_TYPE_AUDIO, AV_CODEC_ID_PCM_S16LE);
    if (!video || !sound || avio_open(&b.out->pb, "pipe:1", AVIO_FLAG_WRITE) < 0)
        return complain("cannot write to standard output");
    b.out->flags |= AVFMT_FLAG_FLUSH_PACKETS;
    video->codecpar->width = number(created, "\"width\":");
    video->codecpar->height = number(created, "\"height\":");
    video->avg_frame_rate = (AVRational){25, 1};
    if (id == AV_CODEC_ID_RAWVIDEO) video->codecpar->format = AV_PIX_FMT_RGB24;
    sound->codecpar->sample_rate = RATE;
    sound->codecpar->format = AV_SAMPLE_FMT_S16;
    sound->codecpar->bits_per_coded_sample = 16;
    av_channel_layout_default(&sound->codecpar->ch_layout, 1);
    return 0;
}

/* Begins the file. FLV and other formats need H.264's parameter sets apart: they stand before the first coded slice. */
static int begin(const unsigned char *picture, size_t bytes) {
    AVCodecParameters *video = b.out->streams[0]->codecpar;
    size_t n = 0;
    if (video->codec_id == AV_CODEC_ID_H264)
        while (n + 4 < bytes && !(get(picture + n, 3) == 0x010000 && (picture[n + 3] & 31) == 5)) n++;
    video->extradata = n ? av_mallocz(n + AV_INPUT_BUFFER_PADDING_SIZE) : NULL;
    video->extradata_size = video->extradata ? (int)n : 0;
    if (video->extradata) memcpy(video->extradata, picture, n);
    b.begun = 1;
    return avformat_write_header(b.out, NULL) < 0 ? complain("the stream cannot be begun") : 0;
}

static int write_packet(int stream, int64_t time_us, int key, const unsigned char *bytes, size_t n) {
    av_packet_unref(b.packet);
    if (av_new_packet(b.packet, (int)n) < 0) return complain("out of memory");
    memcpy(b.packet->data, bytes, n);
    b.packet->stream_index = stream;
    b.packet->pts = b.packet->dts = av_rescale_q(time_us, (AVRational){1, 1000000}, b.out->streams[stream]->time_base);
    b.packet->flags = key ? AV_PKT_FLAG_KEY : 0;
    return av_write_frame(b.out, b.packet) < 0 ? complain("nobody reads the stream any more") : 0;
}

/* Writes a unit to the file; a picture follows the sound of its time. */
static int take_unit(const unsigned char *unit, size_t n) {
    int64_t time = (int64_t)get(unit + 8, 8);
    int key = unit[1] & KEY;
    if (unit[0] == AGENT && get(unit + 4, 4) == 1) b.spoken += (long)n / 2;
    if (unit[0] == AGENT && b.begun) return write_packet(1, time, 1, unit + HEADER, n);
    if (unit[0] == AGENT && n == sizeof b.sound) memcpy(b.sound, unit + HEADER, n);
    if (unit[0] != VIDEO || (!b.begun && !key)) return 0;
    if (!b.begun && (begin(unit + HEADER, n) || write_packet(1, time, 1, b.sound, sizeof b.sound))) return -1;
    uint32_t sequence = (uint32_t)get(unit + 20, 4);
    if (b.pictures) b.dropped += sequence - b.sequence[VIDEO] - 1;
    b.sequence[VIDEO] = sequence;
    b.pictures++;
    return write_packet(0, time, key, unit + HEADER, n);
}

static void hear(const char *text) {
    if (strstr(text, "\"session.created\"")) b.created = !open_output(text);
    if (strstr(text, "\"playback.finished\"")) b.done = 1;
    if (strstr(text, "\"error\"")) complain(text);
}

/* ---- in: the session ---- */

static unsigned char buffer[LWS_PRE + HEADER + PIECE], *const message = buffer + LWS_PRE;

static int say(const char *text) {
    size_t n = strlen(text);
    memcpy(message, text, n);
    return lws_write(b.socket, message, n, LWS_WRITE_TEXT) < 0 ? -1 : 0;
}

/* Sends `message`: its payload of n bytes is there, the header is written here. */
static int send_unit(int kind, int flags, uint32_t turn, size_t n) {
    memset(message, 0, HEADER);
    message[0] = (unsigned char)kind;
    message[1] = (unsigned char)flags;
    put(message + 4, turn, 4);
    put(message + 16, n, 4);
    put(message + 20, b.sequence[kind]++, 4);
    return lws_write(b.socket, message, HEADER + n, LWS_WRITE_BINARY) < 0 ? -1 : 0;
}

static int create(void) {
    char text[512];
    snprintf(text, sizeof text,
             "{\"type\":\"session.create\",\"reference\":\"%s\",\"agent_rate\":%d,\"playback\":\"assumed\","
             "\"codecs\":[\"%s\"]}",
             b.picture ? "upload" : "default", RATE, b.codec);
    b.picture_sent = !b.picture;
    return say(text);
}

static int send_picture(void) {
    size_t n = fread(message + HEADER, 1, PIECE, b.picture);
    b.picture_sent = n < PIECE;
    if (!b.picture_sent) lws_callback_on_writable(b.socket);
    return send_unit(REFERENCE, b.picture_sent ? LAST : 0, 0, n);
}

/* Sends the sound that there is by now, but at most AHEAD samples ahead of play: the server bounds what may wait. */
static int send_sound(void) {
    static size_t odd; /* 1: `rest` is half a sample, which a pipe may hand out */
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    if (++b.ticks % ALIVE_TICKS == 0)
        return say("{\"type\":\"session.keep_alive\"}"); /* keeps the session in long pauses */
    if (b.sound_ended || b.said - b.spoken > AHEAD || poll(&in, 1, 0) < 1) return 0;
    static unsigned char rest;
    message[HEADER] = rest;
    ssize_t n = read(STDIN_FILENO, message + HEADER + odd, PIECE - odd);
    if (n <= 0) {
        b.sound_ended = 1;
        b.done = !b.said; /* nothing comes back of a turn without sound */
        return say("{\"type\":\"audio.end\",\"turn\":1}");
    }
    size_t bytes = (size_t)n + odd;
    odd = bytes % 2;
    rest = message[HEADER + bytes - 1];
    b.said += (long)(bytes / 2);
    return bytes < 2 ? 0 : send_unit(AGENT, 0, 1, bytes - odd);
}

static void tick(lws_sorted_usec_list_t *timer) {
    if (b.closed) return;
    lws_callback_on_writable(b.socket);
    lws_sul_schedule(lws_get_context(b.socket), 0, timer, tick, TICK_US);
}

static int receive(const void *in, size_t n) {
    b.in = realloc(b.in, b.length + n + 1);
    if (!b.in) return -1;
    memcpy(b.in + b.length, in, n);
    b.in[b.length += n] = 0;
    if (!lws_is_final_fragment(b.socket) || lws_remaining_packet_payload(b.socket)) return 0;
    if (!lws_frame_is_binary(b.socket))
        hear(b.in);
    else if (b.created && b.length >= HEADER)
        take_unit((unsigned char *)b.in, b.length - HEADER);
    b.length = 0;
    if (b.done) lws_close_reason(b.socket, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
    return b.done ? -1 : 0;
}

static int call(struct lws *socket, enum lws_callback_reasons reason, void *user, void *in, size_t n) {
    (void)user;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        b.socket = socket;
        tick(&b.timer);
        return create();
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return b.picture_sent ? send_sound() : send_picture();
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return receive(in, n);
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    case LWS_CALLBACK_CLIENT_CLOSED:
        b.closed = 1;
        if (!b.done) complain(in ? in : "the server closed the connection");
        return 0;
    default:
        return 0;
    }
}

static void run(int port) {
    static const struct lws_protocols protocols[] = {{"streamavatar.1", call, 0, 1 << 16, 0, NULL, 0}, {0}};
    lws_set_log_level(0, NULL);
    struct lws_context *context = lws_create_context(&(struct lws_context_creation_info){
        .port = CONTEXT_PORT_NO_LISTEN, .protocols = protocols, .gid = -1, .uid = -1});
    struct lws_client_connect_info to = {.context = context, .address = "127.0.0.1", .port = port};
    to.path = "/v1/session";
    to.host = to.address;
    to.protocol = protocols[0].name;
    lws_client_connect_via_info(&to);
    while (!b.closed && lws_service(context, 0) >= 0) continue;
    lws_context_destroy(context);
}

int main(int argc, char **argv) {
    if (argc < 3) return fprintf(stderr, "usage: broadcast PORT PICTURE [CODEC] <SOUND | ffmpeg -i - ...\n"), 2;
    b.codec = argc > 3 ? argv[3] : "h264";
    b.picture = strcmp(argv[2], "default") ? fopen(argv[2], "rb") : NULL;
    if (strcmp(argv[2], "default") && !b.picture) return perror(argv[2]), 3;
    b.packet = av_packet_alloc();
    run(atoi(argv[1]));
    if (b.begun) av_write_trailer(b.out);
    fprintf(stderr, "broadcast: %ld pictures, %ld dropped, %.2f s spoken\n", b.pictures, b.dropped,
            (double)b.spoken / RATE);
    return b.failed;
}
