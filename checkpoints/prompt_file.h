/* prompt_file.h: prompts' embeddings in a safetensors file, F32, BF16 or F16. What is read:
     keyed   prompt/<SHA-256 of the cleaned text> [L, D]; metadata of the same name hold the text, and "default" the key
             of the prompt to use when none is named. text_embed writes such files.
     named   NAME [L, D] or [1, L, D]: found by that name in place of a text. The only one of a file stands for every
             prompt except the empty one, whose name is "empty".
     cache   a named tensor [L, D] and its mask [L] (BOOL or integers, any name): the rows before the first 0 of
             the mask are its tokens.
   Rows are tokens, without padding; rows of zeros at the end count as tokens, and take part just like padding.
   Tensors of other shapes and names (ids/...) are passed over. The file stays open; rows are read when asked for. */
#ifndef CHECKPOINTS_PROMPT_FILE_H
#define CHECKPOINTS_PROMPT_FILE_H

#include "base/fileio.h"
#include "checkpoints/safetensors.h"
#include "model/text/prompt.h"

struct prompt_entry {
    char *name;       /* a keyed prompt's key; else the tensor's name */
    const char *text; /* text of a keyed prompt, if the metadata have it */
    int keyed;
    long length;
    const struct safetensors_entry *tensor;
};
struct prompt_file {
    struct safetensors file;
    char path[FILE_PATH_MAX];
    struct prompt_entry *entries;
    int count, dim;
    int fallback; /* index of the entry to use when none is named; -1: none */
};
/* Opens a file. ERR_INPUT: it is damaged, holds no prompts, or prompts of several widths. */
int prompt_file_open(struct prompt_file *f, const char *path);
void prompt_file_close(struct prompt_file *f);
/* Finds the entry of a text (which it cleans) or of a name; with NULL or "" the file's default. ERR_INPUT lists the
   prompts that the file has. */
int prompt_file_find(const struct prompt_file *f, const char *text, const struct prompt_entry **entry);
/* Returns the empty prompt's entry; NULL: the file has none. */
const struct prompt_entry *prompt_file_empty(const struct prompt_file *f);
/* Reads the rows [length, dim] of an entry, malloc'd. ERR_INPUT: values that are not finite, or no rows at all. */
int prompt_file_read(const struct prompt_file *f, const struct prompt_entry *entry, float **rows);

/* Reads an entry's rows, followed by zeros, into [text_len, text_dim] for a network of these sizes. ERR_INPUT: they do
   not fit; it names both sizes. */
int prompt_file_fill(const struct prompt_file *f, const struct prompt_entry *entry, int text_len, int text_dim,
                     float *text);

/* Writes a keyed file. type: ST_F32 or ST_BF16. fallback: index of the default; ids: each prompt's token numbers, or
   NULL. Prompts of the same text are written once. */
int prompt_file_write(const char *path, const struct prompt_rows *prompts, int count, int dim,
                      enum safetensors_type type, int fallback, const int *const *ids);

#endif
