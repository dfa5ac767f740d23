/* unit.h: binary messages of the live protocol (docs/protocol.md): a header of 24 bytes, little-endian, and a
   payload. */
#ifndef INFER_SERVE_UNIT_H
#define INFER_SERVE_UNIT_H

#include <stddef.h>
#include <stdint.h>

enum { UNIT_HEADER = 24, UNIT_BYTES_MAX = 1 << 20 /* header and payload */ };
enum unit_kind { UNIT_VIDEO = 1, UNIT_AGENT, UNIT_USER, UNIT_REFERENCE, UNIT_KINDS };
enum unit_flag { UNIT_KEY = 1, UNIT_FIRST = 2, UNIT_LAST = 4, UNIT_CLIP = 8 };

struct unit {
    int kind, flags;
    uint32_t turn;     /* turn of the agent's that sounds at that time; 0: none */
    int64_t time_us;   /* media time */
    uint32_t length;   /* bytes of payload */
    uint32_t sequence; /* counts the units of this kind in this direction, from 0 */
};
void unit_pack(unsigned char header[UNIT_HEADER], const struct unit *unit);
/* Reads the header of a whole message; the payload lies behind it. ERR_INPUT: a kind or flag that is not known, or a
   length that is not the message's. */
int unit_unpack(struct unit *unit, const unsigned char *message, size_t size);

#endif
