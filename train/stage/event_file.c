/* event_file.c: see event_file.h. Fields used (tensorflow/core/util/event.proto, summary.proto):
   Event {1: double wall_time, 2: int64 step, 3: string file_version, 5: Summary}; Summary {1: repeated Value};
   Value {1: string tag, 2: float simple_value}. */
#include "train/stage/event_file.h"

#include <math.h>
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };
enum { VALUE_MAX = METRICS_NAME_MAX + 16, EVENT_MAX = 64 + METRICS_MAX * (VALUE_MAX + 4) };

uint32_t event_crc(const void *bytes, size_t length) {
    const unsigned char *p = bytes;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < length; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return ~crc;
}

uint32_t event_masked_crc(const void *bytes, size_t length) {
    uint32_t crc = event_crc(bytes, length);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/* A message under construction. The limits of metrics.h keep it below EVENT_MAX bytes. */
struct message {
    unsigned char bytes[EVENT_MAX];
    size_t used;
};

static void put_raw(struct message *m, const void *bytes, size_t n) {
    memcpy(m->bytes + m->used, bytes, n);
    m->used += n;
}

static void put_little(struct message *m, uint64_t v, int bytes) {
    for (int i = 0; i < bytes; i++) m->bytes[m->used++] = (unsigned char)(v >> (8 * i));
}

static void put_varint(struct message *m, uint64_t v) {
    for (; v >= 128; v >>= 7) m->bytes[m->used++] = (unsigned char)(v | 128);
    m->bytes[m->used++] = (unsigned char)v;
}

static void put_tag(struct message *m, int field, int wire) { put_varint(m, (uint64_t)(field << 3 | wire)); }

static void put_bytes(struct message *m, int field, const void *bytes, size_t n) {
    put_tag(m, field, WIRE_BYTES);
    put_varint(m, n);
    put_raw(m, bytes, n);
}

static void put_time(struct message *m, double wall_time) {
    uint64_t bits;
    memcpy(&bits, &wall_time, 8);
    put_tag(m, 1, WIRE_64);
    put_little(m, bits, 8);
}

static void write_record(FILE *file, const struct message *m) {
    struct message head = {.used = 0}, tail = {.used = 0};
    put_little(&head, m->used, 8);
    put_little(&head, event_masked_crc(head.bytes, 8), 4);
    put_little(&tail, event_masked_crc(m->bytes, m->used), 4);
    fwrite(head.bytes, 1, head.used, file);
    fwrite(m->bytes, 1, m->used, file);
    fwrite(tail.bytes, 1, tail.used, file);
}

void event_write_header(FILE *file, double wall_time) {
    struct message m = {.used = 0};
    put_time(&m, wall_time);
    put_bytes(&m, 3, "brain.Event:2", 13);
    write_record(file, &m);
}

void event_write(FILE *file, double wall_time, long step, const struct metric *list, int count) {
    struct message event = {.used = 0}, summary = {.used = 0};
    for (int i = 0; i < count; i++) {
        if (!isfinite(list[i].value)) continue;
        struct message value = {.used = 0};
        float v = (float)list[i].value;
        uint32_t bits;
        memcpy(&bits, &v, 4);
        put_bytes(&value, 1, list[i].name, strnlen(list[i].name, METRICS_NAME_MAX));
        put_tag(&value, 2, WIRE_32);
        put_little(&value, bits, 4);
        put_bytes(&summary, 1, value.bytes, value.used);
    }
    put_time(&event, wall_time);
    put_tag(&event, 2, WIRE_VARINT);
    put_varint(&event, (uint64_t)step);
    put_bytes(&event, 5, summary.bytes, summary.used);
    write_record(file, &event);
}
