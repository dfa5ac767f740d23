/* prompt.h: a prompt: its text, cleaned as Wan cleans it, the key that the text has in files, and what a text encoder
   made of it. An embedding has as many rows as the text has tokens; a network takes text_len rows, the rest zeros,
   which take part in its cross-attention like any others (so did training). The empty prompt, "", is what text dropout
   puts in a prompt's place. */
#ifndef MODEL_TEXT_PROMPT_H
#define MODEL_TEXT_PROMPT_H

#include <stddef.h>

enum { PROMPT_TEXT_MAX = 1 << 16, PROMPT_KEY = 65 };

struct prompt_rows {
    const char *text;  /* cleaned */
    long length;       /* tokens; 0: all padding */
    const float *rows; /* [length, dim] */
};

/* Cleaned, malloc'd: HTML's characters (&amp; &#39; &eacute;) are resolved, also those of those; curly quotes become
   straight, full-width letters and ligatures plain, and control characters go; all white space between words becomes
   one blank. ERR_INPUT: not UTF-8, or longer than PROMPT_TEXT_MAX bytes. Wan's own cleaning (ftfy) also mends text that
   was decoded wrongly ("Ã©") and composes accents; here the former stays as it is, and the latter is left to the
   tokenizer's normalisation. */
int prompt_clean(const char *text, char **clean);
/* SHA-256 of a cleaned text, in hexadecimal. */
int prompt_key(const char *clean, char key[PROMPT_KEY]);

#endif
