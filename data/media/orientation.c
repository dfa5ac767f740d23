/* orientation.c: see orientation.h. */
#include "data/media/orientation.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct orientation orientation_of_exif(int number) {
    static const struct orientation all[] = {{0, 0, 0}, {0, 1, 0}, {0, 1, 1}, {0, 0, 1},
                                             {1, 0, 0}, {1, 1, 0}, {1, 1, 1}, {1, 0, 1}};
    return all[number >= 1 && number <= 8 ? number - 1 : 0];
}

/* With the matrix a b u, c d v, x y w a point moves to (x', y') = (a x + c y, b x + d y). */
struct orientation orientation_of_matrix(const int32_t m[9]) {
    int64_t a = m[0], b = m[1], c = m[3], d = m[4];
    if (llabs(a) + llabs(d) >= llabs(b) + llabs(c)) return (struct orientation){0, a < 0, d < 0};
    return (struct orientation){1, c < 0, b < 0};
}

/* ---- EXIF: a TIFF file of its own; bytes are little-endian (II) or big-endian (MM) ---- */

struct tiff {
    const unsigned char *bytes;
    size_t length;
    int big;
};

static unsigned long number_at(const struct tiff *t, size_t at, int size) {
    unsigned long value = 0;
    for (int i = 0; i < size; i++) value |= (unsigned long)t->bytes[at + (size_t)i] << 8 * (t->big ? size - 1 - i : i);
    return value;
}

/* Returns the entry ORIENTATION, a SHORT, of the first directory. */
static int tiff_orientation(const unsigned char *bytes, size_t length) {
    enum { HEAD = 8, ENTRY = 12, ORIENTATION = 0x112, SHORT = 3 };
    if (length < HEAD || (memcmp(bytes, "II*\0", 4) && memcmp(bytes, "MM\0*", 4))) return 1;
    const struct tiff t = {bytes, length, *bytes == 'M'};
    size_t directory = number_at(&t, 4, 4);
    if (directory > length - 2) return 1;
    size_t entries = number_at(&t, directory, 2), room = (length - directory - 2) / ENTRY;
    for (size_t i = 0; i < entries && i < room; i++) {
        size_t at = directory + 2 + ENTRY * i;
        if (number_at(&t, at, 2) != ORIENTATION || number_at(&t, at + 2, 2) != SHORT) continue;
        unsigned long value = number_at(&t, at + 8, 2);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

/* Reads the EXIF of a JPEG's segment or of a chunk. JPEG and some other writers put the JPEG marker's "Exif\0\0" in
   front of the TIFF. */
static int chunk_orientation(const unsigned char *bytes, size_t length) {
    int marked = length > 6 && !memcmp(bytes, "Exif\0\0", 6);
    return marked ? tiff_orientation(bytes + 6, length - 6) : tiff_orientation(bytes, length);
}

static int jpeg_orientation(const unsigned char *bytes, size_t length) {
    enum { APP1 = 0xe1, START_OF_SCAN = 0xda };
    for (size_t at = 2; at + 4 <= length && bytes[at] == 0xff && bytes[at + 1] != START_OF_SCAN;) {
        if (bytes[at + 1] == 0xff) { /* fill byte */
            at++;
            continue;
        }
        size_t size = (size_t)bytes[at + 2] << 8 | bytes[at + 3]; /* includes these two bytes */
        if (size < 2 || size > length - at - 2) return 1;
        if (bytes[at + 1] == APP1 && size > 8 && !memcmp(bytes + at + 4, "Exif\0\0", 6))
            return chunk_orientation(bytes + at + 4, size - 2);
        at += 2 + size;
    }
    return 1;
}

/* Reads the EXIF of older PNG writers (ImageMagick's form), a text that has a line with a name, a number of bytes, and
   the bytes in hexadecimal digits. */
static int profile_orientation(const unsigned char *text, size_t length) {
    enum { BYTES = 65536 };
    static const char digits[] = "0123456789abcdef";
    int number = 1, lines = 0, high = -1;
    unsigned char *bytes = malloc(BYTES);
    size_t count = 0, at = 0;
    while (at < length && text[at] == '\n') at++;
    while (at < length && lines < 2) lines += text[at++] == '\n';
    for (; bytes && at < length && count < BYTES; at++) {
        const char *digit = text[at] ? strchr(digits, text[at] | 0x20) : NULL; /* case does not matter */
        if (!digit || text[at] <= ' ') continue;
        int value = (int)(digit - digits);
        if (high >= 0) bytes[count++] = (unsigned char)(high << 4 | value);
        high = high >= 0 ? -1 : value;
    }
    if (bytes) number = chunk_orientation(bytes, count);
    free(bytes);
    return number;
}

/* Reads a chunk of text; zTXt is compressed, iTXt may be. Profiles of up to 256 KiB are read. */
static int text_orientation(const unsigned char *chunk, const unsigned char *data, size_t size) {
    static const char *const names[] = {"Raw profile type exif", "Raw profile type APP1"};
    enum { UNPACKED = 1 << 18 };
    int named = 0, packed = !memcmp(chunk, "zTXt", 4), wide = !memcmp(chunk, "iTXt", 4), number = 1;
    if (!packed && !wide && memcmp(chunk, "tEXt", 4)) return 1;
    size_t at = strlen(names[0]) + 1;
    for (int i = 0; i < 2; i++) named |= size > at && !memcmp(data, names[i], at);
    if (!named) return 1;
    if (packed) at++; /* the compression method, of which there is one */
    if (wide) {
        if (size - at < 2) return 1;
        packed = data[at] == 1;
        at += 2;
        for (int zeros = 0; zeros < 2; at++) { /* language, translated name */
            if (at >= size) return 1;
            zeros += !data[at];
        }
    }
    if (at > size) return 1;
    if (!packed) return profile_orientation(data + at, size - at);
    unsigned char *text = malloc(UNPACKED);
    uLongf length = UNPACKED;
    int code = text ? uncompress(text, &length, data + at, size - at) : Z_MEM_ERROR;
    if (code == Z_OK) number = profile_orientation(text, length);
    free(text);
    return number;
}

/* Reads a PNG. Its own chunk for EXIF takes precedence over a text. */
static int png_orientation(const unsigned char *bytes, size_t length) {
    const struct tiff t = {bytes, length, 1};
    int number = 1;
    for (size_t at = 8; at + 12 <= length;) { /* length, name, data, sum */
        size_t size = number_at(&t, at, 4);
        if (size > length - at - 12) return number;
        if (!memcmp(bytes + at + 4, "eXIf", 4)) return chunk_orientation(bytes + at + 8, size);
        if (number == 1) number = text_orientation(bytes + at + 4, bytes + at + 8, size);
        at += 12 + size;
    }
    return number;
}

static int webp_orientation(const unsigned char *bytes, size_t length) {
    const struct tiff t = {bytes, length, 0};
    for (size_t at = 12; at + 8 <= length;) { /* name, length, data, filled up to an even length */
        size_t size = number_at(&t, at + 4, 4);
        if (size > length - at - 8) return 1;
        if (!memcmp(bytes + at, "EXIF", 4)) return chunk_orientation(bytes + at + 8, size);
        at += 8 + size + size % 2;
    }
    return 1;
}

int exif_orientation(const unsigned char *bytes, size_t length) {
    if (length > 4 && !memcmp(bytes, "\xff\xd8\xff", 3)) return jpeg_orientation(bytes, length);
    if (length > 8 && !memcmp(bytes, "\x89PNG\r\n\x1a\n", 8)) return png_orientation(bytes, length);
    if (length > 12 && !memcmp(bytes, "RIFF", 4) && !memcmp(bytes + 8, "WEBP", 4))
        return webp_orientation(bytes, length);
    return tiff_orientation(bytes, length);
}
