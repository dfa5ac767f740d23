/* wav_head.c: see wav_head.h. A wav file is chunks of name (4 bytes), length (4, little-endian) and data, filled up to
   an even length, behind "RIFF", a length and "WAVE". */
#include "data/media/wav_head.h"

#include <string.h>

enum { WORD = 4, FORMAT = 16, EXTENDED = 26, INTEGERS = 1, FLOATS = 3, EXTENSIBLE = 0xfffe };

static unsigned long little(const unsigned char *bytes, int count) {
    unsigned long value = 0;
    for (int i = 0; i < count; i++) value |= (unsigned long)bytes[i] << 8 * i;
    return value;
}

/* Reads the chunk "fmt "; returns 0 if it states a format that we do not know. */
static int read_format(struct wav_head *head, const unsigned char *chunk, unsigned long size) {
    static const struct {
        unsigned long tag, bits;
        const char *name;
    } kinds[] = {{INTEGERS, 8, "u8"},     {INTEGERS, 16, "s16le"}, {INTEGERS, 24, "s24le"},
                 {INTEGERS, 32, "s32le"}, {FLOATS, 32, "f32le"},   {FLOATS, 64, "f64le"}};
    unsigned long tag = little(chunk, 2), bits = little(chunk + 14, 2);
    if (tag == EXTENSIBLE && size >= EXTENDED) tag = little(chunk + 24, 2);
    head->channels = (int)little(chunk + 2, 2);
    head->rate = (int)little(chunk + 4, 4);
    head->samples = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].tag == tag && kinds[i].bits == bits) head->samples = kinds[i].name;
    return head->samples && head->channels >= 1 && head->channels <= 64 && head->rate >= 100 && head->rate <= 10000000;
}

int wav_head_take(struct wav_head *head, struct byte_source *source) {
    const unsigned char *bytes;
    int at = 3 * WORD, known = 0;
    if (byte_source_look(source, at, &bytes) < at || memcmp(bytes, "RIFF", WORD) ||
        memcmp(bytes + 2 * WORD, "WAVE", WORD))
        return 0;
    for (;;) {
        if (byte_source_look(source, at + 2 * WORD, &bytes) < at + 2 * WORD) return 0;
        unsigned long size = little(bytes + at + WORD, WORD);
        if (!memcmp(bytes + at, "data", WORD)) {
            if (!known) return 0;
            byte_source_pass(source, at + 2 * WORD);
            /* writers that do not know the length write 0 or a very large number */
            if (size && size < 0x7fff0000) byte_source_end_after(source, (long)size);
            return 1;
        }
        if (size > BYTES_AHEAD) return 0;
        int end = at + 2 * WORD + (int)(size + size % 2);
        if (!memcmp(bytes + at, "fmt ", WORD)) {
            if (size < FORMAT || byte_source_look(source, end, &bytes) < end) return 0;
            known = read_format(head, bytes + at + 2 * WORD, size);
        }
        at = end;
    }
}
