/* matroska_size.c: see matroska_size.h. */
#include "data/media/matroska_size.h"

#include <stdio.h>
#include <sys/stat.h>

enum { EBML_HEADER = 0x1a45dfa3, SEGMENT = 0x18538067 };

/* Reads a number of 1 to 8 bytes: an identifier, which includes its length marker, or a size, which does not. *unknown
   1: a size whose bits are all ones. Returns -1 if there is none. */
static int read_number(FILE *file, int is_size, uint64_t *value, int *unknown) {
    int first = fgetc(file), length = 1;
    if (first <= 0) return -1;
    while (!(first & (0x80 >> (length - 1)))) length++;
    int kept = is_size ? first & (0xff >> length) : first, ones = kept == 0xff >> length;
    *value = (uint64_t)kept;
    for (int i = 1; i < length; i++) {
        int byte = fgetc(file);
        if (byte < 0) return -1;
        *value = *value << 8 | (uint64_t)byte;
        ones &= byte == 0xff;
    }
    *unknown = ones;
    return 0;
}

/* Returns the offset at which the Segment ends; 0: unknown. */
static uint64_t segment_end(FILE *file) {
    uint64_t id, size;
    int unknown;
    if (read_number(file, 0, &id, &unknown) || id != EBML_HEADER || read_number(file, 1, &size, &unknown) || unknown ||
        size > 1 << 20 || fseek(file, (long)size, SEEK_CUR))
        return 0;
    if (read_number(file, 0, &id, &unknown) || id != SEGMENT || read_number(file, 1, &size, &unknown) || unknown)
        return 0;
    long at = ftell(file);
    return at < 0 ? 0 : (uint64_t)at + size;
}

int matroska_is_cut(const char *path, uint64_t *have, uint64_t *promised) {
    struct stat info;
    FILE *file = !stat(path, &info) && S_ISREG(info.st_mode) ? fopen(path, "rb") : NULL;
    if (!file) return 0;
    *promised = segment_end(file);
    *have = (uint64_t)info.st_size;
    fclose(file);
    return *have < *promised;
}
