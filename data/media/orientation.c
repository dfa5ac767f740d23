/* orientation.c: see orientation.h. */
#include "data/media/orientation.h"

#include <stdlib.h>
#include <string.h>

struct orientation orientation_of_exif(int number) {
    static const struct orientation all[] = {{0, 0, 0}, {0, 1, 0}, {0, 1, 1}, {0, 0, 1},
                                             {1, 0, 0}, {1, 1, 0}, {1, 1, 1}, {1, 0, 1}};
    return all[number >= 1 && number <= 8 ? number - 1 : 0];
}

/* (x', y') = (a x + c y, b x + d y) with the matrix a b u c d v x y w. */
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

/* The first directory's entry ORIENTATION, a SHORT. */
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

/* In some writers' chunks the JPEG marker's "Exif\0\0" stands before the TIFF. */
static int chunk_orientation(const unsigned char *bytes, size_t length) {
    int marked = length > 6 && !memcmp(bytes, "Exif\0\0", 6);
    return marked ? tiff_orientation(bytes + 6, length - 6) : tiff_orientation(bytes, length);
}

static int jpeg_orientation(const unsigned char *bytes, size_t length) {
    enum { APP1 = 0xe1, START_OF_SCAN = 0xda };
    for (size_t at = 2; at + 4 <= length && bytes[at] == 0xff && bytes[at + 1] != START_OF_SCAN;) {
        if (bytes[at + 1] == 0xff) { /* filling */
            at++;
            continue;
        }
        size_t size = (size_t)bytes[at + 2] << 8 | bytes[at + 3]; /* counts its own two bytes */
        if (size < 2 || size > length - at - 2) return 1;
        if (bytes[at + 1] == APP1 && size > 8 && !memcmp(bytes + at + 4, "Exif\0\0", 6))
            return chunk_orientation(bytes + at + 4, size - 2);
        at += 2 + size;
    }
    return 1;
}

static int png_orientation(const unsigned char *bytes, size_t length) {
    const struct tiff t = {bytes, length, 1};
    for (size_t at = 8; at + 12 <= length;) { /* length, name, data, sum */
        size_t size = number_at(&t, at, 4);
        if (size > length - at - 12) return 1;
        if (!memcmp(bytes + at + 4, "eXIf", 4)) return chunk_orientation(bytes + at + 8, size);
        at += 12 + size;
    }
    return 1;
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
