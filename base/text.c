/* text.c: see text.h. */
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fileio.h"

int text_line_number(const char *text, const char *at) {
    int line = 1;
    for (const char *c = text; c < at; c++) line += *c == '\n' || (*c == '\r' && c[1] != '\n');
    return line;
}

/* Refuses what is no text, and removes the byte order mark. */
static int check(const char *path, char *text, size_t length) {
    if (length >= 2 && (!memcmp(text, "\xff\xfe", 2) || !memcmp(text, "\xfe\xff", 2)))
        return error_set(ERR_INPUT, "%s:1: is UTF-16 text; expected UTF-8", path);
    if (strlen(text) < length)
        return error_set(ERR_INPUT, "%s:%d: a zero byte: this is no text", path,
                         text_line_number(text, text + strlen(text)));
    if (length >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) memmove(text, text + 3, length - 2);
    return OK;
}

int text_read(const char *path, size_t max, char **text) {
    size_t length;
    TRY(file_read(path, max, text, &length));
    int code = check(path, *text, length);
    if (!code) return OK;
    free(*text);
    *text = NULL;
    return code;
}

char *text_line(char **next) {
    char *line = *next;
    if (!line || !*line) return NULL;
    char *end = line + strcspn(line, "\r\n");
    *next = end + (*end == '\r' && end[1] == '\n' ? 2 : *end != 0);
    *end = 0;
    return line;
}

long text_character(const unsigned char **at) {
    const unsigned char *p = *at;
    int more = *p < 0x80                 ? 0
               : *p >= 0xc2 && *p < 0xe0 ? 1
               : *p >= 0xe0 && *p < 0xf0 ? 2
               : *p >= 0xf0 && *p < 0xf5 ? 3
                                         : -1;
    if (more < 0) return -1;
    long code = more == 0 ? *p : *p & (0x3f >> more);
    for (int i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80) return -1;
        code = code << 6 | (p[i] & 0x3f);
    }
    if ((more == 2 && code < 0x800) || (more == 3 && code < 0x10000) || code > 0x10ffff ||
        (code >= 0xd800 && code < 0xe000))
        return -1;
    *at = p + more + 1;
    return code;
}

int text_is_utf8(const char *text) {
    const unsigned char *at = (const unsigned char *)text;
    while (*at)
        if (text_character(&at) < 0) return 0;
    return 1;
}
