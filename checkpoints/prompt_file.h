/* prompt_file.h: prompts' embeddings in a safetensors file, F32, BF16 or F16. What is read:
     keyed   prompt/<SHA-256 of the cleaned text> [L, D]; metadata of the same name hold the text, and "default" the key
             of the prompt to use when none is named. text_embed writes such files.
     named   NAME [L, D] or [1, L, D]: found by that name in place of a text. The only one of a file stands for every
             prompt except the empty one, whose name is "empty".
     cache   a named tensor [L, D] and its mask [L] (BOOL or integers, any name): the rows before the first 0 of
             the mask are its tokens.
   Rows are tokens, without padding; rows of zeros at the end count as tokens, and take part just like padding.
   Tensors of other shapes and names (ids/...) are passed over. The file stays open, and rows are read when asked for.
   */
#ifndef CHECKPOINTS_PROMPT_FILE_H
#define CHECKPOINTS_PROMPT_FILE_H

#include "base/fileio.h"
#include "checkpoints/safetensors.h"
#include "model/text/prompt.h"

struct prompt_entry {
    char *name;       /* key of a keyed one, else the tensor's */
    const char *text; /* of a keyed one, if the metadata have it */
    int keyed;
    long length;
    const struct safetensors_entry *tensor;
};
struct prompt_file {
    struct safetensors file;
    char path[FILE_PATH_MAX];
    struct prompt_entry *entries;
    int count, dim;
    int fallback; /* the entry meant when none is named; -1: none */
};
/* ERR_INPUT: damaged, no prompts in it, or of several widths. */
int prompt_file_open(struct prompt_file *f, const char *path);
void prompt_file_close(struct prompt_file *f);
/* The entry of a text (cleaned here) or name; NULL or "" for no text: the file's default. ERR_INPUT lists what there
   is. */
int prompt_file_find(const struct prompt_file *f, const char *text, const struct prompt_entry **entry);
/* The empty prompt's; NULL: the file has none. */
const struct prompt_entry *prompt_file_empty(const struct prompt_file *f);
/* Rows [length, dim] of an entry, malloc'd, under the text it is to have. ERR_INPUT: not numbers, or none at all. */
int prompt_file_read(const struct prompt_file *f, const struct prompt_entry *entry, float **rows);

/* Its rows and zeros, into [text_len, text_dim], for a network of these sizes; ERR_INPUT names them. */
int prompt_file_fill(const struct prompt_file *f, const struct prompt_entry *entry, int text_len, int text_dim,
                     float *text);

/* Writes a keyed file. type: ST_F32 or ST_BF16. fallback: index of the default; ids: each prompt's token numbers, or
   NULL. Prompts of the same text are written once. */
int prompt_file_write(const char *path, const struct prompt_rows *prompts, int count, int dim,
                      enum safetensors_type type, int fallback, const int *const *ids);

#endif
