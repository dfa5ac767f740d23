/* prompt.c: see prompt.h. HTML's rules are those of Python's html.unescape, which Wan calls. */
#include "model/text/prompt.h"

#include <libavutil/mem.h>
#include <libavutil/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/text.h"
#include "model/text/prompt_internal.h"

enum { NAME_MAX_LENGTH = 32, REPLACEMENT = 0xfffd, NOTHING = -1 };

/* ---- UTF-8 ---- */

static char *put_character(char *to, long code) {
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

/* ---- single characters ---- */

static int is_white(long c) {
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* True for control characters: C0 except white space, delete, deprecated format characters, byte order mark,
   annotations. */
static int is_control(long c) {
    return c < 9 || c == 11 || (c >= 14 && c < 32) || c == 127 || (c >= 0x206a && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffc);
}

static long straight_quote(long c) {
    if (c == 0x2bc || (c >= 0x2018 && c <= 0x201b)) return '\'';
    return c >= 0x201c && c <= 0x201f ? '"' : c;
}

/* Controls 80 .. 9f are taken as what they mean in Windows' code page 1252, where text that has them comes from. */
static long windows_character(long c) {
    static const unsigned short windows[32] = {0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021,
                                               0x2c6,  0x2030, 0x160,  0x2039, 0x152,  0x8d,   0x17d,  0x8f,
                                               0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                               0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};
    return windows[c - 0x80];
}

/* Returns the first letter of a Latin ligature (ff to st) and sets *rest to the others. */
static long split_ligature(long c, const char **rest) {
    static const char *const letters[] = {"ff", "fi", "fl", "ffi", "ffl", "\305\277t", "st"};
    *rest = letters[c - 0xfb00] + 1;
    return letters[c - 0xfb00][0];
}

static char *settle_character(char *to, long c) {
    if (is_control(c)) return to;
    if (c >= 0x80 && c < 0xa0) c = windows_character(c);
    if (c >= 0xfb00 && c <= 0xfb06) {
        const char *rest;
        c = split_ligature(c, &rest);
        *to++ = (char)c;
        while (*rest) *to++ = *rest++;
        return to;
    }
    if (c >= 0xff01 && c <= 0xff5e) c -= 0xfee0; /* full-width forms of ASCII */
    return put_character(to, straight_quote(c));
}

static int settle_characters(const char *text, char *to) {
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        long c = text_character(&at);
        if (c < 0)
            return error_set(ERR_INPUT, "prompt: byte %zu is not UTF-8", (size_t)(at - (const unsigned char *)text));
        to = settle_character(to, c);
    }
    *to = 0;
    return OK;
}

/* ---- HTML ---- */

/* Returns the character that &#number; stands for; NOTHING where HTML gives it none. */
static long numbered_character(long c) {
    if (c >= 0x80 && c < 0xa0) return windows_character(c);
    if (c == 0 || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff) return REPLACEMENT;
    if (c < 9 || c == 11 || (c >= 14 && c < 32) || c == 127 || (c >= 0xfdd0 && c < 0xfdf0) || (c & 0xfffe) == 0xfffe)
        return NOTHING;
    return c;
}

/* Reads the number behind "&#" and returns its end; NULL: there is no number. */
static const char *number_end(const char *at, long *number) {
    int base = *at == 'x' || *at == 'X' ? 16 : 10, digits = 0;
    at += base == 16;
    *number = 0;
    for (;; at++, digits++) {
        int digit = *at >= '0' && *at <= '9'                               ? *at - '0'
                    : base == 16 && (*at | 32) >= 'a' && (*at | 32) <= 'f' ? (*at | 32) - 'a' + 10
                                                                           : -1;
        if (digit < 0) break;
        *number = *number > 0x110000 ? *number : *number * base + digit;
    }
    return digits ? at + (*at == ';') : NULL;
}

/* Reads the entity whose "&" is at `at`, by the longest name that is known, into *code and returns its end; NULL: it is
   none. */
static const char *entity_end(const char *at, long *code) {
    if (at[1] == '#') {
        const char *end = number_end(at + 2, code);
        *code = end ? numbered_character(*code) : 0;
        return end;
    }
    size_t length = strcspn(at + 1, "\t\n\f <&#;");
    if (length > NAME_MAX_LENGTH) length = NAME_MAX_LENGTH;
    int semicolon = at[1 + length] == ';';
    if ((*code = (long)prompt_entity(at + 1, length, semicolon))) return at + 1 + length + (size_t)semicolon;
    while (--length > 1 && length < NAME_MAX_LENGTH)
        if ((*code = (long)prompt_entity(at + 1, length, 0))) return at + 1 + length;
    return NULL;
}

/* Resolves entities in place, which fits because no name is shorter than its character. Returns 1 if something
   changed. */
static int resolve_html(char *text) {
    char *to = text;
    int changed = 0;
    for (const char *at = text; *at;) {
        long code;
        const char *end = *at == '&' ? entity_end(at, &code) : NULL;
        if (!end) {
            *to++ = *at++;
            continue;
        }
        if (code != NOTHING) to = put_character(to, code);
        at = end;
        changed = 1;
    }
    *to = 0;
    return changed;
}

/* ---- white space ---- */

static void collapse(char *text) {
    const unsigned char *at = (const unsigned char *)text;
    char *to = text;
    int gap = 0;
    while (*at) {
        long c = text_character(&at);
        if (is_white(c)) {
            gap = to > text;
            continue;
        }
        if (gap) *to++ = ' ';
        gap = 0;
        to = put_character(to, c);
    }
    *to = 0;
}

int prompt_clean(const char *text, char **clean) {
    size_t length = strlen(text);
    *clean = NULL;
    if (length > PROMPT_TEXT_MAX) return error_set(ERR_INPUT, "prompt: longer than %d bytes", PROMPT_TEXT_MAX);
    char *raw = strdup(text), *out = malloc(length + length / 2 + 1); /* two bytes may become three */
    int code = raw && out ? OK : error_set(ERR_DEVICE, "prompt: out of memory");
    /* text without a tag is no HTML page, so escaped characters are meant as characters, however often escaped */
    while (!code && !strchr(text, '<') && resolve_html(raw)) continue;
    if (!code) code = settle_characters(raw, out);
    free(raw);
    if (code) {
        free(out);
        return code;
    }
    resolve_html(out);
    resolve_html(out);
    collapse(out);
    *clean = out;
    return OK;
}

int prompt_key(const char *clean, char key[PROMPT_KEY]) {
    struct AVSHA *sha = av_sha_alloc();
    uint8_t digest[32];
    if (!sha || av_sha_init(sha, 256)) {
        av_free(sha);
        return error_set(ERR_DEVICE, "prompt: out of memory");
    }
    av_sha_update(sha, (const uint8_t *)clean, strlen(clean));
    av_sha_final(sha, digest);
    av_free(sha);
    for (int i = 0; i < 32; i++) snprintf(key + 2 * i, 3, "%02x", digest[i]);
    return OK;
}
