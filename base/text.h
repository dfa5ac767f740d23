/* text.h: text files that people write, whatever editor and system they come from: a byte order mark of UTF-8 is
   nothing; CR, LF and CRLF end a line. What is no text is refused, not read up to its first zero byte. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>

/* A whole text of at most `max` bytes, without its byte order mark; malloc'd and NUL-terminated. ERR_INPUT: it cannot
   be read, is longer, is UTF-16, or ("PATH:LINE: ...") holds a zero byte. */
int text_read(const char *path, size_t max, char **text);
/* The next line, NUL-terminated in its place, without its end; NULL when none is left. *next: the rest, at first the
   text. */
char *text_line(char **next);
/* The line that the place `at` in a text is in, from 1. */
int text_line_number(const char *text, const char *at);
/* The character of UTF-8 at *at, which moves on; -1: it is none (overlong forms, surrogates and numbers above 10ffff
   included). The text ends with a zero byte. */
long text_character(const unsigned char **at);
int text_is_utf8(const char *text); /* 1: all of it is */

#endif
