/* outbox.h: queue of what waits for a client's socket, in order. Video is bounded: when more than a second of it waits,
   it is dropped up to the next key frame. Sound and text are never dropped; they are bounded because they are made only
   as the client's playback asks for them. It has no lock: whoever owns it locks. */
#ifndef INFER_SERVE_OUTBOX_H
#define INFER_SERVE_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

#include "infer/serve/unit.h"

enum { OUTBOX_ROOM = 64, OUTBOX_PICTURES = 25 };
/* Times of a chunk in seconds: when its work was begun, and when the last of the user's sound that it hears came; 0:
   not said. */
struct parcel_times {
    double begun, user;
};
struct parcel {
    struct parcel *next;
    size_t length;
    int binary, kind;
    int64_t end_us; /* media time up to which the client has sound once this is sent; 0 if this is no sound */
    struct parcel_times times; /* set for a chunk's first picture */
    unsigned char *bytes;      /* OUTBOX_ROOM bytes before them belong to the network library */
};
struct outbox {
    struct parcel *first, **last;
    int pictures; /* pictures that wait */
    int starved;  /* 1: pictures are refused until a key frame comes */
    uint32_t sequence[UNIT_KINDS];
    long dropped; /* pictures dropped so far */
    size_t bytes; /* bytes of everything that waits */
};
void outbox_open(struct outbox *outbox);
void outbox_clear(struct outbox *outbox); /* empties it; sequence numbers go on */
int outbox_text(struct outbox *outbox, const char *text);
/* Appends a unit with its payload and sets its sequence number. times NULL: none. */
int outbox_unit(struct outbox *outbox, struct unit *unit, const void *payload, const struct parcel_times *times);
/* Drops all units and leaves the texts. 1: pictures were among them, so that the next has to be a key frame. */
int outbox_drop_units(struct outbox *outbox);
struct parcel *outbox_take(struct outbox *outbox); /* NULL: empty */
void parcel_free(struct parcel *parcel);

#endif
