/* reference.c: see reference.h. */
#include "infer/serve/reference.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "data/media.h"

static const unsigned char png_magic[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
enum { PNG_HEADER = 24 };

static int big(const unsigned char *at, int bytes) {
    unsigned value = 0;
    for (int i = 0; i < bytes; i++) value = value << 8 | at[i];
    return value > 1u << 30 ? 1 << 30 : (int)value;
}

/* Finds the frame header of a JPEG: a marker from FF C0 to FF CF, except C4, C8 and CC. 0: there is none. */
static size_t jpeg_frame(const unsigned char *bytes, size_t length) {
    size_t at = 2;
    while (at + 9 <= length && bytes[at] == 0xff) {
        int marker = bytes[at + 1];
        if (marker == 0xff) { /* fill byte */
            at++;
            continue;
        }
        if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc) return at;
        if (marker == 0xda || marker == 0xd9) return 0;
        at += 2 + (size_t)big(bytes + at + 2, 2);
    }
    return 0;
}

int reference_check(const unsigned char *bytes, size_t length, int *height, int *width) {
    *height = *width = 0;
    if (length >= PNG_HEADER && !memcmp(bytes, png_magic, sizeof png_magic)) {
        *width = big(bytes + 16, 4);
        *height = big(bytes + 20, 4);
    } else if (length > 4 && bytes[0] == 0xff && bytes[1] == 0xd8) {
        size_t frame = jpeg_frame(bytes, length);
        if (frame) {
            *height = big(bytes + frame + 5, 2);
            *width = big(bytes + frame + 7, 2);
        }
    } else {
        return error_set(ERR_INPUT, "the reference is neither PNG nor JPEG");
    }
    if (*height < 1 || *width < 1) return error_set(ERR_INPUT, "the reference is damaged");
    if (*height > REFERENCE_SIDE_MAX || *width > REFERENCE_SIDE_MAX)
        return error_set(ERR_INPUT, "the reference has %d x %d pixels; %d x %d is the most", *width, *height,
                         REFERENCE_SIDE_MAX, REFERENCE_SIDE_MAX);
    return OK;
}

static int write_all(int file, const unsigned char *bytes, size_t length) {
    while (length) {
        ssize_t n = write(file, bytes, length);
        if (n <= 0) return 0;
        bytes += n;
        length -= (size_t)n;
    }
    return 1;
}

/* Reads the picture through a file in memory and the reader of files, so that it is the picture that `stream` sees. */
int reference_read(const unsigned char *bytes, size_t length, int height, int width, float *picture) {
    char path[64];
    int file = memfd_create("reference", MFD_CLOEXEC);
    if (file < 0 || !write_all(file, bytes, length)) {
        if (file >= 0) close(file);
        return error_set(ERR_DEVICE, "out of memory for a reference");
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    int code = image_read(path, height, width, picture);
    close(file);
    return code ? error_set(code, "the reference is damaged") : OK;
}
