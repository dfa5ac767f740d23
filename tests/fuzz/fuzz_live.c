/* fuzz_live.c: what clients of `serve` send: texts, units, references, and whole conversations as a session's queues
   see them. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/text.h"
#include "infer/serve/message.h"
#include "infer/serve/outbox.h"
#include "infer/serve/pacing.h"
#include "infer/serve/reference.h"
#include "infer/serve/speech.h"
#include "infer/serve/unit.h"

int fuzz_live_message(const unsigned char *data, size_t size) {
    struct message m;
    if (message_parse(&m, (const char *)data, size)) {
        fuzz_promise(!m.audio && !m.text, "a message that is refused keeps nothing");
        return 0;
    }
    fuzz_promise(m.wishes.codec_count <= VIDEO_CODECS, "codecs fit");
    fuzz_promise(strlen(m.wishes.person) < sizeof m.wishes.person, "a name ends");
    fuzz_promise(m.audio_bytes % 2 == 0, "samples are whole");
    fuzz_promise(!m.text || (*m.text && strlen(m.text) <= TEXT_BYTES_MAX && text_is_utf8(m.text)), "a text is one");
    message_free(&m);
    return 1;
}

int fuzz_live_unit(const unsigned char *data, size_t size) {
    struct unit u;
    unsigned char again[UNIT_HEADER];
    if (unit_unpack(&u, data, size)) return 0;
    unit_pack(again, &u);
    fuzz_promise(!memcmp(again, data, UNIT_HEADER), "a header is what it says");
    fuzz_promise(u.length == size - UNIT_HEADER, "a payload is whole");
    return 1;
}

int fuzz_live_reference(const unsigned char *data, size_t size) {
    enum { SIDE = 16 };
    static float picture[3 * SIDE * SIDE];
    int height, width;
    if (reference_check(data, size, &height, &width)) return 0;
    fuzz_promise(height > 0 && width > 0 && height <= REFERENCE_SIDE_MAX && width <= REFERENCE_SIDE_MAX,
                 "sizes are bounded");
    if (reference_read(data, size, SIDE, SIDE, picture)) return 0;
    for (int i = 0; i < 3 * SIDE * SIDE; i++)
        fuzz_promise(picture[i] >= -1 && picture[i] <= 1, "pixels are in [-1, 1]");
    return 1;
}

/* Speech, playback and outbox under a series of commands, two bytes each: what is done, and how much. */
struct conversation {
    struct speech speech;
    struct playback playback;
    struct outbox outbox;
    double now;
    long end; /* video frames */
};

static void take_frame(struct conversation *c) {
    int16_t frame[SPEECH_FRAME_MAX];
    long frames;
    int ended, last;
    while (speech_pass(&c->speech)) continue;
    if (speech_next(&c->speech, &frames, &ended) && frames > 0) speech_take(&c->speech, frame, &last);
    struct unit u = {.kind = UNIT_AGENT, .time_us = 40000 * c->end, .length = 2};
    outbox_unit(&c->outbox, &u, frame, NULL);
    u.kind = UNIT_VIDEO;
    u.flags = c->end++ % 25 ? 0 : UNIT_KEY;
    outbox_unit(&c->outbox, &u, frame, NULL);
}

static void send_all(struct conversation *c, int count) {
    struct parcel *p;
    while (count-- && (p = outbox_take(&c->outbox))) {
        if (p->end_us) playback_sent(&c->playback, p->end_us, c->now);
        parcel_free(p);
    }
}

static void step(struct conversation *c, int what, int amount) {
    enum { SAMPLES = 100 }; /* times 255: a second; two minutes are full after some hundred */
    static unsigned char pcm[2 * 256 * SAMPLES];
    uint32_t turn = (uint32_t)amount % 16;
    int64_t before = playback_position(&c->playback, c->now);
    c->now += 0.01 * amount;
    fuzz_promise(playback_position(&c->playback, c->now) >= before, "play does not go back by itself");
    switch (what % 7) {
    case 0:
        speech_push(&c->speech, turn, pcm, (long)SAMPLES * amount, c->now);
        break;
    case 1:
        speech_end(&c->speech, turn);
        break;
    case 2:
        speech_interrupt(&c->speech, turn);
        break;
    case 3:
        take_frame(c);
        break;
    case 4:
        send_all(c, amount);
        break;
    case 5:
        playback_report(&c->playback, 40000LL * amount, c->now);
        break;
    case 6:
        outbox_drop_units(&c->outbox);
        playback_begin(&c->playback, 40000 * c->end, c->now);
        break;
    }
    fuzz_promise(c->speech.waiting >= 0 && c->speech.waiting <= SPEECH_SECONDS * 24000L, "speech is bounded");
    fuzz_promise(c->outbox.pictures <= OUTBOX_PICTURES, "pictures are bounded");
    fuzz_promise(playback_position(&c->playback, c->now) <= c->playback.sent_us ||
                     c->playback.position_us >= c->playback.sent_us,
                 "nothing is played that was not sent");
}

int fuzz_live_conversation(const unsigned char *data, size_t size) {
    struct conversation c = {.now = 1};
    if (size < 1) return error_set(ERR_INPUT, "no options"), 0;
    speech_open(&c.speech, data[0] & 1 ? 16000 : 24000);
    outbox_open(&c.outbox);
    playback_begin(&c.playback, 0, c.now);
    c.playback.assumed = data[0] >> 1 & 1;
    for (size_t i = 1; i + 1 < size; i += 2) step(&c, data[i], data[i + 1]);
    outbox_clear(&c.outbox);
    speech_close(&c.speech);
    return 1;
}
