/* prompt.h: a prompt: its text, cleaned as Wan cleans it, its key in files, and its embedding by a text encoder. An
   embedding has as many rows as the text has tokens; a network takes text_len rows, the others zeros, which take part
   in its cross-attention like any rows, as they did in Wan's training. Text dropout puts the empty prompt, "", in a
   prompt's place. */
#ifndef MODEL_TEXT_PROMPT_H
#define MODEL_TEXT_PROMPT_H

#include <stddef.h>

enum { PROMPT_TEXT_MAX = 1 << 16, PROMPT_KEY = 65 };

struct prompt_rows {
    const char *text;  /* cleaned */
    long length;       /* tokens; 0: the rows are all padding */
    const float *rows; /* [length, dim] */
};

/* Cleans a text into *clean, malloc'd. HTML's entities (&amp; &#39; &eacute;) are resolved, also where they were
   escaped twice; curly quotes become straight, full-width letters and ligatures plain; control characters are removed;
   all white space between words becomes one blank. ERR_INPUT: not UTF-8, or longer than PROMPT_TEXT_MAX bytes. Wan's
   own cleaning (ftfy) also repairs text that was decoded wrongly ("Ã©") and composes accents; here the former stays
   as it is, and the tokenizer's normalisation does the latter. */
int prompt_clean(const char *text, char **clean);
/* Computes a prompt's key: SHA-256 of its cleaned text, in hexadecimal. */
int prompt_key(const char *clean, char key[PROMPT_KEY]);

#endif
