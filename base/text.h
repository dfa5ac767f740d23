/* text.h: text files that people write, from any editor and system: a byte order mark of UTF-8 is skipped; CR, LF and
   CRLF end a line. A file that is no text is refused, not read up to its first zero byte. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>

/* Reads a whole text of at most `max` bytes, without its byte order mark; *text is malloc'd and NUL-terminated.
   ERR_INPUT: it cannot be read, is longer, is UTF-16, or ("PATH:LINE: ...") holds a zero byte. */
int text_read(const char *path, size_t max, char **text);
/* Cuts off the next line in place: it is NUL-terminated and without its line end; NULL when none is left. *next is the
   rest of the text; before the first call, the whole. */
char *text_line(char **next);
/* Number, from 1, of the line that holds the place `at` of a text. */
int text_line_number(const char *text, const char *at);
/* Reads the UTF-8 character at *at and moves *at behind it; -1: there is no valid one (overlong forms, surrogates and
   numbers above 10ffff are invalid). The text ends with a zero byte. */
long text_character(const unsigned char **at);
int text_is_utf8(const char *text); /* 1: the whole text is valid UTF-8 */

#endif
