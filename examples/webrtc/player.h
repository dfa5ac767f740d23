/* player.h: plays a session's units in time, as docs/protocol.md, section "Time", asks of a client. Units come up to a
   chunk early and leave one by one, each at its time by a clock that the sound sets. */
#ifndef EXAMPLES_WEBRTC_PLAYER_H
#define EXAMPLES_WEBRTC_PLAYER_H

#include <glib.h>

enum { UNIT_HEADER = 24, UNIT_VIDEO = 1, UNIT_AGENT = 2, UNIT_USER = 3, UNIT_REFERENCE = 4 };
enum { UNIT_KEY = 1, UNIT_FIRST = 2 };
enum { PLAYER_NOTE = 0 }; /* kind of a note: a text message that is valid from its media time on */

struct player;
/* Receives a picture, 20 ms of sound (as much as an Opus packet; two packets at once would look like jitter), or a
   note's text, each at its time: `due_us` by the clock of player_play's now_us. */
typedef void player_emit(void *user, int kind, gint64 due_us, GBytes *payload);

struct player *player_new(player_emit *emit, void *user);
void player_free(struct player *player);
/* Takes a binary message of the server, 24 bytes or more; kinds other than sound and pictures are passed over. */
void player_unit(struct player *player, GBytes *message, gint64 now_us);
void player_note(struct player *player, gint64 media_us, const char *text);
/* Handles an interruption: units with times before `next_us` are thrown away, also those that are still to come. */
void player_flush(struct player *player, gint64 next_us);
/* Emits all that is due. now_us: any clock that only rises, in microseconds. */
void player_play(struct player *player, gint64 now_us);
/* Media time that is played now; -1: nothing has been played yet. */
gint64 player_position(const struct player *player, gint64 now_us);
/* Number of times that the sound ran out. */
int player_dry(const struct player *player);

#endif
