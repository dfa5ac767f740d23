/* unit.h: binary messages of the live protocol (docs/protocol.md): a header of 24 bytes, little-endian, and a
   payload. */
#ifndef INFER_SERVE_UNIT_H
#define INFER_SERVE_UNIT_H

#include <stddef.h>
#include <stdint.h>

enum { UNIT_HEADER = 24, UNIT_BYTES_MAX = 1 << 20 /* with its header */ };
enum unit_kind { UNIT_VIDEO = 1, UNIT_AGENT, UNIT_USER, UNIT_REFERENCE, UNIT_KINDS };
enum unit_flag { UNIT_KEY = 1, UNIT_FIRST = 2, UNIT_LAST = 4, UNIT_CLIP = 8 };

struct unit {
    int kind, flags;
    uint32_t turn;     /* whose speech sounds at that time; 0: none */
    int64_t time_us;   /* media time */
    uint32_t length;   /* bytes of payload */
    uint32_t sequence; /* of this kind and direction */
};
void unit_pack(unsigned char header[UNIT_HEADER], const struct unit *unit);
/* The header of a whole message; its payload follows the header. ERR_INPUT: a kind or flag that is not known, or a
   length that is not the message's. */
int unit_unpack(struct unit *unit, const unsigned char *message, size_t size);

#endif
