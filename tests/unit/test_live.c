/* test_live.c: what a live server decides, without a network, a device or a clock of its own: headers, who is let in,
   when a chunk is begun and whose, what waits for a client and what is dropped, how the two parties'
   sound is queued. */
#include "tests/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "infer/serve/access.h"
#include "infer/serve/arrivals.h"
#include "infer/serve/lines.h"
#include "infer/serve/message.h"
#include "infer/serve/metrics.h"
#include "infer/serve/microphone.h"
#include "infer/serve/outbox.h"
#include "infer/serve/pacing.h"
#include "infer/serve/resample.h"
#include "infer/serve/schedule.h"
#include "infer/serve/speech.h"
#include "infer/serve/talk.h"
#include "infer/serve/unit.h"
#include "infer/serve/words.h"

enum { CHUNK_US = 480000, CHUNK_SAMPLES = 12 * 640 };

/* ---- units and messages ---- */

static void a_header_says_what_the_protocol_page_says(void **state) {
    (void)state;
    const struct unit u = {UNIT_VIDEO, UNIT_KEY | UNIT_FIRST, 0x01020304, 0x1122334455667788, 2, 0x0a0b0c0d};
    static const unsigned char expected[] = {1,    3,    0,    0, 0x04, 0x03, 0x02, 0x01, 0x88, 0x77, 0x66, 0x55, 0x44,
                                             0x33, 0x22, 0x11, 2, 0,    0,    0,    0x0d, 0x0c, 0x0b, 0x0a, 9,    9};
    unsigned char bytes[sizeof expected] = {0};
    struct unit back;
    memcpy(bytes + UNIT_HEADER, expected + UNIT_HEADER, 2);
    unit_pack(bytes, &u);
    assert_memory_equal(bytes, expected, sizeof expected);
    CHECK(unit_unpack(&back, bytes, sizeof bytes));
    memset(bytes, 0, UNIT_HEADER); /* field by field: a structure has gaps */
    unit_pack(bytes, &back);
    assert_memory_equal(bytes, expected, sizeof expected);
    assert_int_equal(unit_unpack(&back, bytes, sizeof bytes - 1), ERR_INPUT);
    assert_int_equal(unit_unpack(&back, bytes, UNIT_HEADER - 1), ERR_INPUT);
    bytes[1] = 16;
    assert_int_equal(unit_unpack(&back, bytes, sizeof bytes), ERR_INPUT);
}

static int parse(struct message *m, const char *text) { return message_parse(m, text, strlen(text)); }

static void a_message_is_taken_as_it_is_meant(void **state) {
    (void)state;
    struct message m;
    CHECK(parse(&m, "{\"type\":\"session.create\",\"reference\":\"person:anna\",\"codecs\":[\"vp8\",\"av1\",\"mjpeg\"],"
                    "\"lead_ms\":100,\"listening\":\"manual\",\"seed\":7,\"something\":[1]}"));
    assert_int_equal(m.type, MESSAGE_CREATE);
    assert_int_equal(m.wishes.reference, REFERENCE_PERSON);
    assert_string_equal(m.wishes.person, "anna");
    assert_int_equal(m.wishes.codec_count, 2);
    assert_int_equal(m.wishes.codecs[1], CODEC_MJPEG);
    assert_int_equal(m.wishes.agent_rate, 24000);
    assert_int_equal(m.wishes.manual, 1);
    assert_int_equal(m.wishes.seed, 7);
    CHECK(parse(&m, "{\"type\":\"audio.append\",\"turn\":3,\"audio\":\"AQL/gA==\"}"));
    assert_int_equal(m.audio_bytes, 4);
    assert_memory_equal(m.audio, "\1\2\377\200", 4);
    message_free(&m);
    CHECK(parse(&m, "{\"type\":\"text\",\"text\":\"Gr\\u00fc\303\237e\"}"));
    assert_int_equal(m.type, MESSAGE_TEXT);
    assert_string_equal(m.text, "Gr\303\274\303\237e");
    assert_int_equal(m.from_user, -1);
    message_free(&m);
    CHECK(parse(&m, "{\"type\":\"audio.end\",\"samples\":24000}"));
    assert_int_equal(m.samples, 24000);
    CHECK(parse(&m, "{\"type\":\"session.create\",\"agent\":\"server\"}"));
    assert_int_equal(m.wishes.agent, 1);
    assert_int_equal(m.wishes.barge_in, -1);
    CHECK(parse(&m, "{\"type\":\"session.update\",\"barge_in\":\"voice\"}"));
    assert_int_equal(m.wishes.barge_in, 1);
    CHECK(parse(&m, "{\"type\":\"dance\"}"));
    assert_int_equal(m.type, MESSAGE_UNKNOWN);
}

static void a_message_that_is_wrong_is_refused_with_a_word(void **state) {
    (void)state;
    static const char *const wrong[] = {"",
                                        "[]",
                                        "{}",
                                        "{\"type\":1}",
                                        "{\"type\":\"session.create\",\"seed\":1.5}",
                                        "{\"type\":\"session.create\",\"seed\":-1}",
                                        "{\"type\":\"session.create\",\"codecs\":\"vp8\"}",
                                        "{\"type\":\"session.create\",\"reference\":\"person:\"}",
                                        "{\"type\":\"session.create\",\"resume\":\"short\"}",
                                        "{\"type\":\"audio.append\",\"turn\":1,\"audio\":\"A\"}",
                                        "{\"type\":\"audio.append\",\"turn\":1,\"audio\":\"AAAA\"}",
                                        "{\"type\":\"audio.append\",\"turn\":1,\"audio\":\"A*==\"}",
                                        "{\"type\":\"audio.append\",\"audio\":\"AAA=\"}",
                                        "{\"type\":\"interrupt\",\"turn\":0}",
                                        "{\"type\":\"audio.end\",\"samples\":-1}",
                                        "{\"type\":\"text\"}",
                                        "{\"type\":\"text\",\"text\":\"\"}",
                                        "{\"type\":\"text\",\"text\":7}",
                                        "{\"type\":\"text\",\"text\":\"\377\"}",
                                        "{\"type\":\"text\",\"text\":\"\355\240\200\"}",
                                        "{\"type\":\"text\",\"text\":\"a\",\"from\":\"nobody\"}",
                                        "{\"type\":\"session.create\",\"agent\":\"rm -rf\"}",
                                        "{\"type\":\"playback.position\"}",
                                        "{\"type\":\"clock\"}",
                                        "{\"type\":\"playback.position\",\"position_us\":1e300}"};
    struct message m;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (parse(&m, wrong[i]) != ERR_INPUT) fail_msg("taken: %s", wrong[i]);
        assert_true(*error_text());
        assert_null(m.audio);
        assert_null(m.text);
    }
}

/* A change asks for what it says; one that is wrong asks for nothing and says why, but is no fatal message. */
static void a_change_that_is_wrong_is_no_end(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",
        ",\"reference\":7",
        ",\"reference\":\"person:\"",
        ",\"reference\":\"nobody\"",
        ",\"prompt\":1",
        ",\"prompt\":\"\355\240\200\"",
        ",\"talk\":\"1\"",
        ",\"talk\":-0.1",
        ",\"listen\":5.01",
        ",\"listen\":1e400",
        ",\"talk\":1,\"listen\":null",
    };
    struct message m;
    char line[128];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(line, sizeof line, "{\"type\":\"session.change\"%s}", wrong[i]);
        CHECK(parse(&m, line));
        if (!*m.fault) fail_msg("taken: %s", line);
        message_free(&m);
    }
    CHECK(parse(&m, "{\"type\":\"session.change\",\"reference\":\"person:ben\",\"prompt\":\"\",\"talk\":2.5}"));
    assert_int_equal(m.type, MESSAGE_CHANGE);
    assert_string_equal(m.fault, "");
    assert_int_equal(m.change.reference, REFERENCE_PERSON);
    assert_string_equal(m.change.person, "ben");
    assert_string_equal(m.change.prompt, "");
    assert_true(m.change.talk == 2.5 && m.change.listen < 0);
    message_free(&m);
    CHECK(parse(&m, "{\"type\":\"session.change\",\"listen\":0}"));
    assert_int_equal(m.change.reference, REFERENCE_STAYS);
    assert_null(m.change.prompt);
    message_free(&m);
}

static void a_text_that_is_too_long_is_refused(void **state) {
    (void)state;
    char words[TEXT_BYTES_MAX + 2];
    struct message m;
    for (int length = TEXT_BYTES_MAX; length <= TEXT_BYTES_MAX + 1; length++) {
        memset(words, 'a', (size_t)length);
        words[length] = 0;
        char *said = words_text(words, 1, 0);
        assert_int_equal(parse(&m, said), length > TEXT_BYTES_MAX ? ERR_INPUT : OK);
        free(said);
        message_free(&m);
    }
}

/* ---- lines of a pipe ---- */

static void lines_come_as_they_were_written_and_long_ones_are_cut(void **state) {
    (void)state;
    static struct lines lines;
    static char longest[LINES_BYTES + 100];
    int ends[2];
    memset(longest, 'x', sizeof longest);
    memcpy(longest + sizeof longest - 10, "\nafter\nlas", 10);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "one\r\n\ntw", 8), 8);
    assert_int_equal(lines_fill(&lines, ends[0]), 1);
    assert_string_equal(lines_next(&lines), "one");
    assert_string_equal(lines_next(&lines), "");
    assert_null(lines_next(&lines));
    assert_int_equal(write(ends[1], "o\n", 2), 2);
    assert_int_equal(lines_fill(&lines, ends[0]), 1);
    assert_string_equal(lines_next(&lines), "two");
    size_t half = sizeof longest / 2;
    assert_int_equal(write(ends[1], longest, half), half);
    assert_int_equal(lines_fill(&lines, ends[0]), 1);
    assert_null(lines_next(&lines));
    assert_int_equal(write(ends[1], longest + half, sizeof longest - half), sizeof longest - half);
    assert_int_equal(lines_fill(&lines, ends[0]), 1);
    assert_int_equal(strlen(lines_next(&lines)), LINES_BYTES);
    assert_null(lines_next(&lines));
    assert_int_equal(lines_fill(&lines, ends[0]), 1);
    assert_string_equal(lines_next(&lines), "after");
    assert_null(lines_next(&lines));
    close(ends[1]);
    assert_int_equal(lines_fill(&lines, ends[0]), -1);
    assert_string_equal(lines_rest(&lines), "las");
    assert_null(lines_rest(&lines));
    close(ends[0]);
}

/* ---- who is let in ---- */

static void a_name_must_be_ours(void **state) {
    (void)state;
    const struct access a = {.address = "192.168.0.5", .hosts = "avatar.example.org, other.example.org"};
    static const char *const ours[] = {"127.0.0.1",   "localhost:8080",     "[::1]:80",
                                       "192.168.0.5", "AVATAR.example.org", "other.example.org:443"};
    static const char *const others[] = {"",        "example.org", "localhost.example.org", "127.0.0.1.example.org",
                                         "[::1",    "[::1]x",      "localhost:80x",         "avatar.example.org.",
                                         "evil.org"};
    char origin[128];
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (!access_host(&a, ours[i])) fail_msg("%s is refused", ours[i]);
        snprintf(origin, sizeof origin, "https://%s", ours[i]);
        assert_true(access_origin(&a, origin));
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (access_host(&a, others[i])) fail_msg("%s is let in", others[i]);
        snprintf(origin, sizeof origin, "http://%s", others[i]);
        assert_false(access_origin(&a, origin));
    }
    assert_true(access_origin(&a, "")); /* no browser */
    assert_false(access_origin(&a, "null"));
    assert_false(access_origin(&a, "file://localhost"));
}

static void a_token_must_be_whole(void **state) {
    (void)state;
    const struct access a = {.token = "abcdefghijklmnop"}, none = {.token = ""};
    assert_true(access_authorized(&none, "", ""));
    assert_true(access_authorized(&a, "Bearer abcdefghijklmnop", ""));
    assert_true(access_authorized(&a, "", "streamavatar.1, token.abcdefghijklmnop"));
    assert_false(access_authorized(&a, "", ""));
    assert_false(access_authorized(&a, "Bearer abcdefghijklmno", ""));
    assert_false(access_authorized(&a, "Bearer abcdefghijklmnopabcdefghijklmnop", ""));
    assert_false(access_authorized(&a, "", "streamavatar.1,token.abcdefghijklmnoq"));
    assert_false(access_authorized(&a, "abcdefghijklmnop", "abcdefghijklmnop"));
}

/* ---- pacing ---- */

static void a_client_is_counted_on_between_its_reports(void **state) {
    (void)state;
    struct playback p = {0};
    playback_begin(&p, 1000000, 0);
    assert_int_equal(playback_position(&p, 50), 1000000);
    playback_report(&p, 2000000, 50);
    assert_int_equal(playback_position(&p, 51), 1000000); /* it cannot have played what it has not got */
    playback_sent(&p, 10000000, 51);
    playback_report(&p, 2000000, 52);
    assert_int_equal(playback_position(&p, 52.5), 2500000);
    assert_int_equal(playback_position(&p, 60), 4000000); /* counted on for two seconds at most */
    playback_report(&p, 1500000, 61);                     /* it never goes back */
    assert_int_equal(playback_position(&p, 52.5), 2500000);
    playback_begin(&p, 5000000, 61); /* an interruption */
    playback_report(&p, 4900000, 62);
    assert_int_equal(playback_position(&p, 63), 5000000);
}

static void a_chunk_is_begun_when_the_lead_is_all_that_is_left(void **state) {
    (void)state;
    struct playback p = {0};
    playback_begin(&p, 0, 0);
    assert_true(playback_due(&p, 0, 60000) <= 10); /* at the start at once */
    assert_true(playback_due(&p, CHUNK_US, 60000) >= PACING_NEVER);
    playback_sent(&p, CHUNK_US, 10);
    assert_true(playback_due(&p, CHUNK_US, 60000) >= PACING_NEVER); /* until it says that it plays */
    playback_report(&p, 20000, 10);
    assert_true(fabs(playback_due(&p, CHUNK_US, 60000) - 10.4) < 1e-9);
    assert_true(fabs(playback_deadline(&p, CHUNK_US) - 10.46) < 1e-9);
    assert_true(playback_due(&p, CHUNK_US + 20000, CHUNK_US) <= 10);
}

static void who_does_not_report_plays_from_when_it_was_sent_something(void **state) {
    (void)state;
    struct playback p = {.assumed = 1};
    playback_begin(&p, 0, 0);
    playback_sent(&p, CHUNK_US, 10);
    assert_int_equal(playback_position(&p, 10.2), 200000);
    assert_int_equal(playback_position(&p, 11), CHUNK_US); /* dry */
    playback_sent(&p, 2 * CHUNK_US, 12);                   /* play goes on from there: lost time is not caught up */
    assert_int_equal(playback_position(&p, 12.1), CHUNK_US + 100000);
    playback_sent(&p, 3 * CHUNK_US, 12.2); /* before it is dry: nothing changes */
    assert_int_equal(playback_position(&p, 12.3), CHUNK_US + 300000);
}

static void the_lead_grows_with_the_sessions_and_ends_at_a_chunk(void **state) {
    (void)state;
    assert_int_equal(pacing_lead(CHUNK_US, 0.01, 1, 0), 25000);
    assert_int_equal(pacing_lead(CHUNK_US, 0.01, 20, 50000), 265000);
    assert_int_equal(pacing_lead(CHUNK_US, 0.01, 20, 1000000), CHUNK_US);
}

/* ---- whose turn it is ---- */

static void the_earliest_deadline_goes_first(void **state) {
    (void)state;
    const struct candidate c[] = {{1, 5}, {1, 4}, {3, 2}, {PACING_NEVER, 0}};
    assert_int_equal(schedule_pick(c, 4, 0), -1);
    assert_int_equal(schedule_pick(c, 4, 1), 1);
    assert_int_equal(schedule_pick(c, 4, 3), 2);
    assert_true(schedule_wake(c, 4) == 1);
    assert_true(isinf(schedule_wake(c, 0)));
    assert_int_equal(schedule_capacity(0.0316), 28);
    assert_int_equal(schedule_capacity(0.45), 2);
    assert_int_equal(schedule_capacity(3), 1);
}

/* The device as one server of a queue, on a clock of our own: n clients, each chunk `work` seconds. They report five
   times a second, all at other times; each eighth one twice as often. */
struct room {
    struct playback playback;
    int64_t end_us;
    long late, chunks;
    double reported, made, longest; /* when; when its last chunk was; between two of its chunks (seconds) */
    int restless;                   /* play is broken off at each report, as by interruptions */
};

static void open_rooms(struct room *rooms, int n) {
    memset(rooms, 0, sizeof *rooms * (size_t)n);
    for (int i = 0; i < n; i++) {
        playback_begin(&rooms[i].playback, 0, 0);
        rooms[i].reported = -0.2 * i / n;
    }
}

static void report_where_it_is(struct room *r, int often, double now) {
    if (!r->chunks || now < r->reported + (often ? 0.1 : 0.2)) return;
    r->reported = now;
    playback_report(&r->playback, playback_position(&r->playback, now), now);
    if (r->restless) playback_begin(&r->playback, r->end_us, now);
}

static void make_chunk(struct room *r, double deadline, double now) {
    int plays = r->playback.at < PACING_NEVER;
    r->late += plays && now > deadline + 1e-9;
    r->longest = fmax(r->longest, now - r->made);
    r->made = now;
    r->chunks++;
    r->end_us += CHUNK_US;
    playback_sent(&r->playback, r->end_us, now);
    if (!plays) playback_report(&r->playback, r->end_us - CHUNK_US, now);
}

static void simulate(struct room *rooms, int n, double work, double seconds) {
    enum { MOST = 256 };
    struct candidate c[MOST];
    for (double now = 0, looked = 0; now < seconds;) {
        for (int i = 0; i < n; i++) {
            report_where_it_is(&rooms[i], i % 8 == 7, now);
            int64_t lead = pacing_lead(CHUNK_US, work, n, 0);
            c[i] = (struct candidate){playback_due(&rooms[i].playback, rooms[i].end_us, lead),
                                      playback_deadline(&rooms[i].playback, rooms[i].end_us)};
        }
        int i = schedule_pick(c, n, now);
        if (i < 0) {
            now = looked = fmin(schedule_wake(c, n), looked + 0.01);
        } else {
            now += work;
            looked = now;
            make_chunk(&rooms[i], c[i].deadline, now);
        }
    }
}

/* Several times as many as the device can do, as where it is suddenly slow: each waits until the others that ran dry
   before it have had a chunk, and no longer, whatever it or they report or interrupt. */
static void those_who_are_late_get_a_chunk_by_turns(void **state) {
    (void)state;
    enum { MOST = 205 };
    static struct room rooms[MOST];
    const double work = 0.01, round = MOST * work;
    for (int restless = 0; restless < 2; restless++) {
        open_rooms(rooms, MOST);
        for (int i = 0; restless && i < 5; i++) rooms[i].restless = 1;
        simulate(rooms, MOST, work, 20 * round);
        for (int i = 0; i < MOST; i++) {
            assert_true(rooms[i].longest < CHUNK_US * 1e-6 + round + 2 * work);
            if (!rooms[i].restless) assert_true(rooms[i].chunks >= 14);
        }
    }
}

static void as_many_sessions_as_are_admitted_are_never_late(void **state) {
    (void)state;
    enum { MOST = 64 };
    const double work = 0.015;
    int n = schedule_capacity(work / 0.48);
    static struct room rooms[MOST];
    assert_int_equal(n, 28);
    open_rooms(rooms, n);
    simulate(rooms, n, work, 120);
    for (int i = 0; i < n; i++) {
        assert_int_equal(rooms[i].late, 0);
        assert_true(labs(rooms[i].chunks - 250) <= 2); /* nobody falls behind: 120 s of 0.48 */
    }
    /* a fifth more than the device can do: some are, and all of them alike fall behind */
    n = (int)(1.2 * 0.48 / work);
    open_rooms(rooms, n);
    simulate(rooms, n, work, 120);
    for (int i = 0; i < n; i++) {
        assert_true(rooms[i].late > 0);
        assert_true(rooms[i].chunks > 180 && rooms[i].chunks < 225); /* 250 / 1.2 */
    }
}

/* ---- what waits for a client ---- */

static void push(struct outbox *o, int kind, int flags, long frame) {
    struct unit u = {.kind = kind, .flags = flags, .time_us = frame * 40000, .length = 3};
    CHECK(outbox_unit(o, &u, "abc", NULL));
}

static void a_slow_client_loses_pictures_up_to_the_next_key_frame_and_no_sound(void **state) {
    (void)state;
    struct outbox o;
    outbox_open(&o);
    CHECK(outbox_text(&o, "{}"));
    for (long n = 0; n < 40; n++) {
        push(&o, UNIT_AGENT, 0, n);
        push(&o, UNIT_VIDEO, n ? 0 : UNIT_KEY, n);
    }
    push(&o, UNIT_VIDEO, UNIT_KEY, 40);
    push(&o, UNIT_VIDEO, 0, 41);
    assert_int_equal(o.dropped, 40);
    int sounds = 0, pictures = 0, texts = 0;
    uint32_t sequence[2] = {0};
    for (struct parcel *p; (p = outbox_take(&o));) {
        struct unit u = {0};
        if (!p->binary)
            texts++;
        else
            CHECK(unit_unpack(&u, p->bytes, p->length));
        if (u.kind == UNIT_AGENT) assert_int_equal(u.sequence, sounds++);
        if (u.kind == UNIT_VIDEO) sequence[pictures++] = u.sequence;
        parcel_free(p);
    }
    assert_int_equal(texts, 1);
    assert_int_equal(sounds, 40);
    assert_int_equal(pictures, 2);
    assert_int_equal(sequence[0], 40); /* the gap says what was dropped */
    assert_int_equal(sequence[1], 41);
    assert_int_equal(o.bytes, 0);
}

static void an_interruption_empties_the_box_but_for_texts(void **state) {
    (void)state;
    struct outbox o;
    outbox_open(&o);
    push(&o, UNIT_AGENT, 0, 0);
    assert_false(outbox_drop_units(&o)); /* no picture was in it */
    CHECK(outbox_text(&o, "{}"));
    push(&o, UNIT_VIDEO, UNIT_KEY, 0);
    assert_true(outbox_drop_units(&o));
    struct parcel *p = outbox_take(&o);
    assert_int_equal(p->length, 2);
    parcel_free(p);
    assert_null(outbox_take(&o));
}

/* ---- speech ---- */

static enum speech_result say(struct speech *s, uint32_t turn, long samples) {
    unsigned char *pcm = calloc((size_t)samples, 2);
    for (long i = 0; i < samples; i++) pcm[2 * i] = (unsigned char)turn;
    enum speech_result result = speech_push(s, turn, pcm, samples, turn);
    free(pcm);
    return result;
}

static void turns_are_spoken_one_after_the_other(void **state) {
    (void)state;
    struct speech s;
    int16_t frame[SPEECH_FRAME_MAX];
    long frames;
    int ended, last;
    speech_open(&s, 16000);
    assert_int_equal(speech_next(&s, &frames, &ended), 0);
    assert_int_equal(say(&s, 1, 1000), SPEECH_TAKEN);
    assert_int_equal(speech_next(&s, &frames, &ended), 1);
    assert_int_equal(frames, 1); /* 640 of 1000: the rest may go on */
    assert_false(ended);
    assert_int_equal(say(&s, 2, 640), SPEECH_TAKEN);
    assert_int_equal(speech_next(&s, &frames, &ended), 1);
    assert_int_equal(frames, 2); /* the second turn ended the first: its short frame counts */
    assert_true(ended);
    assert_int_equal(say(&s, 1, 640), SPEECH_STALE);
    assert_true(speech_take(&s, frame, &last) == 1);
    assert_false(last);
    speech_take(&s, frame, &last);
    assert_true(last);
    assert_int_equal(frame[359], 1);
    assert_int_equal(frame[360], 0); /* filled up with silence */
    assert_int_equal(speech_next(&s, &frames, &ended), 2);
    speech_end(&s, 0);
    assert_true(speech_take(&s, frame, &last) == 2); /* when it came: say() */
    assert_true(last);
    assert_int_equal(frame[0], 2);
    assert_int_equal(speech_next(&s, &frames, &ended), 0);
    speech_close(&s);
}

static void an_interrupted_turn_is_gone_with_those_before_it(void **state) {
    (void)state;
    struct speech s;
    long frames;
    int ended;
    speech_open(&s, 24000);
    say(&s, 1, 9600);
    say(&s, 2, 9600);
    say(&s, 3, 9600);
    assert_int_equal(speech_interrupt(&s, 2), 2);
    assert_int_equal(speech_next(&s, &frames, &ended), 3);
    assert_int_equal(frames, 10);
    assert_int_equal(speech_interrupt(&s, 0), 3);
    assert_int_equal(s.waiting, 0);
    assert_int_equal(say(&s, 3, 100), SPEECH_STALE);
    assert_int_equal(say(&s, 4, 100), SPEECH_TAKEN);
    speech_close(&s);
}

static void two_minutes_of_speech_wait_and_no_more(void **state) {
    (void)state;
    struct speech s;
    speech_open(&s, 16000);
    for (int i = 0; i < 12; i++) assert_int_equal(say(&s, 1, 160000), SPEECH_TAKEN);
    assert_int_equal(say(&s, 1, 1), SPEECH_FULL);
    assert_int_equal(s.waiting, 120 * 16000);
    for (uint32_t turn = 1; turn < SPEECH_TURNS; turn++) speech_interrupt(&s, turn);
    for (uint32_t turn = SPEECH_TURNS; turn < 2 * SPEECH_TURNS; turn++)
        assert_int_equal(say(&s, turn, 1), SPEECH_TAKEN);
    assert_int_equal(say(&s, 2 * SPEECH_TURNS, 1), SPEECH_FULL); /* nor more turns than there is room for */
    speech_close(&s);
}

/* ---- the microphone ---- */

/* An hour of 20-ms pieces from a clock that is `drift` fast, heard a chunk at a time; the longest queue, and samples
   of silence put in. */
static void hear_an_hour(double drift, long *longest, long *silent) {
    static struct microphone m;
    static float pcm[CHUNK_SAMPLES], piece[320];
    memset(&m, 0, sizeof m);
    for (int i = 0; i < 320; i++) piece[i] = 1;
    double sent = 0, came;
    *longest = *silent = 0;
    for (long chunk = 1; chunk <= 7500; chunk++) {
        for (double now = 0.48 * (double)chunk; sent <= now; sent += 0.02 / (1 + drift))
            microphone_push(&m, piece, 320, sent);
        if (m.waiting > *longest) *longest = m.waiting;
        assert_true(microphone_take(&m, pcm, CHUNK_SAMPLES, &came));
        for (int i = 0; i < CHUNK_SAMPLES; i++) *silent += pcm[i] == 0;
    }
}

static void a_microphone_whose_clock_is_off_for_an_hour_makes_no_queue_grow(void **state) {
    (void)state;
    long longest, silent;
    hear_an_hour(0.003, &longest, &silent);
    assert_true(longest <= CHUNK_SAMPLES + MICROPHONE_SPARE + 640);
    assert_true(silent <= 2 * CHUNK_SAMPLES / 10); /* at the start alone */
    hear_an_hour(-0.003, &longest, &silent);
    assert_true(longest <= CHUNK_SAMPLES + MICROPHONE_SPARE + 640);
    /* what it lacks, 0.3 % of an hour, and the start */
    assert_true(fabs((double)silent - 0.003 * 3600 * 16000) < 0.01 * 3600 * 16000 * 0.1);
}

static void a_microphone_that_bursts_is_bounded(void **state) {
    (void)state;
    static struct microphone m;
    static float pcm[MICROPHONE_MAX + 5];
    memset(&m, 0, sizeof m);
    double came;
    assert_false(microphone_take(&m, pcm, 640, &came));
    assert_true(came == 0);
    for (int i = 0; i < MICROPHONE_MAX + 5; i++) pcm[i] = (float)i;
    microphone_push(&m, pcm, MICROPHONE_MAX + 5, 7);
    assert_int_equal(m.waiting, MICROPHONE_MAX);
    assert_true(microphone_take(&m, pcm, 640, &came));
    /* the newest: what is older was dropped */
    assert_true(pcm[0] == MICROPHONE_MAX + 5 - 640 - MICROPHONE_CALM);
    assert_true(came == 7);
}

/* What waited at the start and was never needed goes; a connection whose pieces come late by turns keeps what that
   takes. */
static void sound_is_as_old_as_the_jitter_asks(void **state) {
    (void)state;
    static struct microphone m;
    static float pcm[CHUNK_SAMPLES], piece[320];
    for (int jitter = 0; jitter <= 40; jitter += 40) { /* ms by which each other chunk's last pieces are late */
        memset(&m, 0, sizeof m);
        double sent = -0.08, came, now = 0;
        long short_of = 0;
        for (int i = 0; i < 320; i++) piece[i] = 1;
        for (long chunk = 1; chunk <= 60; chunk++) {
            now = 0.48 * (double)chunk;
            for (double late = 1e-3 * jitter * (double)(chunk % 2); sent + 0.02 + late <= now + 1e-9; sent += 0.02)
                microphone_push(&m, piece, 320, now);
            microphone_take(&m, pcm, CHUNK_SAMPLES, &came);
            for (int i = 0; i < CHUNK_SAMPLES && chunk > 30; i++) short_of += pcm[i] == 0;
        }
        double left = (double)m.waiting / 16000;
        assert_int_equal(short_of, 0);
        assert_true(left >= MICROPHONE_CALM / 16000. && left <= 0.02 + 1e-3 * jitter);
    }
}

/* ---- when it came ---- */

static void the_last_sample_says_when_it_came(void **state) {
    (void)state;
    static struct arrivals a;
    assert_true(arrivals_take(&a, 5) == 0);
    arrivals_push(&a, 100, 1);
    arrivals_push(&a, 100, 2);
    arrivals_push(&a, 50, 2);
    assert_true(arrivals_take(&a, 100) == 1);
    assert_true(arrivals_take(&a, 1) == 2);
    assert_true(arrivals_take(&a, 149) == 2);
    assert_true(arrivals_take(&a, 1) == 0);
    for (int i = 0; i < 1000; i++) arrivals_push(&a, 1, i);
    assert_true(arrivals_take(&a, 10) == 9);
    assert_true(arrivals_take(&a, 990) == 999);
}

/* ---- 24 kHz ---- */

static void sound_of_24_khz_keeps_its_tones_and_loses_what_16_khz_cannot_hold(void **state) {
    (void)state;
    enum { IN = 24000, OUT = 16000 };
    static float in[IN], out[OUT + 2], pieces[OUT + 2];
    static const double tones[] = {440, 3000, 6000, 10000};
    for (int t = 0; t < 4; t++) {
        struct resampler r;
        resample_reset(&r);
        for (int i = 0; i < IN; i++) in[i] = (float)sin(2 * 3.14159265358979 * tones[t] * i / IN);
        assert_int_equal(resample_push(&r, in, IN, out), OUT);
        double power = 0;
        for (int i = 100; i < OUT; i++) power += out[i] * out[i] / (OUT - 100.);
        if (tones[t] < 8000)
            assert_true(fabs(power - 0.5) < 0.01);
        else
            assert_true(power < 1e-5);
        resample_reset(&r); /* in pieces the same bits */
        long done = 0;
        for (int i = 0, n; i < IN; i += n) {
            n = 1 + i * 7 % 997;
            if (i + n > IN) n = IN - i;
            done += resample_push(&r, in + i, n, pieces + done);
        }
        assert_int_equal(done, OUT);
        assert_memory_equal(pieces, out, sizeof(float) * OUT);
    }
}

static void sound_of_16_khz_keeps_its_tones_at_24_khz_and_gains_none(void **state) {
    (void)state;
    enum { IN = 16000, OUT = 24000 };
    static float in[IN], out[OUT + 2], pieces[OUT + 2];
    static const double tones[] = {200, 1000, 5000};
    for (int t = 0; t < 3; t++) {
        struct resampler r;
        double power = 0, with[2] = {0};
        resample_reset(&r);
        for (int i = 0; i < IN; i++) in[i] = (float)sin(2 * 3.14159265358979 * tones[t] * i / IN);
        assert_int_equal(resample_up(&r, in, IN, out), OUT);
        for (int i = 100; i < OUT; i++) {
            double angle = 2 * 3.14159265358979 * tones[t] * i / OUT;
            power += out[i] * out[i] / (OUT - 100.);
            with[0] += out[i] * sin(angle) * 2 / (OUT - 100.);
            with[1] += out[i] * cos(angle) * 2 / (OUT - 100.);
        }
        double tone = (with[0] * with[0] + with[1] * with[1]) / 2;
        assert_true(fabs(power - 0.5) < 0.01);
        assert_true(fabs(power - tone) < 1e-3); /* its image at 16 kHz less the tone's frequency is below -27 dB */
        resample_reset(&r);
        long done = 0;
        for (int i = 0, n; i < IN; i += n) {
            n = 1 + i * 7 % 997;
            if (i + n > IN) n = IN - i;
            done += resample_up(&r, in + i, n, pieces + done);
        }
        assert_int_equal(done, OUT);
        assert_memory_equal(pieces, out, sizeof(float) * OUT);
    }
}

/* ---- whether the user talks ---- */

/* Frames until an event, of sound that swells and falls as syllables do, or of silence; -1: none in 100. */
static int frames_until(struct talk *t, enum talk_event wanted, int loud) {
    for (int n = 1; n <= 100; n++) {
        float pcm[AUDIO_SAMPLES_PER_FRAME];
        for (int i = 0; i < AUDIO_SAMPLES_PER_FRAME; i++) {
            double at = n * AUDIO_SAMPLES_PER_FRAME + i, swell = 0.5 - 0.5 * cos(2 * 3.14159265358979 * at / 3200);
            pcm[i] = loud ? (float)(0.3 * swell * sin(2 * 3.14159265358979 * 300 * at / AUDIO_RATE)) : 0;
        }
        for (long at = 0, taken; at < AUDIO_SAMPLES_PER_FRAME; at += taken) {
            long left = AUDIO_SAMPLES_PER_FRAME - at;
            if (talk_push(t, pcm + at, left < 150 ? left : 150, &taken) == wanted) return n;
        }
    }
    return -1;
}

static void who_talks_has_begun_after_a_while_and_stops_after_a_longer_one(void **state) {
    (void)state;
    struct talk t;
    talk_reset(&t);
    assert_int_equal(frames_until(&t, TALK_BEGINS, 0), -1);
    int begins = frames_until(&t, TALK_BEGINS, 1);
    assert_in_range(begins, TALK_BEGIN_FRAMES, TALK_BEGIN_FRAMES + 3);
    int ends = frames_until(&t, TALK_ENDS, 0);
    assert_in_range(ends, TALK_END_FRAMES, TALK_END_FRAMES + 6);
}

/* ---- figures ---- */

static void quantiles_are_of_the_last_times(void **state) {
    (void)state;
    static struct durations d;
    assert_true(metrics_quantile(&d, 0.5) == 0);
    for (int i = 0; i < METRICS_TIMES; i++) metrics_time(&d, 100);
    for (int i = 1; i <= METRICS_TIMES; i++) metrics_time(&d, i);
    assert_true(fabs(metrics_quantile(&d, 0.5) - METRICS_TIMES / 2.) <= 1);
    assert_true(metrics_quantile(&d, 1) == METRICS_TIMES);
    assert_int_equal(d.count, 2 * METRICS_TIMES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_says_what_the_protocol_page_says),
        cmocka_unit_test(a_message_is_taken_as_it_is_meant),
        cmocka_unit_test(a_message_that_is_wrong_is_refused_with_a_word),
        cmocka_unit_test(a_change_that_is_wrong_is_no_end),
        cmocka_unit_test(a_text_that_is_too_long_is_refused),
        cmocka_unit_test(lines_come_as_they_were_written_and_long_ones_are_cut),
        cmocka_unit_test(a_name_must_be_ours),
        cmocka_unit_test(a_token_must_be_whole),
        cmocka_unit_test(a_client_is_counted_on_between_its_reports),
        cmocka_unit_test(a_chunk_is_begun_when_the_lead_is_all_that_is_left),
        cmocka_unit_test(who_does_not_report_plays_from_when_it_was_sent_something),
        cmocka_unit_test(the_lead_grows_with_the_sessions_and_ends_at_a_chunk),
        cmocka_unit_test(the_earliest_deadline_goes_first),
        cmocka_unit_test(as_many_sessions_as_are_admitted_are_never_late),
        cmocka_unit_test(those_who_are_late_get_a_chunk_by_turns),
        cmocka_unit_test(a_slow_client_loses_pictures_up_to_the_next_key_frame_and_no_sound),
        cmocka_unit_test(an_interruption_empties_the_box_but_for_texts),
        cmocka_unit_test(turns_are_spoken_one_after_the_other),
        cmocka_unit_test(an_interrupted_turn_is_gone_with_those_before_it),
        cmocka_unit_test(two_minutes_of_speech_wait_and_no_more),
        cmocka_unit_test(a_microphone_whose_clock_is_off_for_an_hour_makes_no_queue_grow),
        cmocka_unit_test(a_microphone_that_bursts_is_bounded),
        cmocka_unit_test(sound_is_as_old_as_the_jitter_asks),
        cmocka_unit_test(the_last_sample_says_when_it_came),
        cmocka_unit_test(sound_of_24_khz_keeps_its_tones_and_loses_what_16_khz_cannot_hold),
        cmocka_unit_test(sound_of_16_khz_keeps_its_tones_at_24_khz_and_gains_none),
        cmocka_unit_test(who_talks_has_begun_after_a_while_and_stops_after_a_longer_one),
        cmocka_unit_test(quantiles_are_of_the_last_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
