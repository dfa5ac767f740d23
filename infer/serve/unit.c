/* unit.c: see unit.h. */
#include "infer/serve/unit.h"

#include "base/error.h"

enum { FLAGS = UNIT_KEY | UNIT_FIRST | UNIT_LAST | UNIT_CLIP };

static void put(unsigned char *at, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) at[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t get(const unsigned char *at, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)at[i] << 8 * i;
    return value;
}

void unit_pack(unsigned char header[UNIT_HEADER], const struct unit *u) {
    put(header, (uint64_t)u->kind, 1);
    put(header + 1, (uint64_t)u->flags, 1);
    put(header + 2, 0, 2);
    put(header + 4, u->turn, 4);
    put(header + 8, (uint64_t)u->time_us, 8);
    put(header + 16, u->length, 4);
    put(header + 20, u->sequence, 4);
}

int unit_unpack(struct unit *u, const unsigned char *message, size_t size) {
    if (size < UNIT_HEADER) return error_set(ERR_INPUT, "a unit of %zu bytes has no header", size);
    *u = (struct unit){.kind = message[0],
                       .flags = message[1],
                       .turn = (uint32_t)get(message + 4, 4),
                       .time_us = (int64_t)get(message + 8, 8),
                       .length = (uint32_t)get(message + 16, 4),
                       .sequence = (uint32_t)get(message + 20, 4)};
    if (u->kind < UNIT_VIDEO || u->kind >= UNIT_KINDS) return error_set(ERR_INPUT, "no unit is of kind %d", u->kind);
    if (u->flags & ~FLAGS || message[2] || message[3]) return error_set(ERR_INPUT, "a unit's flags are not known");
    if (u->length != size - UNIT_HEADER)
        return error_set(ERR_INPUT, "a unit of %zu bytes says that its payload has %u", size, u->length);
    return OK;
}
