/* test_live_session.c: what a live session owes its client, without a network and a student: the end of each turn, the
   token that it was told, a reference that is judged by the session's own thread, speech that comes as it is spoken.
   The device's part is played by the test. */
#include "tests/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fileio.h"
#include "base/progress.h"
#include "infer/serve/live.h"

enum { SIDE = 8, CHUNK = 12, AHEAD = 2, FIRST = CHUNK + 1 + AHEAD, FRAME = 640, SAID = 1 << 16 };
static struct server server;
static float picture[3 * SIDE * SIDE];
static int connection; /* its address stands for one */
static struct {
    char text[SAID]; /* the last words of a connection that had to end */
    int count;
    pthread_t by;
} parted;
static char said[SAID]; /* what the client was told, a line each */

static void wake(void *network) { (void)network; }

static void part(void *to, char *text, int close_code) {
    (void)to;
    (void)close_code;
    snprintf(parted.text, sizeof parted.text, "%s", text ? text : "");
    free(text);
    parted.by = pthread_self();
    parted.count++;
}

static int open_server(void **state) {
    (void)state;
    memset(&server, 0, sizeof server);
    memset(&parted, 0, sizeof parted);
    *said = 0;
    pthread_mutex_init(&server.lock, NULL);
    pthread_cond_init(&server.device, NULL);
    server.wake = wake;
    server.part = part;
    server.options.keep = 60;
    server.options.queue = 4;
    server.student.pixel_height = server.student.pixel_width = SIDE;
    server.picture = 3 * SIDE * SIDE;
    server.reference = picture;
    server.chunk = server.first_chunk = CHUNK;
    server.ahead = AHEAD;
    server.capacity = 1;
    server.passes_most = 9;
    pthread_mutex_lock(&server.lock);
    return 0;
}

static int close_server(void **state) {
    (void)state;
    pthread_mutex_unlock(&server.lock);
    for (int i = 0; i < server.count; i++) live_destroy(server.lives[i]);
    pthread_cond_destroy(&server.device);
    pthread_mutex_destroy(&server.lock);
    return 0;
}

static struct live *open_live(enum reference_kind reference, int admitted) {
    const struct wishes wishes = {.reference = reference,
                                  .agent_rate = 16000,
                                  .user_rate = 16000,
                                  .codecs = {CODEC_RAW},
                                  .codec_count = 1,
                                  .lead_ms = -1,
                                  .manual = -1,
                                  .barge_in = -1,
                                  .seed = 1};
    struct live *l;
    CHECK(live_create(&l, &server, &wishes, admitted));
    server.lives[server.count++] = l;
    live_attach(l, &connection, 0);
    return l;
}

/* Lets the session's own thread work until the session is there. */
static void await(const struct live *l, enum live_phase phase) {
    for (int i = 0; i < 20000 && l->phase != phase; i++) {
        pthread_mutex_unlock(&server.lock);
        usleep(1000);
        pthread_mutex_lock(&server.lock);
    }
    assert_int_equal(l->phase, phase);
}

static struct live *open_running(void) {
    struct live *l = open_live(REFERENCE_DEFAULT, 1);
    await(l, LIVE_PREPARED);
    l->phase = LIVE_RUNNING;
    return l;
}

/* What has been said to the client since the last call. */
static const char *hear(struct live *l) {
    size_t length = 0;
    for (struct parcel *p; (p = outbox_take(&l->outbox)); parcel_free(p))
        if (!p->binary) length += (size_t)snprintf(said + length, SAID - length, "%.*s\n", (int)p->length, p->bytes);
    said[length] = 0;
    return said;
}

static void speak(struct live *l, uint32_t turn, long samples) {
    static const unsigned char pcm[4 * CHUNK * 2 * FRAME];
    live_push_speech(l, turn, pcm, 2 * (size_t)samples, clock_seconds());
}

static void tell(struct live *l, enum message_type type, uint32_t turn) {
    struct message m = {.type = type, .turn = turn};
    const char *error;
    CHECK(live_message(l, &m, &error));
}

/* The sound of the next chunk is decided and sent. */
static void make_chunk(struct live *l) {
    long wanted = live_wanted(l);
    live_decide_speech(l, l->heard_end, wanted);
    l->heard_end += wanted;
    l->end += CHUNK + !l->begun;
    l->begun = 1;
    playback_sent(&l->playback, (int64_t)l->end * FRAME_US, clock_seconds());
}

/* The client has played so many frames. */
static const char *play(struct live *l, long frames) {
    double now = clock_seconds();
    playback_report(&l->playback, (int64_t)frames * FRAME_US, now);
    live_tick(l, now);
    return hear(l);
}

/* The turns that are reported as finished, in order, those that were interrupted with a !. */
static const char *finished(const char *text) {
    static char list[SAID];
    *list = 0;
    for (const char *at = text; (at = strstr(at, "\"playback.finished\"")); at++) {
        unsigned turn;
        const char *end = strchr(at, '\n'), *broken = strstr(at, "\"interrupted\":true");
        assert_int_equal(sscanf(strstr(at, "\"turn\":"), "\"turn\":%u", &turn), 1);
        snprintf(list + strlen(list), SAID - strlen(list), "%u%s ", turn, broken && broken < end ? "!" : "");
    }
    return list;
}

/* ---- the end of a turn ---- */

static void a_turn_without_sound_is_finished_after_those_before_it(void **state) {
    (void)state;
    struct live *l = open_running();
    tell(l, MESSAGE_END, 1);
    live_tick(l, clock_seconds());
    assert_non_null(strstr(hear(l), "\"turn\":1,\"position_us\":0,\"interrupted\":false,\"next_us\":0"));
    assert_null(strstr(said, "playback.started"));
    tell(l, MESSAGE_END, 1); /* it is over: nothing comes of saying so again */
    speak(l, 2, CHUNK * FRAME);
    tell(l, MESSAGE_END, 2);
    tell(l, MESSAGE_END, 3);
    speak(l, 4, 0); /* ended by the next one */
    speak(l, 5, CHUNK * FRAME);
    tell(l, MESSAGE_END, 0);
    tell(l, MESSAGE_END, 6);
    assert_string_equal(finished(play(l, 0)), "");
    make_chunk(l);
    assert_string_equal(finished(play(l, CHUNK - 1)), "");
    assert_string_equal(finished(play(l, CHUNK)), "2 3 4 ");
    make_chunk(l);
    assert_string_equal(finished(play(l, 2 * CHUNK - 1)), "");
    assert_string_equal(finished(play(l, 2 * CHUNK)), "5 6 ");
    assert_int_equal(l->turn_count + l->speech.count, 0);
}

static void a_turn_without_sound_is_interrupted_as_any_other(void **state) {
    (void)state;
    struct live *l = open_running();
    speak(l, 1, 0); /* before there is any sound at all */
    tell(l, MESSAGE_INTERRUPT, 1);
    assert_string_equal(finished(hear(l)), "1! ");
    speak(l, 2, CHUNK * FRAME);
    tell(l, MESSAGE_END, 3);
    tell(l, MESSAGE_END, 4);
    tell(l, MESSAGE_INTERRUPT, 3);
    assert_string_equal(finished(play(l, 0)), "2! 3! 4 ");
}

static void a_turn_for_which_there_is_no_room_is_over_at_once(void **state) {
    (void)state;
    struct live *l = open_running();
    for (uint32_t turn = 1; turn <= SPEECH_TURNS; turn++) speak(l, turn, 1);
    speak(l, SPEECH_TURNS + 1, 1);
    assert_non_null(strstr(hear(l), "speech_full"));
    tell(l, MESSAGE_END, SPEECH_TURNS + 1);
    assert_string_equal(finished(hear(l)), "65! ");
    tell(l, MESSAGE_END, SPEECH_TURNS + 1);
    assert_string_equal(finished(hear(l)), "");
}

/* Each of one sample, or of none. */
static void speak_turns(struct live *l, uint32_t from, uint32_t to, long samples) {
    for (uint32_t turn = from; turn <= to; turn++) {
        speak(l, turn, samples);
        tell(l, MESSAGE_END, turn);
    }
}

/* The client plays all that it has; returns the newest turn that is finished, after each of those before it. */
static uint32_t play_all(struct live *l, uint32_t told) {
    for (const char *at = finished(play(l, l->end)); *at; at = strchr(at, ' ') + 1)
        assert_int_equal(strtoul(at, NULL, 10), ++told);
    return told;
}

static void each_of_many_short_turns_is_finished(void **state) {
    (void)state;
    struct live *l = open_running();
    speak_turns(l, 1, 60, 1);
    for (int i = 0; i < 5; i++) make_chunk(l);
    speak_turns(l, 61, LIVE_TURNS + 2, 1);
    make_chunk(l);
    assert_int_equal(l->turn_count, LIVE_TURNS); /* two wait until one of them is finished */
    assert_int_equal(play_all(l, 0), LIVE_TURNS);
    make_chunk(l);
    assert_int_equal(play_all(l, LIVE_TURNS), LIVE_TURNS + 2);
    speak_turns(l, 67, 126, 1);
    for (int i = 0; i < 6; i++) make_chunk(l);
    speak_turns(l, 127, 140, 0);
    assert_int_equal(play_all(l, LIVE_TURNS + 2), 66 + LIVE_TURNS);
    assert_int_equal(play_all(l, 66 + LIVE_TURNS), 140); /* without another chunk */
}

/* ---- speech that comes as it is spoken ---- */

static void a_turn_begins_as_soon_as_a_chunk_can_be_filled(void **state) {
    (void)state;
    struct live *l = open_running();
    speak(l, 1, FIRST * FRAME - 1);
    assert_false(live_can_speak(l, live_wanted(l)));
    speak(l, 1, 1);
    assert_true(live_can_speak(l, live_wanted(l)));
}

/* Pieces of 20 ms, each up to 30 ms late, as they come from a network: silence of no more frames than the delays are
   long, once, and not of a chunk. */
static void what_comes_a_little_late_costs_no_chunk(void **state) {
    (void)state;
    enum { PIECES = 1000, PER_SECOND = 50 };
    struct live *l = open_running();
    unsigned noise = 1;
    double due = 0, came = 0;
    long silent = 0, spoken = 0;
    for (int i = 0; i < PIECES; i++) {
        noise = noise * 1664525u + 1013904223u;
        double comes = (i + 1.) / PER_SECOND + 0.03 * (noise >> 16) / 65536.;
        came = comes > came ? comes : came;
        while (due && due <= came) {
            long from = l->heard_end, to;
            make_chunk(l);
            for (to = l->heard_end; from < to; from++) {
                silent += !live_lane(l, from)->turn;
                spoken += live_lane(l, from)->turn == 1;
            }
            due += CHUNK / 25.;
        }
        speak(l, 1, FRAME / 2);
        if (!due && live_can_speak(l, live_wanted(l))) due = came;
    }
    assert_true(silent <= 1); /* 30 ms are less than a frame */
    assert_true(spoken > PIECES / 2 - 2 * FIRST);
}

static void what_comes_much_later_is_waited_for(void **state) {
    (void)state;
    struct live *l = open_running();
    speak(l, 1, FIRST * FRAME);
    make_chunk(l);
    speak(l, 1, 9 * FRAME);
    make_chunk(l);
    for (long n = FIRST; n < l->heard_end; n++) assert_int_equal(live_lane(l, n)->turn, 0);
    speak(l, 1, FRAME);
    make_chunk(l);
    for (long n = FIRST + CHUNK; n < l->heard_end; n++)
        assert_int_equal(live_lane(l, n)->turn, n < FIRST + CHUNK + 10 ? 1 : 0);
}

/* ---- whose turn it is ---- */

/* Whoever waits has done so since a moment that passes: nobody's deadline stays before, or moves with, that of others
   who are late. */
static void every_deadline_is_when_the_client_began_to_wait(void **state) {
    (void)state;
    double before = clock_seconds();
    struct live *l = open_live(REFERENCE_DEFAULT, 1);
    await(l, LIVE_PREPARED);
    double begun = live_candidate(l, before + 9).deadline;
    assert_true(begun >= before && begun <= clock_seconds());
    l->phase = LIVE_RUNNING;
    assert_true(live_candidate(l, before + 9).deadline == begun);
    make_chunk(l);
    play(l, 0);
    l->looping = server.loops = 1; /* a chunk of the clip, which the user's words cut short */
    l->listening = 1;
    double dry = playback_deadline(&l->playback, (int64_t)l->end * FRAME_US);
    assert_true(live_candidate(l, dry - 0.4).deadline == dry - 0.4);
    assert_true(live_candidate(l, dry + 1).deadline == dry);
    assert_true(live_candidate(l, dry - 0.4).due <= dry - 0.4);
    l->looping = l->listening = server.loops = 0;
    before = clock_seconds();
    live_break_off(l);
    assert_true(live_candidate(l, before + 9).deadline >= before);
    assert_true(live_candidate(l, before + 9).deadline <= clock_seconds());
    live_end(l, 1000, NULL, NULL);
    assert_true(live_candidate(l, before).deadline < 0); /* what it has is for others */
}

/* ---- the reference, and who comes back ---- */

static void send_reference(struct live *l, const void *bytes, size_t length, int flags) {
    const struct unit u = {.kind = UNIT_REFERENCE, .flags = flags, .length = (uint32_t)length};
    const char *error;
    CHECK(live_unit(l, &u, bytes, &error));
}

static void a_reference_is_judged_by_the_session_s_own_thread(void **state) {
    (void)state;
    struct live *l = open_live(REFERENCE_UPLOAD, 1);
    send_reference(l, "no picture", 10, UNIT_LAST);
    assert_int_equal(parted.count, 0);
    await(l, LIVE_ENDED);
    assert_non_null(strstr(parted.text, "bad_reference"));
    assert_false(pthread_equal(parted.by, pthread_self()));
}

static void who_was_told_a_token_can_come_back_whatever_it_waits_for(void **state) {
    (void)state;
    char token[TOKEN_LENGTH + 1], *bytes;
    size_t length;
    CHECK(file_read("docs/demo.png", 1 << 24, &bytes, &length));
    struct live *l = open_live(REFERENCE_UPLOAD, 0);
    server.capacity = 0;
    server_tick(&server, clock_seconds());
    assert_non_null(strstr(hear(l), "session.queued"));
    strcpy(token, l->token);
    assert_non_null(strstr(said, token));
    server.capacity = 1;
    server_tick(&server, clock_seconds());
    assert_true(l->admitted);
    for (int times = 0; times < 2; times++) { /* amid its reference */
        send_reference(l, bytes, length / 2, 0);
        live_detach(l);
        server_tick(&server, clock_seconds());
        assert_ptr_equal(server_resume(&server, token), l);
        live_attach(l, &connection, 1);
    }
    l->created -= 40; /* what counts is since when the client is there */
    server_tick(&server, clock_seconds());
    send_reference(l, bytes, length, UNIT_LAST);
    live_detach(l);
    await(l, LIVE_PREPARED);
    assert_ptr_equal(server_resume(&server, token), l);
    live_attach(l, &connection, 1);
    assert_non_null(strstr(hear(l), "session.created"));
    send_reference(l, bytes, length, UNIT_LAST); /* it could not know that it had come */
    assert_int_equal(l->phase, LIVE_PREPARED);
    free(bytes);
}

static void who_knows_no_token_leaves_nothing_behind(void **state) {
    (void)state;
    struct live *admitted = open_live(REFERENCE_UPLOAD, 1), *queued = open_live(REFERENCE_UPLOAD, 0);
    live_detach(admitted);
    live_detach(queued);
    assert_int_equal(admitted->phase, LIVE_ENDED);
    assert_int_equal(queued->phase, LIVE_ENDED);
}

/* ---- changes while streaming ---- */

static void ask_change(struct live *l, struct change_request change) {
    struct message m = {.type = MESSAGE_CHANGE, .change = change};
    const char *error;
    CHECK(live_message(l, &m, &error));
    message_free(&m);
}
/* Says nothing of what is REFERENCE_STAYS or negative. */
static struct change_request change_to(enum reference_kind reference, double talk, double listen) {
    return (struct change_request){.reference = reference, .talk = talk, .listen = listen};
}

static void await_change(const struct live *l) {
    for (int i = 0; i < 20000 && !l->change.ready; i++) {
        pthread_mutex_unlock(&server.lock);
        usleep(1000);
        pthread_mutex_lock(&server.lock);
    }
    assert_true(l->change.ready);
}

/* Half a picture changes nothing, nor does what came with it; the last word counts; a picture that nobody asked for is
   dropped. */
static void a_change_is_whole_or_none(void **state) {
    (void)state;
    char *bytes;
    size_t length;
    CHECK(file_read("docs/demo.png", 1 << 24, &bytes, &length));
    server.student.rollout.causal.sink = 1;
    struct live *l = open_running();
    send_reference(l, bytes, length, UNIT_LAST);
    assert_null(l->change.upload);
    ask_change(l, change_to(REFERENCE_UPLOAD, 3, -1));
    send_reference(l, bytes, length / 2, 0);
    ask_change(l, change_to(REFERENCE_STAYS, -1, 2));
    assert_false(live_change_to_read(l));
    assert_true(l->change.talk == 1 && l->change.listen == 1);
    assert_int_equal(live_passes(l), 3);
    live_detach(l);
    live_attach(l, &connection, 1);
    assert_int_equal(live_passes(l), 1);
    assert_null(l->change.upload);
    ask_change(l, change_to(REFERENCE_UPLOAD, 3, -1));
    send_reference(l, "no picture", 10, 0);
    ask_change(l, change_to(REFERENCE_UPLOAD, 2, -1));
    send_reference(l, bytes, length, UNIT_LAST);
    await_change(l);
    struct live_change made = live_change_take(l);
    assert_non_null(made.reference);
    assert_true(made.talk == 2 && made.listen == 1);
    assert_null(strstr(hear(l), "error"));
    assert_false(l->change.ready);
    free(made.reference);
    free(bytes);
}

/* A picture of any size, and one that never comes, end neither the session nor the memory. */
static void a_change_is_bounded(void **state) {
    (void)state;
    static const char zeros[1 << 20];
    server.student.rollout.causal.sink = 1;
    struct live *l = open_running();
    ask_change(l, change_to(REFERENCE_UPLOAD, -1, -1));
    for (int i = 0; i < 12; i++) {
        send_reference(l, zeros, sizeof zeros, 0);
        assert_true(l->change.upload_bytes <= 8 << 20);
    }
    assert_non_null(strstr(hear(l), "bad_change"));
    assert_null(l->change.upload);
    ask_change(l, change_to(REFERENCE_UPLOAD, 2, -1));
    live_tick(l, clock_seconds() + 29);
    assert_int_equal(live_passes(l), 3);
    live_tick(l, clock_seconds() + 31);
    assert_non_null(strstr(hear(l), "bad_change"));
    assert_int_equal(live_passes(l), 1);
    for (int i = 0; i < LIVE_CHANGES_AT_ONCE - 2; i++) ask_change(l, change_to(REFERENCE_STAYS, 1, -1));
    assert_null(strstr(hear(l), "change_busy"));
    ask_change(l, change_to(REFERENCE_STAYS, 1, -1));
    assert_non_null(strstr(hear(l), "change_busy"));
    l->change.asked_at -= 1;
    for (int i = 0; i < LIVE_CHANGES_A_SECOND; i++) ask_change(l, change_to(REFERENCE_STAYS, 1, -1));
    assert_null(strstr(hear(l), "change_busy"));
    assert_int_equal(l->phase, LIVE_RUNNING);
    server.student.rollout.causal.sink = 0;
    l->change.used = 0;
    ask_change(l, change_to(REFERENCE_DEFAULT, -1, -1));
    assert_non_null(strstr(hear(l), "no sink"));
}

/* The passes of guidance take places. */
static void guidance_takes_places(void **state) {
    (void)state;
    server.capacity = 8;
    server.passes_most = 4;
    struct live *l = open_running();
    ask_change(l, change_to(REFERENCE_STAYS, 2, 2));
    await_change(l);
    assert_int_equal(live_passes(l), 2);
    assert_int_equal(server_room(&server), SERVER_ROOM);
    struct live *other = open_running();
    ask_change(other, change_to(REFERENCE_STAYS, 2, 0));
    assert_non_null(strstr(hear(other), "change_busy"));
    assert_int_equal(live_passes(other), 1);
    ask_change(other, change_to(REFERENCE_STAYS, -1, 0));
    assert_int_equal(live_passes(other), 2);
    assert_int_equal(server_room(&server), SERVER_QUEUE);
    live_end(l, 1000, NULL, NULL);
    assert_int_equal(server_room(&server), SERVER_ROOM);
}

#define LIVE_TEST(test) cmocka_unit_test_setup_teardown(test, open_server, close_server)
int main(void) {
    const struct CMUnitTest tests[] = {
        LIVE_TEST(a_turn_without_sound_is_finished_after_those_before_it),
        LIVE_TEST(a_turn_without_sound_is_interrupted_as_any_other),
        LIVE_TEST(a_turn_for_which_there_is_no_room_is_over_at_once),
        LIVE_TEST(each_of_many_short_turns_is_finished),
        LIVE_TEST(a_turn_begins_as_soon_as_a_chunk_can_be_filled),
        LIVE_TEST(what_comes_a_little_late_costs_no_chunk),
        LIVE_TEST(what_comes_much_later_is_waited_for),
        LIVE_TEST(every_deadline_is_when_the_client_began_to_wait),
        LIVE_TEST(a_reference_is_judged_by_the_session_s_own_thread),
        LIVE_TEST(who_was_told_a_token_can_come_back_whatever_it_waits_for),
        LIVE_TEST(who_knows_no_token_leaves_nothing_behind),
        LIVE_TEST(a_change_is_whole_or_none),
        LIVE_TEST(a_change_is_bounded),
        LIVE_TEST(guidance_takes_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
