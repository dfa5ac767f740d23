/* test_player.c: the clock of the bridge to WebRTC (examples/webrtc/player.c) against docs/protocol.md
   (Time). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "examples/webrtc/player.h"

enum { MOST = 64, FRAME = 40000, HAND = 40000 };

static struct {
    int kind;
    gint64 due;
    gsize bytes;
} out[MOST];
static int count;

static void emit(void *user, int kind, gint64 due_us, GBytes *payload) {
    (void)user;
    assert_true(count < MOST);
    out[count].kind = kind;
    out[count].due = due_us;
    out[count++].bytes = g_bytes_get_size(payload);
}

static void send(struct player *p, int kind, int flags, gint64 media_us, gint64 now) {
    guint8 unit[UNIT_HEADER + 8] = {(guint8)kind, (guint8)flags};
    for (int i = 0; i < 8; i++) unit[8 + i] = (guint8)((guint64)media_us >> 8 * i);
    GBytes *message = g_bytes_new(unit, sizeof unit);
    player_unit(p, message, now);
    g_bytes_unref(message);
}

/* Frames from..to as a chunk brings them: all at once, sound before its picture. */
static void send_chunk(struct player *p, int from, int to, int flags, gint64 now) {
    for (int i = from; i < to; i++) {
        send(p, UNIT_AGENT, i == from ? flags : 0, (gint64)i * FRAME, now);
        send(p, UNIT_VIDEO, i == from ? flags : 0, (gint64)i * FRAME, now);
    }
}

static struct player *begin(int frames, gint64 now) {
    struct player *p = player_new(emit, NULL);
    count = 0;
    send_chunk(p, 0, frames, UNIT_FIRST, now);
    return p;
}

static void plays_in_time(void **state) {
    (void)state;
    struct player *p = begin(3, 1000);
    assert_true(player_position(p, 1000) < 0);
    player_play(p, 1000 + HAND - 1);
    assert_int_equal(count, 0); /* 40 ms are in hand first */
    player_play(p, 1000 + HAND);
    assert_int_equal(count, 2); /* half of the sound, and its picture */
    assert_int_equal(out[0].kind, UNIT_AGENT);
    assert_int_equal(out[0].bytes, 4);
    assert_int_equal(out[1].kind, UNIT_VIDEO);
    assert_int_equal(out[1].bytes, 8);
    player_play(p, 1000 + HAND + FRAME / 2);
    assert_int_equal(count, 3);
    assert_int_equal(player_position(p, 1000 + HAND + FRAME / 2), FRAME / 2);
    player_play(p, 1000 + HAND + 2 * FRAME + 5000); /* a timer that is late moves nothing */
    assert_int_equal(count, 8);
    assert_int_equal(out[6].due, 1000 + HAND + 2 * FRAME);
    assert_int_equal(out[7].due, out[6].due);
    assert_int_equal(player_dry(p), 0);
    player_free(p);
}

static void makes_up_no_time(void **state) {
    (void)state;
    struct player *p = begin(2, 0);
    gint64 late = HAND + 2 * FRAME + 100000;
    player_play(p, late);
    assert_int_equal(player_position(p, late), 2 * FRAME); /* the clock stands where the sound ends */
    count = 0;
    send_chunk(p, 2, 4, 0, late);
    player_play(p, late);
    assert_int_equal(count, 2);
    assert_int_equal(out[0].due, late);
    assert_int_equal(out[1].due, late);
    assert_int_equal(player_dry(p), 1);
    player_play(p, late + FRAME - 1);
    assert_int_equal(count, 3); /* the other half of the sound, not the next frame */
    player_free(p);
}

static void throws_away_what_was_interrupted(void **state) {
    (void)state;
    struct player *p = begin(12, 0);
    player_play(p, HAND);
    player_note(p, (gint64)5 * FRAME, "a state that still holds");
    player_flush(p, (gint64)24 * FRAME);
    send_chunk(p, 12, 13, 0, HAND); /* was on its way */
    count = 0;
    player_play(p, HAND + 1000000);
    assert_int_equal(count, 1);
    assert_int_equal(out[0].kind, PLAYER_NOTE);
    send_chunk(p, 24, 25, UNIT_FIRST, 2000000);
    player_play(p, 2000000 + HAND);
    assert_int_equal(count, 3);
    assert_int_equal(out[1].due, 2000000 + HAND); /* the clock is set anew */
    assert_int_equal(player_dry(p), 0);
    player_free(p);
}

static void notes_wait_for_their_time(void **state) {
    (void)state;
    struct player *p = begin(3, 0);
    player_note(p, FRAME, "speaking");
    player_play(p, HAND + FRAME - 1);
    assert_int_equal(count, 3);
    player_play(p, HAND + FRAME);
    assert_int_equal(count, 6);
    send(p, UNIT_USER, 0, 2 * FRAME, 0);
    player_play(p, HAND + 3 * FRAME);
    assert_int_equal(count, 10); /* what is neither sound nor picture is passed over */
    player_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(plays_in_time), cmocka_unit_test(makes_up_no_time),
                                       cmocka_unit_test(throws_away_what_was_interrupted),
                                       cmocka_unit_test(notes_wait_for_their_time)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
