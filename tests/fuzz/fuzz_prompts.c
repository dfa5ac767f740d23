/* fuzz_prompts.c: files of prompts, and what cleaning makes of a text. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/tensor_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "checkpoints/prompt_file.h"

enum { LEN = 8, VALUES_MAX = 1 << 20 };

static void look_at(const struct prompt_file *f, const struct prompt_entry *e) {
    float *rows, *text = malloc(sizeof *text * (size_t)f->dim * LEN);
    if (e->length * (long)f->dim > VALUES_MAX || f->dim > VALUES_MAX || !text) {
        free(text);
        return;
    }
    if (!prompt_file_read(f, e, &rows)) free(rows);
    prompt_file_fill(f, e, LEN, f->dim, text);
    free(text);
}

int fuzz_prompt_file(const unsigned char *data, size_t size) {
    const char *path = fuzz_tensor_file("prompts.safetensors", data, size);
    struct prompt_file f;
    const struct prompt_entry *e;
    if (!path || prompt_file_open(&f, path)) return 0;
    if (!prompt_file_find(&f, NULL, &e)) look_at(&f, e);
    if (!prompt_file_find(&f, "a person talks", &e)) look_at(&f, e);
    if ((e = prompt_file_empty(&f))) look_at(&f, e);
    prompt_file_close(&f);
    return 1;
}

int fuzz_prompt_text(const unsigned char *data, size_t size) {
    char *text = malloc(size + 1), *clean, *again, key[PROMPT_KEY];
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    int code = prompt_clean(text, &clean);
    free(text);
    if (code) return 0;
    size_t n = strlen(clean);
    fuzz_promise(!n || (clean[0] != ' ' && clean[n - 1] != ' ' && !strstr(clean, "  ")),
                 "blanks are single and inside");
    fuzz_promise(n > PROMPT_TEXT_MAX || !prompt_clean(clean, &again), "a cleaned text is UTF-8");
    if (n <= PROMPT_TEXT_MAX) free(again);
    fuzz_promise(!prompt_key(clean, key) && strlen(key) == 64, "and has a key");
    free(clean);
    return 1;
}
