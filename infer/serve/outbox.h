/* outbox.h: what waits for a client's socket, in order. Video is bounded: where more than a second of it waits, it is
   dropped up to the next key frame. Sound and text are never dropped; what makes them waits for the client's
   playback. Not locked: its owner is. */
#ifndef INFER_SERVE_OUTBOX_H
#define INFER_SERVE_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

#include "infer/serve/unit.h"

enum { OUTBOX_ROOM = 64, OUTBOX_PICTURES = 25 };
/* When the work on a chunk was begun, and when the last of the user's sound that it hears came (seconds); 0: not
   said. */
struct parcel_times {
    double begun, user;
};
struct parcel {
    struct parcel *next;
    size_t length;
    int binary, kind;
    int64_t end_us;            /* media time that the client has once this is sent; of sound alone, else 0 */
    struct parcel_times times; /* of a chunk's first picture */
    unsigned char *bytes;      /* with OUTBOX_ROOM bytes before them for the network library */
};
struct outbox {
    struct parcel *first, **last;
    int pictures; /* that wait */
    int starved;  /* pictures are refused until a key frame */
    uint32_t sequence[UNIT_KINDS];
    long dropped; /* pictures, in all */
    size_t bytes; /* of everything that waits */
};
void outbox_open(struct outbox *outbox);
void outbox_clear(struct outbox *outbox); /* sequence numbers go on */
int outbox_text(struct outbox *outbox, const char *text);
/* A unit with its payload; its sequence is set. times NULL: none. */
int outbox_unit(struct outbox *outbox, struct unit *unit, const void *payload, const struct parcel_times *times);
/* Drops all units and leaves the texts; 1: pictures were among them, so that the next has to be a key frame. */
int outbox_drop_units(struct outbox *outbox);
struct parcel *outbox_take(struct outbox *outbox); /* NULL: empty */
void parcel_free(struct parcel *parcel);

#endif
