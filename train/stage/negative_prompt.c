/* negative_prompt.c: see negative_prompt.h. */
#include "train/stage/negative_prompt.h"

#include <stdlib.h>

#include "base/error.h"
#include "checkpoints/prompt_file.h"

static int fill(const struct prompt_file *file, const struct run_config *config, float *rows) {
    const struct prompt_entry *entry;
    TRY(prompt_file_find(file, config->negative.prompt, &entry));
    return prompt_file_fill(file, entry, config->model.text_len, config->model.text_dim, rows);
}

int negative_prompt_load(const struct run_config *config, float **rows) {
    struct prompt_file file;
    *rows = NULL;
    if (!config->negative.file[0]) return OK;
    TRY(prompt_file_open(&file, config->negative.file));
    *rows = calloc((size_t)config->model.text_len * (size_t)config->model.text_dim + 1, sizeof **rows);
    int code = *rows ? fill(&file, config, *rows) : error_set(ERR_DEVICE, "out of memory for the negative prompt");
    prompt_file_close(&file);
    if (code) free(*rows), *rows = NULL;
    return code;
}
