/* prompts.h: gives each clip of a data set its prompt. Without a file of embeddings (config `text`) all clips have the
   same fixed random tokens, and the empty prompt has none. With one (checkpoints/prompt_file.h) a clip's prompt is the
   text of NAME.txt beside its video, else the config's `prompt`, else the file's default. Equal texts are one
   prompt. */
#ifndef TOOLS_PREPARE_PROMPTS_H
#define TOOLS_PREPARE_PROMPTS_H

#include "base/hash_index.h"
#include "checkpoints/prompt_file.h"
#include "tools/prepare/clip_list.h"

struct prepare_prompts {
    const struct prepare_config *config;
    struct prompt_file file;
    struct clip_prompt {
        char *text;
        const struct prompt_entry *entry; /* NULL: not from the file */
    } * list;                             /* the data set's prompts; the first is the empty one */
    int count;
    struct hash_index index; /* finds a prompt by its text */
    int *of_clip;            /* [clips]: number of each clip's prompt */
    char stamp[80];          /* checksum of the embeddings and of which clip has which text; "" without a file */
    float *stored;           /* [text_len, text_dim]: the random tokens; NULL with a file */
};
/* ERR_INPUT: a prompt has no embedding, or one of other sizes than the config's; the text names the clip. */
int prepare_prompts_open(struct prepare_prompts *prompts, const struct prepare_config *config,
                         const struct clip_list *clips);
void prepare_prompts_close(struct prepare_prompts *prompts);
/* Writes all of them into a new data set, in order. */
int prepare_prompts_write(const struct prepare_prompts *prompts, struct dataset_writer *writer);

#endif
